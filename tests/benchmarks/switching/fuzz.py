"""Fit switching models with options drawn at random, and check what must hold of every fit.

Run by hand: ``python tests/benchmarks/switching/fuzz.py N SEED``. Prints the number of fits by kind, what was
refused, and every fit that breaks a rule with the seed that draws it again.
"""

import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

import numpy as np

import neuroml
from neuroml.exceptions import DataError
from neuroml.switching import SwitchingGLM, SwitchingPopulationGLM

NAMES = np.array(["go", "left", "right"])
FAMILIES = ["bernoulli", "categorical", "gaussian", "poisson", "negative_binomial"]


def pick(rng, options):
    return options[int(rng.integers(len(options)))]


def draw_y(rng, family, n):
    """Observations of a family, and the settings that their labels need."""
    if family in ("bernoulli", "categorical"):
        n_classes = 2 if family == "bernoulli" else 3
        codes = np.r_[np.arange(n_classes), rng.integers(n_classes, size=n - n_classes)]
        labels = pick(rng, [np.arange(3), NAMES, np.array([2, 5, 9])])[:n_classes]
        settings = {"classes": labels[::-1].tolist()} if rng.random() < 0.3 else {}
        y = labels[codes].astype(object)
        y[rng.random(n) < pick(rng, [0.0, 0.2])] = None
        return (y if labels.dtype.kind == "U" else y.astype(float)), settings
    n_outputs = pick(rng, [1, 2])
    scale = pick(rng, [0.1, 1.0, 30.0])
    y = {
        "gaussian": lambda: scale * rng.normal(size=(n, n_outputs)),
        "poisson": lambda: rng.poisson(scale, (n, n_outputs)).astype(float),
        "negative_binomial": lambda: rng.negative_binomial(
            1, 1 / (1 + scale), (n, n_outputs)
        ).astype(float),
    }[family]()
    y[rng.random(n) < pick(rng, [0.0, 0.2])] = np.nan
    return y, {}


