"""A plain pooled model that is as good is named."""

import numpy as np
import pandas as pd
import pytest

from neuroml.evaluation import Evaluation


def scored(gain, spread=0.02, baseline="baseline: pooled ridge"):
    rng = np.random.default_rng(0)
    rows = []
    for sign, subject in zip([1, -1] * 3, "abcdef", strict=True):
        plain = rng.uniform(0.4, 0.6)
        own = plain + gain + sign * spread
        rows += [("M", subject, 0, "r2", own, 0.0, True)]
        rows += [(baseline, subject, 0, "r2", plain, 0.0, True)]
    columns = ["model", "subject", "fold", "scoring", "value", "fit_seconds", "converged"]
    return Evaluation(pd.DataFrame(rows, columns=columns), test_share_=0.2)


@pytest.mark.parametrize("gain", [0.0, -0.3])
def test_a_pooled_model_that_is_as_good_is_named_with_its_numbers(gain):
    found = scored(gain)
    sentence, means = found.pooled_sentence(), found.table_.groupby("model")["value"].mean()
    assert "(pooled ridge) is as good" in sentence
    assert f"r2 {means['baseline: pooled ridge']:.3g} against {means['M']:.3g} of M" in sentence
    assert repr(found).endswith(sentence)


@pytest.mark.parametrize("settings", [{"gain": 0.3}, {"gain": 0.0, "baseline": "baseline: mean"}])
def test_nothing_is_said_where_the_model_is_better_or_subjects_share_no_units(settings):
    assert scored(**settings).pooled_sentence() == ""
