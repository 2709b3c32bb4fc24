"""Warnings point to the line of the caller, through decorators, pipelines and loops."""

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline

from neuroml._core.warn import each_warning_once, warn_caller
from neuroml.connectome import NonnegativeCP, WeightedSBM
from neuroml.decoding import (
    CrossSubjectDecoder,
    ProcrustesAligner,
    PrototypeClassifier,
    RidgeDecoder,
    SharedResponseModel,
    cross_subject_score,
)
from neuroml.exceptions import NotConvergedWarning
from neuroml.simulate import make_planted_weights
from neuroml.switching import SwitchingGLM, SwitchingPopulationGLM

RNG = np.random.default_rng(0)
X = RNG.standard_normal((60, 4))
Y = RNG.integers(0, 2, 60).astype(float)
BRAINS = {s: RNG.standard_normal((60, 6)) for s in "abc"}
CONSTANT = {**BRAINS, "b": np.where(np.arange(6) == 2, 1.0, BRAINS["b"])}
TARGETS = {s: RNG.standard_normal((60, 2)) for s in "abc"}

NOT_CONVERGED = {
    "switching": lambda: SwitchingGLM(2, n_init=1, max_iter=1, random_state=0).fit(X, Y),
    "population": lambda: SwitchingPopulationGLM(
        2, n_lags=2, link="sigmoid", n_init=1, max_iter=1, random_state=0
    ).fit(RNG.poisson(1.0, (60, 3)).astype(float)),
    "factors": lambda: NonnegativeCP(2, n_init=1, max_iter=1, random_state=0).fit(abs(X)),
    "blocks": lambda: WeightedSBM(max_iter=1, n_shuffles=0, random_state=0).fit(
        make_planted_weights([20, 20, 20], ratio=4, random_state=0).W
    ),
    "shared response": lambda: SharedResponseModel(3, max_iter=1, random_state=0).fit(BRAINS),
    "procrustes": lambda: ProcrustesAligner(max_iter=1, tol=0.0).fit(BRAINS),
    "in a pipeline": lambda: make_pipeline(SharedResponseModel(3, max_iter=1)).fit(BRAINS),
}


@pytest.mark.parametrize("name", NOT_CONVERGED)
def test_a_fit_that_did_not_converge_says_so_at_the_line_of_the_caller(name):
    with pytest.warns(NotConvergedWarning) as caught:
        NOT_CONVERGED[name]()
    told = [one for one in caught if one.category is NotConvergedWarning]
    assert {one.filename for one in told} == {__file__}


EVALUATIONS = {
    "one fit": lambda: RidgeDecoder().fit(CONSTANT, TARGETS),
    "over subjects": lambda: cross_subject_score(
        CrossSubjectDecoder(), CONSTANT, TARGETS, [20, 30], random_state=0
    ),
    "prototypes": lambda: PrototypeClassifier().fit(CONSTANT["b"], Y),
}


@pytest.mark.parametrize("name", EVALUATIONS)
def test_constant_voxels_are_told_once_for_an_outer_call(name):
    with pytest.warns(UserWarning, match="Constant voxels") as caught:
        EVALUATIONS[name]()
    assert len(caught) == 1
    assert caught[0].filename == __file__


def test_different_warnings_are_all_told_and_errors_pass():
    with pytest.warns(UserWarning) as caught, each_warning_once():
        for text in ("one", "other", "one"):
            warn_caller(text, UserWarning)
    assert [str(one.message) for one in caught] == ["one", "other"]
    with pytest.raises(KeyError), each_warning_once():
        raise KeyError
