import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.metrics import adjusted_rand_score

import neuroml
from neuroml.celltypes import MostDiscriminativeStimuli
from neuroml.celltypes._cluster_search import normalization
from neuroml.celltypes._objective import objective_of
from neuroml.celltypes._stimulus_optimizer import StimulusSpace
from neuroml.exceptions import DataError, NotConvergedWarning
from neuroml.simulate import make_retina

THREE = ["on_transient", "off_sustained", "on_off"]


@pytest.fixture(scope="module")
def retina():
    return make_retina(THREE, n_cells=5, n_frames=30, random_state=0)


@pytest.fixture(scope="module")
def ten():
    return make_retina(n_frames=30, random_state=1)


@pytest.fixture(scope="module")
def fitted(ten):
    return MostDiscriminativeStimuli(10, random_state=0).fit(ten.module)


def one_at_a_time(module, labels, stimuli, *, temperature, rate, n_steps, norm, limits):
    """The published algorithm: plain gradient ascent, one cluster's stimulus after another."""
    module = module.double()
    for _ in range(10):
        improved = []
        for c, start in enumerate(stimuli):
            x = start.clone()
            for _ in range(n_steps):
                x.requires_grad_()
                r = module(x[None])[0]
                means = (
                    torch.stack([r[labels == k].mean() for k in range(len(stimuli))]) / temperature
                )
                value = means[c] - torch.log(torch.exp(means).mean())
                (gradient,) = torch.autograd.grad(value, x)
                with torch.no_grad():
                    x = x + rate * gradient
                    x = (x * norm / x.norm()).clamp(*limits)
            improved.append(x.detach())
        responses = np.array([module(x[None])[0].detach().numpy() for x in improved])
        moved = responses.argmax(axis=0)
        kept = np.unique(moved)
        stimuli = [improved[k] for k in kept]
        moved = np.searchsorted(kept, moved)
        if len(kept) == len(responses) and (moved == labels).all():
            break
        labels = moved
    return moved, torch.stack(stimuli).numpy(), responses[kept]


@pytest.mark.parametrize("seed", range(3))
def test_published_settings_equal_the_loop_of_one_stimulus_at_a_time(seed):
    retina = make_retina(THREE, n_cells=6, stimulus_shape=(14, 6, 7), random_state=seed, n_frames=9)
    module = retina.module.double()
    seen = {}
    limits, norm = (-0.6, 6.2), 15.0
    mds = MostDiscriminativeStimuli.published(
        n_clusters=4,
        norm=norm,
        pixel_range=limits,
        learning_rate=10.0,
        n_steps=12,
        split_gain=None,
        n_final_steps=None,
        random_state=seed,
    )
    draw = StimulusSpace.random

    def remember(self, n_stimuli, rng, like):
        seen["start"] = draw(self, n_stimuli, rng, like)
        return seen["start"]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StimulusSpace, "random", remember)
        mds.fit(module)
    labels, stimuli, responses = one_at_a_time(
        module,
        mds.initial_labels_,
        list(seen["start"]),
        temperature=1.6,
        rate=10.0,
        n_steps=12,
        norm=norm,
        limits=limits,
    )
    np.testing.assert_array_equal(mds.labels_, labels)
    np.testing.assert_allclose(mds.stimuli_, stimuli, atol=1e-5)
    np.testing.assert_allclose(mds.responses_, responses, atol=1e-5)


class OnOff(torch.nn.Module):
    """The model in the example of the authors' code: the mean of an image, with alternating sign."""

    def __init__(self):
        super().__init__()
        self.register_buffer("sign", 1.0 - 2.0 * (torch.arange(42) % 2))

    def forward(self, images):
        return images.flatten(1).mean(dim=1, keepdim=True) * self.sign


@pytest.mark.parametrize("seed", range(3))
def test_published_settings_reach_the_objective_of_the_authors_example(seed):
    mds = MostDiscriminativeStimuli.published(
        n_clusters=5, stimulus_shape=(18, 18), stimulus_axes="HW", random_state=seed
    ).fit(OnOff())
    assert mds.n_clusters_ == 2
    np.testing.assert_array_equal(mds.labels_ == mds.labels_[0], np.arange(42) % 2 == 0)
    # what their code prints; the noise that the 120 steps start from changes it by some 1e-4
    np.testing.assert_allclose(mds.objective_.mean(), 0.6753, atol=1e-3)
    np.testing.assert_allclose(mds.restart_objectives_, mds.objective_.mean())


