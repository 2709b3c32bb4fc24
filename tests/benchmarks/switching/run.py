"""What the switching family claims, measured: one command, one thread.

    OMP_NUM_THREADS=1 NEUROML_PEERS_PYTHON=peers/bin/python \
        python tests/benchmarks/switching/run.py [--full] [--only PART ...]

Peers (dynamax, hmmlearn, nemos, optax) live in an environment of their own, whose Python the
variable names; those that it does not have are left out. Seconds are of the CPU, medians of several
runs, after compilation. Without --full everything is smaller (minutes); with it, hours.
"""

import argparse
import warnings

import behaviour
import first_fit
import population
import rates
import recovery

from neuroml.exceptions import NotConvergedWarning

PARTS = {
    "first-fit": lambda full: first_fit.first_fit(),
    "recursions": lambda full: behaviour.recursions(),
    "glm-hmm": lambda full: behaviour.glm_hmm(),
    "speed-S": lambda full: population.speed("S", 100),
    "speed-M": lambda full: population.speed("M", 40 if full else 5),
    "speed-L": lambda full: population.speed("L", 10 if full else 2),
    "two-cores": lambda full: population.two_cores(3),
    "monotone": lambda full: behaviour.monotone(1000 if full else 100),
    "coverage": lambda full: behaviour.coverage(200 if full else 40),
    "coverage-sessions": lambda full: behaviour.sessions_that_differ(400 if full else 40),
    "consistency": lambda full: behaviour.consistency(20 if full else 5),
    "false-states": lambda full: behaviour.false_states(50 if full else 6),
    "fuzz-glm": lambda full: behaviour.fuzz(2000 if full else 100),
    "fuzz-population": lambda full: population.fuzz(2000 if full else 100),
    "held-out-rates": lambda full: rates.held_out_rates(None if full else 2000, 10 if full else 3),
    "held-out-couplings": lambda full: rates.held_out_couplings(None if full else 2000),
    "demo": lambda full: recovery.demo(),
    "recovery-2000": lambda full: recovery.recovery(10 if full else 2, 2000),
    "recovery-6000": lambda full: recovery.recovery(10 if full else 1, 6000),
    "recovery-20000": lambda full: recovery.recovery(10 if full else 1, 20_000),
}


def main() -> None:
    """Print one table per part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS))
    chosen = parser.parse_args()
    warnings.simplefilter("ignore", NotConvergedWarning)
    for part in chosen.only:
        print(f"## {part}", flush=True)
        print(PARTS[part](chosen.full).to_string(index=False), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
