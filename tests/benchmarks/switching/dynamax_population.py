"""The same population model on dynamax's smoother, with 50 steps of Adam per M-step.

python dynamax_population.py data.npz ITERATIONS   # prints one JSON object; needs dynamax and optax
"""

import json
import sys
import time
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from dynamax.hidden_markov_model.inference import hmm_smoother
from jax.scipy.special import gammaln


def peak_megabytes():
    """Of this process's memory; ru_maxrss would count that of the one that started it."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def features(spikes, function):
    drive = np.zeros_like(spikes)
    for lag in range(1, len(function) + 1):
        drive[:, lag:] += spikes[:, :-lag] * function[lag - 1]
    return jnp.asarray(drive)


def log_emissions(parameters, drive, spikes):
    weights, intercept = parameters
    rates = jax.nn.softplus(jnp.einsum("stj,kij->stki", drive, weights) + intercept)
    each = spikes[:, :, None] * jnp.log(rates) - rates
    return each.sum(axis=-1)


optimizer = optax.adam(1e-2)


@jax.jit
def iteration(parameters, initial, matrix, drive, spikes):
    log_b = log_emissions(parameters, drive, spikes)
    found = jax.vmap(partial(hmm_smoother, initial, matrix))(log_b)
    gamma = found.smoothed_probs

    def loss(current):
        return -(gamma * log_emissions(current, drive, spikes)).sum() / spikes[..., 0].size

    def step(carry, _):
        current, memory = carry
        updates, memory = optimizer.update(jax.grad(loss)(current), memory)
        return (optax.apply_updates(current, updates), memory), None

    (parameters, _), _ = jax.lax.scan(step, (parameters, optimizer.init(parameters)), None, 50)
    pairs = found.trans_probs.sum(axis=0)
    matrix = pairs / pairs.sum(axis=1, keepdims=True)
    return parameters, gamma[:, 0].mean(axis=0), matrix, found.marginal_loglik.sum()


def main(path, iterations):
    data, n_iter = np.load(path), int(iterations)
    n_sessions = int(data["n_sessions"])
    spikes = data["spikes"].astype(np.float32).reshape(n_sessions, -1, data["spikes"].shape[1])
    drive = features(spikes, data["filter"].astype(np.float32))
    single = {k: jnp.asarray(data[k], dtype=jnp.float32) for k in data if k != "spikes"}
    state = ((single["weights"], single["intercept"]), single["initial"], single["matrix"])
    spikes = jnp.asarray(spikes)
    jax.block_until_ready(iteration(*state, drive, spikes))  # compiles
    constant = float(gammaln(spikes + 1.0).sum())
    scores, seconds, began = [], [], time.process_time()
    for _ in range(n_iter):
        *state, value = jax.block_until_ready(iteration(*state, drive, spikes))
        scores.append((float(value) - constant) / spikes[..., 0].size)
        seconds.append(time.process_time() - began)
    peak = peak_megabytes()
    print(json.dumps({"scores": scores, "seconds": seconds, "peak": peak}))


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[1]))
    from arguments import arguments

    main(*arguments(__doc__, "FILE", "ITERATIONS"))
