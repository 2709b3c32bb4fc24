"""What the user has set in torch and NumPy changes no result, and no model changes it."""

import contextlib

import numpy as np
import pytest
import torch
from test_estimators import compare

import neuroml
from neuroml._core.torch_state import as_tensor
from neuroml.celltypes import FacetedStimuli, MostDiscriminativeStimuli, ResponseModel
from neuroml.connectome import NonnegativeCP
from neuroml.decoding import MindBridgeDecoder
from neuroml.dendrites import layers
from neuroml.simulate import make_cohort, make_retina
from neuroml.switching import SwitchingPopulationGLM
from neuroml.switching.inference import forward_backward

RETINA = make_retina(["on_transient", "off_sustained"], n_cells=3, n_frames=150, random_state=0)
COHORT = make_cohort(3, n_stimuli=30, n_test=10, n_voxels=(12, 15), random_state=0)


class Own(torch.nn.Module):
    """A module of a user's, which draws from torch's own stream in training."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(100, 6, dtype=torch.float32)
        torch.nn.init.constant_(self.layer.weight, 0.01)
        torch.nn.init.zeros_(self.layer.bias)
        self.drop = torch.nn.Dropout(0.3)

    def forward(self, x):
        return torch.nn.functional.softplus(self.layer(self.drop(x[:, 9:].flatten(2))))


OWN = Own()


def response_model(core, **parameters):
    def run(data=None):
        model = ResponseModel(
            core, n_lags=10, n_filters=2, n_features=3, kernel_size=3, max_epochs=2, patience=2,
            random_state=0, device="cpu", **parameters,
        )  # fmt: skip
        stimuli, responses = data or (RETINA.stimuli, RETINA.responses)
        model.fit(stimuli, responses)
        found = [model.predict(stimuli)]
        if isinstance(core, str):
            found.append(model.centered().predict(stimuli))
        return found

    return run


def network(data=None):
    X, y = data or (COHORT.X, COHORT.y)
    known = ["s1", "s2"]
    model = MindBridgeDecoder(
        hidden=8, n_blocks=1, max_steps=6, adapt_steps=4, batch_size=8, alpha_rec=1.0,
        adapter_rank=2, random_state=0, device="cpu",
    ).fit({s: X[s] for s in known}, {s: y[s] for s in known})  # fmt: skip
    found = [model.predict(X["s1"], subject="s1"), model.transform(X["s2"], subject="s2")]
    found.append(model.synthesize(X["s1"], source="s1", target="s2"))
    for strategy in ("ridge", "reset", "full"):
        more = model.adapt(X["s3"], y["s3"], subject="s3", strategy=strategy)
        found.append(more.predict(X["s3"], subject="s3"))
    return found


def clusters(data=None):
    model = MostDiscriminativeStimuli(2, n_steps=2, n_init=1, n_reference=20, random_state=0)
    fitted = model.fit(RETINA.module)
    return [fitted.labels_, fitted.stimuli_]


def facets(data=None):
    model = FacetedStimuli(n_reference=60, n_seeds=20, n_steps=3, random_state=0)
    return [model.fit(RETINA.module).labels_]


def simulated(data=None):
    retina = make_retina(["on_transient"], n_cells=2, n_frames=60, random_state=0)
    return [retina.stimuli, retina.responses]


def scan(data=None):
    emissions, transition, initial = data or (
        np.log(np.random.default_rng(0).dirichlet([1, 1], size=20)),
        np.array([[0.9, 0.1], [0.2, 0.8]]),
        np.array([0.5, 0.5]),
    )
    return list(forward_backward(emissions, transition, initial, device="cpu:0"))


def relaxed(data=None):
    spikes = np.random.default_rng(0).poisson(1.0, (60, 3)).astype(float)
    model = SwitchingPopulationGLM.published(n_states=2, n_lags=2, max_iter=2, random_state=0)
    return [model.fit(spikes).predict_proba(spikes)]


MODELS = {
    "response model, linear": response_model("linear"),
    "response model, 2-D": response_model("conv2d", smooth_space=0.1, sparsity=0.1),
    "response model, 3-D": response_model("conv3d"),
    "response model, a user's module": response_model(OWN),
    "network decoder": network,
    "discriminative stimuli": clusters,
    "faceted stimuli": facets,
    "simulated retina": simulated,
    "associative scan": scan,
    "relaxed signs": relaxed,
}


@contextlib.contextmanager
def default_dtype():
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


STATES = {
    "float64 by default": default_dtype,
    "no gradients": torch.no_grad,
    "inference mode": torch.inference_mode,
    "another default device": lambda: torch.device("meta"),
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
}


def observed():
    """What of torch's and NumPy's state a user can see."""
    return (
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.is_autocast_enabled("cpu"),
        torch.default_generator.get_state().tolist(),
        [np.asarray(part).tolist() for part in np.random.get_state()],  # noqa: NPY002
    )


@pytest.fixture(scope="module")
def expected():
    """Results with nothing set."""
    found = {}

    def of(name):
        if name not in found:
            found[name] = MODELS[name]()
        return found[name]

    return of


pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("name", MODELS)
def test_results_do_not_depend_on_what_is_set_in_torch(name, state, expected):
    wanted = expected(name)
    with STATES[state]():
        before = observed()
        found = MODELS[name]()
        after = observed()
    assert after == before
    compare(wanted, found)


@pytest.mark.parametrize("name", MODELS)
def test_seeds_of_torch_and_numpy_are_neither_used_nor_moved(name, expected):
    wanted = expected(name)
    torch.manual_seed(7)
    np.random.seed(7)  # noqa: NPY002 - the stream that must not be touched
    before = observed()
    compare(wanted, MODELS[name]())
    assert observed() == before


def read_only(array, folder):
    """A memory-mapped array that cannot be written to."""
    path = folder / f"{abs(hash(array.tobytes()))}.npy"
    np.save(path, array)
    return np.load(path, mmap_mode="r")


READ = {
    "response model, linear": (RETINA.stimuli, RETINA.responses),
    "network decoder": (COHORT.X, COHORT.y),
    "associative scan": (
        np.log(np.random.default_rng(0).dirichlet([1, 1], size=20)),
        np.array([[0.9, 0.1], [0.2, 0.8]]),
        np.array([0.5, 0.5]),
    ),
}


@pytest.mark.parametrize("name", READ)
def test_read_only_arrays_are_taken_without_a_warning(name, tmp_path, expected):
    def mapped(part):
        if isinstance(part, dict):
            return {key: read_only(value, tmp_path) for key, value in part.items()}
        return read_only(part, tmp_path)

    compare(expected(name), MODELS[name](tuple(mapped(part) for part in READ[name])))


@pytest.mark.parametrize("state", STATES)
def test_saved_networks_are_loaded_whatever_is_set(state, tmp_path):
    model = ResponseModel(
        "linear", n_lags=10, n_filters=2, kernel_size=3, max_epochs=1, validation_fraction=0,
        random_state=0, device="cpu",
    ).fit(RETINA.stimuli, RETINA.responses)  # fmt: skip
    path = neuroml.save(model, tmp_path / "m.safetensors")
    with STATES[state]():
        loaded = neuroml.load(path)
    compare(model.predict(RETINA.stimuli), loaded.predict(RETINA.stimuli))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_layers_compute_in_the_default_dtype(dtype):
    torch.set_default_dtype(dtype)
    try:
        x = torch.randn(3, 8)
        hidden = layers.KWinners(5, 2, boost=1.0)(layers.SparseLinear(8, 5)(x))
        out = layers.ActiveDendriteLinear(5, 4, n_segments=2, dim_context=3)(
            hidden, torch.randn(3, 3)
        )
        out = layers.DeltaActivation((4,))(
            layers.QuadraticLinear(4, 4)(out)[:, None].repeat(1, 2, 1)
        )
        out.sum().backward()
        assert hidden.dtype == out.dtype == dtype
    finally:
        torch.set_default_dtype(torch.float32)


def test_tensors_share_memory_only_with_what_may_be_written():
    array = np.arange(6.0).reshape(2, 3)
    assert as_tensor(array).data_ptr() == array.ctypes.data
    array.setflags(write=False)
    for given in (array, array[::-1], array.T, array[0, 0], np.broadcast_to(array[0], (4, 3))):
        tensor = as_tensor(given)
        np.testing.assert_array_equal(tensor.numpy(), given)
        assert not np.shares_memory(tensor.numpy(), array)


def test_a_start_given_by_the_user_is_not_written_to():
    rng = np.random.default_rng(0)
    tensor = rng.uniform(size=(4, 3, 5))
    fitted = NonnegativeCP(2, n_init=1, max_iter=500, random_state=0).fit(tensor)
    kept = [factor.copy() for factor in fitted.cp_.factors]
    NonnegativeCP(2, init=fitted.cp_, n_init=1, max_iter=500).fit(tensor * rng.uniform(1, 2))
    compare(kept, fitted.cp_.factors)
