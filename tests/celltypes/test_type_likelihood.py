import numpy as np
import pytest
from scipy.stats import chi2, multivariate_normal, uniform

from neuroml.celltypes._type_likelihood import TypeModel, repeats_of

N_TYPES, N_STIMULI = 4, 6


def draw(seed, n_cells, *, noise, n_repeats, free_offset, gain_sd=0.5, within=0.3):
    """Types with correlated differences within them: clean training cells, noisy new ones."""
    rng = np.random.default_rng(seed)
    means = rng.gamma(1.0, size=(N_TYPES, N_STIMULI))
    roots = within * rng.normal(size=(N_TYPES, N_STIMULI, N_STIMULI)) / np.sqrt(N_STIMULI)

    def cells(n):
        labels = rng.integers(N_TYPES, size=n)
        apart = np.einsum("cij,cj->ic", roots[labels], rng.normal(size=(n, N_STIMULI)))
        gain = np.exp(gain_sd * rng.normal(size=n))
        return labels, gain * (means[labels].T + apart) + 3 * free_offset * rng.normal(size=n), gain

    train_labels, train, _ = cells(60 * N_TYPES)
    labels, clean, gain = cells(n_cells)
    repeats = clean + noise * gain * rng.normal(size=(n_repeats, *clean.shape))
    model = TypeModel.estimate(train, train_labels, N_TYPES, "free" if free_offset else "none")
    return model, repeats, labels


def probabilities(model, repeats):
    return model.probabilities(repeats)


@pytest.mark.parametrize("free_offset", [True, False])
def test_likelihood_is_the_integral_over_gain_offset_and_noise(free_offset):
    """Against the densities of SciPy, summed over a fine grid of all three."""
    model, repeats, _ = draw(0, 3, noise=0.7, n_repeats=2, free_offset=free_offset)
    repeats[1, 2, 1] = repeats[:, 4, 2] = np.nan
    found = probabilities(model, repeats)
    for cell in range(3):
        given = repeats_of(repeats[:, :, [cell]])
        count = given.count[:, 0]
        shown = count > 0
        y, count = given.mean[shown, 0], count[shown]
        # a flat offset is a large variance in its direction
        shift = 1e6 * np.ones((len(y), len(y))) * free_offset
        weights = count / count.sum()
        about = y - free_offset * weights @ y
        n_free_means = len(y) - free_offset
        power = (count * about**2).sum() / n_free_means
        total = np.zeros(N_TYPES)
        for share in uniform.ppf(np.linspace(0.02, 0.98, 49)):
            noise = share * power
            scatter = chi2(given.n_free[0]).pdf(given.scatter[0] / noise) / noise
            for kind in range(N_TYPES):
                mean, covariance = (
                    model.means[kind][shown],
                    model.covariances[kind][shown][:, shown],
                )
                centered = [m[shown] - free_offset * weights @ m[shown] for m in model.means]
                level = np.mean([(count * m**2).sum() / n_free_means for m in centered])
                v = (1 - share) * power / level * covariance + np.diag(noise / count) + shift
                gains = np.linspace(0.0, 6 * np.sqrt(power / level), 300)
                density = multivariate_normal(cov=v).pdf(y - gains[:, None] * mean)
                total[kind] += scatter * np.trapezoid(density, gains)
        np.testing.assert_allclose(found[cell], total / total.sum(), atol=0.01)


@pytest.mark.parametrize("n_repeats", [1, 3])
def test_gain_and_offset_of_a_cell_do_not_matter(n_repeats):
    model, repeats, _ = draw(1, 20, noise=0.5, n_repeats=n_repeats, free_offset=True)
    repeats[0, 2, :5] = np.nan
    rng = np.random.default_rng(0)
    gain, offset = np.exp(5 * rng.normal(size=20)), 100 * rng.normal(size=20)
    same = probabilities(model, gain * (repeats + offset))
    np.testing.assert_allclose(same, probabilities(model, repeats), atol=1e-6)
    model, repeats, _ = draw(1, 20, noise=0.5, n_repeats=n_repeats, free_offset=False)
    same = probabilities(model, gain * repeats)
    np.testing.assert_allclose(same, probabilities(model, repeats), atol=1e-6)


@pytest.mark.parametrize("free_offset", [True, False])
@pytest.mark.parametrize("noise", [0.1, 0.5])
def test_probabilities_are_as_often_right_as_they_say(free_offset, noise):
    model, repeats, labels = draw(2, 2000, noise=noise, n_repeats=4, free_offset=free_offset)
    found = probabilities(model, repeats)
    right, sure = found.argmax(axis=1) == labels, found.max(axis=1)
    assert 0.8 < right.mean() < 0.98
    for part in (sure < 0.6, (sure >= 0.6) & (sure < 0.9), sure >= 0.9):
        # three standard errors, and 0.05 since the priors are wider than what cells are drawn from
        allowed = 3 * np.sqrt(0.25 / max(part.sum(), 1)) + 0.05
        assert part.sum() == 0 or abs(right[part].mean() - sure[part].mean()) < allowed
    # with one repeat, nothing tells the noise: then less is claimed than is found, never more
    found = probabilities(model, repeats[:1])
    assert found.max(axis=1).mean() < (found.argmax(axis=1) == labels).mean() + 0.02


def test_types_of_a_single_cell_have_the_covariance_within_all_others():
    rng = np.random.default_rng(3)
    responses, labels = rng.normal(size=(5, 9)), np.array([0, 1, 1, 1, 1, 2, 2, 2, -1])
    model = TypeModel.estimate(responses, labels, 3, "free")
    apart = (
        model.means[labels[1:8]]
        - TypeModel.estimate(responses[:, 1:8], np.arange(7), 7, "free").means
    )
    within = apart.T @ apart / (8 - 3)
    np.testing.assert_allclose(model.covariances[0], 2 * within)
