"""A small cohort of region tables with one bad recording, and a recipe over it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

RECIPE = """
title = "Small cohort"

[data]
files = ["sub-*.csv"]
reader = "fmri"
options = { tr_s = 2.0 }

[fit]
scope = "recording"

[[fit.steps]]
use = "SlidingWindowConnectivity"
window = 10
negative = "absolute"

[[fit.steps]]
use = "NonnegativeCP"
n_components = 2
n_init = 2
"""


@pytest.fixture
def cohort(tmp_path) -> Path:
    """A folder with recipe.toml, two good recordings and one that is constant for a while."""
    rng = np.random.default_rng(0)
    for subject in ("01", "02", "03"):
        values = rng.normal(size=(40, 4)) @ rng.normal(size=(4, 4))
        if subject == "02":
            values[:20, 1] = 7.0
        pd.DataFrame(values, columns=list("abcd")).to_csv(
            tmp_path / f"sub-{subject}.csv", index=False
        )
    (tmp_path / "recipe.toml").write_text(RECIPE)
    return tmp_path
