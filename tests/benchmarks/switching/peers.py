"""Other packages on the same arrays: run by their own Python, prints one JSON object.

python peers.py problem.npz
"""

import json
import sys
import time
from pathlib import Path

import numpy as np


def median_cpu(function, n=7):
    function()
    seconds = []
    for _ in range(n):
        start = time.process_time()
        function()
        seconds.append(time.process_time() - start)
    return float(np.median(seconds))


def forward_backward(data):
    results = {}
    log_emissions, matrix, initial = (data[k] for k in ("log_emissions", "matrix", "initial"))
    try:
        from hmmlearn import _hmmc

        def both():
            with np.errstate(divide="ignore"):
                value, _ = _hmmc.forward_log(initial, matrix, log_emissions)
                _hmmc.backward_log(initial, matrix, log_emissions)
            return value

        results["hmmlearn"] = {"seconds": median_cpu(both), "log_likelihood": float(both())}
    except ImportError:
        pass
    try:
        import jax

        jax.config.update("jax_enable_x64", True)
        from dynamax.hidden_markov_model.inference import hmm_smoother, hmm_two_filter_smoother

        for name, function in (
            ("dynamax", hmm_smoother),
            ("dynamax two-filter", hmm_two_filter_smoother),
        ):
            compiled = jax.jit(lambda a, b, c, f=function: f(a, b, c))
            arguments = [jax.numpy.asarray(a) for a in (initial, matrix, log_emissions)]

            def run(compiled=compiled, arguments=arguments):
                return jax.block_until_ready(compiled(*arguments))

            results[name] = {
                "seconds": median_cpu(run),
                "log_likelihood": float(run().marginal_loglik),
            }
    except ImportError:
        pass
    return results


def glm_hmm(data):
    results = {}
    try:
        results["dynamax"] = _dynamax_glm_hmm(data)
    except ImportError:
        pass
    try:
        results["nemos"] = _nemos_glm_hmm(data)
    except (ImportError, AttributeError):  # released versions up to 0.2.8 export no GLMHMM
        pass
    return results


def _dynamax_glm_hmm(data):
    import jax
    from dynamax.hidden_markov_model import LogisticRegressionHMM

    n_states, n_inputs = data["weights"].shape
    n_sessions = int(data["n_sessions"])
    model = LogisticRegressionHMM(
        n_states,
        n_inputs,
        initial_probs_concentration=1.0,
        transition_matrix_concentration=1.0,
    )
    parameters, properties = model.initialize(
        method="prior",
        initial_probs=jax.numpy.asarray(data["start_initial"]),
        transition_matrix=jax.numpy.asarray(data["start_matrix"]),
        emission_weights=jax.numpy.asarray(data["weights"]),
        emission_biases=jax.numpy.asarray(data["intercept"]),
    )
    y = jax.numpy.asarray(data["y"].reshape(n_sessions, -1), dtype=float)
    X = jax.numpy.asarray(data["X"].reshape(n_sessions, -1, n_inputs))

    def seconds(n):
        start = time.process_time()
        _, trace = model.fit_em(parameters, properties, y, X, num_iters=n, verbose=False)
        jax.block_until_ready(trace)
        return time.process_time() - start, float(trace[-1]) / y.size

    seconds(2)
    short, long = seconds(4), seconds(24)
    return {"seconds": (long[0] - short[0]) / 20, "log_likelihood": long[1]}


def _nemos_glm_hmm(data):
    import nemos

    starts = np.zeros(len(data["y"]), dtype=bool)
    starts[:: len(starts) // int(data["n_sessions"])] = True
    start = (
        data["weights"].T,
        data["intercept"],
        np.ones(len(data["weights"])),
        data["start_initial"],
        data["start_matrix"],
    )

    def seconds(n):
        model = nemos.glm_hmm.GLMHMM(
            len(data["weights"]), "Bernoulli", regularizer="UnRegularized", maxiter=n, tol=1e-300
        )
        begin = time.process_time()
        model.fit(data["X"], data["y"], init_params=start, session_starts=starts)
        return time.process_time() - begin, model

    seconds(4)
    short, (long, model) = seconds(2)[0], seconds(12)
    value = float(model.score(data["X"], data["y"], session_starts=starts))
    return {"seconds": (long - short) / 10, "log_likelihood": value}


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[1]))
    from arguments import arguments

    path, name = arguments(__doc__, "PROBLEM", "TASK")
    problem = np.load(path)
    task = {"forward_backward": forward_backward, "glm_hmm": glm_hmm}[name]
    print(json.dumps(task(problem)))
