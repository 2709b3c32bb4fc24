"""A summary is printed whole in 80 columns, whatever its models are called."""

import numpy as np
import pandas as pd
import pytest

from neuroml.evaluation import Evaluation


def scored(names, n_subjects, scale=1.0):
    """An evaluation of models that are one better than the next, with a null."""
    rng = np.random.default_rng(0)
    rows = [
        (name, f"s{a}", fold, "r2", scale * (-at + rng.normal(0, 0.1)), 0.0, True)
        for at, name in enumerate(names)
        for a in range(n_subjects)
        for fold in range(3)
    ]
    columns = ["model", "subject", "fold", "scoring", "value", "fit_seconds", "converged"]
    null = {"r2": {name: rng.normal(-9.0, 1.0, 19) for name in names}}
    return Evaluation(pd.DataFrame(rows, columns=columns), null, 0.5)


NAMES = ["SwitchingPopulationGLM", "baseline: most frequent class"]
LONG = ["a model with a name that nobody would give " * 3, "b" * 100, *NAMES]


@pytest.mark.parametrize("names", [NAMES, LONG, NAMES[:1], NAMES[1:]])
@pytest.mark.parametrize("n_subjects", [1, 6])
@pytest.mark.parametrize("scale", [1.0, -1.234e-7])
def test_every_number_is_shown_within_80_columns(names, n_subjects, scale):
    found = scored(names, n_subjects, scale)
    summary = found.summary()
    with pd.option_context("display.width", 80, "display.max_columns", 0):
        text, whole = str(summary), repr(found)
    assert max(map(len, whole.splitlines()[:-1])) <= 80 and text in whole
    shown = [line.strip().split("  ")[0] for line in text.splitlines()]
    letters = "".join("".join(shown).split())  # names go on below where they are long
    for row in summary.itertuples():
        assert "".join(row.model.split()) in letters
        told = [row.mean, row.difference, row.ci_low, row.ci_high, row.p]
        for value in told:
            assert np.isnan(value) or f"{value:.3g}" in text.split(), (value, text)
    # without a baseline there is none to be above
    assert (f" of {n_subjects}" in text) == (n_subjects > 1 and "baseline" in names[-1])


def test_only_the_text_is_its_own():
    summary = scored(NAMES, 6).summary()
    assert type(summary.head(1)) is type(summary.copy()) is pd.DataFrame
    assert (
        "ci_low" in summary._repr_html_() and "n_subjects_above" in scored(NAMES, 6)._repr_html_()
    )
