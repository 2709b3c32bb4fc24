import itertools
import pickle

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from neuroml._core.parallel import spawn_generators
from neuroml.evaluation import associations
from neuroml.evaluation._permutations import Exchange
from neuroml.exceptions import DataError

LEVELS = (0.05, 0.1, 0.2)
N_SETS = 400


def brute(path, n_states, rate):
    """State by state and sample by sample, of one session."""
    rows = []
    changes = sum(a != b for a, b in itertools.pairwise(path))
    for k in range(n_states):
        here = "".join("x" if state == k else "." for state in path)
        visits = [len(run) for run in here.split(".") if run]
        gaps = [len(run) for run in here.strip(".").split("x") if run]
        rows.append(
            {
                "state": k,
                "occupancy": here.count("x") / len(path),
                "dwell": np.mean(visits) / rate if visits else np.nan,
                "interval": np.mean(gaps) / rate if gaps else np.nan,
                "n_visits": len(visits),
                "switching_rate": changes / (len(path) - 1) * rate if len(path) > 1 else np.nan,
            }
        )
    return pd.DataFrame(rows)


@pytest.mark.parametrize("rate_hz", [None, 4.0])
@pytest.mark.parametrize("seed", range(5))
def test_state_statistics_are_those_of_a_plain_count(seed, rate_hz):
    rng = np.random.default_rng(seed)
    paths = [rng.integers(3, size=n) for n in (1, 2, 9, 30)]
    found = associations.state_statistics(
        np.concatenate(paths),
        sessions=np.repeat(["d", "c", "b", "a"], [1, 2, 9, 30]),
        n_states=4,
        rate_hz=rate_hz,
    )
    wanted = pd.concat([brute(path, 4, rate_hz or 1.0) for path in paths], ignore_index=True)
    assert found["session"].tolist() == list("ddddccccbbbbaaaa")
    assert set(found["subject"]) == {""}
    pd.testing.assert_frame_equal(found[wanted.columns], wanted, check_dtype=False)


def test_states_can_be_probabilities():
    rng = np.random.default_rng(0)
    posterior = rng.dirichlet([0.3, 0.3, 0.3], size=50)
    found = associations.state_statistics(posterior)
    hard = associations.state_statistics(posterior.argmax(axis=1), n_states=3)
    assert found["occupancy"].tolist() == pytest.approx(posterior.mean(axis=0).tolist())
    assert not np.allclose(found["occupancy"], hard["occupancy"])
    rest = ["dwell", "interval", "n_visits", "switching_rate"]
    pd.testing.assert_frame_equal(found[rest], hard[rest])
    certain = associations.state_statistics(np.eye(3)[posterior.argmax(axis=1)])
    pd.testing.assert_frame_equal(certain, hard)


def test_states_come_in_the_forms_of_the_library():
    rng = np.random.default_rng(0)
    parts = [rng.integers(3, size=n) for n in (10, 20, 15)]
    lengths = [10, 20, 15]
    joined = np.concatenate(parts)
    flat = associations.state_statistics(
        joined, sessions=np.repeat([1, 2, 1], lengths), groups=np.repeat(["a", "a", "b"], lengths)
    )
    assert flat["session"].tolist() == [1, 1, 1, 2, 2, 2, 1, 1, 1]
    assert flat["subject"].tolist() == ["a"] * 6 + ["b"] * 3
    listed = associations.state_statistics(parts, groups=np.repeat(["a", "a", "b"], lengths))
    by_subject = associations.state_statistics({"a": parts[:2], "b": parts[2]})
    for other in (listed, by_subject):
        pd.testing.assert_frame_equal(
            other.drop(columns="session"), flat.drop(columns="session"), check_dtype=False
        )
    # a subject's samples are no continuation of another's
    whole = associations.state_statistics(joined, groups=np.repeat(["a", "b"], [30, 15]))
    assert whole.groupby("subject")["n_visits"].sum().tolist() == [
        1 + np.count_nonzero(np.diff(joined[:30])),
        1 + np.count_nonzero(np.diff(joined[30:])),
    ]


