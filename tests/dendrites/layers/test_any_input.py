"""All layers on what strangers give them: odd sizes, any precision, empty batches, strides, copies."""

import copy
import io

import pytest
import torch
from torch import nn

from neuroml.dendrites.layers import (
    ActivationL1,
    ActivationMeter,
    ActiveDendriteConv2d,
    ActiveDendriteLinear,
    DeltaActivation,
    FATReLU,
    KWinners,
    KWinners2d,
    QuadraticLinear,
    SparseLinear,
    TaskPrototypes,
    prune_rnn_,
)
from neuroml.exceptions import DataError


def prototypes(n):
    layer = TaskPrototypes(n)
    for task in range(2):
        layer.update(torch.randn(4, n), task)
    return layer


SPARSE = {"weight_density": 0.5, "segment_density": 0.5}
# name: (layer of n inputs, the shapes of what it takes from a batch of b)
LAYERS = {
    "k-winners": (lambda n: KWinners(n, max(1, n // 3), boost=1.0), lambda n, b: [(b, n)]),
    "k-winners 2d": (lambda n: KWinners2d(n, 0.3, boost=1.0), lambda n, b: [(b, n, 3, 5)]),
    "local k-winners 2d": (
        lambda n: KWinners2d(n, 0.3, boost=1.0, local=True),
        lambda n, b: [(b, n, 3, 5)],
    ),
    "sparse linear": (lambda n: SparseLinear(n, 3, 0.4), lambda n, b: [(b, n)]),
    "active dendrites": (
        lambda n: ActiveDendriteLinear(n, 3, 2, 4, **SPARSE),
        lambda n, b: [(b, n), (b, 4)],
    ),
    "active dendrites, bias, one context": (
        lambda n: ActiveDendriteLinear(n, 1, 1, 4, apply="bias", select="max"),
        lambda n, b: [(b, n), (4,)],
    ),
    "active dendrites 2d": (
        lambda n: ActiveDendriteConv2d(n, 3, 3, 2, 4, segment_density=0.5),
        lambda n, b: [(b, n, 5, 7), (b, 4)],
    ),
    "delta": (lambda n: DeltaActivation((n,)), lambda n, b: [(b, 6, n)]),
    "fatrelu": (lambda _n: FATReLU(0.1), lambda n, b: [(b, n)]),
    "quadratic": (lambda n: QuadraticLinear(n, 3), lambda n, b: [(b, n)]),
    "pruned GRU": (lambda n: prune_rnn_(nn.GRU(n, 5), 0.5), lambda n, b: [(4, b, n)]),
    "prototypes": (prototypes, lambda n, b: [(b, n)]),
}


@pytest.fixture(params=LAYERS)
def made(request):
    torch.manual_seed(0)
    return LAYERS[request.param]


def output(layer, inputs):
    found = layer(*inputs)
    return found[0] if isinstance(found, tuple) else found


def draw(shapes, dtype=torch.float32):
    return [torch.randn(shape).to(dtype) for shape in shapes]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("n", "n_samples"), [(7, 5), (7, 0), (1, 1)])
def test_any_size_and_precision(made, n, n_samples, dtype):
    make, shapes = made
    layer, inputs = make(n).to(dtype), draw(shapes(n, n_samples), dtype)
    inputs[0].requires_grad_()
    found = output(layer, inputs)
    assert found.dtype == dtype and n_samples in found.shape
    if found.requires_grad:
        found.float().sum().backward()
        assert inputs[0].grad.isfinite().all()
    state = [*layer.parameters(), *layer.buffers(), *[p.grad for p in layer.parameters()]]
    assert all(tensor.isfinite().all() for tensor in state if tensor is not None)
    assert found.isfinite().all()


def test_strides_do_not_matter(made):
    make, shapes = made
    layer, inputs = make(7).eval(), draw(shapes(7, 5))
    strided = [torch.stack([x, x], dim=-1)[..., 0] for x in inputs]
    turned = [x.transpose(0, -1).contiguous().transpose(0, -1) for x in inputs]
    assert not strided[0].is_contiguous() and not turned[0].is_contiguous()
    expected = output(layer, inputs)
    # sums of at most 7 x 9 products in another order
    torch.testing.assert_close(output(layer, strided), expected)
    torch.testing.assert_close(output(layer, turned), expected)


def test_copies_and_states_of_layers_that_have_run(made):
    make, shapes = made
    layer, inputs = make(7), draw(shapes(7, 5))
    output(layer, inputs)
    copied, loaded = copy.deepcopy(layer).eval(), make(7).eval()
    file = io.BytesIO()
    torch.save(layer.state_dict(), file)
    file.seek(0)
    loaded.load_state_dict(torch.load(file, weights_only=True))
    expected = output(layer.eval(), inputs)
    assert torch.equal(output(copied, inputs), expected)
    assert torch.equal(output(loaded, inputs), expected)


def test_nan_is_seen_or_refused(made):
    make, shapes = made
    layer, inputs = make(7), draw(shapes(7, 5))
    inputs[0][...] = float("nan")
    try:
        assert output(layer, inputs).isnan().any()
    except DataError as error:
        assert "35 of 35 are NaN or infinite" in str(error)
    assert all(buffer.isfinite().all() for buffer in layer.buffers())


def test_a_pruned_network_still_learns_after_a_copy():
    torch.manual_seed(0)
    rnn, x = prune_rnn_(nn.GRU(3, 5), 0.5), torch.randn(4, 2, 3)
    prune_rnn_(rnn, 0.6)
    assert len(rnn._forward_hooks) == 1
    rnn(x)
    copied = copy.deepcopy(rnn)
    copied(x)[0].sum().backward()
    gradient = copied.parametrizations.weight_hh_l0.original.grad
    assert torch.equal(gradient != 0, copied.weight_hh_l0 != 0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_duty_cycles_of_single_samples_add_up_in_half_precision(dtype):
    torch.manual_seed(0)
    layer = KWinners(20, 4).to(dtype)
    for x in torch.randn(1500, 1, 20, dtype=dtype):
        layer(x)
    # 1500 updates of 20 values, each rounded to 2^-24 of at most one
    assert layer.duty_cycle.sum().item() == pytest.approx(4, abs=1500 * 20 * 2**-24)


def test_one_sample_has_a_context():
    layer = prototypes(3)
    x = torch.randn(3)
    assert torch.equal(layer(x), layer(x[None])[0])


def test_meters_of_an_empty_batch():
    model = nn.Sequential(nn.ReLU())
    with ActivationL1(model) as norm, ActivationMeter(model, ["0"]) as meter:
        model(torch.zeros(0, 4))
        assert norm.value == 0
        model(torch.ones(2, 4))
    assert norm.value == 4 and meter.density("0") == 1.0
