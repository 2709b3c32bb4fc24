import numpy as np
import pytest

from neuroml.celltypes import (
    FacetedStimuli,
    FunctionalTypes,
    MostDiscriminativeStimuli,
    ResponseModel,
)
from neuroml.report import Context, draw, tabulate
from neuroml.simulate import make_retina

CONTEXT = Context([], [], [], np.zeros(0, dtype=int))


@pytest.fixture(scope="module")
def retina():
    return make_retina(["on_sustained", "off_sustained", "on_off"], 4, n_frames=400, random_state=0)


@pytest.fixture(scope="module")
def mds(retina):
    return MostDiscriminativeStimuli(3, n_steps=10, random_state=0).fit(retina.module)


def test_clustering(mds):
    panels = {panel.name: panel.figure for panel in draw(mds, CONTEXT)}
    assert list(panels) == ["stimuli", "confusion", "map"]
    image = panels["confusion"].axes[0].images[0].get_array()
    np.testing.assert_array_equal(image, mds.confusion_)
    points = sum(len(line.get_xdata()) for line in panels["map"].axes[0].lines)
    assert points == 12
    table = tabulate(mds, CONTEXT)
    clusters = table[table.quantity == "cluster"]
    np.testing.assert_array_equal(clusters.value.astype(int), mds.labels_)
    assert table[table.quantity == "cells"].value.sum() == 12


@pytest.mark.filterwarnings("ignore::neuroml.exceptions.NotConvergedWarning")
def test_training(retina):
    model = ResponseModel("linear", max_epochs=3, random_state=0)
    model.fit(retina.stimuli, retina.responses)
    (panel,) = draw(model, CONTEXT)
    assert [len(line.get_xdata()) for line in panel.figure.axes[0].lines] == [3, 3]
    table = tabulate(model, CONTEXT)
    losses = table[(table.quantity == "loss") & (table.axis == "epoch")].value
    np.testing.assert_allclose(losses, [entry["loss"] for entry in model.history_])
    assert (table.quantity == "receptive field row").sum() == 12


def test_facets(retina):
    faceted = FacetedStimuli(2, n_reference=100, n_seeds=20, n_steps=3, random_state=0)
    faceted.fit(retina.module, cell=2)
    (panel,) = draw(faceted, CONTEXT)
    assert panel.name == "facets"
    table = tabulate(faceted, CONTEXT)
    np.testing.assert_allclose(table[table.quantity == "response"].value, faceted.responses_)


def test_types():
    X = np.random.default_rng(0).normal(size=(20, 8))
    model = FunctionalTypes(2, n_init=1, n_bootstrap=0, random_state=0).fit(X)
    (panel,) = draw(model, CONTEXT)
    assert panel.name == "bic"
    table = tabulate(model, CONTEXT)
    np.testing.assert_array_equal(table[table.quantity == "type"].value, model.labels_)
    assert table[table.quantity == "n_cells"].value.sum() == 20
