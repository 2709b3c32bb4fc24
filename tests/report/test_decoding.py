"""Tables and figures of aligned and decoded cohorts."""

import numpy as np
import pytest

from neuroml.data import make_recording
from neuroml.decoding import CrossSubjectDecoder, ProcrustesAligner, RidgeDecoder
from neuroml.decoding.metrics import intersubject_correlation
from neuroml.report import Context, draw, tabulate


@pytest.fixture
def cohort():
    rng = np.random.default_rng(0)
    shared = rng.standard_normal((60, 5))
    X = {
        s: shared @ rng.standard_normal((5, v)) + rng.standard_normal((60, v))
        for s, v in [("a", 8), ("b", 9), ("c", 7)]
    }
    recordings = [make_recording(x, modality="fmri", key=(s, "", "")) for s, x in X.items()]
    context = Context(recordings, [None] * 3, [], np.repeat(range(3), 60), X)
    return X, {s: shared for s in X}, context


def named(panels):
    return [panel.name for panel in panels]


def test_aligned_subjects_against_the_others(cohort):
    X, _, context = cohort
    model = ProcrustesAligner().fit(X)
    table = tabulate(model, context).query("quantity == 'correlation with the others'")
    expected = intersubject_correlation(model.transform(X)).mean(axis=1)
    assert table.label.tolist() == ["a", "b", "c"]
    np.testing.assert_allclose(table.value, expected)
    assert named(draw(model, context)) == ["agreement", "shared_response"]


def test_decoders_show_penalties_and_what_brains_carry(cohort):
    X, y, context = cohort
    ridge = RidgeDecoder().fit(X, y)
    table = tabulate(ridge, context).query("quantity == 'penalty'")
    assert dict(zip(table.label, table.value, strict=True)) == ridge.alpha_
    assert named(draw(ridge, context)) == ["penalties"]
    model = CrossSubjectDecoder().fit(X, y)
    shares = tabulate(model, context).query("quantity == 'decodability'").value
    np.testing.assert_array_equal(shares, model.components_["decodability"])
    (panel,) = draw(model, context)
    (axes,) = panel.figure.axes
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), shares)
