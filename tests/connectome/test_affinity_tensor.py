from itertools import permutations, product

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from neuroml.connectome import AffinityTensor, NonnegativeCP
from neuroml.connectome._affinity import METHODS, SEPARABLE, prepare_signals, windowed_mean
from neuroml.exceptions import DataError

SIGNED = [method for method in METHODS if method != "unsigned"]


def worms(n=3, length=60, units=5, unseen=((0, 2),), seed=0):
    rng = np.random.default_rng(seed)
    subjects = [np.cumsum(rng.normal(size=(length, units)), axis=0) for _ in range(n)]
    for subject, unit in unseen:
        subjects[subject][:, unit] = np.nan
    return subjects


def by_hand(method, a, b, window):
    """One pair's affinity at each moment, written out."""
    out = np.zeros(len(a))
    for t in range(len(a)):
        first, last = max(t - window // 2, 0), min(t - window // 2 + window, len(a))
        x, y = a[t], b[t]
        if method == "unsigned":
            out[t] = np.sqrt(abs(x * y))
        elif method == "mtd":
            out[t] = max(np.mean(a[first:last] * b[first:last]), 0)
        elif method == "correlation":
            out[t] = max(np.corrcoef(a[first:last], b[first:last])[0, 1], 0)
        elif x * y > 0:
            low, high = sorted([abs(x), abs(y)])
            values = {"same_sign": np.sqrt(x * y), "min": low, "ratio": low / high, "edge": x * y}
            out[t] = values[method]
    return out


@pytest.mark.parametrize(("method", "sign"), [*product(METHODS, [1]), *product(SIGNED, [-1])])
def test_values_are_those_written_out(method, sign):
    (subject,) = worms(1, unseen=())
    transformer = AffinityTensor(method, window=9, opposite="drop" if sign > 0 else "separate")
    tensor = transformer.fit_transform([subject]).to_dense()
    signals = prepare_signals(subject, method, 2.0, [slice(0, 60)])
    for row in np.flatnonzero(transformer.signs_ == sign):
        i, j = transformer.pairs_[row]
        expected = by_hand(method, signals[:, i], sign * signals[:, j], 9)
        np.testing.assert_allclose(tensor[row, 0], expected, atol=2e-6)


def test_derivatives_are_bounded_and_correlation_is_blind_to_scale():
    (subject,) = worms(1, unseen=())
    for method in ("unsigned", "same_sign", "min", "ratio", "correlation"):
        tensor = AffinityTensor(method).fit_transform([subject])
        assert 0 <= tensor.values.min() and tensor.values.max() <= 1 + 1e-6
    for method in METHODS:
        scaled = subject * np.array([1, 10, 0.1, 3, 7]) + 5
        tensors = [AffinityTensor(method).fit_transform([one]).values for one in (subject, scaled)]
        np.testing.assert_allclose(*tensors, atol=1e-4)


def test_a_delay_delays_the_tensor():
    (subject,) = worms(1, length=100, unseen=())
    whole = AffinityTensor("mtd").fit([subject])
    early, late = (whole.transform([subject[k : k + 80]]).to_dense() for k in (0, 20))
    signals = [prepare_signals(subject[k : k + 80], "mtd", 2.0, [slice(0, 80)]) for k in (0, 20)]
    scale = (signals[0][40] / signals[1][20])[:, None]
    ratio = (scale[whole.pairs_[:, 0]] * scale[whole.pairs_[:, 1]])[:, :, None]
    inner = slice(38, 60)
    np.testing.assert_allclose(
        early[:, :, inner], (ratio * late)[:, :, 18:40], rtol=1e-3, atol=1e-5
    )


def test_unseen_units_leave_no_fiber():
    tensor = AffinityTensor().fit_transform(worms())
    dense = tensor.to_dense()
    touched = (AffinityTensor().fit(worms()).pairs_ == 2).any(axis=1)
    assert np.isnan(dense[touched, 0]).all()
    assert not np.isnan(dense[~touched]).any() and not np.isnan(dense[:, 1:]).any()
    assert len(tensor.index) == dense.shape[0] * 3 - touched.sum()


@pytest.mark.parametrize(
    ("method", "opposite"), [*product(METHODS, ["drop"]), *product(SIGNED, ["separate"])]
)
@pytest.mark.parametrize("stride", [1, 3])
def test_implicit_tensor_gives_the_same_factors(method, opposite, stride):
    fits = [
        NonnegativeCP(2, random_state=0, dtype="float64", max_iter=8, tol=0).fit
        for implicit in (False, True)
    ]
    tensors = [
        AffinityTensor(
            method, opposite=opposite, stride=stride, implicit=implicit, window=7
        ).fit_transform(worms())
        for implicit in (False, True)
    ]
    with pytest.warns(UserWarning, match="without converging"):
        one, two = (fit(tensor).cp_ for fit, tensor in zip(fits, tensors, strict=True))
    for a, b in zip(one.factors, two.factors, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    np.testing.assert_allclose(tensors[0].to_dense(), tensors[1].to_dense())
    assert set(SEPARABLE) <= set(METHODS)


def test_sessions_of_an_subject_never_mix():
    (subject,) = worms(1, length=60, unseen=())
    apart = AffinityTensor("mtd", window=5).fit_transform(
        subject, sessions=np.repeat([0, 1], 30), groups=np.zeros(60)
    )
    changed = subject.copy()
    changed[30:] += 100 * np.sin(np.arange(30))[:, None]
    again = prepare_signals(changed, "mtd", 2.0, [slice(0, 30), slice(30, 60)])[:30]
    before = prepare_signals(subject, "mtd", 2.0, [slice(0, 30), slice(30, 60)])[:30]
    np.testing.assert_allclose(again / again.std(axis=0), before / before.std(axis=0), atol=1e-9)
    assert apart.shape == (10, 1, 60)


def test_windowed_mean_is_cut_at_the_edges():
    values = np.arange(10.0)[:, None]
    means = windowed_mean(values, 3, [slice(0, 4), slice(4, 10)])[:, 0]
    np.testing.assert_allclose(means, [0.5, 1, 2, 2.5, 4.5, 5, 6, 7, 8, 8.5])


def test_permuting_units_and_subjects_permutes_the_tensor():
    subjects = worms()
    dense = AffinityTensor().fit_transform(subjects).to_dense()
    order = np.array([3, 0, 4, 1, 2])
    transformer = AffinityTensor()
    permuted = transformer.fit_transform([subjects[k][:, order] for k in (2, 0, 1)]).to_dense()
    lookup = {tuple(sorted(p)): k for k, p in enumerate(AffinityTensor().fit(subjects).pairs_)}
    rows = [lookup[tuple(sorted(order[list(pair)]))] for pair in transformer.pairs_]
    np.testing.assert_allclose(permuted, dense[rows][:, [2, 0, 1]], atol=1e-6)


def test_min_subjects_leaves_out_pairs_seen_too_rarely():
    subjects = worms(unseen=((0, 1), (1, 1), (2, 3)))
    transformer = AffinityTensor(min_subjects=1).fit(subjects)
    assert [1, 3] not in transformer.pairs_.tolist() and len(transformer.pairs_) == 9
    assert len(AffinityTensor(min_subjects=3).fit(subjects).pairs_) == 3


def test_names_of_pairs():
    transformer = AffinityTensor("min", opposite="separate").fit(worms())
    names = transformer.get_feature_names_out(["a", "b", "c", "d", "e"])
    assert names[0] == "a--b" and names[10] == "a~~b" and len(names) == 20


def test_a_cohort_as_one_array_or_with_groups_is_the_list():
    subjects = worms()
    tensors = [
        AffinityTensor().fit_transform(np.stack(subjects)),
        AffinityTensor().fit_transform(
            np.concatenate(subjects), groups=np.repeat(["u", "v", "w"], 60)
        ),
    ]
    expected = AffinityTensor().fit_transform(subjects)
    for tensor in tensors:
        np.testing.assert_allclose(tensor.values, expected.values, rtol=1e-12)
    assert list(tensors[1].labels_of(1)) == ["u", "v", "w"]


@pytest.mark.parametrize(
    ("subjects", "parameters", "message"),
    [
        (worms(unseen=((0, 2), (1, 2), (2, 2))), {}, r"never seen;.*units \[2\]"),
        (worms(unseen=((0, 1), (1, 1), (2, 3))), {}, r"never seen together.*\[\[1, 3\]\].*min_subjects"),
        ([*worms(2), worms(1, length=50)[0]], {}, "share no time axis.*50 to 60"),
        (worms(), {"method": "mtd", "window": 61}, "shorter than the window.*>= 61"),
        (worms(), {"method": "unsigned", "opposite": "separate"}, "does not tell opposite"),
        (worms(), {"min_subjects": 4}, "no pair of units is left"),
        ([np.where(np.arange(60)[:, None] == 7, np.nan, worms(1)[0])], {}, "part of a subject"),
        ([np.full((60, 2), np.inf)], {}, "infinity"),
        (worms(), {"method": "ward"}, "method"),
    ],
)  # fmt: skip
def test_bad_input(subjects, parameters, message):
    with pytest.raises(ValueError, match=message):
        AffinityTensor(**parameters).fit(subjects)


def test_a_unit_that_never_changes_is_refused():
    subjects = worms()
    subjects[1][:, 0] = 3.0
    with pytest.raises(DataError, match=r"never change.*constant units \[0\]"):
        AffinityTensor().fit_transform(subjects)


@pytest.mark.parametrize(("method", "sign"), [*product(METHODS, [1]), *product(SIGNED, [-1])])
def test_directed_values_are_those_written_out(method, sign):
    """The one's signal beside what the other does in the samples that follow, in each session."""
    (subject,) = worms(1, units=3, unseen=())
    opposite = "drop" if sign > 0 else "separate"
    model = AffinityTensor(method, window=9, opposite=opposite, directed=True, n_lags=4)
    given = {"sessions": np.repeat([0, 1], 30), "groups": np.zeros(60, dtype=int)}
    tensor = model.fit_transform(subject, **given).to_dense()
    halves = [slice(0, 30), slice(30, 60)]
    signals = prepare_signals(subject, method, 2.0, halves)
    assert [tuple(pair) for pair in model.pairs_[:6]] == list(permutations(range(3), 2))
    for row in np.flatnonzero(model.signs_ == sign):
        i, j = model.pairs_[row]
        for part in halves:
            a, b = signals[part][:, i], sign * signals[part][:, j]
            later = np.array([b[t + 1 : t + 5].mean() if t < 29 else 0.0 for t in range(30)])
            expected = by_hand(method, a, later, 9)
            np.testing.assert_allclose(tensor[row, 0, part], expected, atol=2e-6)


@pytest.mark.parametrize("implicit", [False, True])
def test_factors_show_who_leads(implicit):
    """Unit 1 repeats what unit 0 did three samples before; 2 and 3 are on their own."""
    worms_ = []
    for seed in range(3):
        x = gaussian_filter1d(np.random.default_rng(seed).normal(size=(203, 4)), 1.0, axis=0)
        x[3:, 1] = x[:-3, 0]
        worms_.append(x[3:])
    model = AffinityTensor(directed=True, sigma=1.0, n_lags=5, implicit=implicit)
    tensor = model.fit_transform(worms_)
    assert model.get_feature_names_out()[:2].tolist() == ["x0->x1", "x0->x2"]
    loading = NonnegativeCP(1, random_state=0).fit(tensor).cp_.factors[0][:, 0]
    by_pair = {tuple(pair): value for pair, value in zip(model.pairs_, loading, strict=True)}
    leads = by_pair.pop((0, 1))
    assert leads > 1.5 * max(by_pair.values())
    # without a direction, the pair has one value
    assert len(AffinityTensor().fit(worms_).pairs_) == 6
