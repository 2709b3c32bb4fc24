"""A method that is refused leaves the estimator as it was: over every public mutator."""

import joblib
import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from neuroml._core.mutation import all_or_nothing
from neuroml.decoding import (
    CrossSubjectDecoder,
    HierarchicalRidgeDecoder,
    MindBridgeDecoder,
    ProcrustesAligner,
    RidgeDecoder,
    SharedResponseModel,
)
from neuroml.dendrites import ActiveDendriteClassifier, SegmentBank

RNG = np.random.default_rng(0)
SHARED = RNG.standard_normal((40, 6))
SIZES = {"a": 8, "b": 10}
X = {
    s: SHARED @ RNG.standard_normal((6, v)) + RNG.standard_normal((40, v)) for s, v in SIZES.items()
}
Y = {s: SHARED[:, :3] for s in SIZES}
PARCELS = {s: np.arange(v) % 2 for s, v in SIZES.items()}
FEW = np.where(np.arange(40)[:, None] < 3, X["b"], np.nan)
GAP = np.where(np.arange(10) == 4, np.nan, X["b"])
PATTERNS = (RNG.uniform(size=(20, 30)) < 0.3).astype(float)
LABELS = np.arange(20) % 2


def network():
    return MindBridgeDecoder(max_steps=2, hidden=4, random_state=0)


ALIGNERS = {
    "procrustes": ProcrustesAligner().fit(X),
    "procrustes by region": ProcrustesAligner(parcels=PARCELS).fit(X),
    "shared response": SharedResponseModel(5, random_state=0, max_iter=500, tol=1e-4).fit(X),
    "one component": SharedResponseModel(1, random_state=0, max_iter=500, tol=1e-4).fit(X),
}
DECODERS = {
    "ridge": RidgeDecoder().fit(X, Y),
    "hierarchical": HierarchicalRidgeDecoder().fit(X, Y),
    "cross-subject": CrossSubjectDecoder().fit(X, Y),
    "network": network().fit(X, Y),
}
BAD_SUBJECTS = {
    "other rows": X["b"][:20],
    "three rows seen": FEW,
    "a missing column": GAP,
    "infinite": np.where(np.arange(10) == 4, np.inf, X["b"]),
    "1-D": X["b"][:, 0],
    "text": np.full((40, 3), "x"),
}
BAD_TARGETS = {
    "other columns": Y["b"][:, :2],
    "1-D": Y["b"][:, 0],
    "other rows": Y["b"][:9],
    "missing": np.full_like(Y["b"], np.nan),
}


def check_refused(model, call, match=None):
    before = joblib.hash(vars(model))
    with pytest.raises(ValueError, match=match):
        call()
    assert joblib.hash(vars(model)) == before


@pytest.mark.parametrize("subject", ["a", "new"])
@pytest.mark.parametrize("bad", BAD_SUBJECTS)
@pytest.mark.parametrize("name", ALIGNERS)
def test_add_subject(name, bad, subject):
    model = ALIGNERS[name]
    check_refused(model, lambda: model.add_subject(BAD_SUBJECTS[bad], subject=subject))


@pytest.mark.parametrize("subject", ["a", "new"])
def test_add_subject_with_other_voxels_than_its_regions(subject):
    model = ALIGNERS["procrustes by region"]
    check_refused(model, lambda: model.add_subject(X["b"], subject=subject), "regions do not match")


def test_add_subject_with_fewer_voxels_than_components():
    model = ALIGNERS["shared response"]
    check_refused(
        model, lambda: model.add_subject(X["a"][:, :4], subject="few"), "more components than"
    )


def test_add_subject_that_saw_fewer_samples_than_components():
    model, four = ALIGNERS["shared response"], X["b"].copy()
    four[4:] = np.nan
    check_refused(model, lambda: model.add_subject(four, subject="few"), "n_components <= 4")
    with pytest.raises(ValueError, match="n_components <= 4"):
        SharedResponseModel(5).fit({**X, "few": four})


def test_a_warning_that_is_an_error_stops_it_too():
    model = ALIGNERS["procrustes"]
    before = joblib.hash(vars(model))
    noise = np.random.default_rng(1).standard_normal((40, 9))
    with pytest.raises(UserWarning, match="Are these the shared samples"):
        model.add_subject(noise, subject="noise")
    assert joblib.hash(vars(model)) == before


@pytest.mark.parametrize("bad", BAD_TARGETS)
@pytest.mark.parametrize("name", DECODERS)
def test_adapt(name, bad):
    model = DECODERS[name]
    check_refused(model, lambda: model.adapt(X["b"], BAD_TARGETS[bad], subject="new"))


@pytest.mark.parametrize("name", DECODERS)
def test_adapt_leaves_the_model_as_it_is(name):
    model = DECODERS[name]
    before = joblib.hash(vars(model))
    model.adapt(X["b"], Y["b"], subject="a")
    assert joblib.hash(vars(model)) == before


@pytest.mark.parametrize("model", [RidgeDecoder(), HierarchicalRidgeDecoder(), ProcrustesAligner()])
def test_nothing_is_added_to_a_model_that_is_not_fitted(model):
    with pytest.raises(NotFittedError):
        if hasattr(model, "adapt"):
            model.adapt(X["b"], Y["b"], subject="a")
        else:
            model.add_subject(X["b"], subject="a")


BAD_PATTERNS = {
    "no segment can match": (9, PATTERNS),
    "columns": (3, PATTERNS[:, :9]),
    "NaN": (3, np.full((2, 30), np.nan)),
}


@pytest.mark.parametrize(
    ("fitted", "method", "bad"),
    [
        *((True, "partial_fit", bad) for bad in BAD_PATTERNS),
        *(
            (fitted, "fit", bad)
            for fitted in (True, False)
            for bad in BAD_PATTERNS
            if bad != "columns"
        ),
        *((False, "partial_fit", bad) for bad in BAD_PATTERNS if bad != "columns"),
    ],
)
def test_segment_bank(method, bad, fitted):
    bank = SegmentBank(5, threshold=3, random_state=0)
    if fitted:
        bank.fit(PATTERNS)
    threshold, patterns = BAD_PATTERNS[bad]
    bank.set_params(threshold=threshold)
    check_refused(bank, lambda: getattr(bank, method)(patterns))


@pytest.mark.parametrize("fitted", [True, False])
@pytest.mark.parametrize("bad", ["labels", "classes", "columns", "threshold"])
def test_classifier(bad, fitted):
    model = ActiveDendriteClassifier(20, n_cells=200, n_active=20, random_state=0)
    if fitted:
        model.fit(PATTERNS, LABELS)
    calls = {
        "labels": lambda: model.partial_fit(PATTERNS, LABELS + 1, classes=[0, 1]),
        "classes": lambda: model.partial_fit(PATTERNS, LABELS, classes=None if not fitted else [0]),
        "columns": lambda: model.partial_fit(PATTERNS[:9], LABELS, classes=[0, 1]),
        "threshold": lambda: model.set_params(threshold=99).fit(PATTERNS, LABELS),
    }
    model.set_params(threshold=99 if bad == "threshold" else 12)
    check_refused(model, calls[bad])


def test_attributes_that_are_new_go_and_those_that_were_deleted_return():
    bank = SegmentBank(5, random_state=0)
    with pytest.raises(KeyError), all_or_nothing(bank):
        bank.fresh_ = 1
        del bank.n_synapses
        raise KeyError
    assert bank.n_synapses == 5 and not hasattr(bank, "fresh_")
