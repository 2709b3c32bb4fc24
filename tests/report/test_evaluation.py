"""The sentence on held-out data."""

import pandas as pd
import pytest

from neuroml.evaluation.defaults import DEFAULTS
from neuroml.report.evaluation import SCORE_WORDS, headline

COLUMNS = "model mean difference ci_low ci_high n_subjects_above n_subjects p".split()


@pytest.mark.parametrize(
    ("n_subjects", "told"), [(1, "in r2."), (5, "in r2, above it in 4 of 5 subjects.")]
)
def test_folds_of_one_subject_are_not_told_as_subjects(n_subjects, told):
    rows = [("GLM", 1.0, 0.2, 0.1, 0.3, n_subjects - 1, n_subjects, None)]
    rows += [("baseline: mean", 0.8, 0.0, None, None, 0, n_subjects, None)]
    assert headline(pd.DataFrame(rows, columns=COLUMNS), "r2").endswith(told)


def test_the_baseline_that_is_named_is_the_one_that_was_subtracted():
    """Of baselines that are equally good, the one without an interval of its own."""
    rows = [
        ("GLM", 1.0, 0.0, 0.0, 0.0, 0, 2, None),
        ("baseline: subtracted", 1.0, 0.0, None, None, 0, 2, None),
        ("baseline: other", 1.0, 0.0, 0.0, 0.0, 0, 2, None),
        ("baseline: bad", 0.5, -0.5, -0.5, -0.5, 0, 2, None),
    ]
    assert "(subtracted)" in headline(pd.DataFrame(rows, columns=COLUMNS), "accuracy")


def test_the_sentence_holds_both_scores_and_what_they_are_counted_in():
    rows = [("GLM", -0.61, 0.0115, 0.002, 0.03, 1, 1, None)]
    rows += [("baseline: one state", -0.6215, 0.0, None, None, 0, 1, None)]
    said = headline(pd.DataFrame(rows, columns=COLUMNS), "log_likelihood")
    assert said == (
        "GLM beats the best baseline (one state): -0.61 against -0.622, difference 0.0115 (95 % "
        "interval 0.002 to 0.03) in log-likelihood (nats per sample)."
    )


def test_every_default_score_has_words():
    scores = {name for defaults in DEFAULTS.values() for name in defaults.scoring}
    assert scores <= set(SCORE_WORDS)