def test_the_expected_gain_of_a_redundant_cut_is_as_documented():
    """Perfect clusters, one of them twice: its two stimuli reach the bound less log 2."""
    for n, expected in ((2, -0.14), (10, -0.32), (1000, -0.39)):
        whole = 50.0 * np.eye(n)  # far above the temperature: every stimulus is at its bound
        cut = np.pad(whole, (0, 1), mode="edge")  # the last cluster's stimulus and cells, again
        gain = (
            objective_of(cut, np.arange(n + 1), 1.0).mean()
            - objective_of(whole, np.arange(n), 1.0).mean()
        )
        assert abs(gain / np.log((n + 1) / n) - expected) < 0.005


def test_types_are_recovered_from_kmeans_over_seeds():
    found = []
    for seed in range(3):
        retina = make_retina(n_frames=9, random_state=seed)
        mds = MostDiscriminativeStimuli(10, random_state=seed).fit(retina.module)
        found.append(adjusted_rand_score(retina.types, mds.labels_))
    assert np.mean(found) >= 0.95


def test_attributes_fit_together(fitted, ten):
    assert fitted.stimuli_.shape == (10, 24, 10, 10)
    assert (fitted.objective_ <= np.log(10)).all()
    with torch.no_grad():
        responses = ten.module(torch.from_numpy(fitted.stimuli_)).numpy()
    np.testing.assert_allclose(fitted.responses_, responses, rtol=1e-4)
    np.testing.assert_allclose(fitted.respond(ten.module), responses, rtol=1e-4)
    np.testing.assert_array_equal(fitted.predict(fitted.responses_), fitted.labels_)
    assert (fitted.confusion_.argmax(axis=0) == np.arange(10)).mean() >= 0.8
    assert fitted.converged_ and fitted.n_iter_ == len(fitted.objective_trace_) - 1


def test_new_cells_from_noisy_repeats_with_gaps(fitted, ten):
    other = make_retina(n_frames=9, random_state=77)
    clean = fitted.respond(other.module)
    rng = np.random.default_rng(0)
    scale = clean.std(axis=0)
    repeats = clean + scale * rng.standard_normal((3, *clean.shape)) / np.sqrt(24) * 3
    names = np.array([np.bincount(ten.types[fitted.labels_ == k]).argmax() for k in range(10)])
    assert np.mean(names[fitted.predict(repeats)] == other.types) > 0.9
    probabilities = fitted.predict_proba(repeats)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    np.testing.assert_array_equal(probabilities.argmax(axis=1), fitted.predict(repeats))
    repeats[0, 3] = repeats[:, 5, :20] = np.nan
    assert np.mean(names[fitted.predict(repeats)] == other.types) > 0.85
    with pytest.warns(UserWarning, match="1 of 150 cells give the same response"):
        repeats[:, :, 4] = 1.0
        assert fitted.predict(repeats)[4] == -1


@pytest.mark.parametrize("typing", ["likelihood", "correlation"])
def test_the_unit_of_a_cells_responses_does_not_change_its_type(fitted, typing):
    rng = np.random.default_rng(0)
    clean = fitted.responses_
    repeats = clean + clean.std(axis=0) * rng.standard_normal((3, *clean.shape))
    gain, shift = np.exp(3 * rng.normal(size=(2, clean.shape[1])))
    before, fitted.typing = fitted.typing, typing
    try:
        expected = fitted.predict_proba(repeats)
        found = fitted.predict_proba(gain * repeats + shift)
    finally:
        fitted.typing = before
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_labels_do_not_depend_on_the_names_of_initial_clusters(retina):
    names = np.array(["c", "a", "b"])[retina.types]
    one = MostDiscriminativeStimuli(3, init=names, random_state=0).fit(retina.module)
    two = MostDiscriminativeStimuli(3, init=retina.types, random_state=0).fit(retina.module)
    assert adjusted_rand_score(one.labels_, two.labels_) == 1


