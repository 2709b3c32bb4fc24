"""What is drawn in the brain, and why something is not."""

import json

import nibabel
import numpy as np
import pytest
from sklearn.utils import Bunch

from neuroml.data import make_recording, read_fmri, stack
from neuroml.data._image_space import describe_grayordinates
from neuroml.decoding import PrototypeClassifier
from neuroml.exceptions import DataError
from neuroml.plotting import plot_brain_map
from neuroml.report import Context, draw


@pytest.fixture(scope="module")
def run():
    values = np.random.default_rng(0).normal(size=(4, 4, 4, 20)).astype(np.float32)
    image, atlas = (
        nibabel.Nifti1Image(one, np.diag([20.0, 20, 20, 1]))
        for one in (values, np.repeat([1, 2], 32).reshape(4, 4, 4).astype(np.int16))
    )
    return read_fmri(image, labels=atlas, tr_s=2.0)


def test_values_reach_the_picture(run):
    figure = plot_brain_map([3.0, np.nan], run)
    drawn = np.ma.concatenate(
        [image.get_array().ravel() for a in figure.axes for image in a.images]
    )
    assert drawn.max() == 3.0 and (np.ma.masked_equal(drawn, 0).compressed() == 3.0).all()


def test_why_nothing_is_drawn(run):
    with pytest.raises(DataError, match="all values are 0"):
        plot_brain_map([0.0, 0.0], run)
    with pytest.raises(DataError, match="no color for infinite values"):
        plot_brain_map([1.0, np.inf], run)
    with pytest.raises(DataError, match="does not know where"):
        plot_brain_map([1.0], make_recording(np.zeros((3, 1)), modality="fmri"))


def surface_run(n_vertices=10242, structure="CortexLeft", space="fsaverage5"):
    """A run of the first two vertices of a hemisphere."""
    about = json.dumps({"form": "gifti", "shape": [n_vertices], "structure": structure})
    run = make_recording(np.random.default_rng(0).normal(size=(20, 2)), modality="fmri")
    run = run.assign_attrs(image=about, space=space)
    return run.assign_coords(image_index=("unit", [0, 1]))


@pytest.mark.parametrize(
    ("surface", "found"),
    [
        ({"n_vertices": 32492, "space": "fsLR"}, "32492 vertices of CortexLeft, space 'fsLR'"),
        ({"space": "fsnative"}, "10242 vertices of CortexLeft, space 'fsnative'"),
        ({"structure": ""}, "a hemisphere that the file does not name, space 'fsaverage5'"),
    ],
)
def test_surfaces_whose_mesh_is_not_known_are_told(surface, found):
    recording = surface_run(**surface)
    with pytest.raises(DataError, match=f"mesh does not travel.*found .*{found}"):
        plot_brain_map([1.0, 2.0], recording)
    (panel,) = classified(recording)
    assert panel.figure is None and "their mesh does not travel" in panel.caption


def test_grayordinates_are_told():
    brain = nibabel.cifti2.BrainModelAxis.from_mask(np.ones(3, bool), "cortex_left")
    run = make_recording(np.zeros((3, 1)), modality="fmri")
    run = run.assign_attrs(image=describe_grayordinates(brain))
    with pytest.raises(DataError, match="their mesh does not travel.*found Cifti2Image"):
        plot_brain_map([1.0], run.assign_coords(image_index=("unit", [0])))


@pytest.mark.parametrize(("structure", "lateral"), [("CortexLeft", 180), ("CortexRight", 0)])
def test_fsaverage5_is_drawn_on_its_hemisphere_from_both_sides(structure, lateral):
    figure = plot_brain_map([[3.0, np.nan], [0, -2.0]], surface_run(structure=structure))
    from_where = [axes.azim % 360 for axes in figure.axes if axes.name == "3d"]
    assert from_where == [lateral, (lateral + 180) % 360] * 2
    (panel,) = classified(surface_run(structure=structure))
    assert panel.figure is not None


def classified(recording):
    labels = np.where(recording["signal"].values[:, 0] > 0, "a", "b")
    arrays = stack([recording])
    context = Context.of([recording], [None], Bunch(**{**arrays, "y": labels}), ["label"])
    return draw(PrototypeClassifier().fit(arrays.X, labels), context)


def test_a_report_shows_weights_or_says_why_not(run):
    (panel,) = classified(run)
    assert panel.name == "brain_map" and panel.figure is not None
    lost = run.assign_coords(image_index=("unit", [1.0, np.nan]))
    (panel,) = classified(lost)
    assert panel.figure is None and "not drawn: " in panel.caption and "no place" in panel.caption
    (panel,) = classified(run.assign_attrs(image=""))
    assert panel.figure is None and "brain" not in panel.caption