def test_names_of_states_and_order_of_sessions_do_not_matter():
    rng = np.random.default_rng(0)
    paths = [rng.integers(3, size=n) for n in (12, 25, 40)]
    sessions = [np.full(len(path), k) for k, path in enumerate(paths)]
    found = associations.state_statistics(np.concatenate(paths), sessions=np.concatenate(sessions))
    names = np.array([2, 0, 1])
    order = [1, 2, 0]
    other = associations.state_statistics(
        names[np.concatenate([paths[k] for k in order])],
        sessions=np.concatenate([sessions[k] for k in order]),
    )
    found["state"] = names[found["state"]]
    keys = ["session", "state"]
    pd.testing.assert_frame_equal(
        found.sort_values(keys, ignore_index=True), other.sort_values(keys, ignore_index=True)
    )


@pytest.mark.parametrize(
    ("states", "more", "message"),
    [
        ([0, -1], {}, r"not numbers of states.*-1"),
        ([0, 0.5], {}, "not numbers of states"),
        ([0, np.nan], {}, "not numbers of states"),
        (["wake", "sleep"], {}, "LabelEncoder"),
        (np.empty(0), {}, "wrong shape"),
        ([0, 1, 2], {"n_states": 2}, "more states; expected 0 to 1; found 2"),
        (np.full((4, 2), 0.4), {}, "sum to 0.8 to 0.8"),
        (np.array([[1.5, -0.5]]), {}, "not posterior probabilities"),
        (np.full((4, 2), 0.5), {"n_states": 3}, "expected 3 columns"),
        (np.array([[np.nan, 1.0]]), {}, "not posterior probabilities"),
        ([0, 1], {"rate_hz": 0}, "sampling rate"),
        ([0, 1, 0], {"sessions": [1, 2, 1]}, "not contiguous"),
        ([0, 1, 0], {"groups": ["a", "b"]}, "one label for each of 3 samples"),
        ({"a": np.zeros(3, int)}, {"groups": [1, 1, 1]}, "groups were given twice"),
    ],
)
def test_states_that_can_be_read_in_two_ways_or_none_are_refused(states, more, message):
    with pytest.raises(DataError, match=message):
        associations.state_statistics(states, **more)


def test_table_of_statistics_goes_into_the_test():
    rng = np.random.default_rng(0)
    ages = pd.Series(rng.normal(size=40), index=[f"s{k:02d}" for k in range(40)], name="age")
    paths = {s: (rng.random(200) < 0.3 + 0.1 * age).astype(int) for s, age in ages.items()}
    table = associations.state_statistics(paths)
    wide = table.pivot(index="subject", columns="state", values=["occupancy", "dwell"])
    found = associations.test_association(wide, ages, random_state=0)
    assert found["feature"].tolist() == ["occupancy 0", "occupancy 1", "dwell 0", "dwell 1"]
    assert set(found["target"]) == {"age"}
    assert (np.sign(found["statistic"]) == [-1, 1, -1, 1]).all()
    assert (found["p_corrected"] < 0.05).all()
    with pytest.raises(DataError, match=r"another order.*target.loc\[features.index\]"):
        associations.test_association(wide, ages[::-1])


def p_values(make, n_sets=N_SETS, column="p", n_permutations=99, seed=0):
    """Smallest p of the table of each data set."""
    found = []
    for rng in np.random.default_rng(seed).spawn(n_sets):
        features, target, more = make(rng)
        table = associations.test_association(
            features, target, n_permutations=n_permutations, random_state=rng, **more
        )
        found.append(table[column].min())
    return np.array(found)


def shares_below(p):
    return np.array([(p <= level).mean() for level in LEVELS])


def limits(n_sets=N_SETS):
    return np.array([a + 2 * np.sqrt(a * (1 - a) / n_sets) for a in LEVELS])


def confounded(rng):
    """A skewed confound that drives both sides."""
    z = rng.exponential(size=(40, 1))
    x, y = 2 * z + rng.exponential(size=(40, 1)), 2 * z + rng.exponential(size=(40, 1))
    return x, y, {"confounds": z}


def many_confounds(rng):
    """So many that residuals are far fewer than rows: the second regression matters."""
    z = rng.normal(size=(30, 12))
    return (*(3 * z[:, :1] + rng.normal(size=(30, 1)) for _ in range(2)), {"confounds": z})


def confounded_categories(rng):
    z = rng.normal(size=(45, 1))
    x = z + rng.exponential(size=(45, 1))
    y = np.array(["low", "middle", "high"])[np.digitize(z[:, 0] + rng.normal(size=45), [-0.6, 0.6])]
    return x, y, {"confounds": z}


