"""The paired one-standard-error rule where the smallest candidate is true, and where it is not.

Shares of data sets in which the smallest candidate is chosen: by the paired rule, by the spread of
the fold scores themselves (the rule before), by the best mean, and, for ridge penalties, by the
p-value below .05 of the gain of nested selection. With an effect, 1 minus the share is the power.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.model_selection import KFold

from neuroml._core.statistics import first_within_one_standard_error, resampled_interval
from neuroml.connectome import NonnegativeCP
from neuroml.evaluation import SessionKFold, evaluate
from neuroml.switching import SwitchingGLM

SECONDS = 40


def spread_of_scores(scores: np.ndarray) -> int:
    """The rule before: within a standard error of the best candidate's own fold scores."""
    means = scores.mean(axis=1)
    best = int(means.argmax())
    error = scores[best].std(ddof=1) / np.sqrt(scores.shape[1])
    return int(np.flatnonzero(means >= means[best] - error)[0])


RULES: dict[str, Callable[[np.ndarray], int]] = {
    "paired": first_within_one_standard_error,
    "spread": spread_of_scores,
    "best mean": lambda scores: int(scores.mean(axis=1).argmax()),
}


def penalties(seed: int, effect: float) -> tuple[np.ndarray, bool]:
    """Ridge from nothing (1e6) to hardly any penalty; fold scores, and what nested selection says."""
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(100, 10)), rng.normal(size=100)
    y = y + effect * X[:, 0]
    grid, folds = [1e6, 100.0, 10.0, 1.0], list(KFold(5).split(X))
    scores = np.array([[_r2(alpha, X, y, *fold) for fold in folds] for alpha in grid])
    gains = []
    for train, test in folds:
        inner = [
            [_r2(alpha, X, y, train[a], train[b]) for a, b in KFold(5).split(train)]
            for alpha in grid
        ]
        best = grid[int(np.mean(inner, axis=1).argmax())]
        gains.append(_r2(best, X, y, train, test) - _r2(grid[0], X, y, train, test))
    return scores, resampled_interval(gains, 0.25, 0.9).low > 0


def _r2(alpha, X, y, train, test) -> float:
    mean, center = y[train].mean(), X[train].mean(axis=0)
    x = X[train] - center
    weights = np.linalg.solve(x.T @ x + alpha * np.eye(x.shape[1]), x.T @ (y[train] - mean))
    rest = y[test] - mean - (X[test] - center) @ weights
    return float(1 - (rest**2).mean() / ((y[test] - mean) ** 2).mean())


def states(seed: int, effect: float) -> tuple[np.ndarray, None]:
    """SwitchingGLM of one to three states; choices whose bias switches by ``effect`` log odds."""
    rng = np.random.default_rng(seed)
    sessions = np.repeat(np.arange(5), 80)
    state = np.concatenate([(np.cumsum(rng.uniform(size=80) > 0.95)) % 2 for _ in range(5)])
    X = rng.normal(size=(400, 1))
    drive = X[:, 0] + effect * (state - 0.5)
    y = (rng.uniform(size=400) < 1 / (1 + np.exp(-drive))).astype(int)
    models = {k: SwitchingGLM(k, n_init=2, max_iter=100, tol=1e-4) for k in (1, 2, 3)}
    return _folds(models, X, y, seed, sessions=sessions, cv=SessionKFold(5)), None


def ranks(seed: int, effect: float) -> tuple[np.ndarray, None]:
    """NonnegativeCP of one to three components; one pattern, and a second one times ``effect``."""
    rng = np.random.default_rng(seed)
    maps, courses = rng.uniform(0.5, 1.5, (2, 28)), rng.uniform(0.5, 1.5, (100, 2))
    # noise of mean zero that leaves everything positive: an offset would be a pattern, too
    X = courses @ (maps * [[1.0], [effect]]) + 0.05 * rng.normal(size=(100, 28))
    models = {k: NonnegativeCP(k, n_init=1, max_iter=100) for k in (1, 2, 3)}
    return _folds(models, X, None, seed, cv=5, scoring="explained_share"), None


def _folds(models, X, y, seed, **options) -> np.ndarray:
    named = {str(k): model for k, model in models.items()}
    found = evaluate(named, X, y, baselines=None, random_state=seed, **options).table_
    found = found[found["scoring"] == found["scoring"].iloc[0]]
    return found.pivot(index="model", columns="fold", values="value").loc[list(named)].to_numpy()


CASES = {
    "ridge penalties": (penalties, (0.0, 0.1, 0.2, 0.3, 0.5), 500),
    "states": (states, (0.0, 1.0, 2.0, 3.0), 200),
    "ranks": (ranks, (0.0, 0.3, 0.6), 200),
}


def table(seconds: float = SECONDS) -> pd.DataFrame:
    """Shares of the smallest candidate by case, effect and rule."""
    rows = []
    for case, (make, effects, n_sets) in CASES.items():
        for effect in effects:
            start, found, nested = time.perf_counter(), [], []
            while len(found) < n_sets and time.perf_counter() - start < seconds:
                scores, gain = make(len(found), effect)
                found.append([rule(scores) == 0 for rule in RULES.values()])
                nested.append(gain)
            row = {"choosing": case, "effect": effect, "data sets": len(found)}
            row |= dict(zip(RULES, np.mean(found, axis=0).round(3), strict=True))
            row["nested, p > .05"] = round(1 - np.mean(nested), 3) if nested[0] is not None else ""
            rows.append(row)
            print(row, flush=True)
    return pd.DataFrame(rows)


def main() -> None:
    """Print the table."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        print(table().to_string(index=False))


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[1]))
    from arguments import arguments

    arguments(__doc__)
    main()
