"""Nulls are nulls: how often p is small in data without effect, by family.

Each row: data sets, permutations, and the share of p <= .05, .1, .2, which is to stay within two
standard errors above the level. The time limit of each family ends it early; the column says how
many data sets were made.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.signal import lfilter
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline

from neuroml.celltypes import ResponseModel
from neuroml.connectome import NonnegativeCP, SlidingWindowConnectivity
from neuroml.decoding import CrossSubjectDecoder, PrototypeClassifier, RidgeDecoder
from neuroml.evaluation import BlockedKFold, Evaluation, evaluate
from neuroml.switching import SwitchingGLM, SwitchingPopulationGLM

LEVELS = (0.05, 0.1, 0.2)
SECONDS = 90


def ridge(seed: int, n: int) -> Evaluation:
    """RidgeDecoder in five blocks of one subject."""
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(60, 8)), rng.normal(size=(60, 2))
    return _evaluate(RidgeDecoder(), X, y, "permutation", n, seed, scoring="correlation")


def ridge_held_out(seed: int, n: int) -> Evaluation:
    """RidgeDecoder on one held-out part: predictions stay, targets are permuted."""
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(60, 8)), rng.normal(size=(60, 2))
    cv = [(np.arange(40), np.arange(40, 60))]
    return _evaluate(RidgeDecoder(), X, y, "permutation", n, seed, scoring="correlation", cv=cv)


def cohort(seed: int, n: int) -> Evaluation:
    """CrossSubjectDecoder that adapts to each of three subjects."""
    rng = np.random.default_rng(seed)
    X = {s: rng.normal(size=(40, 6)) for s in "abc"}
    y = {s: rng.normal(size=(40, 3)) for s in "abc"}
    return _evaluate(CrossSubjectDecoder(), X, y, "permutation", n, seed, scoring="correlation")


def ridge_cohort(seed: int, n: int) -> Evaluation:
    """RidgeDecoder of subjects that share units and stimuli, each left out once."""
    rng = np.random.default_rng(seed)
    targets = rng.normal(size=(40, 2))
    X = {s: rng.normal(size=(40, 6)) for s in "abc"}
    y = dict.fromkeys("abc", targets)
    return _evaluate(RidgeDecoder(), X, y, "permutation", n, seed, scoring="correlation")


def classes(seed: int, n: int) -> Evaluation:
    """PrototypeClassifier of two classes in two runs."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(60, 5))
    y = np.concatenate([rng.permutation(np.repeat([0, 1], 15)) for _ in range(2)])
    cv = KFold(5, shuffle=True, random_state=seed)
    return _evaluate(
        PrototypeClassifier(), X, y, "permutation", n, seed, sessions=np.repeat([0, 1], 30), cv=cv
    )


def choices(seed: int, n: int) -> Evaluation:
    """SwitchingGLM with inputs; choices switch between biases, whatever the inputs are."""
    rng = np.random.default_rng(seed)
    states = np.concatenate([_chain(80, 0.95, rng) for _ in range(3)])
    y = (rng.uniform(size=240) < np.where(states, 0.8, 0.3)).astype(int)
    X = rng.normal(size=(240, 1))
    model = SwitchingGLM(2, n_init=1, max_iter=60, tol=1e-4)
    return _evaluate(
        model, X, y, "circular-shift", n, seed, sessions=np.repeat([0, 1, 2], 80), cv=3,
        scoring="log_likelihood",
    )  # fmt: skip


def populations(seed: int, n: int) -> Evaluation:
    """SwitchingPopulationGLM of units that know nothing of each other, but have memories."""
    rng = np.random.default_rng(seed)
    rates = np.exp(-1.0 + 0.6 * _slow(240, 3, 0.9, rng))
    model = SwitchingPopulationGLM(2, n_lags=1, n_init=1, max_iter=30, tol=1e-3)
    return _evaluate(
        model, rng.poisson(rates), None, "circular-shift", n, seed, cv=2, scoring="log_likelihood"
    )