def test_cells_may_stand_in_any_order(retina):
    order = np.random.default_rng(0).permutation(15)

    class Shuffled(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = retina.module

        def forward(self, x):
            return self.inner(x)[:, order]

    options = {"stimulus_shape": (24, 10, 10), "random_state": 0, "n_steps": 10}
    one = MostDiscriminativeStimuli(3, init=retina.types, **options).fit(retina.module)
    two = MostDiscriminativeStimuli(3, init=retina.types[order], **options).fit(Shuffled())
    np.testing.assert_array_equal(one.labels_[order], two.labels_)
    np.testing.assert_allclose(one.stimuli_, two.stimuli_, atol=1e-4)


@pytest.mark.slow
def test_merging_joins_what_was_cut_and_splitting_cuts_what_was_joined(retina):
    cut = np.where(retina.types == 1, np.arange(15) % 2 + 5, retina.types)
    merged = MostDiscriminativeStimuli(3, init=cut, merge_threshold=0.4, random_state=0)
    assert adjusted_rand_score(merged.fit(retina.module).labels_, retina.types) == 1
    joined = np.where(retina.types == 1, 0, retina.types)
    split = MostDiscriminativeStimuli(3, init=joined, split_gain=0.2, random_state=0)
    assert adjusted_rand_score(split.fit(retina.module).labels_, retina.types) == 1
    again = MostDiscriminativeStimuli(3, init=retina.types, split_gain=0.2, random_state=0)
    assert again.fit(retina.module).n_clusters_ == 3


@pytest.mark.parametrize("confused", [False, True])
def test_cuts_are_kept_by_the_objective_alone_where_asked_for(retina, confused):
    """Types of five like cells, every gain being enough: only confusion keeps them whole."""
    mds = MostDiscriminativeStimuli(
        init=retina.types, split_gain=-10.0, split_confused=confused, min_cluster_size=2,
        n_steps=10, max_iter=3, random_state=0,
    ).fit(retina.module)  # fmt: skip
    assert (mds.n_clusters_ > 3) == confused


def test_cells_held_out_are_typed_without_a_part_in_the_stimuli(ten):
    mds = MostDiscriminativeStimuli(10, holdout=0.3, random_state=0).fit(ten.module)
    held_out = ~mds.train_mask_
    assert 20 < held_out.sum() < 70
    assert (mds.initial_labels_[held_out] == -1).all()
    assert adjusted_rand_score(ten.types[held_out], mds.labels_[held_out]) > 0.9
    assert np.nanmean(mds.holdout_objective_) > 0.5


def test_stimuli_as_bytes_keep_the_objective(retina):
    mds = MostDiscriminativeStimuli(3, pixel_range=(-2, 3), random_state=0).fit(retina.module)
    levels = mds.stimuli_to_uint8(retina.module)
    assert levels.stimuli.dtype == np.uint8 and levels.stimuli.shape == mds.stimuli_.shape
    shown = levels.low + levels.stimuli / 255 * (levels.high - levels.low)
    np.testing.assert_allclose(shown, mds.stimuli_, atol=5 / 255 / 2 + 1e-6)
    np.testing.assert_allclose(levels.objective, mds.objective_, atol=0.02)


def test_constraints(retina):
    mds = MostDiscriminativeStimuli(3, norm=20.0, pixel_range=(-1.0, 2.0), random_state=0)
    stimuli = mds.fit(retina.module).stimuli_
    assert stimuli.min() >= -1 and stimuli.max() <= 2
    assert (np.linalg.norm(stimuli.reshape(3, -1), axis=1) <= 20 + 1e-3).all()
    smooth = clone(mds).set_params(smooth_time=2.0, smooth_space=1.0).fit(retina.module).stimuli_
    assert np.diff(smooth, axis=1).std() < np.diff(stimuli, axis=1).std()


def test_channels_with_ranges_of_their_own():
    retina = make_retina(
        ["uv_on_green_off", "green_on_uv_off"],
        n_cells=4,
        stimulus_shape=(14, 6, 6, 2),
        n_frames=9,
        random_state=0,
    )
    limits = ([-0.5, -1.0], [2.0, 3.0])
    mds = MostDiscriminativeStimuli(2, pixel_range=limits, random_state=0).fit(retina.module)
    assert adjusted_rand_score(retina.types, mds.labels_) == 1
    for channel in range(2):
        assert mds.stimuli_[..., channel].min() >= limits[0][channel]
        assert mds.stimuli_[..., channel].max() <= limits[1][channel]


def test_non_square_canvas_and_images():
    class Images(torch.nn.Module):
        def __init__(self):
            super().__init__()
            generator = torch.Generator().manual_seed(0)
            kinds = torch.randn(2, 60, generator=generator)
            noise = 0.2 * torch.randn(12, 60, generator=generator)
            self.weight = torch.nn.Parameter(kinds[torch.arange(12) % 2] + noise)

        def forward(self, x):
            return torch.nn.functional.softplus(x.flatten(1) @ self.weight.T)

    module = Images().train()
    mds = MostDiscriminativeStimuli(2, stimulus_shape=(6, 10), random_state=0).fit(module)
    assert mds.stimuli_.shape == (2, 6, 10)
    assert adjusted_rand_score(np.arange(12) % 2, mds.labels_) == 1
    assert module.training and module.weight.requires_grad and module.weight.grad is None


def test_save_and_load(fitted, tmp_path):
    loaded = neuroml.load(neuroml.save(fitted, tmp_path / "mds.safetensors"))
    np.testing.assert_array_equal(loaded.stimuli_, fitted.stimuli_)
    np.testing.assert_array_equal(loaded.predict(fitted.responses_), fitted.labels_)


class Toy(torch.nn.Module):
    """Six cells, each of which answers to one pixel; forward can be made to misbehave."""

    def __init__(self, change=lambda x, r: r):
        super().__init__()
        self.change = change

    def forward(self, x):
        return self.change(x, torch.nn.functional.softplus(x[:, [0, 1, 2, 0, 1, 2]]))


def constant(x, r):
    return torch.cat([r[:, :4], torch.ones_like(r[:, 4:])], dim=1)


@pytest.mark.parametrize(
    ("model", "options", "words"),
    [
        (None, {}, "not a model of responses"),
        (Toy(), {"stimulus_shape": None}, "shape of one stimulus is not known"),
        (Toy(lambda x, r: r.sum()), {}, "output has the wrong shape"),
        (Toy(lambda x, r: r.detach()), {}, "no gradient"),
        (Toy(lambda x, r: r * np.nan), {}, "not finite"),
        (Toy(lambda x, r: r - r.mean(dim=0)), {}, "rest of the batch"),
        (Toy(lambda x, r: r + torch.rand(1)), {}, "rest of the batch, or by chance"),
        (Toy(), {"n_clusters": 7}, "fewer cells than clusters"),
        (Toy(), {"init": [0, 1, 2]}, "initial labels do not match"),
        (Toy(), {"init": [1] * 6}, "fewer than two clusters"),
        (Toy(), {"pixel_range": (1.0, -1.0)}, "pixel range is empty"),
        (Toy(), {"stimulus_axes": "HW"}, "axes do not fit"),
        (Toy(), {"window": 3}, "no such window"),
    ],
)
def test_bad_input(model, options, words):
    mds = MostDiscriminativeStimuli(3, stimulus_shape=(4,), random_state=0).set_params(**options)
    with pytest.raises(DataError, match=words):
        mds.fit(model)


def test_cells_that_never_answer_are_left_out_and_counted():
    mds = MostDiscriminativeStimuli(2, stimulus_shape=(4,), random_state=0)
    with pytest.warns(UserWarning, match="2 of 6 cells give the same response"):
        mds.fit(Toy(constant))
    assert mds.n_dropped_ == 2 and (mds.labels_[4:] == -1).all() and (mds.labels_[:4] >= 0).all()


def test_saturation_and_an_early_end_are_told():
    toy = Toy(lambda x, r: 50 * r)
    mds = MostDiscriminativeStimuli(
        3, stimulus_shape=(4,), temperature=0.01, init=[0, 1, 2] * 2, random_state=0
    )
    with pytest.warns(UserWarning, match="raise temperature"):
        mds.fit(toy)
    retina = make_retina(n_cells=4, n_frames=9, random_state=0)
    short = MostDiscriminativeStimuli(10, init="random", max_iter=1, n_steps=3, random_state=0)
    with pytest.warns(NotConvergedWarning):
        assert not short.fit(retina.module).converged_


def test_a_single_cluster_in_the_end_is_told(retina):
    mds = MostDiscriminativeStimuli(2, min_cluster_size=10, n_steps=3, random_state=0)
    with pytest.warns(UserWarning, match="ended in one cluster"):
        assert mds.fit(retina.module).n_clusters_ == 1
    assert (mds.labels_ == 0).all()


def test_several_starts_keep_the_best(ten):
    mds = MostDiscriminativeStimuli(10, init="random", n_init=3, n_steps=10, random_state=0)
    mds.fit(ten.module)
    assert mds.restart_objectives_.shape == (3,)
    assert mds.objective_trace_[-1] == mds.restart_objectives_.max()


class Oriented(torch.nn.Module):
    """Energy of bars along rows (even cells) or columns (odd), or contrast in the middle."""

    def forward(self, images):
        rows, columns = images.mean(dim=2).square().sum(1), images.mean(dim=1).square().sum(1)
        middle = images[:, 2:4, 2:4].mean(dim=(1, 2)).square() * 20
        return torch.stack([rows, columns, rows, columns, middle, middle], dim=1)


class TestRotate:
    settings = {"stimulus_shape": (6, 6), "init": [0, 0, 0, 0, 1, 1], "random_state": 0}

    @pytest.fixture(scope="class")
    @staticmethod
    def found():
        return MostDiscriminativeStimuli(2, rotate=True, **TestRotate.settings).fit(Oriented())

    def test_the_response_is_the_largest_of_four_quarter_turns(self, found):
        turned = np.stack([np.rot90(found.stimuli_, k, (1, 2)) for k in range(4)]).copy()
        with torch.no_grad():
            by_hand = np.stack([Oriented()(torch.from_numpy(one)) for one in turned])
        np.testing.assert_allclose(found.responses_, by_hand.max(axis=0), rtol=1e-5)
        # cells 0 and 1 differ by a quarter turn: alike over turns, not for the stimulus as it is
        np.testing.assert_allclose(found.responses_[:, 0], found.responses_[:, 1], rtol=1e-4)
        assert by_hand[0, 0, 0] > 2 * by_hand[0, 0, 1] or by_hand[0, 0, 1] > 2 * by_hand[0, 0, 0]

    @pytest.mark.parametrize("shape", [(5,), (6, 5), (4, 6, 5)])
    def test_what_cannot_be_turned_is_refused(self, shape):
        mds = MostDiscriminativeStimuli(2, stimulus_shape=shape, rotate=True)
        with pytest.raises(DataError, match="axes H and W of the same length"):
            mds.fit(Oriented())


class TestNormalization:
    recorded = np.abs(np.random.default_rng(0).standard_normal((50, 4))) * [0.01, 0.5, 2.0, 0.0]
    responding = np.array([True, True, True, False])

    @pytest.mark.parametrize(
        ("normalize", "by_hand"),
        [
            (True, lambda r: r / max(r.std(), 0.1)),
            ("zscore", lambda r: (r - r.mean()) / max(r.std(), 0.1)),
            ("max", lambda r: r / max(r.max(), 0.1)),
            (False, lambda r: r),
        ],
    )
    def test_formula_written_out_with_a_floor(self, normalize, by_hand):
        shift, scale = normalization(self.recorded, self.responding, normalize, 0.1)
        found = (self.recorded - shift) / scale
        expected = np.stack([by_hand(r) for r in self.recorded[:, :3].T], axis=1)
        np.testing.assert_allclose(found[:, :3], expected)
        assert (shift[3], scale[3]) == (0, 1)

    def test_a_maximum_that_is_not_positive_is_refused(self):
        with pytest.raises(DataError, match=r"above 0.*none in cells \[0, 1, 2\]"):
            normalization(-1 - self.recorded, self.responding, "max", 0.0)

    @pytest.mark.parametrize("normalize", [True, "zscore", "max"])
    def test_the_objective_is_that_of_normalized_responses(self, retina, normalize, tmp_path):
        mds = MostDiscriminativeStimuli(
            3, normalize=normalize, scale_floor=0.3, n_steps=8, max_iter=3, random_state=0
        ).fit(retina.module)
        np.testing.assert_allclose(mds.responses_, mds.respond(retina.module), rtol=1e-4, atol=1e-5)
        r = (mds.responses_ - mds.response_shift_) / mds.response_scale_
        means = np.array([r[:, mds.labels_ == k].mean(axis=1) for k in range(mds.n_clusters_)]) / 5
        expected = np.diagonal(means) - np.log(np.exp(means).mean(axis=0))
        # cells may move once more after the last ascent; what is in the table holds for its labels
        assert (mds.response_scale_ >= 0.3).all() and mds.converged_
        np.testing.assert_allclose(mds.objective_, expected, rtol=1e-6)
        shown = mds.stimuli_to_uint8(retina.module)
        np.testing.assert_allclose(shown.objective, expected, atol=0.05)
        assert (mds.predict(mds.responses_) == mds.labels_).mean() > 0.9

    @pytest.mark.filterwarnings("ignore::neuroml.exceptions.NotConvergedWarning")
    def test_a_laplacian_makes_stimuli_smoother(self, retina):
        settings = {"n_steps": 60, "max_iter": 1, "init": retina.types, "random_state": 0}

        def rough(weight):
            stimuli = MostDiscriminativeStimuli(laplace=weight, **settings)
            stimuli = stimuli.fit(retina.module).stimuli_
            return sum((np.diff(stimuli, axis=axis) ** 2).sum() for axis in (2, 3))

        assert rough(10.0) < rough(0.0) / 2
