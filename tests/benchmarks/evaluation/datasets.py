"""The family's model beside its baselines on every named data set; says where the plain one wins.

``python datasets.py [song alice ...]``; data sets are found as `load_dataset` finds them, or in
NEUROML_SHARED_DATA. Settings are small, so that each takes a minute or two; each has a time limit.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import warnings
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.pipeline import make_pipeline

from neuroml.celltypes import ResponseModel
from neuroml.connectome import NonnegativeCP, SlidingWindowConnectivity
from neuroml.data import load_dataset
from neuroml.decoding import CrossSubjectDecoder, PrototypeClassifier
from neuroml.evaluation import BlockedKFold, Evaluation, SessionKFold, evaluate
from neuroml.switching import SwitchingGLM, SwitchingPopulationGLM

SECONDS = 180


def _windows(name: str, window: int, stride: int, n_subjects: int, **options: Any) -> Evaluation:
    recordings = _load(name).recordings[:n_subjects]
    units = set.intersection(*({str(u) for u in r["unit"].values} for r in recordings))
    shared = [str(u) for u in recordings[0]["unit"].values if str(u) in units]
    parts = [r["signal"].sel(unit=shared).values for r in recordings]
    parts = [(x - x.mean(axis=0)) / np.where(x.std(axis=0) > 0, x.std(axis=0), 1.0) for x in parts]
    moves = np.all([x.std(axis=0) > 0 for x in parts], axis=0)
    lengths = [len(x) for x in parts]
    labels = np.repeat(np.arange(len(parts)), lengths)
    settings = {"negative": "zero", "covariance": "empirical", "vectorize": False}
    models = {
        f"NonnegativeCP, background {background}": make_pipeline(
            SlidingWindowConnectivity(window, stride=stride, **settings),
            NonnegativeCP(4, n_init=1, background=background),
        )
        for background in ("none", "mean")
    }
    groups = labels if len(parts) > 1 else None
    return evaluate(
        models, np.concatenate(parts)[:, moves], sessions=labels, groups=groups,
        cv=BlockedKFold(3, gap=window), random_state=0, **options,
    )  # fmt: skip


def _load(name: str) -> Any:
    return load_dataset(name, data_dir=os.environ.get("NEUROML_SHARED_DATA"))


def _folder(name: str) -> Path:
    return Path(os.environ["NEUROML_SHARED_DATA"]) / name


def song() -> Evaluation:
    return _windows("song_fmri", 45, 15, 10)


def pieman() -> Evaluation:
    return _windows("pieman_htfa", 40, 20, 6)


def zebrafish() -> Evaluation:
    return _windows("zebrafish_regions", 60, 12, 1)


def worms() -> Evaluation:
    return _windows("celegans_neuropal", 100, 20, 7)


def alice() -> Evaluation:
    """Four regressors of the story from six regions, five subjects left out in turn."""
    recordings = _load("alice_fmri").recordings[:5]
    X = {r.attrs["subject"]: _zscored(r["signal"].values) for r in recordings}
    names = ["rate", "frq", "bup", "bigramlex"]
    y = {r.attrs["subject"]: _zscored(r["covariates"].sel(feature=names).values)
         for r in recordings}  # fmt: skip
    models = {
        "CrossSubjectDecoder": CrossSubjectDecoder(),
        "CrossSubjectDecoder, prior pooled": CrossSubjectDecoder(prior="pooled"),
    }
    return evaluate(models, X, y, random_state=0)


def _zscored(x: np.ndarray) -> np.ndarray:
    return (x - x.mean(axis=0)) / np.where(x.std(axis=0) > 0, x.std(axis=0), 1.0)


def haxby() -> Evaluation:
    """Categories from one slice, runs left out."""
    import nibabel

    source = _folder("haxby_slices")

    bold = nibabel.load(source / "bold.nii.gz").get_fdata()
    mask = nibabel.load(source / "mask.nii.gz").get_fdata() > 0
    lines = (source / "attributes_literal.txt").read_text().split()
    labels, runs = np.array(lines[-2904::2]), np.array(lines[-2903::2]).astype(int)
    X = np.concatenate([_zscored(bold[mask].T[runs == run]) for run in np.unique(runs)])
    seen = labels != "rest"
    return evaluate(
        PrototypeClassifier(), X[seen], labels[seen], sessions=runs[seen],
        cv=SessionKFold(12), random_state=0,
    )  # fmt: skip


def rat() -> Evaluation:
    """Choices of one rat; every day is a session."""
    data = np.load(_folder("psytrack_rat") / "psytrack_rat.npz")
    sessions = np.repeat(np.arange(len(data["dayLength"])), data["dayLength"].astype(int))
    y = data["y"].astype(int) - 1
    X = np.column_stack([data["inputs_s1"][:, 0], data["inputs_s2"][:, 0], data["inputs_c"][:, 0]])
    last = sessions < 30
    return evaluate(
        SwitchingGLM(3, n_init=2, max_iter=100), X[last], y[last], sessions=sessions[last],
        random_state=0,
    )  # fmt: skip


def hippocampus() -> Evaluation:
    """Spikes of CA1 on one maze in bins, in blocks of time."""
    recording = _load("hippocampus_spikes").recordings[0]
    spikes = recording["signal"].values[:12000]
    # a unit that is silent in a fold's training data cannot be fitted
    spikes = spikes[:, spikes.sum(axis=0) >= 200]
    model = SwitchingPopulationGLM(2, n_lags=3, n_init=1, ridge=1.0, max_iter=60)
    return evaluate(model, spikes, cv=BlockedKFold(3, gap=40), random_state=0)


def songbird() -> Evaluation:
    """Frames in which neurons of HVC have an event, while the bird sings."""
    recording = _load("songbird_hvc").recordings[0]
    events = (recording["signal"].values > 0).astype(float)
    # a unit that is silent in a fold's training data has no rate
    events = events[:, events.sum(axis=0) >= 10]
    models = {
        f"SwitchingGLM, {n} states": SwitchingGLM(n, family="poisson", n_init=5) for n in (2, 4)
    }
    return evaluate(models, None, events, cv=BlockedKFold(3), random_state=0)


def chirp() -> Evaluation:
    """Responses of clusters of bipolar and amacrine cells to one chirp."""
    recording = _load("retina_bc_ac_chirp").recordings[0]
    stimulus, responses = recording["stimulus"].values, recording["signal"].values
    model = ResponseModel(
        "conv3d", n_lags=32, loss="gaussian", nonlinearity="identity", clip_length=64,
        max_epochs=20, device="cpu",
    )  # fmt: skip
    return evaluate(model, stimulus.reshape(len(responses), -1), _zscored(responses), cv=3,
                    random_state=0)  # fmt: skip


SETS: dict[str, Callable[[], Evaluation]] = {
    f.__name__: f
    for f in (song, alice, haxby, worms, zebrafish, pieman, rat, hippocampus, songbird, chirp)
}


def _too_long(*_: Any) -> None:
    raise TimeoutError(f"not done after {SECONDS} s")


def main(chosen: Collection[str] = ()) -> None:
    """Print a summary per data set."""
    signal.signal(signal.SIGALRM, _too_long)
    for name in chosen or SETS:
        start = time.perf_counter()
        signal.alarm(SECONDS)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                summary = SETS[name]().summary()
        except Exception as error:
            print(f"\n## {name}: {type(error).__name__}: {error}", flush=True)
            continue
        finally:
            signal.alarm(0)
        print(f"\n## {name} ({time.perf_counter() - start:.0f} s)", flush=True)
        print(summary.drop(columns="p").round(4).to_string(index=False), flush=True)
        best = summary["model"].iloc[0]
        if best.startswith("baseline: "):
            print(f"The plain model wins: {best.removeprefix('baseline: ')}.", flush=True)


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[1]))
    from arguments import sections

    main(sections(__doc__, SETS))