def draw_glm(rng):
    """A `SwitchingGLM`, its data, and what `fit` takes beside them."""
    n, family, n_states = 60, pick(rng, FAMILIES), pick(rng, [1, 2, 3])
    pooling = pick(rng, ["complete", "complete", "none", "partial"])
    if (family, pooling) == ("negative_binomial", "partial"):
        pooling = "none"
    X = rng.normal(size=(n, 2)) * pick(rng, [1.0, 100.0])
    y, settings = draw_y(rng, family, n)
    mask = pick(rng, [None, None, np.triu(np.ones((n_states, n_states), bool))])
    columns = pick(rng, [None, None, [1]])
    model = SwitchingGLM(
        n_states, family, pooling=pooling, n_init=1, max_iter=pick(rng, [3, 25]), random_state=0,
        tol=pick(rng, [1e-3, 1e-6]), ridge=pick(rng, [0.0, 0.01, 5.0]),
        rate_prior=pick(rng, [0.0, 0.01, 0.5]), transition_mask=mask, transition_columns=columns,
        concentration=pick(rng, [1.0, 2.0]), stickiness=pick(rng, [0.0, 10.0]),
        covariance_type=pick(rng, ["full", "diagonal", "spherical", "tied"]), **settings,
    )  # fmt: skip
    fit = {"sessions": np.repeat(np.arange(6), 10)}
    if pooling != "complete" or rng.random() < 0.3:
        fit["groups"] = np.repeat(["a", "b"], n // 2)
    if rng.random() < 0.4:
        fit["sample_weight"] = rng.uniform(0, 3, n) * (rng.random(n) < 0.9)
    if rng.random() < 0.3:
        known = np.full(n, -1)
        known[::10] = 0
        fit["states"] = known
    if rng.random() < 0.3:
        shared = neuroml.switching.SwitchingGLM(**(model.get_params() | {"pooling": "complete"}))
        fit["init"] = shared.fit(X, y, sessions=fit["sessions"])
        chain = ["transition_matrix", "initial_proba"]
        of_chain = chain if pooling != "complete" else [*chain, "weights", "intercept"]
        fit["fixed"] = [name for name in of_chain if rng.random() < 0.4]
    return model, (X, y), fit


def draw_population(rng):
    """A `SwitchingPopulationGLM`, its data, and what `fit` takes beside them."""
    n, n_lags = 80, pick(rng, [1, 2, 3])
    prior = pick(rng, ["none", "gaussian", "one-hot"])
    family = pick(rng, ["poisson", "poisson", "bernoulli"])
    model = SwitchingPopulationGLM(
        pick(rng, [1, 2, 3]), n_lags=n_lags, prior=prior, family=family,
        covariate_ridge=pick(rng, [0.0, 0.01, 5.0]), n_init=1, random_state=0,
        ridge=pick(rng, [0.0, 0.1, 10.0]), link=pick(rng, ["exp", "softplus", "sigmoid"]),
        sign_sharing=pick(rng, ["probabilities", "signs"]), max_iter=pick(rng, [3, 25]),
        shared_intercept=pick(rng, [True, False]), concentration=pick(rng, [1.0, 2.0]),
        stickiness=pick(rng, [0.0, 10.0]), tol=pick(rng, [1e-3, 1e-6]),
    )  # fmt: skip
    spikes = rng.poisson(pick(rng, [0.1, 0.5, 1.0]), (n, 3)).astype(float)
    spikes[0] = 1.0
    spikes = np.minimum(spikes, 1.0) if family == "bernoulli" else spikes
    fit = {"sessions": np.repeat(np.arange(4), n // 4)}
    if rng.random() < 0.5:
        fit["groups"] = np.repeat(["a", "b"], n // 2)
    if rng.random() < 0.6:
        scale, offset = pick(rng, [1e-3, 1.0, 1e4]), pick(rng, [0.0, 1e5])
        fit["covariates"] = offset + scale * rng.normal(size=(n, pick(rng, [1, 3])))
        fit["covariates"][:, 0] *= pick(rng, [1.0, 0.0])  # constant
    return model, (spikes,), fit


def broken_rules(model, data, fit, folder):
    """Names of what does not hold of a fitted model."""
    ask = {name: fit[name] for name in ("sessions", "covariates") if name in fit}
    if getattr(model, "pooling", "complete") != "complete":
        ask["groups"] = fit["groups"]
    arrays = {k: v for k, v in vars(model).items() if isinstance(v, np.ndarray)}
    if any(v.dtype.kind == "f" and not np.isfinite(v).all() for v in arrays.values()):
        yield "a parameter is not finite"
    trace = model.objective_trace_
    partly = getattr(model, "pooling", "") == "partial"
    if not partly and (np.diff(trace) < -1e-8 * np.maximum(np.abs(trace[:-1]), 1.0)).any():
        yield "the objective falls"
    if model.converged_ and len(trace) > 1 and abs(trace[-1] - trace[-2]) > model.tol * (1 + 1e-9):
        yield "converged, but the last step is above tol"
    if not np.isfinite(model.score(*data, **ask)):
        yield "the score is not finite"
    posterior = model.predict_proba(*data, **ask)
    if not np.allclose(posterior.sum(axis=1), 1.0, atol=1e-9):
        yield "probabilities of states do not sum to one"
    kept = neuroml.load(neuroml.save(model, folder / "model.safetensors"))
    if not np.array_equal(kept.predict_proba(*data, **ask), posterior):
        yield "a saved model differs"


def main(n_fits, seed):
    warnings.simplefilter("ignore")
    counts, started = Counter(), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        for i in range(n_fits):
            rng = np.random.default_rng([seed, i])
            draw = draw_population if i % 4 == 3 else draw_glm
            model, data, fit = draw(rng)
            try:
                model.fit(*data, **fit)
                broken = list(broken_rules(model, data, fit, Path(folder)))
            except DataError as error:
                counts["refused"] += 1
                print("refused", [seed, i], str(error)[:160])
                continue
            except Exception as error:
                broken = [f"{type(error).__name__}: {str(error)[:160]}"]
            counts[type(model).__name__] += 1
            counts["converged"] += bool(getattr(model, "converged_", False))
            for option in ("classes", "transition_mask"):
                counts[option] += getattr(model, option, None) is not None
            for option in ("sample_weight", "states", "init", "groups", "covariates"):
                counts[option] += option in fit
            counts[f"pooling {getattr(model, 'pooling', '')}"] += hasattr(model, "pooling")
            for rule in broken:
                counts["broken"] += 1
                print("broken", [seed, i], rule, model, sorted(fit))
    print(dict(counts), f"{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[1]))
    from arguments import arguments

    main(*map(int, arguments(__doc__, "N", "SEED")))
