"""Readouts with masks, covariates, transfer of a core, and training that goes on."""

import numpy as np
import pandas as pd
import pytest
import torch

import neuroml
from neuroml.celltypes import MostDiscriminativeStimuli, ResponseModel
from neuroml.celltypes._response_network import Architecture, ResponseNetwork
from neuroml.celltypes._response_training import TrainingSettings, _penalty
from neuroml.exceptions import DataError
from neuroml.simulate import make_retina

pytestmark = pytest.mark.filterwarnings("ignore::neuroml.exceptions.NotConvergedWarning")
FAST = {"max_epochs": 3, "patience": 3, "n_filters": 4, "n_features": 4, "random_state": 0}


def masked(n_cells=3, canvas=(7, 9), seed=0):
    architecture = Architecture("conv2d", 3, 2, 4, 3, "factorized", "identity")
    found = ResponseNetwork(
        architecture, canvas, n_cells, mean=torch.tensor(0.0), sd=torch.tensor(1.0)
    )
    generator = torch.Generator().manual_seed(seed)
    found.initialize(torch.zeros(n_cells), None, generator)
    return found.eval()


@pytest.fixture(scope="module")
def retina():
    return make_retina(
        ["on_transient", "off_sustained"],
        4,
        stimulus_shape=(24, 8, 9),
        n_frames=700,
        random_state=0,
    )


