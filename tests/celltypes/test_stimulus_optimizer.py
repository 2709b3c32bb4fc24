import numpy as np
import pytest
import torch
from scipy.signal import convolve2d

from neuroml.celltypes._model_adapter import ModelAdapter
from neuroml.celltypes._stimulus_optimizer import (
    OptimizerSettings,
    StimulusSpace,
    build_space,
    optimize_stimuli,
    smoothing_kernels,
)
from neuroml.exceptions import DataError
from neuroml.simulate import make_retina

FREE = StimulusSpace((2,), None, None, {})


def peaked(points):
    """Responses whose sum has its one peak at (1, -2)."""
    return -((points - torch.tensor([1.0, -2.0], dtype=points.dtype)) ** 2)


@pytest.mark.parametrize("scale_free", [True, False])
def test_finds_the_peak(scale_free):
    settings = OptimizerSettings(400, 0.02, momentum=0.5, scale_free=scale_free)
    start = torch.tensor([[3.0, 3.0], [-1.0, 0.5]], dtype=torch.float64)
    found = optimize_stimuli(peaked, lambda r: r.sum(dim=1), start, FREE, settings)
    peak = torch.tensor([[1.0, -2.0]] * 2, dtype=torch.float64)
    torch.testing.assert_close(found.stimuli, peak, atol=0.05, rtol=0)


def test_best_stimulus_of_all_steps_is_kept_with_its_response():
    wild = OptimizerSettings(5, 30.0, momentum=0.0, scale_free=False, keep_best=True)
    start = torch.tensor([[1.1, -2.0]], dtype=torch.float64)
    found = optimize_stimuli(peaked, lambda r: r.sum(dim=1), start, FREE, wild)
    torch.testing.assert_close(found.stimuli, start)
    torch.testing.assert_close(found.responses, peaked(start))
    last = optimize_stimuli(
        peaked,
        lambda r: r.sum(dim=1),
        start,
        FREE,
        OptimizerSettings(5, 30.0, 0.0, False, keep_best=False),
    )
    assert last.objective < found.objective


def test_scale_free_steps_do_not_know_the_scale_of_the_objective():
    start = torch.tensor([[3.0, 3.0]], dtype=torch.float64)
    small = optimize_stimuli(
        peaked, lambda r: 1e-6 * r.sum(dim=1), start, FREE, OptimizerSettings(20)
    )
    large = optimize_stimuli(
        peaked, lambda r: 1e6 * r.sum(dim=1), start, FREE, OptimizerSettings(20)
    )
    torch.testing.assert_close(small.stimuli, large.stimuli)


def test_constraints_hold_after_every_step():
    bounds = (torch.tensor(-1.0), torch.tensor(0.5))
    space = StimulusSpace((2,), 1.2, bounds, {})
    start = space.project(torch.tensor([[3.0, 3.0]]))
    for n_steps in range(5):
        found = optimize_stimuli(
            peaked, lambda r: r.sum(dim=1), start, space, OptimizerSettings(n_steps, 0.3)
        )
        assert found.stimuli.norm() <= 1.2 + 1e-6
        assert found.stimuli.min() >= -1 and found.stimuli.max() <= 0.5


def test_norm_is_set_first_and_range_second():
    space = StimulusSpace((3,), 5.0, (torch.tensor(-1.0), torch.tensor(2.0)), {})
    found = space.project(torch.tensor([[3.0, 4.0, 0.0], [-6.0, 0.0, 8.0]]))
    torch.testing.assert_close(found, torch.tensor([[2.0, 2.0, 0.0], [-1.0, 0.0, 2.0]]))


def test_smoothed_gradients_still_point_upwards_and_are_smooth():
    like = torch.empty(0, dtype=torch.float64)
    kernels = smoothing_kernels((20, 5, 5), "THW", 2.0, 1.0, like)
    space = StimulusSpace((20, 5, 5), None, None, kernels)
    gradient = torch.from_numpy(np.random.default_rng(0).standard_normal((3, 20, 5, 5)))
    smooth = space.smooth(gradient)
    assert ((smooth * gradient).flatten(1).sum(dim=1) > 0).all()
    rough = gradient.diff(dim=1).norm() / gradient.norm()
    assert smooth.diff(dim=1).norm() / smooth.norm() < rough / 2


