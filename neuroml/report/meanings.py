"""What the numbers of a report are, in a line each: their unit, and which way is better."""

from __future__ import annotations

import re

__all__ = ["fact_meaning", "quantity_meaning"]

_FACTS = {
    "backend": "How the overlaps are computed; the result is the same.",
    "bic": "Bayesian information criterion of the mixture, in nats times two; lower is better.",
    "converged": "Whether the fit stopped because it no longer changed, not at its last iteration.",
    "covariance": "The kind of covariance that the types have.",
    "degree_corrected": "Whether units may differ in how strongly they connect within a block.",
    "facet_index": "Mean cosine between gradients at two seeds, from -1 to 1: near 1 for a cell "
    "with one facet, near 0 or below for one with several.",
    "false_match": "Probability, by the theory, that a random pattern matches any segment, from 0 "
    "to 1; lower is better.",
    "family": "The distribution of the weights.",
    "gain": "By how much the integrated likelihood exceeds that of a single block, in nats; more "
    "than in shuffled graphs speaks for blocks.",
    "icl": "Log-probability of weights and blocks, in nats; higher is better, on the same data.",
    "n_blocks": "Number of blocks.",
    "n_calls": "Number of calls that added segments.",
    "n_cells": "Number of cells.",
    "n_classes": "Number of different choices.",
    "n_clusters": "Number of clusters.",
    "n_components": "Number of components.",
    "n_dropped": "Number of cells that do not respond, and are in no cluster.",
    "n_facets": "Number of facets.",
    "n_iter": "Number of iterations (epochs, for a network) of the kept start; neither way better.",
    "n_outputs": "Number of columns that are explained.",
    "n_parameters": "How many numbers the fit learned.",
    "n_regions": "Number of regions.",
    "n_samples": "Number of samples that the fit saw.",
    "n_samples_seen": "Number of samples that the fit saw.",
    "n_segments": "Number of segments.",
    "n_types": "Number of types.",
    "noise_variance": "Variance of what the components leave, in squared units of the data; lower "
    "means that they explain more.",
    "pooled_memory": "For how many samples a voxel's signal stays like itself; with more, samples "
    "tell less.",
    "reconstruction_err": "Norm of what the model leaves over the norm of the data it was fitted "
    "to, without unit; lower is better, 0 is perfect, and more components lower it.",
    "rf_distance": "Mean distance of receptive fields from the center of the stimulus, in pixels.",
    "ridge": "Strength of the penalty on couplings, in 1 / squared weight; larger draws them "
    "closer to zero. Neither way is better: held-out data choose it unless it is given.",
    "scale": "Standard deviation of connectivity over windows, without its mean, that became 1.",
    "stability": "How alike the types of resampled cells are (adjusted Rand index); 1 is the same "
    "types, 0 chance; higher is better.",
    "stimulus_axes": "The order of a stimulus's axes: time, height, width, channel.",
    "target_ndim": "Number of axes of the targets.",
    "temperature": "By what scores are divided before they become probabilities, without unit; "
    "larger makes these less decided. It is found on left-out samples: near 1000, the largest that "
    "is tried, scores tell nothing.",
    "template_variance": "Mean squared difference between standardized responses and templates; "
    "lower means that cells of a cluster are more alike.",
    "threshold": "Number of active synapses from which a segment responds.",
}
"""Fitted attributes that are one number, word or truth value, without their underscore."""

_PLACES = "where the stimulus drives a cell most, in pixels"
_QUANTITIES = {
    "P(excitatory)": "Probability that a coupling is excitatory, from 0 to 1.",
    "P(inhibitory)": "Probability that a coupling is inhibitory, from 0 to 1.",
    "P(no connection)": "Probability that there is no coupling, from 0 to 1.",
    "active": "Interval in which a component is active, in samples, the last one excluded.",
    "block": "Number of the block of a unit.",
    "ccgp": "Accuracy on conditions that a classifier of the dichotomy was not trained on; higher "
    "is more abstract, and chance is its null.",
    "cells": "Number of cells of a cluster.",
    "cluster": "Number of the cluster of a cell; -1 for none.",
    "community": "Community of a unit in a component, the strongest first; -1 for none.",
    "confusion": "Mean response of a cluster's cells to a stimulus, in standard deviations above "
    "the mean; high for the own stimulus and low for others is better.",
    "constant voxels": "Number of voxels that never vary.",
    "correlation with the others": "Correlation of an aligned subject with the mean of the others, "
    "from -1 to 1; higher is better.",
    "decodability": "How well brains carry a component: 1 without error, 0 not at all.",
    "decoding": "Cross-validated accuracy of the dichotomy, from 0 to 1; higher is better.",
    "distance": "Cross-validated squared distance between conditions per unit, in squared units of "
    "the data; 0 by chance, larger is easier to tell apart.",
    "distance of conditions": "Cross-validated squared distance between two conditions per unit, "
    "in squared units of the data; 0 by chance, larger is easier to tell apart.",
    "first state": "Probability that a session begins in the state, from 0 to 1.",
    "independent_windows": "Of how many windows without overlap the windows tell as much; five "
    "for each component are the least to trust a time course.",
    "intercept": "What is added to the weighted inputs: log-odds of a choice, the log of a count, "
    "or units of the output.",
    "left-out error": "Mean squared error on left-out samples at the kept penalty, in squared "
    "units of the target; lower is better.",
    "loading": "How strongly a unit, pair, time or subject takes part in a component, without "
    "unit; not negative, and comparable within a component.",
    "loss": "Loss on training data after an epoch; lower is better, on the same loss.",
    "match": "How alike the components of a start are to those kept, from 0 to 1 (the same).",
    "mean": "Mean feature of a type's cells, in standard deviations over all cells.",
    "n_cells": "Number of cells of a type.",
    "noise variance": "Variance that the shared components leave in a subject, in squared units of "
    "the data; lower is better.",
    "objective": "What the stimuli maximize: how much they drive their cluster and not the others; "
    "higher is better.",
    "parallelism": "Mean cosine of coding directions, from -1 to 1; higher is more abstract.",
    "participation_ratio": "Effective number of dimensions of the conditions' means, from 1 on.",
    "penalty": "Penalty that left-out samples chose, on the scale of standardized voxels; larger "
    "draws weights closer to zero, and neither way is better.",
    "receptive field column": f"Column of {_PLACES}.",
    "receptive field row": f"Row of {_PLACES}.",
    "reliability": "Mean correlation of distances in one part of the data with those in the rest, "
    "from -1 to 1; higher is better.",
    "response": "Response to the stimulus of a facet, in the model's units.",
    "share": "Share of the cells that are of a type, from 0 to 1.",
    "transition": "Probability of going from one state to another, in each step, from 0 to 1.",
    "type": "Number of the type of a cell.",
    "validation": "Share of the deviance left on held-out blocks; lower is better, 1 explains "
    "nothing.",
    "weight": "How much an input (or another unit's recent spikes) moves the output: log-odds or "
    "log rate for one unit of the input, or units of the output; of a component, its size.",
}
"""Of `neuroml.report.tabulate`, beside the facts."""


def fact_meaning(name: str) -> str:
    """What a fact is, or a pointer to its estimator's documentation for one that is not ours."""
    return _FACTS.get(name, f"The estimator's attribute {name}_, which its documentation explains.")


def quantity_meaning(name: str) -> str:
    """What a quantity of a table is; that of one dichotomy ("ccgp[3]") is what its mean is of."""
    plain = re.sub(r"\[\d+\]$", "", name)
    return _QUANTITIES.get(plain) or fact_meaning(plain)
