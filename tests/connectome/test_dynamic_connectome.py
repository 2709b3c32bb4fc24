"""The pipeline finds what was planted, and says nothing where nothing is."""

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import adjusted_rand_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from neuroml.connectome import AffinityTensor, DynamicConnectome, NonnegativeCP
from neuroml.data import align_units, make_recording
from neuroml.exceptions import DataError
from neuroml.simulate import make_dynamic_communities

SMALL = {
    "n_units": 30,
    "n_subjects": 8,
    "n_frames": 160,
    "n_communities": 2,
    "n_active_subjects": 5,
}


@pytest.fixture(scope="module")
def fitted():
    truth = make_dynamic_communities(**SMALL, random_state=0)
    return truth, DynamicConnectome(2, random_state=0).fit(truth.X)


def matched(truth, model):
    """The component of each planted community."""
    auc = [
        [roc_auc_score(truth.active_frames[k], course) for course in model.time_courses_.T]
        for k in range(len(truth.members))
    ]
    return linear_sum_assignment(-np.array(auc))[1]


def test_finds_who_when_and_in_which_subjects():
    aris, times, subjects = [], [], []
    for seed in range(4):
        truth = make_dynamic_communities(**SMALL, random_state=seed)
        model = DynamicConnectome(3, random_state=seed).fit(truth.X)
        for k, r in enumerate(matched(truth, model)):
            aris.append(adjusted_rand_score(truth.members[k], model.communities_[r]))
            times.append(roc_auc_score(truth.active_frames[k], model.time_courses_[:, r]))
            loading = model.subject_loadings_[:, r]
            subjects.append(roc_auc_score(truth.active_subjects[k], loading))
    assert np.mean(aris) > 0.7
    assert np.mean(times) > 0.9
    assert np.mean(subjects) > 0.85


def test_is_the_three_steps(fitted):
    truth, model = fitted
    tensor = AffinityTensor("mtd", min_subjects=1).fit_transform(truth.X)
    error = NonnegativeCP(2, sample_mode=1, random_state=1).fit(tensor).reconstruction_err_
    assert model.factorization_.reconstruction_err_ == pytest.approx(error, abs=1e-3)
    i, j = model.affinity_.pairs_.T
    np.testing.assert_array_equal(model.motifs_[:, i, j], model.factorization_.cp_.factors[0].T)
    np.testing.assert_array_equal(model.motifs_, model.motifs_.transpose(0, 2, 1))


def test_loadings_of_the_subjects_seen_in_fit(fitted):
    truth, model = fitted
    found = model.transform(truth.X)
    np.testing.assert_allclose(found, model.subject_loadings_, rtol=0.05, atol=0.05 * found.max())
    assert model.score(truth.X) == pytest.approx(
        -model.factorization_.reconstruction_err_, abs=0.01
    )


def test_loadings_of_subjects_that_lack_units(fitted):
    truth, model = fitted
    fewer = truth.X.copy()
    fewer[:, :, ::3] = np.nan
    found = model.transform(fewer)
    whole = model.transform(truth.X)
    assert np.corrcoef(found.ravel(), whole.ravel())[0, 1] > 0.9


def test_table_agrees_with_the_arrays(fitted):
    _, model = fitted
    assert set(model.table_.component) == {0, 1}
    for row in model.table_.itertuples():
        course = model.time_courses_[:, row.component]
        assert course[row.start : row.stop].min() > 0.5 * course.max()
        units = [int(u) for u in row.units.split(", ")] if row.units else []
        expected = np.flatnonzero(model.communities_[row.component] == row.community)
        if row.community >= 0:
            np.testing.assert_array_equal(units, expected)


def test_order_of_subjects_and_units_does_not_matter(fitted):
    truth, model = fitted
    rng = np.random.default_rng(0)
    subjects, units = rng.permutation(8), rng.permutation(30)
    other = DynamicConnectome(2, random_state=3).fit(truth.X[subjects][:, :, units])
    np.testing.assert_allclose(
        other.subject_loadings_, model.subject_loadings_[subjects], rtol=0.05, atol=1.0
    )
    for one, two in zip(model.communities_, other.communities_, strict=True):
        assert adjusted_rand_score(one[units], two) > 0.8


def test_no_communities_in_cohorts_without_any():
    found = []
    for seed in range(5):
        null = make_dynamic_communities(**SMALL, schedule="null", random_state=seed)
        model = DynamicConnectome(1, random_state=seed).fit(null.X)
        found.append(model.block_models_[0].n_blocks_)
    assert np.median(found) == 1


def test_recordings_with_named_neurons():
    truth = make_dynamic_communities(**SMALL, random_state=0)
    names = np.array([f"n{i:02d}" for i in range(30)])
    seen = ~np.isnan(truth.X).any(axis=1)
    recordings = [
        make_recording(x[:, s], units=names[s], modality="calcium", key=(f"worm{k}", "", ""))
        for k, (x, s) in enumerate(zip(truth.X, seen, strict=True))
    ]
    model = DynamicConnectome(2, random_state=0).fit(align_units(recordings))
    arrays = DynamicConnectome(2, random_state=0).fit(truth.X)
    np.testing.assert_allclose(model.motifs_, arrays.motifs_)
    assert model.table_.subjects[0].startswith("worm")
    assert "n" in "".join(model.table_.units)


def test_in_a_pipeline():
    truth = make_dynamic_communities(**SMALL, random_state=0)
    chain = make_pipeline(FunctionTransformer(), DynamicConnectome(1, n_init=1, random_state=0))
    assert chain.fit_transform(truth.X).shape == (8, 1)


def test_refuses():
    truth = make_dynamic_communities(**SMALL, random_state=0)
    lost = truth.X.copy()
    lost[:, :, 4] = np.nan
    with pytest.raises(DataError, match="never seen"):
        DynamicConnectome(2).fit(lost)
    with pytest.raises(DataError, match="shorter than the window"):
        DynamicConnectome(2, window=500).fit(truth.X)