def sessions_of_subjects(rng):
    """Subjects differ in both, their sessions go together in nothing."""
    subject = np.repeat(np.arange(6), [4, 5, 6, 7, 8, 9])
    x, y = (rng.normal(scale=2, size=6)[subject] + rng.normal(size=39) for _ in range(2))
    return x, y, {"exchange_within": rng.permutation(["a", "b", "c", "d", "e", "f"])[subject]}


def drugs_of_sessions(rng):
    """Trials of a session are alike, and the target is one for the session."""
    session = np.repeat(np.arange(16), 5)
    x = rng.normal(size=16)[session] + 0.5 * rng.normal(size=80)
    y = np.concatenate([rng.permutation([0, 0, 1, 1]) for _ in range(4)])[session]
    order = rng.permutation(80)  # blocks need not be contiguous
    more = {"keep_together": session[order], "exchange_within": session[order] // 4}
    return x[order], y[order], more


NULLS = [confounded, many_confounds, confounded_categories, sessions_of_subjects, drugs_of_sessions]


@pytest.mark.parametrize("make", NULLS)
def test_nothing_is_found_where_nothing_is(make):
    shares = shares_below(p_values(make))
    assert (shares <= limits()).all(), shares


@pytest.mark.parametrize("make", NULLS)
def test_these_data_would_mislead_a_test_that_ignores_their_design(make):
    naive = p_values(lambda rng: (*make(rng)[:2], {}), n_sets=60)
    assert (naive <= 0.05).mean() > 0.05 + 5 * np.sqrt(0.05 * 0.95 / 60)


def many(rng):
    z = rng.normal(size=(40, 1))
    x = z + rng.standard_t(4, size=(40, 6))
    numbers = z[:, 0] + rng.normal(size=40)
    table = pd.DataFrame({"score": numbers, "count": rng.poisson(np.exp(0.3 * z[:, 0]))})
    table["group"] = rng.permutation(np.repeat(["a", "b", "c", "d"], 10))
    return x, table, {"confounds": z}


def test_corrected_p_values_hold_the_error_of_the_family():
    shares = shares_below(p_values(many, n_sets=200, column="p_corrected"))
    assert (shares <= limits(200)).all(), shares
    # while one of 18 tests is below without the correction in most data sets
    assert (p_values(many, n_sets=60) <= 0.05).mean() > 0.3


def test_planted_effects_are_found_as_often_as_by_the_parametric_test():
    effects, ours, theirs = (0.2, 0.4, 0.6), [], []
    for effect in effects:

        def make(rng, effect=effect):
            x = rng.normal(size=40)
            return x, effect * x + np.sqrt(1 - effect**2) * rng.normal(size=40), {}

        ours.append((p_values(make, n_sets=120, n_permutations=199) <= 0.05).mean())
        sets = [make(rng)[:2] for rng in np.random.default_rng(0).spawn(120)]
        theirs.append(np.mean([stats.pearsonr(x, y).pvalue <= 0.05 for x, y in sets]))
    # of normal data, where the t test is the best there is
    assert np.abs(np.subtract(ours, theirs)).max() <= 2 * np.sqrt(0.25 / 120)
    assert ours[0] < ours[1] < ours[2] and ours[2] > 0.95


def model_f(x, y, nuisance):
    """F of adding y to a least-squares fit of x, and the correlation's sign."""
    full = np.column_stack([nuisance, y])
    errors = [x - m @ np.linalg.lstsq(m, x)[0] for m in (nuisance, full)]
    small, large = ((e**2).sum() for e in errors)
    df = y.shape[1]
    return (small - large) / df / (large / (len(x) - full.shape[1])), np.linalg.lstsq(full, x)[0][
        -1
    ]


@pytest.mark.parametrize("blocks", [None, np.arange(30) % 3])
@pytest.mark.parametrize("kind", ["correlation", "anova"])
def test_p_values_are_those_of_a_plain_loop_over_the_same_permutations(kind, blocks):
    rng = np.random.default_rng(0)
    z, x = rng.normal(size=(30, 2)), rng.normal(size=(30, 3))
    x = x + z[:, :1]
    codes = rng.integers(3, size=30) if kind == "anova" else None
    y = np.eye(3)[codes][:, 1:] if kind == "anova" else z[:, :1] + rng.normal(size=(30, 1))
    found = associations.test_association(
        x,
        np.array(list("abc"))[codes] if kind == "anova" else y,
        confounds=z,
        exchange_within=blocks,
        n_permutations=99,
        random_state=3,
    )
    means = np.ones((30, 1)) if blocks is None else np.eye(3)[blocks]
    nuisance = np.column_stack([means, z])
    orders = Exchange.of(blocks, None, 30).draw(spawn_generators(3, 1)[0], 99)
    null = np.empty((99, 3))
    for feature in range(3):
        value, sign = model_f(x[:, feature], y, nuisance)
        df = 30 - nuisance.shape[1] - 1
        wanted = np.sign(sign) * np.sqrt(value / (value + df)) if kind == "correlation" else value
        assert found["statistic"][feature] == pytest.approx(wanted)
        fit = nuisance @ np.linalg.lstsq(nuisance, x[:, feature])[0]
        for b, order in enumerate(orders):
            null[b, feature] = model_f(fit + (x[:, feature] - fit)[order], y, nuisance)[0]
        p = (1 + (null[:, feature] >= value).sum()) / 100
        assert found["p"][feature] == pytest.approx(p)
    observed = [model_f(x[:, feature], y, nuisance)[0] for feature in range(3)]
    corrected = [(1 + (null.max(axis=1) >= value).sum()) / 100 for value in observed]
    assert found["p_corrected"].tolist() == pytest.approx(corrected)


def test_p_values_approach_those_of_all_permutations():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 7))
    exact = stats.permutation_test(
        (x,),
        lambda a: abs(np.corrcoef(a, y)[0, 1]),
        permutation_type="pairings",
        alternative="greater",
        n_resamples=np.inf,
    ).pvalue
    found = associations.test_association(x, y, n_permutations=9999, random_state=0)["p"][0]
    assert 0.05 < exact < 0.95
    assert found == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 9999))