def test_gradient_of_the_retina_equals_finite_differences():
    retina = make_retina(n_cells=1, stimulus_shape=(12, 5, 5), n_frames=20, random_state=0)
    module = retina.module.double()
    stimulus = torch.from_numpy(np.random.default_rng(0).standard_normal((1, 12, 5, 5)))
    assert torch.autograd.gradcheck(
        lambda x: module(x).sum(), stimulus.requires_grad_(), fast_mode=True
    )
    with ModelAdapter.adapt(module) as adapter:
        assert adapter.n_cells == 10


LAPLACE = np.array([[0.25, 0.5, 0.25], [0.5, -3, 0.5], [0.25, 0.5, 0.25]])


def roughness_by_hand(frames):
    """Mean square of the filtered frames (n, height, width), reflected by two pixels at edges."""
    padded = np.pad(frames, ((0, 0), (2, 2), (2, 2)), mode="reflect")
    return np.mean([convolve2d(one, LAPLACE, mode="valid") ** 2 for one in padded])


@pytest.mark.parametrize(
    ("shape", "axes"), [((6, 7), "HW"), ((4, 6, 7), "THW"), ((4, 6, 7, 2), "THWC")]
)
def test_laplacian_over_space_written_out(shape, axes):
    stimuli = np.random.default_rng(0).standard_normal((3, *shape))
    space = StimulusSpace(shape, None, None, {}, axes, 1.0)
    found = space.roughness(torch.from_numpy(stimuli)).numpy()
    order = [i for i, name in enumerate(axes) if name not in "HW"]
    frames = [
        one.transpose(*order, axes.index("H"), axes.index("W")).reshape(-1, 6, 7) for one in stimuli
    ]
    np.testing.assert_allclose(found, [roughness_by_hand(one) for one in frames], rtol=1e-12)


def test_laplacian_is_subtracted_from_the_objective():
    """One step of plain ascent moves along the gradient of J - w L, by finite differences."""
    rng = np.random.default_rng(0)
    start, weights = rng.standard_normal((1, 5, 5)), rng.standard_normal((25, 1))
    space = StimulusSpace((5, 5), None, None, {}, "HW", 0.7)
    settings = OptimizerSettings(1, 0.1, momentum=0.0, scale_free=False, keep_best=False)
    found = optimize_stimuli(
        lambda x: x.flatten(1) @ torch.from_numpy(weights),
        lambda r: r.sum(dim=1),
        torch.from_numpy(start),
        space,
        settings,
    )

    def value(x):
        return float((x.ravel() @ weights)[0]) - 0.7 * roughness_by_hand(x)

    step = 1e-4  # J is linear and L quadratic, so that central differences are exact
    slope = np.zeros(25)
    for i, unit in enumerate(np.eye(25).reshape(25, 1, 5, 5)):
        slope[i] = (value(start + step * unit) - value(start - step * unit)) / (2 * step)
    np.testing.assert_allclose(
        found.stimuli.numpy().ravel(), start.ravel() + 0.1 * slope, atol=1e-9
    )
    assert float(found.objective[0]) == pytest.approx(value(found.stimuli.numpy()))


def test_waveforms_have_no_laplacian_over_space():
    module = make_retina(n_cells=1, stimulus_shape=(12, 5, 2), n_frames=20, random_state=0).module
    options = {"norm": None, "pixel_range": None, "smooth_time": 0.0, "smooth_space": 0.0}
    with (
        ModelAdapter.adapt(module) as adapter,
        pytest.raises(DataError, match="no Laplacian over space.*at least 3 pixels"),
    ):
        build_space(adapter, torch.ones(1, 12, 5, 2), **options, laplace=1.0)
