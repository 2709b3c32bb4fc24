"""The same population model on dynamax's smoother, with 50 steps of Adam per M-step.

python dynamax_population.py data.npz ITERATIONS TARGET    # prints one JSON object; needs dynamax and optax
"""

import json
import sys
import time
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from dynamax.hidden_markov_model.inference import hmm_smoother
from jax.scipy.special import gammaln

ITERATIONS, TARGET = int(sys.argv[2]), float(sys.argv[3])


def features(spikes, filters):
    drive = np.zeros_like(spikes)
    for lag in range(1, filters.shape[1] + 1):
        drive[:, lag:] += spikes[:, :-lag] * filters[:, lag - 1]
    return jnp.asarray(drive)


def log_emissions(parameters, drive, spikes):
    weights, baseline = parameters
    rates = jax.nn.softplus(jnp.einsum("stj,kij->stki", drive, weights) + baseline)
    each = spikes[:, :, None] * jnp.log(rates) - rates
    return each.sum(axis=-1)


optimiser = optax.adam(1e-2)


@jax.jit
def iteration(parameters, matrix, drive, spikes):
    log_b = log_emissions(parameters, drive, spikes)
    initial = jnp.full(len(matrix), 1.0 / len(matrix))
    found = jax.vmap(partial(hmm_smoother, initial, matrix))(log_b)
    gamma = found.smoothed_probs

    def loss(current):
        return -(gamma * log_emissions(current, drive, spikes)).sum() / spikes[..., 0].size

    def step(carry, _):
        current, memory = carry
        updates, memory = optimiser.update(jax.grad(loss)(current), memory)
        return (optax.apply_updates(current, updates), memory), None

    (parameters, _), _ = jax.lax.scan(step, (parameters, optimiser.init(parameters)), None, 50)
    pairs = found.trans_probs.sum(axis=0)
    matrix = pairs / pairs.sum(axis=1, keepdims=True)
    return parameters, matrix, found.marginal_loglik.sum()


def main():
    data = np.load(sys.argv[1])
    n_sessions = int(data["n_sessions"])
    spikes = data["spikes"].astype(np.float32).reshape(n_sessions, -1, data["spikes"].shape[1])
    drive = features(spikes, data["filters"].astype(np.float32))
    start = tuple(jnp.asarray(data[k], dtype=jnp.float32) for k in ("weights", "baseline"))
    n_states = len(data["weights"])
    matrix = jnp.full((n_states, n_states), 0.05 / n_states) + 0.95 * jnp.eye(n_states)
    spikes = jnp.asarray(spikes)
    jax.block_until_ready(iteration(start, matrix, drive, spikes))  # compiles
    constant = float(gammaln(spikes + 1.0).sum())
    parameters, trace, reached = start, [], None
    began = time.process_time()
    for _ in range(ITERATIONS):
        parameters, matrix, value = jax.block_until_ready(
            iteration(parameters, matrix, drive, spikes)
        )
        trace.append((float(value) - constant) / spikes[..., 0].size)
        if reached is None and trace[-1] >= TARGET:
            reached = time.process_time() - began
    seconds = time.process_time() - began
    print(json.dumps({"score": trace[-1], "iteration": seconds / ITERATIONS, "reached": reached}))


main()
