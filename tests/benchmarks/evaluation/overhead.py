"""What an evaluation costs beyond its fits and scores, and whether its scores are scikit-learn's."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import KFold, cross_validate

from neuroml.evaluation import SessionKFold, evaluate
from neuroml.simulate import make_switching_choices
from neuroml.switching import SwitchingGLM


def table(repeats: int = 5) -> pd.DataFrame:
    """CPU seconds of the same folds by hand and by `evaluate`, medians of runs in turn."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(5000, 200))
    y = X[:, 0] + rng.normal(size=5000)
    data = make_switching_choices(n_sessions=10, n_trials=300, random_state=0)
    cases = {
        "Ridge": (Ridge(), X, y, {"cv": KFold(5)}),
        "LogisticRegression": (LogisticRegression(), X, (y > 0).astype(int), {"cv": KFold(5)}),
        "RandomForestClassifier": (
            RandomForestClassifier(20, random_state=0), X[:1000], (y > 0)[:1000], {"cv": KFold(5)},
        ),
        "SwitchingGLM": (
            SwitchingGLM(2, n_init=2, random_state=0), data.X, data.y,
            {"cv": SessionKFold(5), "sessions": data.sessions},
        ),
    }  # fmt: skip
    rows = []
    for name, (model, X_, y_, options) in cases.items():
        bare, ours = [], []
        for _ in range(repeats):
            start = time.process_time()
            by_hand = _bare(model, X_, y_, **options)
            bare.append(time.process_time() - start)
            start = time.process_time()
            found = evaluate(
                model, X_, y_, baselines=None,
                scoring="log_likelihood" if name == "SwitchingGLM" else "score", **options,
            ).table_  # fmt: skip
            ours.append(time.process_time() - start)
        row = {"model": name, "bare": np.median(bare), "evaluate": np.median(ours)}
        row["overhead"] = f"{row['evaluate'] / row['bare'] - 1:.1%}"
        row["difference by hand"] = float(np.abs(found["value"].to_numpy() - by_hand).max())
        if "sessions" not in options:
            theirs = cross_validate(model, X_, y_, **options)["test_score"]
            row["difference to cross_validate"] = float(np.abs(found["value"] - theirs).max())
        rows.append(row)
    return pd.DataFrame(rows)


def _bare(model, X, y, cv, sessions=None) -> np.ndarray:
    scores = []
    asked = {} if sessions is None else {"sessions": sessions}
    for train, test in cv.split(X, y, **asked):
        known = {} if sessions is None else {"sessions": sessions[train]}
        new = {} if sessions is None else {"sessions": sessions[test]}
        fitted = clone(model).fit(X[train], y[train], **known)
        scores.append(fitted.score(X[test], y[test], **new))
    return np.array(scores)


def main() -> None:
    """Print the table."""
    print(table().to_string(index=False))


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[1]))
    from arguments import arguments

    arguments(__doc__)
    main()
