"""verbose=1: long work says how far it is, and by default nothing is printed."""

import numpy as np
import pytest

from neuroml._core.parallel import show_progress
from neuroml.connectome import DynamicFCMaskedAutoencoder, select_rank
from neuroml.evaluation import test_association as association
from neuroml.switching import SwitchingGLM, recovery_study

RNG = np.random.default_rng(0)
COLUMN, TARGET = RNG.normal(size=(20, 1)), RNG.normal(size=20)
TENSOR = np.einsum("ir,jr,kr->ijk", *(RNG.gamma(1.0, size=(n, 1)) for n in (6, 4, 20)))
TRUTH = SwitchingGLM.from_parameters(
    np.zeros((2, 1, 0)), [[-3.0], [3.0]], [[0.9, 0.1], [0.1, 0.9]], n_init=1
)
LONG = {
    "permutations": lambda **more: association(COLUMN, TARGET, n_permutations=9, **more),
    "ranks": lambda **more: select_rank(TENSOR, [1], n_folds=2, random_state=0, **more),
    "repeats": lambda **more: recovery_study(
        TRUTH, sessions=np.repeat([0, 1], 100), n_repeats=1, random_state=0, **more
    ),
}


@pytest.mark.parametrize("what", LONG)
def test_progress_is_shown_on_request(what, capsys):
    LONG[what]()
    assert capsys.readouterr().out == ""
    LONG[what](verbose=1)
    assert what in capsys.readouterr().out


@pytest.mark.parametrize("verbose", [0, 1])
def test_what_is_shown_is_handed_on_as_it_comes(verbose):
    given = iter(range(3))
    shown = show_progress(given, 3, "things", verbose)
    assert next(shown) == 0 and next(given) == 1 and list(shown) == [2]


CHOICES = (RNG.uniform(size=60) < 0.5).astype(int)
FITS = {
    "starts": lambda **more: SwitchingGLM(2, n_init=2, random_state=0, **more).fit(None, CHOICES),
    "epochs": lambda **more: DynamicFCMaskedAutoencoder(
        2, max_epochs=2, random_state=0, **more
    ).fit(RNG.normal(size=(12, 6))),
}


@pytest.mark.filterwarnings("ignore::neuroml.exceptions.NotConvergedWarning")
@pytest.mark.parametrize("what", FITS)
def test_fits_show_their_progress_on_request(what, capsys):
    FITS[what]()
    assert capsys.readouterr().out == ""
    FITS[what](verbose=1)
    assert what in capsys.readouterr().out
