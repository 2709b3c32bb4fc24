"""Recordings are named by their paths, and no two get one name."""

import re

import pytest

from neuroml.batch.keys import keys_of
from neuroml.exceptions import DataError


@pytest.mark.parametrize(
    ("paths", "keys"),
    [
        (["mouse1/suite2p/plane0"], [("plane0", "", "")]),
        (
            ["mouse1/suite2p/plane0", "mouse2/suite2p/plane0"],
            [("mouse1", "", ""), ("mouse2", "", "")],
        ),
        (["m1/plane0", "m1/plane1"], [("plane0", "", ""), ("plane1", "", "")]),
        (["m1/plane0", "m2/plane1"], [("m1", "plane0", ""), ("m2", "plane1", "")]),
        (
            ["m1/day1/s/plane0", "m1/day2/s/plane1", "m2/day1/s/plane0"],
            [("m1", "day1", "plane0"), ("m1", "day2", "plane1"), ("m2", "day1", "plane0")],
        ),
        (["a.csv", "b/a.csv"], [("a", "", ""), ("b", "a", "")]),
        (["sub-1/ses-2/plane0", "sub-2/plane0"], [("1", "2", ""), ("2", "", "")]),
        (["sub-9/sub-1_run-2.csv", "mouse.csv"], [("1", "", "2"), ("mouse", "", "")]),
        (["a.b.csv", "c.csv"], [("a", "", ""), ("c", "", "")]),
        (["probe.0/ks", "probe.1/ks"], [("probe.0", "", ""), ("probe.1", "", "")]),
    ],
)
def test_keys(tmp_path, paths, keys):
    here = [tmp_path / path for path in paths]
    for path in here:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch() if path.suffix == ".csv" else path.mkdir()
    assert list(keys_of(here, tmp_path)) == keys
    assert list(keys_of(here, tmp_path).values()) == here


def test_folders_above_the_recipe_name_nobody(tmp_path):
    above = tmp_path / "sub-lab" / "project"
    files = [above / name for name in ("a.csv", "b.csv")]
    assert list(keys_of(files, above)) == [("a", "", ""), ("b", "", "")]
    elsewhere = tmp_path / "recipes"
    assert list(keys_of(files, elsewhere)) == [("a", "", ""), ("b", "", "")]


def test_two_paths_of_one_name_are_refused_with_both_paths(tmp_path):
    paths = [tmp_path / "sub-1" / name for name in ("plane0", "plane1")]
    told = f"two files have the same.*{re.escape(str(paths[0]))} and {re.escape(str(paths[1]))}"
    with pytest.raises(DataError, match=told):
        keys_of(paths, tmp_path)
