"""to_frame: what an estimator has learned, as one table that other programs read."""

import io
import re

import numpy as np
import pandas as pd
import pytest
from registry import CONTRACT, TWO_DIMENSIONAL
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

ENTRIES = TWO_DIMENSIONAL + CONTRACT
WITHOUT = {
    "SlidingWindowConnectivity": "it learns nothing: its windows are those of the data",
    "DynamicFCMaskedAutoencoder": "weights of layers, which belong to no unit",
}


def name_of(entry):
    return type(entry.estimator).__name__


LEARNING = [entry for entry in ENTRIES if name_of(entry) not in WITHOUT]


def test_only_what_learns_nothing_has_no_table():
    assert {name_of(e) for e in ENTRIES if not hasattr(e.estimator, "to_frame")} == set(WITHOUT)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("entry", LEARNING, ids=name_of)
def test_what_was_learned_is_a_tidy_table(entry):
    model = clone(entry.estimator)
    with pytest.raises(NotFittedError):
        model.to_frame()
    model.fit(**entry.fit_arguments())
    before = dict(vars(model))
    table = model.to_frame()
    assert vars(model).keys() == before.keys()
    assert isinstance(table, pd.DataFrame) and len(table) and table.columns[0] == "quantity"
    assert isinstance(table.index, pd.RangeIndex)
    assert all(re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", column) for column in table)
    # what a value belongs to stands before it, is there once, and says which number it is
    keys = list(table.columns[: table.columns.get_loc("value")])
    assert not table.duplicated(keys).any()
    for name in table:
        if not pd.api.types.is_numeric_dtype(table[name]):
            assert table[name].dropna().map(type).eq(str).all(), f"{name} holds other than texts"
    read = pd.read_csv(io.StringIO(table.to_csv(index=False)))
    assert list(read) == list(table) and len(read) == len(table)
    np.testing.assert_allclose(read["value"], table["value"].astype(float), rtol=1e-6)
