import warnings

import numpy as np
import pytest
import torch
from sklearn.base import clone

import neuroml
from neuroml.celltypes import MostDiscriminativeStimuli, ResponseModel
from neuroml.celltypes._fit_quality import correlation_to_mean, explained_variance
from neuroml.celltypes._response_network import Architecture, ResponseNetwork
from neuroml.data import load_dataset
from neuroml.exceptions import DataError, NotConvergedWarning
from neuroml.simulate import make_retina

FAST = {"max_epochs": 3, "patience": 3, "n_filters": 4, "n_features": 4, "random_state": 0}
unconverged = pytest.mark.filterwarnings("ignore::neuroml.exceptions.NotConvergedWarning")


def network(core="conv3d", frame=(9, 12), n_cells=5, n_lags=4, kernel_size=5, n_channels=0):
    shape = (*frame, n_channels) if n_channels else frame
    architecture = Architecture(core, n_lags, 3, 4, kernel_size, "gaussian", "softplus")
    zero, one = torch.tensor(0.3), torch.tensor(2.0)
    found = ResponseNetwork(architecture, shape, n_cells, mean=zero, sd=one)
    found.initialize(torch.zeros(n_cells), None, torch.Generator().manual_seed(0))
    found.generator = None
    return found.eval()


@pytest.fixture(scope="module")
def retina():
    return make_retina(
        ["on_transient", "off_sustained"],
        4,
        stimulus_shape=(24, 8, 9),
        n_frames=1500,
        random_state=0,
    )


