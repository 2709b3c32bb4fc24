"""Motifs of worms, a fish and people against behaviour, anatomy and condition.

``python real_data.py [worms fish song story]``; data sets are found as `load_dataset` finds them.
"""

import sys
import time
import warnings
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import LeaveOneGroupOut, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from neuroml.connectome import (
    AffinityTensor,
    DynamicConnectome,
    NonnegativeCP,
    SlidingWindowConnectivity,
    association,
    reliability,
)
from neuroml.data import clean, load_dataset
from neuroml.exceptions import NotConvergedWarning

WORM = {"method": "mtd", "window": 17, "stride": 2}


def worms():
    data = load_dataset("celegans_neuropal")
    found, partners, chance = [], [], []
    for recording in data.recordings:
        model = DynamicConnectome(5, random_state=0, ridge=0.01, **WORM).fit([recording])
        reversal = recording["covariates"].sel(feature="reversal").values[:: WORM["stride"]]
        table = association(model.time_courses_, reversal, block=30, random_state=0)
        found.append(table["p_corrected"].min())
        names = [str(n) for n in recording["unit"].values]
        sides = [(i, names.index(n[:-1] + "R")) for i, n in enumerate(names)
                 if n.endswith("L") and n[:-1] + "R" in names]  # fmt: skip
        for labels in model.communities_:
            member = labels >= 0
            partners.append(np.mean([labels[i] == labels[j] and member[i] for i, j in sides]))
            same = (labels[:, None] == labels) & member[:, None]
            chance.append((same.sum() - member.sum()) / (len(names) * (len(names) - 1)))
    print(f"worms with a component that goes with reversals (corrected p < 0.05): "
          f"{np.sum(np.array(found) < 0.05)} of {len(found)}")  # fmt: skip
    print(f"left/right partners in one community: {np.mean(partners):.3f}; "
          f"any two neurons: {np.mean(chance):.3f}")  # fmt: skip
    leave_one_worm_out(data.recordings)


def leave_one_worm_out(recordings):
    """Motifs of six worms on the shared neurons; their strength in the seventh and its reversals."""
    shared = set.intersection(*({str(n) for n in r["unit"].values} for r in recordings))
    shared = sorted(shared)
    tensors, reversals = [], []
    for recording in recordings:
        x = recording["signal"].sel(unit=shared).values
        tensors.append(AffinityTensor(**WORM).fit_transform(x).values.T)
        covariate = recording["covariates"].sel(feature="reversal").values
        reversals.append(covariate[:: WORM["stride"]])
    held_out, p = [], []
    for left in range(len(tensors)):
        others = [k for k in range(len(tensors)) if k != left]
        model = NonnegativeCP(6, random_state=0, ridge=0.01)
        courses = model.fit_transform(np.concatenate([tensors[k] for k in others]))
        target = np.concatenate([reversals[k] for k in others])
        chosen = np.abs(np.corrcoef(courses.T, target)[-1, :-1]).argmax()
        sign = np.sign(np.corrcoef(courses[:, chosen], target)[0, 1])
        new = model.transform(tensors[left])[:, [chosen]]
        table = association(new, reversals[left], block=30, random_state=0)
        held_out.append(sign * table["correlation"][0])
        p.append(table["p"][0])
    print(f"leave one worm out, {len(shared)} shared neurons: correlation of the chosen component "
          f"with reversals {np.round(held_out, 2).tolist()}, p {np.round(p, 3).tolist()}")  # fmt: skip


def fish():
    (recording,) = load_dataset("zebrafish_regions").recordings
    model = DynamicConnectome(5, random_state=0).fit([recording])
    i, j = np.triu_indices(recording.sizes["unit"], k=1)
    structure = recording["structural"].values[i, j]
    strength = np.einsum("r,rij->ij", model.subject_loadings_.sum(axis=0), model.motifs_)[i, j]
    static = np.corrcoef(recording["signal"].values.T)[i, j]
    for name, values in (("motifs, summed", strength), ("static correlation", static)):
        print(f"fish: Spearman with structural connectivity, {name}: "
              f"{spearmanr(values, structure)[0]:.3f}")  # fmt: skip


def song():
    """Condition of a run (rest, faces, scenes) in people that were left out."""
    data = load_dataset("song_fmri")
    runs = [clean(r, detrend=True, high_pass_hz=0.01) for r in data.recordings]
    windows = SlidingWindowConnectivity(
        window=45, stride=15, taper="gaussian", negative="zero", vectorize=False,
        discard_diagonal=True,
    )  # fmt: skip
    tensors = [windows.fit_transform(r["signal"].values) for r in runs]
    people = np.array([r.attrs["subject"] for r in runs])
    run = np.array([r.attrs["run"] for r in runs])
    i, j = np.triu_indices(runs[0].sizes["unit"], k=1)
    static = np.array([np.corrcoef(r["signal"].values.T)[i, j] for r in runs])
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))
    condition = np.where(np.char.startswith(run, "rest"), "rest", run)
    scores = []
    for left in np.unique(people):
        train = people != left
        model = NonnegativeCP(10, symmetric_modes=(1, 2), n_init=2, tol=1e-5, random_state=0)
        model.fit(np.concatenate([t for t, kept in zip(tensors, train, strict=True) if kept]))
        loadings = [model.transform(t) for t in tensors]
        features = np.array([np.r_[x.mean(axis=0), x.std(axis=0)] for x in loadings])
        fitted = classifier.fit(features[train], condition[train])
        scores.append(fitted.score(features[~train], condition[~train]))
    splits = {"groups": people, "cv": LeaveOneGroupOut()}
    reference = cross_val_score(classifier, static, condition, **splits)
    print(f"song, rest, faces or scenes, one person left out: loadings {np.mean(scores):.3f}, "
          f"static connectivity {reference.mean():.3f}")  # fmt: skip


def story():
    """Two halves of the listeners of one story."""
    for name, parameters in (("alice_fmri", {}), ("pieman_htfa", {"sigma": 1.5, "stride": 3})):
        recordings = [clean(r, detrend=True) for r in load_dataset(name).recordings]
        n_people = len({r.attrs["subject"] for r in recordings})
        if len(recordings) != n_people:
            print(f"{name}: {len(recordings)} recordings of {n_people} people: not one each")
            continue
        model = DynamicConnectome(5, n_init=2, ridge=0.01, random_state=0, **parameters)
        model.fit(recordings)
        table = reliability(model, recordings, scheme="split_half", n_splits=2, random_state=0)
        means = table.groupby("component")[["motif", "time_course"]].mean().round(2)
        print(f"{name}, {n_people} people, correlation of halves: motifs "
              f"{means['motif'].tolist()}, time courses {means['time_course'].tolist()}")  # fmt: skip


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[1]))
    from arguments import sections

    warnings.simplefilter("ignore", NotConvergedWarning)
    parts = {part.__name__: part for part in (worms, fish, song, story)}
    for chosen in sections(__doc__, parts):
        began = time.process_time()
        parts[chosen]()
        print(f"  ({time.process_time() - began:.0f} CPU s)", flush=True)
