"""The table of named quantities."""

import numpy as np
import pandas as pd
import pytest

from neuroml._core.frames import Quantity, long_frame


def test_every_value_stands_beside_its_labels():
    values = np.arange(6.0).reshape(2, 3)
    table = long_frame(
        [
            Quantity(
                "weight", values, {"state": range(2), "feature": ["a", "b", "c"]}, values / 10
            ),
            Quantity("bias", [7.0, 8.0], {"state": [0, 1]}, fixed={"subject": "anna"}),
            Quantity("sign", [1, -1], {"unit": [0, 0], "to_unit": [1, 2]}, paired=True),
            Quantity("alpha", 9.0),
        ]
    )
    assert list(table) == [
        "quantity",
        "state",
        "feature",
        "subject",
        "unit",
        "to_unit",
        "value",
        "se",
    ]
    one = table.query("quantity == 'weight' and state == 1 and feature == 'b'").iloc[0]
    assert one["value"] == 4.0 and one["se"] == 0.4 and pd.isna(one["subject"])
    assert table.query("quantity == 'bias' and state == 1")["subject"].tolist() == ["anna"]
    assert table.query("unit == 0 and to_unit == 2")["value"].tolist() == [-1]
    assert table.query("quantity == 'alpha'")[["value"]].to_numpy().tolist() == [[9.0]]
    assert table["state"].dtype == "Int64" and len(table) == 6 + 2 + 2 + 1


def test_labels_of_several_kinds_become_texts_and_numbers_stay_numbers():
    table = long_frame(
        [Quantity("a", [1.0, 2.0], {"unit": ["x", 3]}), Quantity("b", [1.0], {"unit": [4]})]
    )
    assert table["unit"].tolist() == ["x", "3", "4"]
    centers = long_frame([Quantity("a", [1.0, 2.0], {"position": np.array([0.5, 1.5])})])
    assert centers["position"].tolist() == [0.5, 1.5]


def test_labels_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"w: values of shape \(2,\) have \(3,\) labels"):
        long_frame([Quantity("w", [1, 2], {"unit": "abc"})])
