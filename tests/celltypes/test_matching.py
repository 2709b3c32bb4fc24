import numpy as np
import pytest

from neuroml.celltypes._matching import (
    check_responses,
    cluster_templates,
    confusion,
    correlate,
    mean_and_noise,
    mutual_confusion,
    posterior,
    standardize,
)
from neuroml.exceptions import DataError


@pytest.fixture
def responses():
    return np.random.default_rng(0).normal(size=(6, 9)) * 3 + 1


def test_correlation_is_pearsons(responses):
    templates = np.random.default_rng(1).normal(size=(4, 6))
    found = correlate(standardize(responses), templates)
    np.testing.assert_allclose(found, np.corrcoef(templates, responses.T)[:4, 4:])


def test_correlation_with_missing_stimuli_uses_those_shown(responses):
    templates = np.random.default_rng(1).normal(size=(4, 6))
    responses[2, 3] = responses[5, 3] = np.nan
    shown = [0, 1, 3, 4]
    expected = np.corrcoef(templates[:, shown], responses[shown, 3])[:4, 4]
    np.testing.assert_allclose(correlate(standardize(responses), templates)[:, 3], expected)


def test_argmax_templates_choose_the_strongest_response(responses):
    scores = standardize(responses)
    templates = cluster_templates(scores, np.arange(9) % 6, 6, "argmax")
    np.testing.assert_array_equal(
        correlate(scores, templates).argmax(axis=0), responses.argmax(axis=0)
    )


def test_fingerprint_templates_are_cluster_means(responses):
    scores = standardize(responses)
    labels = np.array([0, 0, 1, 1, 1, 2, 2, -1, -1])
    templates = cluster_templates(scores, labels, 3, "fingerprint")
    np.testing.assert_allclose(templates[1], scores[:, 2:5].mean(axis=1))


def test_affine_changes_of_a_cells_response_do_not_matter(responses):
    np.testing.assert_allclose(standardize(responses), standardize(7 * responses - 3))


def test_posterior_is_bayes_rule_of_the_stated_likelihood():
    """Against the Gaussian density of standardized vectors around standardized templates."""
    rng = np.random.default_rng(2)
    scores, templates = (standardize(rng.normal(size=(5, n))) for n in (3, 4))
    found = posterior(correlate(scores, templates.T), np.full(3, 5), np.full(3, 0.7))
    squared = ((scores.T[:, None] - templates.T[None]) ** 2).sum(axis=2)
    density = np.exp(-squared / (2 * 0.7))
    np.testing.assert_allclose(found, density / density.sum(axis=1, keepdims=True))


def test_mean_and_noise_over_repeats():
    rng = np.random.default_rng(3)
    truth = rng.normal(size=(1, 8, 200))
    repeats = truth + 0.5 * rng.normal(size=(6, 8, 200))
    mean, noise = mean_and_noise(repeats)
    np.testing.assert_allclose(mean, repeats.mean(axis=0))
    expected = (0.25 / 6) / mean.var(axis=0)
    assert np.median(noise / expected) == pytest.approx(1, abs=0.1)


def test_confusion_and_its_mutual_share():
    responses = np.array([[4.0, 4.0, 2.0], [1.0, 1.0, 2.0]])
    means = confusion(responses, np.array([0, 0, 1]))
    np.testing.assert_allclose(means, [[4, 2], [1, 2]])
    assert mutual_confusion(means)[0, 1] == mutual_confusion(means)[1, 0] == 0.5


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (np.ones((5, 4)), "do not fit the stimuli"),
        (np.ones(6), "do not fit the stimuli"),
        (np.full((6, 4), np.inf), "24 infinite values"),
    ],
)
def test_bad_responses(bad, words):
    with pytest.raises(DataError, match=words):
        check_responses(bad, 6)
