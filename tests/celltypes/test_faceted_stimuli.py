import numpy as np
import pytest
import torch

from neuroml.celltypes import FacetedStimuli
from neuroml.exceptions import DataError
from neuroml.simulate import make_retina

SMALL = {"n_reference": 400, "n_seeds": 50, "n_steps": 20, "random_state": 0}


@pytest.fixture(scope="module")
def retina():
    return make_retina(n_cells=1, n_frames=9, random_state=0)


def cell_of(retina, name):
    return retina.type_names.index(name)


@pytest.mark.parametrize("name", ["on_sustained", "off_sustained", "on_large", "off_transient"])
def test_linear_nonlinear_cells_have_one_facet(retina, name):
    faceted = FacetedStimuli(**SMALL).fit(retina.module, cell=cell_of(retina, name))
    assert faceted.n_facets_ == 1 and faceted.facet_index_ > 0.5


@pytest.mark.parametrize("name", ["on_off", "ds_right", "ds_left"])
def test_cells_that_answer_to_either_sign_have_opposite_facets(retina, name):
    faceted = FacetedStimuli(2, random_state=0).fit(retina.module, cell=cell_of(retina, name))
    assert abs(faceted.facet_index_) < 0.1
    assert faceted.facet_similarity_[0, 1] < -0.7
    assert np.bincount(faceted.labels_).argmax() == 0


def test_stimuli_drive_the_cell_as_stated(retina):
    cell = cell_of(retina, "on_off")
    faceted = FacetedStimuli(2, **SMALL).fit(retina.module, cell=cell)
    with torch.no_grad():
        responses = retina.module(torch.from_numpy(faceted.facets_))[:, cell].numpy()
    np.testing.assert_allclose(faceted.responses_, responses, rtol=1e-4)
    clips = np.random.default_rng(0).standard_normal((50, 24, 10, 10)).astype(np.float32)
    with torch.no_grad():
        ordinary = retina.module(torch.from_numpy(clips))[:, cell].numpy()
    assert (responses > ordinary.max()).all()


def test_suppressed_cells_by_what_lowers_their_response(retina):
    cell = cell_of(retina, "suppressed")
    lower = FacetedStimuli(decrease=True, **SMALL).fit(retina.module, cell=cell)
    higher = FacetedStimuli(**SMALL).fit(retina.module, cell=cell)
    assert lower.responses_.max() < 0.1 * higher.responses_.min()


def test_facet_index_is_the_mean_cosine_of_gradients():
    """A cell that is half linear: gradients known by hand."""

    class Cell(torch.nn.Module):
        def forward(self, x):
            return (x[:, :1].relu() + 2 * x[:, 1:2].relu()).expand(-1, 2)

    seeds = np.array([[1.0, -1.0], [-1.0, 1.0], [3.0, -0.1]])
    found = FacetedStimuli(
        1, n_seeds=3, stimulus_shape=(2,), norm=None, pixel_range=None, random_state=0
    ).fit(Cell(), reference_stimuli=seeds)
    assert found.seeds_.tolist() == [2, 1, 0]
    assert found.facet_index_ == pytest.approx(1 / 3)  # gradients x, y, x


def test_bad_input(retina):
    with pytest.raises(DataError, match="no such cell"):
        FacetedStimuli(**SMALL).fit(retina.module, cell=10)

    class Dead(torch.nn.Module):
        def forward(self, x):
            return torch.cat([x[:, :1], 0 * x[:, :1] + 1], dim=1)

    with pytest.raises(DataError, match="gives the same response"):
        FacetedStimuli(stimulus_shape=(4,), **SMALL).fit(Dead(), cell=1)
