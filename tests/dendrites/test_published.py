"""Every published number: reproduced, or documented as a misprint with its corrected value."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import beta

from neuroml.dendrites import false_match, published_values
from neuroml.dendrites.published import agrees

TABLE = published_values()
IDS = [f"{i}-{row['item']}" for i, row in TABLE.iterrows()]


@pytest.mark.parametrize("row", [row for _, row in TABLE.iterrows()], ids=IDS)
def test_every_value_is_the_exact_one_to_its_last_digit(row):
    assert agrees(row["exact"], row["recomputed"])


@pytest.mark.parametrize("row", [row for _, row in TABLE[TABLE.printed != ""].iterrows()])
def test_printed_values_agree_unless_a_note_says_why_not(row):
    if row["note"]:
        assert not agrees(row["printed"], row["recomputed"])
    elif pd.isna(row["trials"]):
        assert agrees(row["printed"], row["recomputed"])


def test_published_simulations_lie_in_their_intervals_but_for_the_one_that_overflowed():
    simulated = TABLE[TABLE.trials.notna()]
    trials = simulated.trials.to_numpy(dtype=float)
    hits = np.rint(simulated.printed.astype(float).to_numpy() * trials)
    low, high = beta.ppf(5e-5, hits, trials - hits + 1), beta.isf(5e-5, hits + 1, trials - hits)
    inside = (low <= simulated.recomputed) & (simulated.recomputed <= high)
    assert len(simulated) == 18
    assert simulated[~inside].index.equals(simulated[simulated.note != ""].index)
    assert simulated[~inside].n.tolist() == [300]


def test_the_overflow_is_that_of_a_32_bit_float():
    """Adding 500 two hundred thousand times in float32 gives the published 0.997368."""
    total = np.float32(0)
    for _ in range(200_000):
        total += np.float32(500)
    assert round(float(total) / 1e8, 6) == 0.997369
    assert np.full(200_000, 500, np.int64).sum() == 10**8


def test_misprints_are_many_and_every_one_says_why():
    wrong = TABLE[(TABLE.note != "") & (TABLE.printed != "")]
    assert len(wrong) == 17


def test_agreement_means_half_a_unit_of_the_last_digit():
    assert agrees("1.23e-5", 1.2349e-5) and not agrees("1.23e-5", 1.2351e-5)
    assert agrees("20", 20.4) and not agrees("20", 20.6)
    assert agrees("1.23456789012345e-5", 1.23456789012345e-5 * (1 + 9e-11))


def test_the_medians_of_figure_6_are_not_those_of_the_range_it_states():
    """Plotted for n = 1,000 .. 17,000; the stated 10,000 .. 200,000 gives larger ones."""

    def median(theta, cells):
        grid = [
            (n, s, round(n * share / 1000))
            for n in cells
            for s in range(20, 51, 5)
            for share in range(5, 31, 5)
        ]
        return np.median(false_match(theta, *np.transpose(grid)))

    plotted, stated = range(1000, 17_001, 4000), range(10_000, 200_001, 10_000)
    assert agrees("1.35e-9", median(9, plotted)) and agrees("2.04e-9", median(9, stated))
    assert agrees("4.8e-11", median(10, plotted)) and median(10, stated) < 1e-9
