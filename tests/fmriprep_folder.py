"""A folder as fMRIPrep writes it, with planted communities and trial types."""

import json

import nibabel
import numpy as np
import pandas as pd

SPACE = "MNI152NLin2009cAsym"
SHAPE, N_REGIONS, N_VOLUMES, TR_S = (12, 12, 10), 83, 144, 2.0
AFFINE = np.array([[-12.0, 0, 0, 66], [0, 14, 0, -92], [0, 0, 13, -55], [0, 0, 0, 1]])
COMMUNITIES = [list(range(0, 8)), list(range(8, 18)), list(range(18, 24))]
"""Numbers of the regions, each set active in its own third of the time and in turns."""
TYPES = ("face", "house")
SUBJECTS, RUNS = ("01", "02", "03"), ("1", "2")
ACTIVE = 24  # volumes


def parcels():
    """Region (1 to 83) of each voxel in the brain, an ellipsoid."""
    rng = np.random.default_rng(0)
    at = np.indices(SHAPE).reshape(3, -1).T
    middle = (np.array(SHAPE) - 1) / 2
    inside = (((at - middle) / (middle + 0.3)) ** 2).sum(axis=1) < 1
    seeds = at[inside][rng.choice(inside.sum(), N_REGIONS, replace=False)]
    nearest = ((at[:, None] - seeds) ** 2).sum(axis=2).argmin(axis=1)
    return np.where(inside, nearest + 1, 0).reshape(SHAPE).astype(np.int16)


def events_of(rng):
    """Fourteen events in random order, 12 s before each."""
    names = rng.permutation(np.repeat(TYPES, 7))
    onsets = 20.0 + 18.0 * np.arange(len(names))
    return pd.DataFrame({"onset": onsets, "duration": 4.0, "trial_type": names})


def signals(rng, events, patterns):
    """Signals (time, region): communities share what they do while they are active."""
    values = rng.normal(size=(N_VOLUMES, N_REGIONS))
    for number, members in enumerate(COMMUNITIES):
        on = np.arange(N_VOLUMES) // ACTIVE % len(COMMUNITIES) == number
        values[np.ix_(on, members)] += 2.0 * rng.normal(size=(on.sum(), 1))
    time = TR_S * np.arange(N_VOLUMES)
    for onset, name in zip(events["onset"], events["trial_type"], strict=True):
        shape = np.exp(-0.5 * ((time - onset - 6) / 2) ** 2)
        values += 0.5 * shape[:, None] * patterns[name]
    return values


def write(study):
    """Three subjects with two runs each; return the folder of derivatives and the atlas."""
    atlas = parcels()
    study.mkdir(parents=True)
    nibabel.save(nibabel.Nifti1Image(atlas, AFFINE), study / "atlas.nii.gz")
    rng = np.random.default_rng(1)
    patterns = {name: rng.normal(size=N_REGIONS) for name in TYPES}
    table = pd.DataFrame({"participant_id": [f"sub-{int(one)}" for one in SUBJECTS]})
    table.to_csv(study / "participants.tsv", sep="\t", index=False)
    (study / "task-objects_bold.json").write_text(json.dumps({"RepetitionTime": TR_S}))
    derivatives = study / "derivatives" / "fmriprep"
    derivatives.mkdir(parents=True)
    about = {"Name": "fMRIPrep", "BIDSVersion": "1.4.0", "DatasetType": "derivative"}
    (derivatives / "dataset_description.json").write_text(json.dumps(about))
    for subject in SUBJECTS:
        for run in RUNS:
            _write_run(study, derivatives, subject, run, atlas, patterns, rng)
    return derivatives, study / "atlas.nii.gz"


def _write_run(study, derivatives, subject, run, atlas, patterns, rng):
    stem = f"sub-{subject}_task-objects_run-{run}"
    raw, func = (folder / f"sub-{subject}" / "func" for folder in (study, derivatives))
    for folder in (raw, func):
        folder.mkdir(parents=True, exist_ok=True)
    events = events_of(rng)
    events.to_csv(raw / f"{stem}_events.tsv", sep="\t", index=False)
    inside = atlas > 0
    values = np.zeros((*SHAPE, N_VOLUMES), np.float32)
    own = signals(rng, events, patterns)
    values[inside] = 5 * own.T[atlas[inside] - 1] + rng.normal(1000, 5, (inside.sum(), N_VOLUMES))
    name = func / f"{stem}_space-{SPACE}_desc"
    image = nibabel.Nifti1Image(values, AFFINE)
    image.header.set_zooms((*image.header.get_zooms()[:3], TR_S))
    image.header.set_xyzt_units("mm", "sec")
    image.set_sform(AFFINE, 4)
    nibabel.save(image, f"{name}-preproc_bold.nii.gz")
    mask = nibabel.Nifti1Image(inside.astype(np.uint8), AFFINE)
    nibabel.save(mask, f"{name}-brain_mask.nii.gz")
    names = [f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz"]
    confounds = pd.DataFrame(
        {one: 0.01 * rng.normal(size=N_VOLUMES) for one in [*names, "csf", "white_matter"]}
    )
    half = np.pi * (np.arange(N_VOLUMES) + 0.5) / N_VOLUMES
    confounds["cosine00"], confounds["cosine01"] = np.cos(half), np.cos(2 * half)
    path = func / f"{stem}_desc-confounds_timeseries.tsv"
    confounds.to_csv(path, sep="\t", index=False)
    path.with_suffix(".json").write_text("{}")
