import numpy as np
import pytest
import torch

from neuroml.celltypes._ascent import Climber, ascend
from neuroml.celltypes._responses import opened
from neuroml.celltypes._space import StimulusSpace, smoothing_kernels
from neuroml.simulate import make_retina

FREE = StimulusSpace((2,), None, None, {})


def hill(points):
    """Responses whose sum has its one peak at (1, -2)."""
    return -((points - torch.tensor([1.0, -2.0], dtype=points.dtype)) ** 2)


@pytest.mark.parametrize("scale_free", [True, False])
def test_finds_the_peak(scale_free):
    climber = Climber(400, 0.02, momentum=0.5, scale_free=scale_free)
    start = torch.tensor([[3.0, 3.0], [-1.0, 0.5]], dtype=torch.float64)
    found = ascend(hill, lambda r: r.sum(dim=1), start, FREE, climber)
    peak = torch.tensor([[1.0, -2.0]] * 2, dtype=torch.float64)
    torch.testing.assert_close(found.stimuli, peak, atol=0.05, rtol=0)


def test_best_stimulus_on_the_way_is_kept_with_its_response():
    wild = Climber(5, 30.0, momentum=0.0, scale_free=False, keep_best=True)
    start = torch.tensor([[1.1, -2.0]], dtype=torch.float64)
    found = ascend(hill, lambda r: r.sum(dim=1), start, FREE, wild)
    torch.testing.assert_close(found.stimuli, start)
    torch.testing.assert_close(found.responses, hill(start))
    last = ascend(
        hill, lambda r: r.sum(dim=1), start, FREE, Climber(5, 30.0, 0.0, False, keep_best=False)
    )
    assert last.objective < found.objective


def test_scale_free_steps_do_not_know_the_scale_of_the_objective():
    start = torch.tensor([[3.0, 3.0]], dtype=torch.float64)
    small = ascend(hill, lambda r: 1e-6 * r.sum(dim=1), start, FREE, Climber(20))
    large = ascend(hill, lambda r: 1e6 * r.sum(dim=1), start, FREE, Climber(20))
    torch.testing.assert_close(small.stimuli, large.stimuli)


def test_constraints_hold_after_every_step():
    bounds = (torch.tensor(-1.0), torch.tensor(0.5))
    space = StimulusSpace((2,), 1.2, bounds, {})
    start = space.project(torch.tensor([[3.0, 3.0]]))
    for n_steps in range(5):
        found = ascend(hill, lambda r: r.sum(dim=1), start, space, Climber(n_steps, 0.3))
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
    with opened(module) as view:
        assert view.n_cells == 10