@pytest.mark.parametrize(
    ("within", "together", "n_orders"),
    [
        (None, None, 720),
        ([0, 0, 0, 1, 1, 1], None, 36),
        (None, [0, 0, 1, 1, 2, 2], 6),
        (None, [2, 0, 0, 1, 1, 3], 4),  # two pairs, and two by themselves
        ([0, 0, 0, 0, 1, 1], [0, 0, 1, 1, 2, 2], 2),
        ([0, 1, 0, 1, 0, 1], [5, 6, 5, 6, 7, 6], 1),
    ],
)
def test_all_allowed_orders_come_up_equally_often(within, together, n_orders):
    if n_orders == 1:
        with pytest.raises(DataError, match="no rows could be exchanged"):
            Exchange.of(within, together, 6)
        return
    n = 50 * n_orders
    orders = Exchange.of(within, together, 6).draw(np.random.default_rng(0), n)
    seen, counts = np.unique(orders, axis=0, return_counts=True)
    assert len(seen) == n_orders
    assert (np.sort(seen, axis=1) == np.arange(6)).all()
    if within is not None:
        assert (np.array(within)[seen] == within).all()
    if together is not None:
        labels = np.array(together)
        for label in np.unique(labels):
            places = np.flatnonzero(labels == label)
            for row in seen[:, places]:
                assert row.tolist() == np.flatnonzero(labels == labels[row[0]]).tolist()
    assert stats.chisquare(counts).pvalue > 1e-4


def test_units_order_and_names_do_not_matter():
    rng = np.random.default_rng(0)
    x, y, z = rng.normal(size=(3, 30, 2))
    names = np.array(list("abc"))[rng.integers(3, size=30)]
    found = associations.test_association(x, y, confounds=z, random_state=0)
    scaled = associations.test_association(1e4 * x + 5, -y, confounds=3 * z - 1e3, random_state=0)
    assert scaled["statistic"].tolist() == pytest.approx((-found["statistic"]).tolist())
    for column in ("p", "p_corrected"):
        assert scaled[column].tolist() == found[column].tolist()
    order = rng.permutation(30)
    moved = associations.test_association(x[order], y[order], confounds=z[order])
    assert moved["statistic"].tolist() == pytest.approx(found["statistic"].tolist())
    turned = associations.test_association(x[:, ::-1], y, confounds=z, random_state=0)
    assert turned["p"].tolist() == found["p"].to_numpy()[[2, 3, 0, 1]].tolist()
    one = associations.test_association(x, names, random_state=0)
    other = associations.test_association(
        x, pd.Categorical(names).rename_categories({"a": "z", "b": "y", "c": "x"}), random_state=0
    )
    numbered = associations.test_association(
        x, np.searchsorted(list("abc"), names), kind="anova", random_state=0
    )
    for again in (other, numbered):
        assert again["statistic"].tolist() == pytest.approx(one["statistic"].tolist())
        assert again["p_corrected"].tolist() == one["p_corrected"].tolist()
    f = [stats.f_oneway(*(x[names == c, k] for c in "abc")).statistic for k in range(2)]
    assert one["statistic"].tolist() == pytest.approx(f)
    assert one["kind"].tolist() == ["anova"] * 2


