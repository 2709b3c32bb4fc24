"""What a report says of held-out data: a sentence first, then the models beside each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neuroml.evaluation import Evaluation
from neuroml.evaluation._text import SHOWN, row_above, row_shown

__all__ = ["SCORE_WORDS", "evaluated", "headline", "in_words"]

_BASELINE = "baseline: "

SCORE_WORDS = {
    "accuracy": "accuracy (share of right answers)",
    "adjusted_rand": "adjusted Rand index (agreement with known types)",
    "bits": "bits per sample above a constant rate",
    "correlation": "correlation of predicted with true values",
    "explained_share": "explained share of held-out connectivity",
    "log_likelihood": "log-likelihood (nats per sample)",
    "retrieval": "retrieval (share of samples found among all)",
    "score": "the model's own score",
}
"""What a score is and what it is counted in; those of scikit-learn go by their own names."""


def in_words(scoring: str) -> str:
    """What a score is called where people read it."""
    return SCORE_WORDS.get(scoring, scoring)


def evaluated(folder: Path, jobs: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Compare models over all jobs of a run, and in each of them.

    Parameters
    ----------
    folder : pathlib.Path
        Of the run.
    jobs : list of dict
        Records and summaries of its jobs.

    Returns
    -------
    dict or None
        ``headline``, ``scoring``, the rows of ``models`` and, if there are several, of ``jobs``,
        the headings of these (``shown``), and the ``evaluation`` of the whole run; None if
        nothing was evaluated.
    """
    own = [job for job in jobs if "test_share" in job]
    if not own:
        return None
    names = [job["name"] for job in own]
    scores = pd.concat([_read(folder, name, "scores") for name in names], ignore_index=True)
    share = float(np.mean([job["test_share"] for job in own]))
    if len(names) > 1:
        # the first fold of one job has nothing to do with the first fold of another
        scores["fold"] = scores["job"] + " " + scores["fold"].astype(str)
    whole = Evaluation(scores, _null(folder, names), share)
    rows = []
    if len(names) > 1:
        rows = [row_shown(name, _model_of(_read(folder, name, "evaluation"))) for name in names]
    summary, scoring = whole.summary(), str(scores["scoring"].iloc[0])
    return {
        "headline": f"{headline(summary, scoring)} {whole.pooled_sentence()}".rstrip(),
        "scoring": scoring,
        "score": in_words(scoring),
        "models": [row_shown(row["model"], row) for _, row in summary.iterrows()],
        "jobs": rows,
        "shown": SHOWN,
        "evaluation": whole,
    }


def _null(folder: Path, jobs: list[str]) -> dict[str, dict[str, np.ndarray]]:
    """The null of the mean over jobs: each permutation's mean; none if a job has none."""
    paths = [folder / "jobs" / name / "null.csv" for name in jobs]
    if not all(path.is_file() for path in paths):
        return {}
    draws = pd.concat([pd.read_csv(path) for path in paths])
    means = draws.groupby(["scoring", "model", "permutation"], sort=False)["value"].mean()
    return {
        str(scoring): {
            str(model): own.to_numpy() for model, own in part.groupby(level="model", sort=False)
        }
        for scoring, part in means.groupby(level="scoring", sort=False)
    }


def _read(folder: Path, job: str, name: str) -> pd.DataFrame:
    table = pd.read_csv(folder / "jobs" / job / f"{name}.csv", dtype={"subject": str, "job": str})
    return table.fillna({"subject": ""}) if "subject" in table else table


def _model_of(summary: pd.DataFrame) -> pd.Series:
    return summary[~summary["model"].str.startswith(_BASELINE)].iloc[0]


def headline(summary: pd.DataFrame, scoring: str) -> str:
    """Say whether the model beats the best baseline, both scores, and in how many subjects.

    Parameters
    ----------
    summary : DataFrame
        As `neuroml.evaluation.Evaluation.summary` returns it, of one model and its baselines.
    scoring : str

    Examples
    --------
    >>> import pandas as pd
    >>> from neuroml.report.evaluation import headline
    >>> rows = [("GLM", 1.0, 0.2, 0.1, 0.3, 4, 5, 0.01)]
    >>> rows += [("baseline: mean", 0.8, 0.0, None, None, 0, 5, 1.0)]
    >>> columns = "model mean difference ci_low ci_high n_subjects_above n_subjects p".split()
    >>> headline(pd.DataFrame(rows, columns=columns), "r2").split(": ")[0]
    'GLM beats the best baseline (mean)'
    """
    model = _model_of(summary)
    plain = summary[summary["model"].str.startswith(_BASELINE)].dropna(subset=["mean"])
    score = in_words(scoring)
    if not len(plain):
        return f"{model['model']}: {score} {model['mean']:.3g} on held-out data, no baseline."
    # of several that are equally good the first one, to which the differences are
    best = str(plain["model"].iloc[int(plain["mean"].argmax())]).removeprefix(_BASELINE)
    difference, low, high = (float(model[name]) for name in ("difference", "ci_low", "ci_high"))
    scores = f"{model['mean']:.3g} against {plain['mean'].max():.3g}"
    verdict = "beats the best baseline" if low > 0 else "is not clearly above the best baseline"
    if not difference > 0:
        verdict = "does not beat the best baseline"
    interval = f" (95 % interval {low:.3g} to {high:.3g})" if np.isfinite(low) else ""
    above = row_above(model)
    subjects = f", above it in {above} subjects" if above else ""
    return (
        f"{model['model']} {verdict} ({best}): {scores}, difference {difference:.3g}{interval} "
        f"in {score}{subjects}."
    )