def connectome(seed: int, n: int) -> Evaluation:
    """NonnegativeCP of windows of a stationary process with covariance and memory."""
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(5, 5))
    X = _slow(240, 5, 0.5, rng) @ mixing
    windows = SlidingWindowConnectivity(
        20, stride=5, negative="absolute", covariance="empirical", vectorize=False
    )
    model = make_pipeline(windows, NonnegativeCP(2, n_init=1, max_iter=100))
    return _evaluate(model, X, None, "matched-covariance", n, seed, cv=BlockedKFold(3, gap=20))


def responses(seed: int, n: int) -> Evaluation:
    """ResponseModel (torch) of cells that do not see the stimulus, in two blocks."""
    rng = np.random.default_rng(seed)
    stimuli, cells = _slow(200, 1, 0.5, rng), _slow(200, 2, 0.8, rng)
    return _evaluate(_responses(), stimuli, cells, "circular-shift", n, seed,
                     cv=2, scoring="correlation")  # fmt: skip


def responses_held_out(seed: int, n: int) -> Evaluation:
    """ResponseModel on one held-out part: predictions stay, responses are turned."""
    rng = np.random.default_rng(seed)
    stimuli, cells = _slow(300, 1, 0.5, rng), _slow(300, 2, 0.8, rng)
    cv = [(np.arange(150), np.arange(160, 300))]
    return _evaluate(_responses(), stimuli, cells, "circular-shift", n, seed,
                     cv=cv, scoring="correlation")  # fmt: skip


def _responses() -> ResponseModel:
    return ResponseModel(
        "linear", n_lags=4, n_filters=2, max_epochs=10, clip_length=32, device="cpu",
        loss="gaussian", nonlinearity="identity",
    )  # fmt: skip


FAMILIES: dict[str, tuple[Callable[[int, int], Evaluation], int, int]] = {
    # data sets, permutations
    "ridge": (ridge, 200, 19),
    "ridge, held out": (ridge_held_out, 200, 99),
    "cohort": (cohort, 100, 19),
    "ridge cohort": (ridge_cohort, 100, 19),
    "classes": (classes, 200, 19),
    "choices": (choices, 100, 19),
    "populations": (populations, 100, 19),
    "connectome": (connectome, 100, 19),
    "responses": (responses, 40, 19),
    "responses, held out": (responses_held_out, 40, 99),
}


def _evaluate(model, X, y, null, n, seed, **options) -> Evaluation:
    return evaluate(
        model, X, y, baselines=None, null=null, n_permutations=n, random_state=seed, **options
    )


def _slow(n: int, width: int, memory: float, rng: np.random.Generator) -> np.ndarray:
    """First-order autoregressions of unit variance (n, width)."""
    noise = rng.normal(size=(n + 100, width)) * np.sqrt(1 - memory**2)
    return lfilter([1.0], [1.0, -memory], noise, axis=0)[100:]


def _chain(n: int, stay: float, rng: np.random.Generator) -> np.ndarray:
    return (np.cumsum(rng.uniform(size=n) > stay) + rng.integers(2)) % 2


def p_values(name: str, seconds: float) -> Iterator[float]:
    """One p-value per data set."""
    make, n_sets, n_permutations = FAMILIES[name]
    start = time.perf_counter()
    for seed in range(n_sets):
        if time.perf_counter() - start > seconds:
            return
        yield float(make(seed, n_permutations).summary()["p"].iloc[0])


def table(names: list[str] | None = None, seconds: float = SECONDS) -> pd.DataFrame:
    """Shares of small p-values by family."""
    rows = []
    for name in names or list(FAMILIES):
        start = time.perf_counter()
        p = np.array(list(p_values(name, seconds)))
        row = {"family": name, "data sets": len(p), "permutations": FAMILIES[name][2]}
        for level in LEVELS:
            share = float((p <= level + 1e-9).mean())
            allowed = level + 2 * np.sqrt(level * (1 - level) / len(p))
            row[f"p <= {level}"] = f"{share:.3f}{'' if share <= allowed else ' !'}"
        rows.append(row | {"seconds": round(time.perf_counter() - start)})
        print(rows[-1], flush=True)
    return pd.DataFrame(rows)


def main(chosen: list[str] | None = None) -> None:
    """Print the table."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        print(table(chosen).to_string(index=False))


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[1]))
    from arguments import sections

    main(sections(__doc__, FAMILIES))