class TestFactorized:
    def test_response_is_the_sum_over_space_and_features_written_out(self):
        module = masked()
        with torch.no_grad():
            module.mask.copy_(torch.randn_like(module.mask))
            x = torch.randn(2, 5, 7, 9)
            features = module.core(torch.nn.functional.pad(x[:, None], (1, 1, 1, 1)))
            expected = torch.einsum("bfthw,nhw,nf->btn", features, module.masks(), module.weights)
            torch.testing.assert_close(module(x), expected, rtol=1e-4, atol=1e-6)

    def test_a_mask_of_one_pixel_is_a_point_readout(self):
        module = masked(n_cells=1)
        point = ResponseNetwork(
            Architecture("conv2d", 3, 2, 4, 3, "point", "identity"),
            (7, 9),
            1,
            mean=torch.tensor(0.0),
            sd=torch.tensor(1.0),
        ).eval()
        point.load_state_dict({k: v for k, v in module.state_dict().items() if k != "mask"})
        with torch.no_grad():
            module.mask.zero_()
            module.mask[0, 2 * 9 + 4] = 1 / module._mask_unit
            point.place.copy_(torch.tensor([[2 / 3 - 1, 0.0]]))
            x = torch.randn(1, 4, 7, 9)
            torch.testing.assert_close(module(x), point(x), rtol=1e-4, atol=1e-6)
            torch.testing.assert_close(module.places(), point.places())
            torch.testing.assert_close(
                module.centered()(x), point.centered()(x), rtol=1e-4, atol=1e-6
            )

    def test_mask_starts_with_about_the_sum_of_a_point(self):
        # a Gaussian's sum over pixels is its integral as long as it is wider than half a pixel
        torch.testing.assert_close(
            masked(canvas=(31, 41)).masks().sum(dim=(1, 2)), torch.ones(3), rtol=0.01, atol=0
        )

    def test_penalties_written_out(self):
        module = masked()
        with torch.no_grad():
            module.mask.copy_(torch.randn_like(module.mask))
        w, m = module.weights.detach().numpy(), module.masks().detach().numpy()
        size = np.mean([[abs(w[i, k]) * abs(m[i]).sum() for k in range(4)] for i in range(3)])
        rough = np.mean(
            [
                ((np.diff(one, axis=0) ** 2).sum() + (np.diff(one, axis=1) ** 2).sum())
                / (one**2).sum()
                for one in m
            ]
        )
        names = dict.fromkeys(TrainingSettings.__dataclass_fields__, 1)
        off = {"smooth_space": 0.0, "smooth_time": 0.0, "sparsity": 0.0}
        sparse = TrainingSettings(**{**names, **off, "sparsity": 3.0})
        assert _penalty(sparse, module).item() == pytest.approx(3 * size, rel=1e-5)
        filters = module.core[0].weight.detach().numpy()
        first = sum((np.diff(filters, axis=a) ** 2).sum() for a in (3, 4)) / len(filters)
        smooth = TrainingSettings(**{**names, **off, "smooth_space": 3.0})
        assert _penalty(smooth, module).item() == pytest.approx(3 * (first + rough), rel=1e-5)

    def test_the_end_of_training_fixes_the_factor_and_changes_no_response(self):
        module = masked()
        x = torch.randn(2, 5, 7, 9)
        with torch.no_grad():
            module.mask.copy_(torch.randn_like(module.mask) - 0.3)
            before = module(x)
            module.finish(torch.zeros(3, dtype=bool))
            torch.testing.assert_close(module(x), before, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(module.masks().abs().sum(dim=(1, 2)), torch.ones(3))
        assert (module.masks().sum(dim=(1, 2)) > 0).all()

    def test_recording_is_explained_as_with_places_and_goes_on_to_stimuli(self, retina, tmp_path):
        options = {"kernel_size": 5, "max_epochs": 15, "random_state": 0}
        model = ResponseModel("conv2d", readout="factorized", **options)
        model.fit(retina.stimuli, retina.responses)
        assert np.median(model.feve(retina.test_stimuli, retina.test_responses)) > 0.7
        assert np.median(np.linalg.norm(model.rf_centers_ - retina.centers, axis=1)) < 0.5
        assert model.readout_masks_.shape == (8, 8, 9)
        np.testing.assert_allclose(abs(model.readout_masks_).sum(axis=(1, 2)), 1, rtol=1e-5)
        centered = model.centered()
        assert centered.rf_distance_ == 0
        mds = MostDiscriminativeStimuli(2, stimulus_shape=(24, 8, 9), random_state=0).fit(centered)
        assert (mds.labels_ == retina.types).all() or (mds.labels_ == 1 - retina.types).all()
        for one in (model, centered):
            loaded = neuroml.load(neuroml.save(one, tmp_path / "model.safetensors"))
            np.testing.assert_array_equal(
                loaded.predict(retina.test_stimuli), one.predict(retina.test_stimuli)
            )

    def test_full_fields_have_no_masks(self):
        rng = np.random.default_rng(0)
        model = ResponseModel("linear", n_lags=3, readout="factorized", **FAST)
        model.fit(rng.normal(size=300), rng.poisson(2.0, (300, 2)))
        assert not hasattr(model, "readout_masks_") and not hasattr(model, "rf_centers_")


@pytest.fixture(scope="module")
def running():
    """Images, and cells whose drive is a spot's light plus known shares of running and pupil."""
    rng = np.random.default_rng(0)
    images = rng.normal(size=(1500, 5, 6)).astype(np.float32)
    behavior = rng.normal(size=(1500, 2)) * [3.0, 0.5] + [10.0, 2.0]
    weights = np.array([[0.5, 0.0], [0.0, -0.4], [0.3, 0.3]])
    scores = (behavior - behavior.mean(axis=0)) / behavior.std(axis=0)
    drive = 0.3 * images[:, 2, 3, None] * [1, -1, 1] + scores @ weights.T
    return images, behavior, weights, rng.poisson(np.exp(0.5 + drive))


SETTINGS = {
    "core": "linear",
    "n_lags": 1,
    "kernel_size": 3,
    "nonlinearity": "exp",
    "n_filters": 4,
    "random_state": 0,
}


class TestCovariates:
    def test_weights_are_recovered_and_needed(self, running):
        images, behavior, weights, responses = running
        model = ResponseModel(**SETTINGS, max_epochs=30).fit(images, responses, covariates=behavior)
        # the standard error of a Poisson regression's weight is 1 / sqrt(n mean rate) = 0.02
        np.testing.assert_allclose(model.covariate_weights_, weights, atol=0.1)
        without = ResponseModel(**SETTINGS, max_epochs=30).fit(images, responses)
        assert (
            model.score(images, responses, covariates=behavior)
            > without.score(images, responses) + 0.1
        )
        np.testing.assert_allclose(
            model.as_module()(torch.from_numpy(images)).detach().numpy(),
            model.predict(images, covariates=np.tile(model.covariate_mean_, (1500, 1))),
            rtol=1e-4,
        )

    def test_tables_are_put_into_the_order_of_fit_and_units_do_not_matter(self, running):
        images, behavior, _, responses = running
        table = pd.DataFrame(behavior, columns=["running", "pupil"])
        model = ResponseModel(**SETTINGS, max_epochs=2).fit(images, responses, covariates=table)
        expected = model.predict(images, covariates=table)
        np.testing.assert_array_equal(
            model.predict(images, covariates=table[["pupil", "running"]]), expected
        )
        with pytest.raises(DataError, match="some columns have names"):
            model.predict(images, covariates=behavior)
        other = ResponseModel(**SETTINGS, max_epochs=2)
        other.fit(images, responses, covariates=100 * behavior + 5)
        np.testing.assert_allclose(
            other.predict(images, covariates=100 * behavior + 5), expected, rtol=1e-3
        )

    def test_movies_save_and_repeats(self, retina, tmp_path):
        rng = np.random.default_rng(0)
        model = ResponseModel("linear", **FAST)
        model.fit(retina.stimuli, retina.responses, covariates=rng.normal(size=700))
        n_repeats, n_frames = retina.test_responses.shape[:2]
        behavior = rng.normal(size=(n_repeats, n_frames, 1))
        each = [model.predict(retina.test_stimuli, covariates=z) for z in behavior]
        assert np.isnan(each[0][:9]).all() and np.isfinite(each[0][9:]).all()
        mean = np.mean(each, axis=0)[9:]
        observed = retina.test_responses[:, 9:].mean(axis=0)
        expected = np.mean([np.corrcoef(mean[:, i], observed[:, i])[0, 1] for i in range(8)])
        found = model.score(retina.test_stimuli, retina.test_responses, covariates=behavior)
        assert found == pytest.approx(expected)
        with pytest.raises(DataError, match="do not fit the stimuli"):
            model.feve(retina.test_stimuli, retina.test_responses, covariates=behavior[:2])
        loaded = neuroml.load(neuroml.save(model, tmp_path / "model.safetensors"))
        np.testing.assert_array_equal(
            loaded.predict(retina.test_stimuli, covariates=behavior[0]), each[0]
        )
        model.fit(retina.stimuli, retina.responses)
        assert not hasattr(model, "covariate_mean_") and not hasattr(model, "covariate_weights_")

    def test_a_module_of_the_users_own_takes_them_second(self, running):
        images, behavior, _, responses = running

        class Own(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.light, self.behavior = torch.nn.Linear(30, 3), torch.nn.Linear(2, 3)

            def forward(self, x, z):
                return torch.exp(self.light(x.flatten(1)) * 0.01 + self.behavior(z) * 0.01)

        model = ResponseModel(Own(), n_lags=1, max_epochs=2, random_state=0)
        model.fit(images, responses, covariates=behavior)
        assert model.predict(images, covariates=behavior).shape == (1500, 3)

    @pytest.mark.parametrize(
        ("given", "words"),
        [
            (np.zeros((1499, 2)), r"one row per sample.*\(1499, 2\)"),
            (np.full((1500, 2), np.nan), "Interpolate them"),
            (np.array([["fast", "slow"]] * 1500), "not an array of numbers"),
        ],
    )
    def test_bad_input_of_fit(self, running, given, words):
        images, _, _, responses = running
        with pytest.raises(DataError, match=words):
            ResponseModel(**SETTINGS).fit(images, responses, covariates=given)

    def test_bad_input_of_predict(self, running):
        images, behavior, _, responses = running
        model = ResponseModel(**SETTINGS, max_epochs=1)
        model.fit(images, responses, covariates=behavior)
        with pytest.raises(DataError, match="fitted with covariates, and there are none"):
            model.predict(images)
        with pytest.raises(DataError, match=r"as in fit.*\(1500, 1\)"):
            model.predict(images, covariates=behavior[:, :1])
        model.fit(images, responses)
        with pytest.raises(DataError, match="the model was fitted without"):
            model.predict(images, covariates=behavior)


class TestTransfer:
    def test_core_stays_and_few_frames_suffice(self):
        """On three simulated retinas and three lengths, a core of others' was better each time."""
        retina = make_retina(
            ["on_transient", "off_sustained", "ds_right"],
            8,
            stimulus_shape=(24, 8, 9),
            n_frames=1500,
            random_state=0,
        )
        new = np.arange(24) % 8 >= 6
        options = {"kernel_size": 5, "n_filters": 8, "max_epochs": 12, "random_state": 0}
        donor = ResponseModel("conv2d", **options).fit(retina.stimuli, retina.responses[:, ~new])
        before = {k: v.clone() for k, v in donor.module_.state_dict().items()}
        scores = []
        for n_frames in (200, 400):
            short = retina.stimuli[:n_frames], retina.responses[:n_frames, new]
            taken = donor.transfer(*short)
            for name, value in before.items():
                assert torch.equal(donor.module_.state_dict()[name], value)
                if name.startswith("core") or name in ("mean", "sd"):
                    assert torch.equal(taken.module_.state_dict()[name], value)
            alone = ResponseModel("conv2d", **options).fit(*short)
            test = retina.test_stimuli, retina.test_responses[:, :, new]
            scores.append((taken.score(*test), alone.score(*test)))
        taken_score, alone_score = np.mean(scores, axis=0)
        assert taken_score > alone_score
        assert taken.n_cells_ == 6 and taken.get_params() == donor.get_params()

    def test_what_does_not_fit_is_refused(self, retina):
        donor = ResponseModel("linear", **FAST).fit(retina.stimuli, retina.responses)
        with pytest.raises(DataError, match="another shape than those of fit"):
            donor.transfer(retina.stimuli[..., :-1], retina.responses)
        own = torch.nn.Sequential(torch.nn.Flatten(1), torch.nn.Linear(72, 8), torch.nn.Softplus())
        model = ResponseModel(own, n_lags=1, max_epochs=1, random_state=0)
        model.fit(retina.stimuli, retina.responses)
        with pytest.raises(DataError, match="requires_grad_"):
            model.transfer(retina.stimuli, retina.responses)


class Dropped(torch.nn.Module):
    """A module of the user's that draws from torch's own stream."""

    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Flatten(1), torch.nn.Dropout(0.3), torch.nn.Linear(30, 3), torch.nn.Softplus()
        )
        for parameter in self.parameters():
            torch.nn.init.constant_(parameter, 0.01)

    def forward(self, x):
        return self.layers(x)


class TestCheckpoint:
    @pytest.mark.parametrize("readout", ["gaussian", "factorized", "own"])
    def test_training_in_two_parts_gives_the_numbers_of_one(self, running, tmp_path, readout):
        images, behavior, _, responses = running
        options = {**SETTINGS, "readout": readout}
        given = {"covariates": behavior}
        if readout == "own":
            options, given = {"core": Dropped(), "n_lags": 1, "random_state": 0}, {}
        whole = ResponseModel(**options, max_epochs=5).fit(images, responses, **given)
        path = tmp_path / "training.safetensors"
        for n_epochs in (2, 5):
            parts = ResponseModel(**options, max_epochs=n_epochs)
            parts.fit(images, responses, checkpoint=path, **given)
        assert parts.history_ == whole.history_ and len(whole.history_) == 5
        for name, value in whole.module_.state_dict().items():
            assert torch.equal(parts.module_.state_dict()[name], value), name

    def test_an_interruption_within_an_epoch_goes_back_to_its_start(
        self, running, tmp_path, monkeypatch
    ):
        images, _, _, responses = running
        path = tmp_path / "training.safetensors"
        whole = ResponseModel(**SETTINGS, max_epochs=4).fit(images, responses)
        model = ResponseModel(**SETTINGS, max_epochs=4)
        forward, calls = ResponseNetwork.forward, []

        def interrupted(self, *given):
            calls.append(0)
            if len(calls) == 11:  # of 4 or 5 a epoch
                raise KeyboardInterrupt
            return forward(self, *given)

        monkeypatch.setattr(ResponseNetwork, "forward", interrupted)
        with pytest.raises(KeyboardInterrupt):
            model.fit(images, responses, checkpoint=path)
        monkeypatch.undo()
        assert path.exists()
        model.fit(images, responses, checkpoint=str(path))
        assert model.history_ == whole.history_
        np.testing.assert_array_equal(model.predict(images), whole.predict(images))

    def test_what_would_not_be_the_same_training_is_refused(self, running, tmp_path):
        images, _, _, responses = running
        path = tmp_path / "training.safetensors"
        ResponseModel(**SETTINGS, max_epochs=2).fit(images, responses, checkpoint=path)
        for other, data in (({"learning_rate": 0.1}, responses), ({}, responses + 1)):
            model = ResponseModel(**{**SETTINGS, **other}, max_epochs=2)
            with pytest.raises(DataError, match="of another training.*Remove the file"):
                model.fit(images, data, checkpoint=path)
        with pytest.raises(DataError, match="at most max_epochs=1; found 2 epochs"):
            ResponseModel(**SETTINGS, max_epochs=1).fit(images, responses, checkpoint=path)
        with pytest.raises(DataError, match="integer random_state beside a checkpoint"):
            ResponseModel("linear", n_lags=1).fit(images, responses, checkpoint=path)
        with pytest.raises(DataError, match="not a model saved by neuroml"):
            neuroml.load(path)
        model_path = neuroml.save(ResponseModel(), tmp_path / "model.safetensors")
        with pytest.raises(DataError, match="not a checkpoint written by neuroml"):
            ResponseModel(**SETTINGS).fit(images, responses, checkpoint=model_path)


@pytest.mark.parametrize(("n_repeats", "said"), [(1, 0.45), (2, 0.58), (10, 0.85)])
def test_biases_of_the_measures_are_as_the_docstrings_say(n_repeats, said):
    """Signal of variance 1, noise of variance 4, a perfect prediction."""
    from neuroml.celltypes._fit_quality import correlation_to_mean, explained_variance

    rng = np.random.default_rng(0)
    signal = rng.normal(size=(2000, 50))
    repeats = signal + 2 * rng.normal(size=(n_repeats, 2000, 50))
    found = correlation_to_mean(signal, repeats)
    # the standard error over 50 cells of 2000 frames each is below 1 / sqrt(2000 * 50) = 0.003
    assert found.mean() == pytest.approx(said, abs=0.005 + 0.01)
    assert found.mean() == pytest.approx(np.sqrt(1 / (1 + 4 / n_repeats)), abs=0.015)
    if n_repeats > 1:
        assert explained_variance(signal, repeats, 0.0).mean() == pytest.approx(1, abs=0.05)
