"""pandas output: results that are tables become tables with the right names, others stay."""

import numpy as np
import pandas as pd
import pytest
from registry import CONTRACT, TWO_DIMENSIONAL
from sklearn import config_context
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from test_estimators import compare

from neuroml.connectome import (
    AffinityTensor,
    DynamicConnectome,
    FiberTensor,
    NonnegativeCP,
    SlidingWindowConnectivity,
)
from neuroml.decoding import ProcrustesAligner, SharedResponseModel
from neuroml.dendrites import SegmentBank

RNG = np.random.default_rng(0)
X = RNG.uniform(size=(40, 4))
FRAME = pd.DataFrame(X, columns=list("abcd"), index=pd.RangeIndex(100, 140))
COHORT = {"anna": RNG.normal(size=(30, 6)), "ben": RNG.normal(size=(30, 5))}
WINDOWS = SlidingWindowConnectivity(window=10, covariance="empirical")
PAIRS = ["a--b", "a--c", "a--d", "b--c", "b--d", "c--d"]
CP = NonnegativeCP(2, n_init=1, max_iter=2000, random_state=0)

TABLES = {
    "windows": (WINDOWS, FRAME, PAIRS, range(31)),
    "a window a sample": (clone(WINDOWS).set_params(edges="shrink"), FRAME, PAIRS, FRAME.index),
    "loadings of rows": (CP, FRAME, ["nonnegativecp0", "nonnegativecp1"], FRAME.index),
    "loadings of columns": (
        clone(CP).set_params(sample_mode=1),
        FRAME.iloc[:4],
        ["nonnegativecp0", "nonnegativecp1"],
        range(4),
    ),
    "overlaps": (SegmentBank(2, 1, random_state=0), FRAME > 0.5, None, FRAME.index),
    "subjects": (
        DynamicConnectome(1, method="same_sign", n_init=1, random_state=0),
        FRAME,
        ["dynamicconnectome0"],
        range(1),
    ),
}
NOT_TABLES = {
    "a matrix a window": (clone(WINDOWS).set_params(vectorize=False), FRAME),
    "a tensor": (AffinityTensor(), FRAME),
    "aligned subjects": (ProcrustesAligner(), COHORT),
    "shared responses": (SharedResponseModel(2, random_state=0), COHORT),
    "a list of subjects": (ProcrustesAligner(), [*COHORT.values()]),
}


@pytest.mark.parametrize("case", TABLES.values(), ids=TABLES.keys())
@pytest.mark.parametrize("at_once", [True, False])
def test_tables_have_names_and_the_index_of_their_rows(case, at_once):
    model, given, columns, index = case
    plain = clone(model).fit(given).transform(given)
    with config_context(transform_output="pandas"):
        fitted = clone(model).fit(given)
        table = clone(model).fit_transform(given) if at_once else fitted.transform(given)
    assert isinstance(table, pd.DataFrame)
    np.testing.assert_array_equal(table.to_numpy(), plain)
    assert list(table.columns) == list(fitted.get_feature_names_out())
    assert columns is None or list(table.columns) == columns
    assert list(table.index) == list(index)


@pytest.mark.parametrize("case", NOT_TABLES.values(), ids=NOT_TABLES.keys())
@pytest.mark.parametrize("at_once", [True, False])
def test_what_is_no_table_stays_what_it_is(case, at_once):
    model, given = case
    plain = clone(model).fit(given).transform(given)
    with config_context(transform_output="pandas"):
        fitted = clone(model)
        found = fitted.fit_transform(given) if at_once else fitted.fit(given).transform(given)
    assert type(found) is type(plain)
    compare(vars(plain), vars(found)) if isinstance(plain, FiberTensor) else compare(plain, found)


def test_one_subject_of_an_aligner_is_a_table():
    aligner = ProcrustesAligner().fit(COHORT).set_output(transform="pandas")
    given = pd.DataFrame(COHORT["anna"], index=np.arange(30) * 2)
    table = aligner.transform(given.to_numpy(), subject="anna")
    assert list(table.columns) == list(aligner.get_feature_names_out())
    np.testing.assert_array_equal(
        table, aligner.set_output(transform="default").transform(COHORT["anna"], subject="anna")
    )


def test_in_a_pipeline():
    steps = make_pipeline(StandardScaler(), clone(WINDOWS), StandardScaler())
    table = steps.set_output(transform="pandas").fit_transform(FRAME)
    assert list(table.columns) == PAIRS and table.shape == (31, 6)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    "entry", TWO_DIMENSIONAL + CONTRACT, ids=lambda e: type(e.estimator).__name__
)
def test_pandas_output_changes_no_fit(entry):
    """What estimators compute inside does not change with what the user wants to get back."""
    models = [clone(entry.estimator) for _ in range(2)]
    for model in models:
        if "random_state" in model.get_params():
            model.set_params(random_state=0)
    models[0].fit(**entry.fit_arguments())
    with config_context(transform_output="pandas"):
        models[1].fit(**entry.fit_arguments())
        if hasattr(models[0], "predict") and "X" in entry.fit_arguments():
            given = entry.fit_arguments()["X"]
            compare(models[0].predict(given), models[1].predict(given))
    compare(vars(models[0]), vars(models[1]))
