"""Seconds of the first fit in a new environment: a fresh process with an empty compile cache."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

import pandas as pd

BOUND = 5.0  # seconds, on an idle machine with one thread
FITS = {
    "SwitchingPopulationGLM": "SwitchingPopulationGLM(2, n_init=2, random_state=0).fit(spikes)",
    "SwitchingPopulationGLM, learned filters": "SwitchingPopulationGLM("
    "2, link='exp', basis='raised-cosine', n_basis=2, n_init=2, random_state=0).fit(spikes)",
    **{
        f"SwitchingGLM, {family}": f"SwitchingGLM(2, '{family}', n_init=2, random_state=0).fit(X, y)"
        for family in ("bernoulli", "categorical", "gaussian", "poisson", "negative_binomial")
    },
}
SETTING = """
import time, warnings
warnings.simplefilter("ignore")
from neuroml.simulate import make_switching_choices, make_switching_spikes
from neuroml.switching import SwitchingGLM, SwitchingPopulationGLM
spikes = make_switching_spikes(6, 2, n_sessions=1, n_bins=800, random_state=0).spikes
choices = make_switching_choices(1, 800, 2, random_state=0)
X, y = choices.X, choices.y
for _ in range(2):
    began = time.perf_counter(), time.process_time()
    {fit}
    print(time.perf_counter() - began[0], time.process_time() - began[1])
"""


def first_fit() -> pd.DataFrame:
    """Wall and CPU seconds of the first and the second fit of one process."""
    rows = []
    for name, fit in FITS.items():
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                [sys.executable, "-c", SETTING.replace("{fit}", fit)],
                env={**os.environ, "NUMBA_CACHE_DIR": folder, "OMP_NUM_THREADS": "1"},
                capture_output=True, text=True, check=True,
            )  # fmt: skip
        first, second = (line.split() for line in done.stdout.splitlines())
        rows.append(
            {
                "fit": name,
                "first, s": float(first[0]),
                "first, CPU s": float(first[1]),
                "second, s": float(second[0]),
                "in time": float(first[1]) <= BOUND,
            }
        )
    return pd.DataFrame(rows)