def test_processes_and_chunks_change_nothing(monkeypatch):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 3)), rng.normal(size=20)
    monkeypatch.setattr(associations, "_CHUNK", 600)
    one = associations.test_association(x, y, n_permutations=55, random_state=0)
    assert np.allclose(one["p"] * 56, np.round(one["p"] * 56))

    def elsewhere(function, tasks, *, n_jobs):
        """What other processes would be sent, the last task first."""
        assert n_jobs == 2
        sent = [pickle.loads(pickle.dumps((function, task))) for task in tasks]
        assert len(sent) == 6  # ten permutations of 60 numbers at a time
        return reversed([function(*task) for function, task in reversed(sent)])

    monkeypatch.setattr(associations, "run_parallel", elsewhere)
    two = associations.test_association(x, y, n_permutations=55, random_state=0, n_jobs=2)
    pd.testing.assert_frame_equal(one, two)


def test_features_that_do_not_vary_have_no_p_value():
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(2, 25))
    x = np.column_stack([rng.normal(size=25), np.full(25, 0.1), 1e3 + 7 * z])
    found = associations.test_association(x, y, confounds=z, random_state=0)
    values = found[["statistic", "p", "p_corrected"]].isna()
    assert values.all(axis=1).tolist() == [False, True, True]
    alone = associations.test_association(x[:, :1], y, confounds=z, random_state=0)
    assert found["p_corrected"][0] == alone["p_corrected"][0] == found["p"][0]
    assert associations.test_association(x[:, 1:], y, confounds=z)["p"].isna().all()


X, Y = np.random.default_rng(0).normal(size=(2, 12))


@pytest.mark.parametrize(
    ("features", "target", "more", "message"),
    [
        (np.where(np.arange(12) == 3, np.nan, X), Y, {}, "found 1 in 0.*Leave out these rows"),
        (X, np.where(np.arange(12) == 3, np.inf, Y), {}, "missing or infinite"),
        (X, ["a", "b", None] * 4, {}, "some target.* are missing"),
        (X, Y, {"confounds": np.where(X > 0, np.nan, X)}, "field confounds"),
        (X, Y[:-1], {}, r"expected 12 rows, and a column; found shape \(11, 1\)"),
        (X, np.ones(12), {}, "does not vary"),
        (X, Y, {"confounds": 2 * Y}, "does not vary"),
        (X, np.repeat([0, 1, 2], 4), {"exchange_within": np.repeat([0, 1, 2], 4)}, "keep_together"),
        (X, Y, {"exchange_within": np.arange(12)}, "no rows could be exchanged"),
        (X, Y, {"keep_together": np.zeros(12)}, "no rows could be exchanged"),
        (X, Y, {"keep_together": np.arange(12) // 2, "exchange_within": np.arange(12) // 3},
         "could not be exchanged together"),
        (X, Y, {"confounds": np.random.default_rng(1).normal(size=(12, 10))}, "too few rows"),
        (X, Y, {"kind": "anova"}, "too few rows"),
        (X, list("ab") * 6, {"kind": "correlation"}, "not an array of numbers"),
        (list("ab") * 6, Y, {}, "not an array of numbers"),
        (X, Y, {"kind": "spearman"}, "no such option"),
        (X, Y, {"n_permutations": 0}, "number of permutations"),
        ({"a": X}, Y, {}, "not a table"),
        (np.zeros((12, 2, 2)), Y, {}, "not a table"),
        (np.empty((0, 2)), np.empty(0), {}, "wrong shape"),
    ],
)  # fmt: skip
def test_questions_without_an_answer_are_refused(features, target, more, message):
    with pytest.raises(DataError, match=message):
        associations.test_association(features, target, **more)


def test_pytest_does_not_collect_it():
    assert associations.test_association.__test__ is False