class TestNetwork:
    @pytest.mark.parametrize("core", ["linear", "conv2d", "conv3d"])
    @pytest.mark.parametrize(
        ("frame", "n_channels"), [((9, 12), 0), ((9, 12), 2), ((), 0), ((), 3)]
    )
    def test_shapes_and_causality(self, core, frame, n_channels):
        module = network(core, frame, n_channels=n_channels)
        x = torch.randn(2, 11, *module.frame_shape)
        responses = module(x)
        assert responses.shape == (2, 8, 5)
        later = x.clone()
        later[:, 7:] += 1  # frame 7 is the current one of response 4
        torch.testing.assert_close(module(later)[:, :4], responses[:, :4])
        assert not torch.isclose(module(later)[:, 4], responses[:, 4]).all()

    def test_rows_of_a_batch_do_not_touch(self):
        module = network()
        x = torch.randn(3, 8, 9, 12)
        alone = torch.cat([module(row[None]) for row in x])
        torch.testing.assert_close(module(x), alone)

    @pytest.mark.parametrize(
        ("frame", "kernel_size"), [((9, 12), 5), ((20, 15), 7), ((4, 5), 9), ((3, 11), 5)]
    )
    def test_centered_is_the_same_as_placing_all_cells_in_the_middle(self, frame, kernel_size):
        """The centered network computes a part of the canvas; the other one all of it."""
        module = network(frame=frame, kernel_size=kernel_size)
        middle = torch.tensor([n // 2 for n in frame])
        half = (torch.tensor(frame) - 1) / 2
        with torch.no_grad():
            module.place.copy_((middle / half - 1).expand(5, 2))
        x = torch.randn(2, 9, *frame)
        torch.testing.assert_close(module.centered()(x), module(x), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(module.places(), module.centered().places())

    def test_moving_stimulus_and_place_together_changes_nothing(self):
        module = network(frame=(15, 15), kernel_size=3)
        x = torch.zeros(1, 8, 15, 15) + 0.3
        x[:, :, 5:10, 5:10] = torch.randn(1, 8, 5, 5)
        with torch.no_grad():
            module.place.zero_()
            first = module(x)
            module.place.copy_(torch.tensor([2 / 7, -3 / 7]).expand(5, 2))
            second = module(x.roll((2, -3), (2, 3)))
        torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-5)

    def test_gradient_equals_finite_differences(self):
        module = network(frame=(5, 6), kernel_size=3).double()
        x = torch.randn(1, 5, 5, 6, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(module, x, fast_mode=True)

    def test_places_are_interpolated_between_pixels(self):
        module = network(frame=(9, 9))
        x = torch.randn(1, 6, 9, 9)
        with torch.no_grad():
            at = []
            for row in (4.0, 5.0, 4.25):
                module.place.copy_(torch.tensor([row / 4 - 1, 0.0]).expand(5, 2))
                at.append(torch.expm1(module(x)).log())  # undo the softplus
        torch.testing.assert_close(at[2], 0.75 * at[0] + 0.25 * at[1], rtol=1e-3, atol=1e-5)


def test_linear_model_of_a_waveform_finds_the_filter():
    """A linear-Gaussian cell: the network's impulse response is least squares' solution."""
    rng = np.random.default_rng(0)
    stimulus = rng.normal(size=4000)
    kernels = rng.normal(size=(3, 6))
    clean = np.stack([np.convolve(stimulus, k)[: len(stimulus)] for k in kernels], axis=1)
    responses = clean + 0.3 * clean.std(axis=0) * rng.normal(size=clean.shape)
    model = ResponseModel(
        "linear",
        n_lags=6,
        n_filters=6,
        loss="gaussian",
        nonlinearity="identity",
        weight_decay=0.0,
        random_state=0,
    ).fit(stimulus, responses)
    impulse = np.zeros(11)
    impulse[5] = 1.0
    found = (model.predict(impulse) - model.predict(np.zeros(11)))[5:].T
    lagged = np.stack([np.roll(stimulus, lag) for lag in range(6)], axis=1)[5:]
    design = np.column_stack([lagged, np.ones(len(lagged))])
    expected = np.linalg.lstsq(design, responses[5:], rcond=None)[0][:6].T
    np.testing.assert_allclose(found, expected, atol=0.1)
    assert np.isnan(model.predict(stimulus)[:5]).all()
    assert model.score(stimulus, clean) > 0.99


@unconverged
def test_movie_explains_most_of_what_can_be(retina):
    model = ResponseModel("conv2d", kernel_size=5, max_epochs=15, random_state=0)
    model.fit(retina.stimuli, retina.responses)
    feve = model.feve(retina.test_stimuli, retina.test_responses)
    assert np.median(feve) > 0.7
    assert model.score(retina.test_stimuli, retina.test_responses) > 0.7
    errors = np.linalg.norm(model.rf_centers_ - retina.centers, axis=1)
    assert np.median(errors) < 0.5


@unconverged
def test_images():
    rng = np.random.default_rng(0)
    images = rng.normal(size=(1200, 6, 8)).astype(np.float32)
    spots = images[:, 2:4, 3:5].mean(axis=(1, 2))
    responses = np.stack([spots, -spots, 2 * spots], axis=1) + 0.1 * rng.normal(size=(1200, 3))
    model = ResponseModel(
        "conv2d",
        n_lags=1,
        kernel_size=3,
        loss="gaussian",
        nonlinearity="identity",
        random_state=0,
        max_epochs=30,
    ).fit(images, responses)
    assert model.predict(images).shape == (1200, 3)
    assert model.score(images, responses) > 0.9
    mds = MostDiscriminativeStimuli(2, random_state=0).fit(model.centered())
    assert mds.stimuli_.shape == (2, 6, 8)
    assert mds.labels_[0] == mds.labels_[2] != mds.labels_[1]


@unconverged
def test_twin_and_discriminative_stimuli_end_to_end(retina):
    model = ResponseModel("conv2d", kernel_size=5, max_epochs=10, random_state=0)
    model.fit(retina.stimuli, retina.responses)
    centered = model.centered()
    assert centered.rf_distance_ == 0 and model.rf_distance_ > 0
    mds = MostDiscriminativeStimuli(2, stimulus_shape=(24, 8, 9), random_state=0).fit(centered)
    assert (mds.labels_ == retina.types).all() or (mds.labels_ == 1 - retina.types).all()


@unconverged
class TestFitting:
    def test_validation_blocks_are_contiguous_and_a_share(self, retina):
        model = ResponseModel("linear", validation_fraction=0.3, **FAST)
        model.fit(retina.stimuli, retina.responses)
        sizes = np.diff(model.validation_blocks_, axis=1)
        assert len(sizes) == 3 and 400 < sizes.sum() < 480

    def test_frames_held_out_do_not_change_the_weights(self, retina):
        """Responses of validation blocks choose the epoch, nothing else."""
        options = {**FAST, "max_epochs": 1, "readout": "point"}
        first = ResponseModel("linear", **options).fit(retina.stimuli, retina.responses)
        changed = retina.responses.copy()
        for start, stop in first.validation_blocks_:
            changed[start:stop] += 1
        second = ResponseModel("linear", **options).fit(retina.stimuli, changed)
        for name, value in first.module_.state_dict().items():
            torch.testing.assert_close(value, second.module_.state_dict()[name])

    def test_sessions_are_not_crossed(self, retina):
        sessions = np.repeat([0, 1], 750)
        model = ResponseModel("linear", **FAST)
        model.fit(retina.stimuli, retina.responses, sessions=sessions)
        joined = model.predict(retina.stimuli, sessions=sessions)
        assert np.isnan(joined[:9]).all() and np.isnan(joined[750:759]).all()
        apart = np.concatenate([model.predict(part) for part in np.split(retina.stimuli, 2)])
        np.testing.assert_allclose(joined, apart, rtol=1e-5)

    def test_penalties_make_filters_smooth_and_weights_small(self, retina):
        rough = ResponseModel("linear", **FAST).fit(retina.stimuli, retina.responses)
        smooth = ResponseModel("linear", smooth_space=10.0, smooth_time=10.0, **FAST)
        smooth.fit(retina.stimuli, retina.responses)
        sparse = ResponseModel("linear", sparsity=10.0, **FAST)
        sparse.fit(retina.stimuli, retina.responses)

        def roughness(model):
            kernel = model.module_.core[0].weight.detach()
            return float(sum(kernel.diff(dim=axis).square().sum() for axis in (2, 3, 4)))

        assert roughness(smooth) < roughness(rough) / 2
        assert abs(sparse.readout_weights_).mean() < abs(rough.readout_weights_).mean() / 2

    def test_no_global_random_state_is_used_or_moved(self, retina):
        torch.manual_seed(0)
        before = torch.random.get_rng_state()
        first = ResponseModel("linear", **FAST).fit(retina.stimuli, retina.responses)
        assert torch.equal(before, torch.random.get_rng_state())
        torch.manual_seed(5)
        second = ResponseModel("linear", **FAST).fit(retina.stimuli, retina.responses)
        np.testing.assert_array_equal(
            first.predict(retina.test_stimuli), second.predict(retina.test_stimuli)
        )

    @pytest.mark.parametrize("core", ["linear", "conv2d", "conv3d"])
    def test_what_is_predicted_beside_an_image_or_in_another_order_changes_rounding_only(
        self, core
    ):
        rng = np.random.default_rng(0)
        X = rng.standard_normal((300, 6, 7)).astype(np.float32)
        Y = rng.poisson(2.0, (300, 3))
        model = ResponseModel(core, n_lags=1, kernel_size=3, max_epochs=3, random_state=0)
        with warnings.catch_warnings(action="ignore"):
            whole = model.fit(X, Y).predict(X)
        order = rng.permutation(300)
        single = {"rtol": 1e-4, "atol": 1e-5 * np.abs(whole).max()}  # ~100 roundings of 6e-8
        np.testing.assert_allclose(model.predict(X[order]), whole[order], **single)
        for size in (1, 7, 299):
            np.testing.assert_allclose(model.predict(X[:size]), whole[:size], **single)

    def test_save_and_load_centered_or_not(self, retina, tmp_path):
        model = ResponseModel("conv3d", **FAST).fit(retina.stimuli, retina.responses)
        for one in (model, model.centered()):
            loaded = neuroml.load(neuroml.save(one, tmp_path / "model.safetensors"))
            np.testing.assert_array_equal(
                loaded.predict(retina.test_stimuli), one.predict(retina.test_stimuli)
            )

    def test_a_single_cell_without_an_axis(self, retina):
        model = ResponseModel("linear", **FAST).fit(retina.stimuli, retina.responses[:, 0])
        assert model.predict(retina.test_stimuli).shape == (150,)
        assert model.score(retina.test_stimuli, retina.test_responses[:, :, :1]) <= 1

    def test_dead_cells_are_counted(self, retina):
        responses = retina.responses.copy()
        responses[:, 2] = 0
        with pytest.warns(UserWarning, match="1 of 8 cells never change"):
            model = ResponseModel("linear", **FAST).fit(retina.stimuli, responses)
        predicted = model.predict(retina.test_stimuli)[9:]
        assert np.isfinite(predicted).all()
        assert (np.ptp(predicted, axis=0) == 0).nonzero()[0].tolist() == [2]
        mds = MostDiscriminativeStimuli(2, n_steps=3, max_iter=1, random_state=0)
        with pytest.warns(UserWarning, match="1 of 8 cells give the same response"):
            assert mds.fit(model.centered()).n_dropped_ == 1
        with pytest.raises(DataError, match="no cell ever changes"):
            model.score(retina.stimuli, np.zeros_like(responses))


@unconverged
def test_places_are_there_only_where_cells_have_them():
    """After a fit to images, one to full fields or with a module of the user's own tells none."""
    rng = np.random.default_rng(0)
    images, responses = rng.normal(size=(120, 6, 7)), rng.poisson(2.0, (120, 3))
    options = {"n_lags": 1, "kernel_size": 3, "random_state": 0, "max_epochs": 2}
    places, weights = {"rf_centers_", "rf_distance_"}, {"readout_weights_"}

    def told(model):
        return {name for name in places | weights if hasattr(model, name)}

    model = ResponseModel("linear", **options).fit(images, responses)
    assert told(model) == places | weights
    assert told(model.fit(images[:, 0, :2], responses)) == weights
    assert told(model.fit(images, responses)) == places | weights
    own = torch.nn.Sequential(torch.nn.Flatten(1), torch.nn.Linear(42, 3), torch.nn.Softplus())
    assert told(model.set_params(core=own).fit(images, responses)) == set()


class Own(torch.nn.Module):
    """A module of the user's: weighted sum over the last three frames and all pixels."""

    def __init__(self, n_cells=8, n_lags=3):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weight = torch.nn.Parameter(0.01 * torch.randn(n_cells, 216, generator=generator))
        self.bias = torch.nn.Parameter(torch.zeros(n_cells))
        self.n_lags = n_lags

    def forward(self, x):
        frames = x.flatten(2).unfold(1, self.n_lags, 1).flatten(2)
        return torch.nn.functional.softplus(frames @ self.weight.T + self.bias)


@unconverged
def test_module_of_the_users_own(retina, tmp_path):
    own = Own()
    before = own.weight.detach().clone()
    model = ResponseModel(own, n_lags=3, max_epochs=5, random_state=0)
    model.fit(retina.stimuli, retina.responses)
    assert torch.equal(own.weight, before)
    assert model.history_[-1]["validation"] < model.history_[0]["validation"] < 1.5
    loaded = neuroml.load(neuroml.save(model, tmp_path / "own.safetensors"), module=Own())
    np.testing.assert_array_equal(
        loaded.predict(retina.test_stimuli), model.predict(retina.test_stimuli)
    )
    with pytest.raises(DataError, match="cannot be centered"):
        model.centered()
    with pytest.raises(DataError, match="output has the wrong shape"):
        clone(model).set_params(core=Own(n_cells=7)).fit(retina.stimuli, retina.responses)


def test_quality_measures():
    rng = np.random.default_rng(0)
    signal = rng.normal(size=(4000, 3))
    repeats = signal + rng.normal(size=(8, 4000, 3)) * [0.5, 1.0, 9.0]
    np.testing.assert_allclose(explained_variance(signal, repeats, 0.15), [1, 1, np.nan], atol=0.03)
    np.testing.assert_allclose(explained_variance(0 * signal, repeats, 0.15)[:2], 0, atol=0.03)
    assert (explained_variance(-signal, repeats, 0.0)[:2] < -2).all()
    found = correlation_to_mean(signal, repeats)
    expected = [np.corrcoef(signal[:, i], repeats.mean(axis=0)[:, i])[0, 1] for i in range(3)]
    np.testing.assert_allclose(found, expected)
    flat = np.zeros_like(repeats)
    assert np.isnan(correlation_to_mean(signal, flat)).all()
    assert (correlation_to_mean(np.ones_like(signal), repeats) == 0).all()


@pytest.mark.parametrize(
    ("stimuli", "responses", "options", "words"),
    [
        (np.ones((50, 4, 4)), np.ones((49, 2)), {}, "one row per frame"),
        (np.ones((50, 4, 4)), np.full((50, 2), np.nan), {}, "100 of 100 values"),
        (np.ones((50, 4, 4)), -np.ones((50, 2)), {}, "responses are negative"),
        (np.ones((5, 4, 4)), np.ones((5, 2)), {}, "shorter than the lag"),
        (np.full((50, 4, 4), np.nan), np.ones((50, 2)), {}, "NaN"),
        (np.ones((50, 4, 4, 2, 2)), np.ones((50, 2)), {}, "these are not stimuli"),
        (np.ones(50), np.ones((50, 2)), {"n_lags": 1}, "Reshape your data"),
    ],
)
def test_bad_input(stimuli, responses, options, words):
    with pytest.raises(ValueError, match=words):
        ResponseModel("linear", **options).fit(stimuli, responses)


def test_bad_input_after_fit_and_an_early_end(retina):
    with pytest.warns(NotConvergedWarning):
        model = ResponseModel("linear", **FAST).fit(retina.stimuli, retina.responses)
    with pytest.raises(DataError, match="another shape than those of fit"):
        model.predict(np.ones((50, 8, 10)))
    with pytest.raises(DataError, match="single repeat"):
        model.feve(retina.test_stimuli, retina.test_responses[:1])
    with pytest.raises(DataError, match="do not fit the stimuli"):
        model.score(retina.test_stimuli, retina.test_responses[:, :-1])


@unconverged
def test_waveforms_of_several_channels_go_on_to_discriminative_stimuli():
    rng = np.random.default_rng(0)
    light = rng.normal(size=(1500, 2))
    rates = np.repeat(light, 3, axis=1) + 0.1 * rng.normal(size=(1500, 6))
    model = ResponseModel(
        "linear",
        n_lags=2,
        n_filters=4,
        loss="gaussian",
        nonlinearity="identity",
        max_epochs=10,
        random_state=0,
    ).fit(light, rates)
    mds = MostDiscriminativeStimuli(2, stimulus_shape=(8, 2), random_state=0).fit(model)
    assert mds.stimulus_axes_ == "TC"
    assert mds.labels_.tolist() in ([0, 0, 0, 1, 1, 1], [1, 1, 1, 0, 0, 0])


@unconverged
def test_stimuli_for_the_polarity_of_real_bipolar_cells_hold_for_cells_left_out(shared_data):
    data = load_dataset("retina_bc_ac_chirp", data_dir=shared_data)
    local = next(r for r in data.recordings if r.attrs["run"] == "local")
    bipolar = (local.cell_class == "BC").values
    light, responses = local.stimulus.values[::4], local.signal.values[::4, bipolar]
    polarity = (local.green_center.values[bipolar] > 0).astype(int)
    model = ResponseModel(
        "linear",
        n_lags=12,
        loss="gaussian",
        nonlinearity="identity",
        clip_length=20,
        max_epochs=30,
        random_state=0,
    ).fit(light, responses)
    mds = MostDiscriminativeStimuli(
        2, stimulus_shape=(32,), init=polarity, holdout=0.3, random_state=0
    ).fit(model)
    assert 3 <= (~mds.train_mask_).sum() <= 12
    np.testing.assert_array_equal(mds.labels_, polarity)


def test_even_filters_are_refused():
    model = ResponseModel("linear", n_lags=2, kernel_size=4)
    with pytest.raises(DataError, match="field kernel_size: .*odd number.*found 4. Use 5."):
        model.fit(np.zeros((20, 8, 8)), np.zeros((20, 2)))
