"""What the family cannot use is refused in a sentence that says so."""

import numpy as np
import pytest

from neuroml.connectome import (
    AffinityTensor,
    DynamicConnectome,
    NonnegativeCP,
    SlidingWindowConnectivity,
    WeightedSBM,
    reliability,
    select_rank,
)
from neuroml.exceptions import DataError

TRACES = np.random.default_rng(0).normal(size=(3, 40, 4))
WINDOWS = np.random.default_rng(1).uniform(size=(6, 4, 4))
SYMMETRIC = WINDOWS + WINDOWS.transpose(0, 2, 1)


def changed(array, where, value):
    array = array.copy()
    array[where] = value
    return array


NEVER_SEEN = changed(TRACES, np.s_[:, :, 2], np.nan)
STILL = changed(TRACES, np.s_[0, :, 0], 1.0)
PARTLY = changed(TRACES, np.s_[0, 5, 0], np.nan)
# units 0 and 1 are in no subject together, so nothing is known of that pair
APART = changed(changed(TRACES, np.s_[0, :, 0], np.nan), np.s_[1:, :, 1], np.nan)

CASES = {
    "asymmetric slices": (
        lambda: NonnegativeCP(2, symmetric_modes=(1, 2)).fit(WINDOWS), "symmetric are not"),
    "an asymmetric graph": (lambda: WeightedSBM().fit(WINDOWS[0]), "not symmetric"),
    "negative values": (lambda: NonnegativeCP(2).fit(-SYMMETRIC), "Negative values"),
    "negative values, ranks": (lambda: select_rank(-SYMMETRIC, [1]), "Negative values"),
    "a unit never seen": (lambda: DynamicConnectome(2).fit(NEVER_SEEN), "never seen"),
    "too many components": (lambda: NonnegativeCP(17).fit(SYMMETRIC), "more components than"),
    "too high a rank": (lambda: select_rank(SYMMETRIC, [1, 40]), "more components than"),
    "no ranks": (lambda: select_rank(SYMMETRIC, []), "no ranks to compare"),
    "rank 0": (lambda: select_rank(SYMMETRIC, [0, 1]), "no ranks to compare"),
    "half a rank": (lambda: select_rank(SYMMETRIC, [1.5]), "no ranks to compare"),
    "falling ranks": (lambda: select_rank(SYMMETRIC, [3, 1]), "no ranks to compare"),
    "a rank twice": (lambda: select_rank(SYMMETRIC, [1, 1]), "no ranks to compare"),
    "a vector": (lambda: select_rank(np.ones(5), [1]), "no tensor"),
    "nothing observed": (lambda: select_rank(SYMMETRIC * np.nan, [1]), "no tensor"),
    "infinite values": (lambda: select_rank(SYMMETRIC / 0.0, [1]), "no tensor"),
    "one subject": (
        lambda: reliability(DynamicConnectome(1, n_init=1).fit(TRACES[0]), TRACES[0]),
        "too few subjects"),
    "a window longer than a session": (
        lambda: SlidingWindowConnectivity(60).fit(TRACES[0]), "shorter than the window"),
    "the same of affinities": (
        lambda: AffinityTensor("mtd", window=60).fit(TRACES), "shorter than the window"),
    "NaN in observed cells": (lambda: AffinityTensor().fit(PARTLY), "for part of a subject"),
    "a unit that never changes": (lambda: AffinityTensor().fit_transform(STILL), "never change"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_refused(case):
    call, message = CASES[case]
    with np.errstate(divide="ignore"), pytest.raises(DataError, match=message):
        call()


def test_a_mask_of_integers_hides_what_a_mask_of_booleans_does():
    hidden = SYMMETRIC > 1.5
    fits = [
        NonnegativeCP(1, n_init=1, random_state=0).fit(np.ma.masked_array(SYMMETRIC, mask=mask))
        for mask in (hidden, hidden.astype(int))
    ]
    np.testing.assert_array_equal(fits[0].cp_.factors[0], fits[1].cp_.factors[0])


def test_two_units_never_seen_together_have_no_pair():
    model = DynamicConnectome(1, n_init=1, random_state=0).fit(APART)
    assert np.isnan(model.motifs_[0, 0, 1]) and np.isfinite(model.motifs_[0, 0, 2])
