"""Fewer cells than types, a repeat missing, and features of other lengths, for the whole family."""

import numpy as np
import pytest

from neuroml.celltypes import (
    FacetedStimuli,
    FunctionalTypes,
    MostDiscriminativeStimuli,
    ResponseModel,
    compare_clusterings,
    quality_index,
    stability,
    type_confusion,
)
from neuroml.simulate import make_retina

pytestmark = pytest.mark.filterwarnings("ignore::neuroml.exceptions.NotConvergedWarning")
RNG = np.random.default_rng(0)
CELLS = RNG.normal(size=(12, 30))
REPEATS = RNG.normal(size=(3, 20, 12))
PARTIAL = np.where(np.arange(20)[:, None] < 5, np.nan, REPEATS)
MISSING = REPEATS * np.array([1, np.nan, 1])[:, None, None]


class Family:
    """A fitted model of each kind."""

    def __init__(self):
        self.retina = make_retina(
            ["on_transient", "off_sustained"],
            3,
            stimulus_shape=(12, 5, 5),
            n_frames=200,
            random_state=0,
        )
        self.mds = MostDiscriminativeStimuli(2, n_steps=2, max_iter=1, random_state=0)
        self.mds.fit(self.retina.module)
        self.model = ResponseModel("linear", n_lags=5, kernel_size=3, max_epochs=1, random_state=0)
        self.model.fit(self.retina.stimuli, self.retina.responses)
        self.types = FunctionalTypes(2, n_init=1, n_bootstrap=0, random_state=0)
        self.types.fit(CELLS, features=CELLS[:, :2])
        self.stimuli, self.repeats = self.retina.test_stimuli, self.retina.test_responses
        self.without = (
            self.repeats * np.where(np.arange(len(self.repeats)) == 1, np.nan, 1)[:, None, None]
        )


@pytest.fixture(scope="module")
def family():
    return Family()


FEWER_CELLS = {
    "FunctionalTypes": (lambda f: FunctionalTypes(20).fit(CELLS), "fewer cells than types"),
    "MostDiscriminativeStimuli": (
        lambda f: MostDiscriminativeStimuli(20).fit(f.retina.module),
        "fewer cells than clusters",
    ),
    "MostDiscriminativeStimuli(init)": (
        lambda f: MostDiscriminativeStimuli(2, init=[0, 1]).fit(f.retina.module),
        "one label for each of 6 cells",
    ),
    "FacetedStimuli": (
        lambda f: FacetedStimuli(30, n_seeds=20, random_state=0).fit(f.retina.module),
        "fewer clips than facets",
    ),
    "FacetedStimuli(cell)": (
        lambda f: FacetedStimuli().fit(f.retina.module, cell=6),
        "there is no such cell.*0 to 5",
    ),
    "ResponseModel": (
        lambda f: f.model.feve(f.stimuli, f.repeats[:, :, :-1]),
        r"do not fit the stimuli.*\(10, 20, 5\)",
    ),
    "type_confusion": (lambda f: type_confusion([0, 1, 1], [0, 1]), "labels do not match"),
    "stability": (lambda f: stability([[0, 1], [0, 1, 1]]), "clustering 1 do not match"),
    "compare_clusterings": (
        lambda f: compare_clusterings({"one": lambda seed: [0, 1]}, [0, 1, 1]),
        "one do not match",
    ),
}
REPEAT_MISSING = {
    "ResponseModel.score": (
        lambda f: f.model.score(f.stimuli, f.without),
        r"responses are missing.*repeats \[1\] missing.*Leave out",
    ),
    "ResponseModel.feve": (
        lambda f: f.model.feve(f.stimuli, f.without),
        r"responses are missing.*repeats \[1\] missing.*Leave out",
    ),
    "ResponseModel.feve(infinite)": (
        lambda f: f.model.feve(f.stimuli, np.where(f.repeats > 2, np.inf, f.repeats)),
        "responses are missing or not finite.*values",
    ),
    "ResponseModel.feve(ragged)": (
        lambda f: f.model.feve(f.stimuli, [f.repeats[0], f.repeats[1][:-5]]),
        "not an array of numbers",
    ),
    "ResponseModel.feve(one)": (
        lambda f: f.model.feve(f.stimuli, f.repeats[:1]),
        "not known from a single repeat",
    ),
    "MostDiscriminativeStimuli.predict(ragged)": (
        lambda f: f.mds.predict([f.mds.responses_, f.mds.responses_[:, :-1]]),
        "not an array of numbers",
    ),
    "FunctionalTypes": (lambda f: FunctionalTypes(2).fit(MISSING[:, :, 0]), "contains NaN"),
    "quality_index(one)": (lambda f: quality_index(REPEATS[:1]), "needs repeats"),
    "quality_index(partial)": (lambda f: quality_index(PARTIAL), "in part"),
}
OTHER_LENGTHS = {
    "FunctionalTypes(features)": (
        lambda f: FunctionalTypes(2).fit(CELLS, features=CELLS[:-1]),
        r"features do not match the cells.*\(11, 30\)",
    ),
    "FunctionalTypes(ragged)": (
        lambda f: FunctionalTypes(2).fit([*CELLS[:-1].tolist(), [1.0]]),
        "not an array of numbers",
    ),
    "FunctionalTypes(blocks)": (
        lambda f: FunctionalTypes(2).fit(CELLS, blocks={"chirp": range(20), "bar": range(40)}),
        "names columns that are not there",
    ),
    "FunctionalTypes.predict": (lambda f: f.types.predict(CELLS[:, :-1]), "29 features"),
    "FunctionalTypes.predict(features)": (
        lambda f: f.types.predict(CELLS, features=CELLS[:, :3]),
        "expected 2 features; found 3",
    ),
    "MostDiscriminativeStimuli": (
        lambda f: MostDiscriminativeStimuli(2).fit(
            f.retina.module, reference_stimuli=np.ones((3, 12, 5, 4))
        ),
        r"cannot be shown.*12, 5, 5\)",
    ),
    "MostDiscriminativeStimuli.predict": (
        lambda f: f.mds.predict(f.mds.responses_[:1]),
        r"do not fit the stimuli.*\(1, 6\)",
    ),
    "FacetedStimuli": (
        lambda f: FacetedStimuli().fit(
            f.retina.module, cell=0, reference_stimuli=np.ones((3, 12, 5, 4))
        ),
        r"cannot be shown.*12, 5, 5\)",
    ),
    "ResponseModel": (
        lambda f: ResponseModel("linear").fit(f.retina.stimuli, f.retina.responses[:-1]),
        "one row per frame",
    ),
    "ResponseModel.predict": (
        lambda f: f.model.predict(f.stimuli[..., :-1]),
        "another shape than those of fit",
    ),
    "ResponseModel.transfer": (
        lambda f: f.model.transfer(f.retina.stimuli, f.retina.responses[:-1]),
        "one row per frame",
    ),
}


@pytest.mark.parametrize(
    ("call", "words"),
    [
        pytest.param(*case, id=f"{kind}: {name}")
        for kind, cases in (
            ("fewer cells", FEWER_CELLS),
            ("repeat missing", REPEAT_MISSING),
            ("other lengths", OTHER_LENGTHS),
        )
        for name, case in cases.items()
    ],
)
def test_what_does_not_fit_is_refused_in_words(family, call, words):
    with pytest.raises(ValueError, match=words):  # DataError is a ValueError
        call(family)
