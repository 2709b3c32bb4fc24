"""A core-readout network of openretina's design, written out in plain torch at our size.

Its parts are those of openretina's ``SimpleCoreWrapper`` with separable convolutions and of its
readout with Gaussian masks: filters over space, then over time, batch normalization, ELU, a hidden
layer of the same kind, and for each cell a normalized Gaussian mask over the canvas times feature
weights, then softplus. Training is theirs, too: AdamW, the summed Poisson loss, a learning rate
that falls where the validation correlation does not rise, and the best weights kept. Penalties are
left out, as in the model that this stands beside.
"""

from __future__ import annotations

import copy
import time
from itertools import pairwise

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from neuroml.celltypes import ResponseModel
from neuroml.celltypes._fit_quality import correlation_to_mean
from neuroml.simulate import make_retina

N_LAGS, N_FILTERS, N_FEATURES, KERNEL = 10, 16, 24, 7
CLIP, BATCH, MAX_EPOCHS = 50, 8, 100
# openretina's readout scales, learning rate, its fall, and the thresholds of the correlation
MEAN_SCALE, VAR_SCALE = 6.0, 4.0
RATE, FALL, FALL_AFTER, FALL_BELOW, MIN_GAIN = 0.01, 0.3, 5, 5e-4, 1e-3


class CoreReadout(nn.Module):
    """Movies (batch, 1, n_frames, height, width) to rates (batch, n_frames - 9, n_cells)."""

    def __init__(self, canvas, n_cells):
        super().__init__()
        reach = KERNEL // 2
        self.core = nn.Sequential(
            nn.Conv3d(1, N_FILTERS, (1, KERNEL, KERNEL), padding=(0, reach, reach), bias=False),
            nn.Conv3d(N_FILTERS, N_FILTERS, (N_LAGS, 1, 1), bias=False),
            nn.BatchNorm3d(N_FILTERS),
            nn.ELU(),
            nn.Conv3d(N_FILTERS, N_FEATURES, 1, bias=False),
            nn.BatchNorm3d(N_FEATURES),
            nn.ELU(),
        )
        rows, columns = (torch.linspace(-1, 1, n) for n in canvas)
        self.register_buffer("grid", torch.stack(torch.meshgrid(rows, columns, indexing="ij"), -1))
        self.mean = nn.Parameter(torch.zeros(n_cells, 2))
        self.log_var = nn.Parameter(torch.zeros(n_cells))
        self.features = nn.Parameter(1 / N_FEATURES + 0.01 * torch.randn(n_cells, N_FEATURES))
        self.gain = nn.Parameter(1 + 0.01 * torch.randn(n_cells))
        self.bias = nn.Parameter(torch.zeros(n_cells))

    def forward(self, movie):
        distance = self.grid - MEAN_SCALE * self.mean[:, None, None]
        squared = distance.square().sum(-1) / (VAR_SCALE * self.log_var).exp()[:, None, None]
        mask = (-squared / 2).flatten(1).softmax(dim=1)  # a Gaussian with the sum 1
        seen = self.core(movie).flatten(3) @ mask.T
        drive = torch.einsum("bftn,nf->btn", seen, self.features)
        return functional.softplus(self.gain * drive + self.bias)


def clips(starts, stimuli, responses):
    history = starts[:, None] + torch.arange(1 - N_LAGS, CLIP)
    return stimuli[history][:, None], responses[history[:, N_LAGS - 1 :]]


def train(stimuli, responses, held_out, seed, patience):
    """Train on all frames but the blocks held out; the network, and the number of epochs."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    X = torch.from_numpy((stimuli - stimuli.mean()) / stimuli.std()).float()
    Y = torch.from_numpy(responses).float()
    edges = np.unique([N_LAGS - 1, len(X), *held_out.ravel()])
    runs = list(pairwise(edges))
    # training clips keep their distance from held-out frames by the history alone, as ours do
    tested = {tuple(block) for block in held_out}
    known = [run for run in runs if run not in tested and run[1] - run[0] >= CLIP]
    network = CoreReadout(stimuli.shape[1:], responses.shape[1])
    optimizer = torch.optim.AdamW(network.parameters(), RATE)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer,
        mode="max",
        factor=FALL,
        patience=FALL_AFTER,
        threshold=FALL_BELOW,
        threshold_mode="abs",
        min_lr=RATE * FALL**3,
    )
    best, kept, waited = -np.inf, None, 0
    n_epochs = 0
    while n_epochs < MAX_EPOCHS and waited < patience:
        n_epochs += 1
        network.train()
        first = [a + rng.integers(min(CLIP, b - a - CLIP + 1)) for a, b in known]
        starts = [np.arange(f, b - CLIP + 1, CLIP) for f, (_, b) in zip(first, known, strict=True)]
        order = torch.from_numpy(rng.permutation(np.concatenate(starts)))
        for part in order.split(BATCH):
            shown, counts = clips(part, X, Y)
            rate = network(shown)
            optimizer.zero_grad()
            (rate - counts * (rate + 1e-8).log()).sum().backward()
            optimizer.step()
        network.eval()
        found = np.mean([validate(network, X, Y, a, b) for a, b in tested])
        plateau.step(found)
        if found > best + MIN_GAIN:
            best, kept, waited = found, copy.deepcopy(network.state_dict()), 0
        else:
            waited += 1
    network.load_state_dict(kept)
    return network, n_epochs


def predict(network, X):
    with torch.no_grad():
        return network(X[None, None])[0].numpy().astype(float)


def validate(network, X, Y, start, stop):
    rates = predict(network, X[start + 1 - N_LAGS : stop])
    return np.nanmean(correlation_to_mean(rates, Y[None, start:stop].numpy().astype(float)))


def compare(seed, n_frames):
    """Score and CPU seconds of both; correlations are with the mean over 10 repeats."""
    retina = make_retina(n_frames=n_frames, rf_jitter=1.0, random_state=seed)
    repeats = retina.test_responses[:, N_LAGS - 1 :].astype(float)
    rows = {}
    start = time.process_time()
    model = ResponseModel(random_state=seed, device="cpu").fit(retina.stimuli, retina.responses)
    taken = time.process_time() - start
    ours = model.predict(retina.test_stimuli)[N_LAGS - 1 :]
    score = np.nanmean(correlation_to_mean(ours.astype(float), repeats))
    rows["ResponseModel()"] = (score, taken, model.n_iter_)
    start = time.process_time()
    network, n_epochs = train(
        retina.stimuli, retina.responses, model.validation_blocks_, seed, model.patience
    )
    taken = time.process_time() - start
    shown = (retina.test_stimuli - retina.stimuli.mean()) / retina.stimuli.std()
    rates = predict(network, torch.from_numpy(shown).float())
    score = np.nanmean(correlation_to_mean(rates, repeats))
    rows["core-readout written out"] = (score, taken, n_epochs)
    return rows
