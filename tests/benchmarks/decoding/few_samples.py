"""Few samples of a new subject: aligners with and without a prior, beside no samples at all.

Aligners are fitted to one half of the time; a left-out subject is added from the first rows of that
half, and compared with the mean of the others in the other half, by time segments and by the
correlation of columns. "no new data" is the mean of the others' maps, means and scales.
"""

import sys
import time
import warnings
from pathlib import Path

import numpy as np
from measure import table
from scipy.signal import lfilter

from neuroml.data import load_dataset
from neuroml.decoding import ProcrustesAligner, SharedResponseModel
from neuroml.decoding.metrics import feature_correlation, time_segment_matching

ROWS, N_FOLDS, WINDOW, SEEDS = (15, 30, 60, 100, 150), 3, 10, 3


def aligners(prior, k):
    return {
        "SharedResponseModel": SharedResponseModel(k, prior=prior, random_state=0),
        "ProcrustesAligner": ProcrustesAligner(prior=prior),
    }


def both_scores(own, mean):
    segments = time_segment_matching([own, mean], WINDOW).accuracy[0]
    return segments, feature_correlation(own, mean).mean()


def without_data(model, X):
    mean, scale = (np.mean(list(by_s.values()), axis=0) for by_s in (model.mean_, model.scale_))
    others = model._mixed(model.pooled_basis_, model.pooled_basis_, 1.0)
    return (X - mean) / scale @ others


def left_out(data, halves, k):
    """{(aligner, arm, rows): {subject: [(segments, r), ...]}}."""
    found, names = {}, list(data)
    for fold in range(N_FOLDS):
        out = names[fold::N_FOLDS]
        for here, there in halves:
            train = {s: data[s][here] for s in names if s not in out}
            for prior in ("none", "pooled"):
                for name, model in aligners(prior, k).items():
                    model.fit(train)
                    mean = np.mean([model.transform(data[s][there], subject=s) for s in train], 0)

                    def note(arm, rows, s, Z):
                        cell = found.setdefault((name, arm, rows), {})  # noqa: B023
                        cell.setdefault(s, []).append(both_scores(Z, mean))  # noqa: B023

                    for s in out:
                        if prior == "pooled":
                            note("no new data", 0, s, without_data(model, data[s][there]))
                        for rows in ROWS:
                            if prior == "none" and rows < getattr(model, "n_components", 0):
                                continue  # refused: fewer samples than components
                            seen = data[s][here].copy()
                            seen[rows:] = np.nan
                            # the same copy of the model for every amount
                            model.add_subject(seen, subject=s)
                            note(prior, rows, s, model.transform(data[s][there], subject=s))
                            for known in vars(model).values():
                                if isinstance(known, dict):
                                    known.pop(s, None)
    return found


def partly_alike(seed, own, n_subjects=12, n=300, n_voxels=60, k=8):
    """Voxels with a share of their own in how they respond; response and noise have a memory."""
    rng = np.random.default_rng(seed)

    def slow(*shape):
        return lfilter([np.sqrt(1 - 0.7**2)], [1, -0.7], rng.standard_normal(shape), axis=0)

    response, common = slow(n, k), rng.standard_normal((k, n_voxels))
    X = {}
    for s in range(n_subjects):
        weights = np.sqrt(1 - own) * common + np.sqrt(own) * rng.standard_normal(common.shape)
        X[seed, s] = 0.25 * response @ weights + slow(n, n_voxels)
    return X


def tell(title, found):
    print(f"\n  {title}")
    rows = []
    for (name, arm, n), cell in sorted(found.items(), key=lambda item: str(item[0][0])):
        values = np.array([np.mean(v, axis=0) for v in cell.values()])
        none = np.array([np.mean(v, axis=0) for v in found[name, "no new data", 0].values()])
        mean, error = values.mean(axis=0), values.std(axis=0, ddof=1) / np.sqrt(len(values))
        gain = values - none
        paired = gain.std(axis=0, ddof=1) / np.sqrt(len(values))
        cells = [
            f"{m:.3f} +- {e:.3f} ({g:+.3f} +- {p:.3f})"
            for m, e, g, p in zip(mean, error, gain.mean(axis=0), paired, strict=True)
        ]
        rows.append([name, arm, str(n), *cells])
    rows.sort(key=lambda row: (row[0], row[1], int(row[2])))
    table(["aligner", "prior", "rows", "segments (minus no data)", "r (minus no data)"], rows)


def main():
    warnings.simplefilter("ignore")
    print("  means and standard errors over subjects; in brackets paired with no new data")
    start = time.process_time()
    recordings = load_dataset("pieman_htfa").recordings
    data = {r.attrs["subject"]: r["signal"].values.astype(float) for r in recordings}
    both = ((slice(0, 150), slice(150, 300)), (slice(150, 300), slice(0, 150)))
    tell("36 people hear a story, 100 nodes", left_out(data, both, 30))
    for own in (0.0, 0.3, 0.7):
        pooled = {}
        for seed in range(SEEDS):
            for key, cell in left_out(partly_alike(seed, own), both[:1], 8).items():
                pooled.setdefault(key, {}).update(cell)
        tell(f"simulated, {own:.0%} of each map its own, {SEEDS} seeds x 12 subjects", pooled)
    print(f"  ({time.process_time() - start:.0f} CPU s)")


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[1]))
    from arguments import arguments

    arguments(__doc__)
    main()
