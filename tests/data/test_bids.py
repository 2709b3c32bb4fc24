import json

import nibabel
import numpy as np
import pandas as pd
import pytest

from neuroml.data import read_bids
from neuroml.exceptions import DataError


@pytest.fixture
def tree(tmp_path, volumes, save_image):
    """A raw data set and fMRIPrep's derivatives: two subjects, one of them with two runs."""
    raw, derivatives = tmp_path / "study", tmp_path / "study" / "derivatives" / "fmriprep"
    rng = np.random.default_rng(0)
    for run in ("sub-01_task-rest_run-1", "sub-01_task-rest_run-2", "sub-02_task-rest_run-1"):
        func = f"study/derivatives/fmriprep/{run[:6]}/func"
        for space in ("MNI", "T1w"):
            save_image(volumes[0], name=f"{func}/{run}_space-{space}_desc-preproc_bold.nii.gz")
        table = pd.DataFrame({"csf": rng.normal(size=40), "white_matter": rng.normal(size=40)})
        stem = tmp_path / func / f"{run}_desc-confounds_timeseries"
        table.to_csv(f"{stem}.tsv", sep="\t", index=False)
        stem.with_suffix(".json").write_text("{}")
        events = raw / run[:6] / "func" / f"{run}_events.tsv"
        events.parent.mkdir(parents=True, exist_ok=True)
        events.write_text(f"onset\tduration\ttrial_type\n4\t8\t{run[-1]}\n")
    (raw / "participants.tsv").write_text("participant_id\tage\nsub-02\t31\nsub-01\t28\n")
    return raw, derivatives


@pytest.fixture
def atlas(volumes):
    return nibabel.Nifti1Image(volumes[2], volumes[1])


def test_derivatives_with_the_raw_folder_around_them(tree, atlas):
    data = read_bids(tree[1], labels=atlas, entities={"space": "MNI"})
    keys = [tuple(r.attrs[k] for k in ("subject", "session", "run")) for r in data.recordings]
    assert keys == [("01", "", "rest_1"), ("01", "", "rest_2"), ("02", "", "rest_1")]
    assert all(r.signal.shape == (40, 3) for r in data.recordings)
    assert [e.trial_type[0] for e in data.events] == ["1", "2", "1"]
    assert data.participants.participant_id.tolist() == ["01", "02"]
    assert data.participants.age.tolist() == [28, 31]


def test_confounds_of_each_run(tree, atlas):
    options = {"strategy": ["wm_csf"], "wm_csf": "basic", "demean": False}
    data = read_bids(tree[1], labels=atlas, entities={"space": "T1w"}, confounds=options)
    for recording in data.recordings:
        run = (
            f"sub-{recording.attrs['subject']}_task-{recording.attrs['run'].replace('_', '_run-')}"
        )
        (path,) = tree[1].rglob(f"{run}_desc-confounds_timeseries.tsv")
        table = pd.read_csv(path, sep="\t")
        for name in ("csf", "white_matter"):
            np.testing.assert_allclose(recording.confounds.sel(confound=name), table[name])


def test_two_spaces_are_a_question_not_two_recordings(tree, atlas):
    with pytest.raises(DataError, match=r"more than one file.*space-MNI.*space-T1w.*entities="):
        read_bids(tree[1], labels=atlas)


def test_subjects_and_runs_are_chosen(tree, atlas):
    data = read_bids(tree[1], labels=atlas, entities={"space": "MNI", "sub": "01", "run": "2"})
    assert [r.attrs["run"] for r in data.recordings] == ["rest_2"]
    assert len(data.participants) == 1


def test_the_sidecar_serves_where_the_header_is_silent(tree, atlas, save_image, volumes):
    image = (
        tree[1] / "sub-02" / "func" / "sub-02_task-rest_run-1_space-MNI_desc-preproc_bold.nii.gz"
    )
    sidecar = image.with_name(image.name.replace(".nii.gz", ".json"))
    options = {"labels": atlas, "entities": {"space": "MNI"}}
    sidecar.write_text(json.dumps({"RepetitionTime": 0.8}))
    with pytest.raises(DataError, match=r"different repetition times.*2 s.*0.8 s.*tr_s="):
        read_bids(tree[1], **options)
    assert read_bids(tree[1], tr_s=0.8, **options).recordings[2].attrs["rate_hz"] == 1.25
    save_image(volumes[0], tr=0.0, name=str(image))
    data = read_bids(tree[1], **options)
    assert [r.attrs["rate_hz"] for r in data.recordings] == [0.5, 0.5, 1.25]
    sidecar.write_text('{"RepetitionTime": "fast"}')
    with pytest.raises(DataError, match=r"not a number.*'fast'"):
        read_bids(tree[1], **options)
    sidecar.write_text("{")
    with pytest.raises(DataError, match="sidecar is not JSON"):
        read_bids(tree[1], **options)


def test_raw_folder_elsewhere_or_nowhere(tree, atlas, tmp_path):
    moved = tmp_path / "moved"
    tree[1].rename(moved)
    options = {"labels": atlas, "entities": {"space": "MNI"}}
    data = read_bids(moved, **options)
    assert data.events == [None, None, None]
    assert data.participants.columns.tolist() == ["participant_id"]
    data = read_bids(moved, raw=tree[0], **options)
    assert data.participants.age.tolist() == [28, 31]
    assert data.events[0] is not None


def test_sessions(save_image, volumes, atlas, tmp_path):
    for session in ("a", "b"):
        name = f"sub-01_ses-{session}_task-rest_bold.nii.gz"
        save_image(volumes[0], name=f"d/sub-01/ses-{session}/func/{name}")
    data = read_bids(tmp_path / "d", labels=atlas)
    assert [r.attrs["session"] for r in data.recordings] == ["a", "b"]


def test_nothing_found(tmp_path, tree, atlas):
    with pytest.raises(DataError, match="no functional run in the folder"):
        read_bids(tmp_path / "study" / "sub-01", labels=atlas)
    with pytest.raises(DataError, match=r"with \{'task': 'faces'\}"):
        read_bids(tree[1], labels=atlas, entities={"task": "faces"})


def test_damaged_run_is_named(tree, atlas):
    path = next(tree[1].glob("sub-02/func/*MNI*_bold.nii.gz"))
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(DataError, match=r"sub-02_task-rest_run-1_space-MNI.*truncated"):
        read_bids(tree[1], labels=atlas, entities={"space": "MNI"})


def test_participants_without_the_column(tree, atlas):
    (tree[0] / "participants.tsv").write_text("name\tage\nx\t3\n")
    with pytest.raises(DataError, match="no participant_id; found name, age"):
        read_bids(tree[1], labels=atlas, entities={"space": "MNI"})
