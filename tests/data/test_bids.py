import importlib
import json

import nibabel
import numpy as np
import pandas as pd
import pytest

from neuroml.data import describe_file, labels_from_events, read_bids, read_fmri
from neuroml.data.bids import find_runs
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
    assert keys == [
        ("01", "", "task-rest_run-1"),
        ("01", "", "task-rest_run-2"),
        ("02", "", "task-rest_run-1"),
    ]
    assert all(r.signal.shape == (40, 3) for r in data.recordings)
    assert [e.trial_type[0] for e in data.events] == ["1", "2", "1"]
    assert data.participants.participant_id.tolist() == ["01", "02"]
    assert data.participants.age.tolist() == [28, 31]


def test_confounds_of_each_run(tree, atlas):
    options = {"strategy": ["wm_csf"], "wm_csf": "basic", "demean": False}
    data = read_bids(tree[1], labels=atlas, entities={"space": "T1w"}, confounds=options)
    for recording in data.recordings:
        run = f"sub-{recording.attrs['subject']}_{recording.attrs['run']}"
        (path,) = tree[1].rglob(f"{run}_desc-confounds_timeseries.tsv")
        table = pd.read_csv(path, sep="\t")
        for name in ("csf", "white_matter"):
            np.testing.assert_allclose(recording.confounds.sel(confound=name), table[name])


def test_two_spaces_are_a_question_not_two_recordings(tree, atlas):
    with pytest.raises(
        DataError, match=r"more than one file.*space-MNI.*space-T1w.*'space': 'T1w'"
    ):
        read_bids(tree[1], labels=atlas)


def test_subjects_and_runs_are_chosen(tree, atlas):
    data = read_bids(tree[1], labels=atlas, entities={"space": "MNI", "sub": "01", "run": "2"})
    assert [r.attrs["run"] for r in data.recordings] == ["task-rest_run-2"]
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
    for folder in (tree[1].parent, tree[0]):  # the derivatives, and the study around them
        with pytest.raises(DataError, match=f"There are subjects in.*{tree[1].name}.*give that"):
            read_bids(folder, labels=atlas)


def test_damaged_run_is_named(tree, atlas):
    path = next(tree[1].glob("sub-02/func/*MNI*_bold.nii.gz"))
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(DataError, match=r"sub-02_task-rest_run-1_space-MNI.*truncated"):
        read_bids(tree[1], labels=atlas, entities={"space": "MNI"})


def test_participants_without_the_column(tree, atlas):
    (tree[0] / "participants.tsv").write_text("name\tage\nx\t3\n")
    with pytest.raises(DataError, match="no participant_id; found name, age"):
        read_bids(tree[1], labels=atlas, entities={"space": "MNI"})


EVENTS = "onset\tduration\ttrial_type\n4\t8\t{}\n"


@pytest.fixture
def raw(tmp_path, save_image, volumes):
    """Write runs of a raw data set by their names."""

    def write(*names, tr=2.0):
        for name in names:
            subject = name.split("_")[0]
            save_image(volumes[0], tr=tr, name=f"raw/{subject}/func/{name}_bold.nii.gz")
        return tmp_path / "raw"

    return write


def put(root, texts):
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


@pytest.mark.parametrize(
    ("others", "differs"),
    [
        (["echo-1", "echo-2"], "echo"),
        (["echo-2", None], "echo"),
        (["part-mag", "part-phase"], "part"),
        (["run-1", "run-01"], "run"),
        (["res-2", "den-2"], "den"),
    ],
)
def test_files_of_one_run_are_a_question(raw, atlas, others, differs):
    root = raw(*("_".join(filter(None, ("sub-01_task-rest", other))) for other in others))
    with pytest.raises(DataError, match=rf"more than one file.*entities=.*'{differs}'"):
        read_bids(root, labels=atlas)


def test_the_combined_run_is_read_where_fmriprep_wrote_it(raw, atlas):
    stem = "sub-01_task-rest{}_space-MNI_desc-preproc"
    root = raw(*(stem.format(echo) for echo in ("", "_echo-1", "_echo-2")))
    keys = [one.attrs["run"] for one in read_bids(root, labels=atlas).recordings]
    assert keys == ["task-rest"]
    (one,) = read_bids(root, labels=atlas, entities={"echo": 2}).recordings
    assert one.attrs["run"] == "task-rest_echo-2"


def test_content_that_was_not_fetched_has_a_message_of_its_own(raw, atlas):
    root = raw("sub-01_task-rest")
    (image,) = root.rglob("*_bold.nii.gz")
    key = "SHA256E-s2609--c3fd.nii.gz"
    image.unlink()
    image.symlink_to(f"../../.git/annex/objects/M8/X8/{key}/{key}")
    told = "pointer of git-annex.*datalad get sub-01_task-rest_bold.nii.gz"
    with pytest.raises(DataError, match=told):
        read_bids(root, labels=atlas)
    assert "pointer of git-annex" in str(describe_file(image))
    image.unlink()
    image.write_text(f"/annex/objects/{key}\n")
    with pytest.raises(DataError, match=told):
        read_bids(root, labels=atlas)
    image.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9\n")
    with pytest.raises(DataError, match="pointer of Git LFS.*git lfs pull"):
        read_bids(root, labels=atlas)


@pytest.mark.parametrize("stem", ["_space-MNI_desc-preproc", "_desc-preproc"])
def test_each_run_has_its_own_brain_mask(raw, atlas, stem):
    names = [f"sub-01_task-rest_run-{run}{stem}" for run in (1, 2)]
    root = raw(*names)
    with pytest.raises(DataError, match="no brain mask beside it"):
        read_bids(root, mask="brain")
    for count, name in enumerate(names, start=3):
        image = next(root.rglob(f"{name}_bold.nii.gz"))
        inside = np.zeros(atlas.shape, np.uint8)
        inside.flat[:count] = 1
        own = image.name.replace("desc-preproc_bold", "desc-brain_mask")
        nibabel.save(nibabel.Nifti1Image(inside, atlas.affine), image.with_name(own))
    found = read_bids(root, mask="brain").recordings
    assert [one.sizes["unit"] for one in found] == [3, 4]


def test_an_echo_or_the_images_without_one_are_chosen(raw, atlas):
    root = raw("sub-01_task-rest_echo-1", "sub-01_task-rest_echo-2", "sub-01_task-rest")
    for wanted, run in ((2, "task-rest_echo-2"), ("02", "task-rest_echo-2"), (None, "task-rest")):
        data = read_bids(root, labels=atlas, entities={"echo": wanted})
        assert [r.attrs["run"] for r in data.recordings] == [run]


def test_keys_tell_runs_apart(raw, atlas):
    names = ["run-1", "acq-1", "dir-1", "rec-1", "ce-1", "acq-1_run-1"]
    root = raw(*(f"sub-01_task-rest_{name}" for name in names), "sub-01-a_task-rest_run-1")
    keys = [
        tuple(r.attrs[k] for k in ("subject", "run"))
        for r in read_bids(root, labels=atlas).recordings
    ]
    assert len(set(keys)) == len(names) + 1
    assert ("01", "task-rest_run-1") in keys and ("01", "task-rest_acq-1_run-1") in keys


@pytest.mark.parametrize(
    "name",
    [
        "sub-01/func/sub-01_task-x_run-01_events.tsv",
        "sub-01/func/sub-01_task-x_events.tsv",
        "sub-01/sub-01_task-x_events.tsv",
        "task-x_events.tsv",
        "task-x_run-001_events.tsv",
    ],
)
def test_events_are_found_by_inheritance(raw, atlas, name):
    root = raw("sub-01_task-x_run-1", "sub-01_task-y_run-1")
    put(root, {name: EVENTS.format("here")})
    x, y = read_bids(root, labels=atlas).events
    assert x.trial_type.tolist() == ["here"] and y is None


def test_the_nearest_events_are_taken(raw, atlas):
    root = raw("sub-01_task-x_run-1", "sub-01_task-x_run-2")
    near = "sub-01/func/sub-01_task-x_run-2_events.tsv"
    put(root, {"task-x_events.tsv": EVENTS.format("far"), near: EVENTS.format("near")})
    events = read_bids(root, labels=atlas).events
    assert [table.trial_type[0] for table in events] == ["far", "near"]
    put(root, {"sub-01/func/sub-01_task-x_run-02_events.tsv": EVENTS.format("rival")})
    with pytest.warns(UserWarning, match="run-2_bold.nii.gz is left out.*more than one table"):
        data = read_bids(root, labels=atlas)
    assert [r.attrs["run"] for r in data.recordings] == ["task-x_run-1"]


def test_events_that_fit_no_run_are_told(raw, atlas):
    root = raw("sub-01_task-x_run-1", "sub-01_task-x_run-2")
    put(root, {"sub-01/func/sub-01_task-x_run-2_events.tsv": EVENTS.format("a")})
    assert read_bids(root, labels=atlas).recordings[0].attrs["dropped"] == []
    put(root, {"sub-01/func/sub-01_task-x_run-3_events.tsv": EVENTS.format("a")})
    first, second = read_bids(root, labels=atlas).recordings
    assert "fit no run: sub-01_task-x_run-3_events.tsv" in first.attrs["dropped"][0]
    assert second.attrs["dropped"] == []


@pytest.mark.parametrize(
    ("ids", "ages"),
    [
        (["sub-01", "sub-02"], [30, 40]),
        (["01", "02"], [30, 40]),
        (["02", "sub-01"], [40, 30]),
        (["01", "03"], [30, None]),
        (["sub-1", "sub-2"], [30, 40]),
        (["sub-01", "2"], [30, 40]),
        (["sub-001", "sub-1"], "another way"),
        (["SUB_01", "SUB_02"], "another way"),
        (["A", "B"], "another way"),
        (["sub-01", "01"], "repeat"),
    ],
)
def test_participants_by_their_spelling(raw, atlas, ids, ages):
    root = raw("sub-01_task-x", "sub-02_task-x")
    rows = "".join(f"{name}\t{age}\n" for name, age in zip(ids, (30, 40), strict=True))
    put(root, {"participants.tsv": f"participant_id\tage\n{rows}"})
    if isinstance(ages, str):
        with pytest.raises(DataError, match=f"participants.tsv.*{ages}"):
            read_bids(root, labels=atlas)
        return
    found = read_bids(root, labels=atlas).participants
    assert found.participant_id.tolist() == ["01", "02"]
    np.testing.assert_array_equal(found.age, np.array(ages, dtype=float))


SIDECARS = [
    "sub-01/func/sub-01_task-x_run-1_bold.json",
    "sub-01/func/sub-01_task-x_bold.json",
    "sub-01/sub-01_bold.json",
    "task-x_bold.json",
    "bold.json",
]


def both(root, atlas):
    """The run as both readers read it."""
    (path,) = root.rglob("*_bold.nii.gz")
    yield lambda **options: read_bids(root, labels=atlas, **options).recordings[0]
    yield lambda **options: read_fmri(path, labels=atlas, **options)


@pytest.mark.parametrize("sidecar", SIDECARS)
def test_the_inherited_repetition_time_is_read(raw, atlas, sidecar):
    root = raw("sub-01_task-x_run-1", tr=0.0)
    put(root, {sidecar: '{"RepetitionTime": 2.5}', "task-y_bold.json": "not JSON"})
    for read in both(root, atlas):
        assert read().attrs["rate_hz"] == 0.4
    raw("sub-01_task-x_run-1", tr=1.0)
    for read in both(root, atlas):
        with pytest.raises(DataError, match=r"bold.json.*expected 1 s.*found 2.5 s.*tr_s="):
            read()
        assert read(tr_s=2.5).attrs["rate_hz"] == 0.4


def test_the_nearest_sidecar_wins(raw, atlas):
    root = raw("sub-01_task-x_run-1", tr=0.0)
    for at, name in enumerate(SIDECARS[::-1]):
        put(root, {name: f'{{"RepetitionTime": {at + 1}}}'})
        for read in both(root, atlas):
            assert read().attrs["rate_hz"] == 1 / (at + 1)
    put(root, {SIDECARS[0]: "{}"})
    for read in both(root, atlas):
        assert read().attrs["rate_hz"] == 1 / 4


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"RepetitionTime": 2000}', "found 2000.*2 s would be"),
        ('{"RepetitionTime": 720}', "found 720.*0.72 s would be"),
        ('{"RepetitionTime": true}', "not a number; expected seconds; found True"),
        ('{"RepetitionTime": "2.0"}', "not a number; expected seconds; found '2.0'"),
        ('{"RepetitionTime": 0}', "found 0"),
        ('{"RepetitionTime": NaN}', "found nan"),
        ('{"RepetitionTime": -2}', "found -2"),
        ("[2.0]", "not JSON of named values"),
        ('{"VolumeTiming": [0, 3, 9]}', "not evenly spaced.*tr_s="),
        ('{"VolumeTiming": "0, 3"}', "not evenly spaced"),
    ],
)
@pytest.mark.parametrize("tr", [0.0, 2.0])
def test_what_a_sidecar_cannot_state(raw, atlas, content, message, tr):
    root = raw("sub-01_task-x_run-1", tr=tr)
    put(root, {"task-x_bold.json": content})
    for read in both(root, atlas):
        with pytest.raises(DataError, match=rf"task-x_bold.json.*{message}"):
            read()
        assert read(tr_s=2.0).attrs["rate_hz"] == 0.5
    assert any("task-x_bold.json" in problem for problem in describe_file(root).problems)


def test_evenly_spaced_onsets_are_a_repetition_time(raw, atlas):
    root = raw("sub-01_task-x_run-1", tr=0.0)
    put(root, {"task-x_bold.json": '{"VolumeTiming": [0, 2.5, 5, 7.5]}'})
    for read in both(root, atlas):
        assert read().attrs["rate_hz"] == 0.4


def test_one_odd_table_of_events_fails_one_run(raw, atlas):
    root = raw("sub-01_task-x", "sub-02_task-x", "sub-03_task-x")
    for subject, text in (("01", "onset\tduration\n1,5\t2\n"), ("02", EVENTS.format("a"))):
        put(root, {f"sub-{subject}/func/sub-{subject}_task-x_events.tsv": text})
    with pytest.warns(UserWarning, match="sub-01_task-x_bold.nii.gz is left out.*onset") as told:
        data = read_bids(root, labels=atlas)
    assert len(told) == 1
    assert [r.attrs["subject"] for r in data.recordings] == ["02", "03"]
    assert [None if table is None else len(table) for table in data.events] == [1, None]
    assert list(data.failed) == ["sub-01_task-x_bold.nii.gz"]
    problems = describe_file(root).problems
    assert len(problems) == 1 and "sub-01_task-x_events.tsv" in problems[0]
    with pytest.raises(DataError, match="onset cannot be used"):
        read_bids(root, labels=atlas, entities={"sub": "01"})


@pytest.mark.parametrize("text", ["onset\tduration\n", "onset\tduration\ttrial_type\n\n"])
def test_a_table_of_events_without_rows(raw, atlas, text):
    root = raw("sub-01_task-rest")
    put(root, {"sub-01/func/sub-01_task-rest_events.tsv": text})
    (events,) = read_bids(root, labels=atlas).events
    assert len(events) == 0 and list(events.columns) == text.split()


def test_a_duration_that_is_not_known(raw, atlas):
    root = raw("sub-01_task-x")
    text = "onset\tduration\ttrial_type\n-2\t4\ta\n10\tn/a\tbutton\n"
    put(root, {"sub-01/func/sub-01_task-x_events.tsv": text})
    data = read_bids(root, labels=atlas)
    np.testing.assert_array_equal(data.events[0].duration, [4, np.nan])
    with pytest.raises(DataError, match="duration is not known.*1 of 2 with n/a.*dropna"):
        labels_from_events(data.recordings[0], data.events[0])


@pytest.mark.parametrize(
    ("descs", "read"),
    [
        (["denoised"], "denoised"),
        (["preproc", "denoised"], "preproc"),
        (["denoised", "denoisedSmoothed"], None),
        ([None, "denoised"], None),
    ],
)
def test_derivatives_of_other_pipelines(raw, atlas, descs, read):
    names = (f"sub-01_task-x_desc-{desc}" if desc else "sub-01_task-x" for desc in descs)
    root = raw(*names)
    if read is None:
        with pytest.raises(DataError, match=r"more than one file.*'desc': '?(denoised|None)"):
            read_bids(root, labels=atlas)
        read = "denoised"
        data = read_bids(root, labels=atlas, entities={"desc": read})
    else:
        data = read_bids(root, labels=atlas)
    (recording,) = data.recordings
    assert f"desc-{read}_bold" in recording.attrs["source"]


@pytest.fixture
def surfaces(raw, tmp_path):
    """What fMRIPrep writes of a run: volumes, both hemispheres, and grayordinates."""
    root = raw("sub-01_task-x_space-MNI152NLin2009cAsym_desc-preproc")
    func = root / "sub-01" / "func"
    rng = np.random.default_rng(0)
    names = {0: ("???", (0, 0, 0, 0)), 1: ("V1", (1, 0, 0, 1))}
    space = nibabel.cifti2.BrainModelAxis.from_surface(np.arange(6), 6, "CortexLeft")
    dense = (nibabel.cifti2.SeriesAxis(0, 2, 9), space)
    values = rng.normal(size=(9, 6)).astype("f4")
    nibabel.save(
        nibabel.Cifti2Image(values, dense),
        func / "sub-01_task-x_space-fsLR_den-91k_bold.dtseries.nii",
    )
    axes = (nibabel.cifti2.LabelAxis(["a"], [names]), space)
    nibabel.save(nibabel.Cifti2Image(np.ones((1, 6), "f4"), axes), tmp_path / "a.dlabel.nii")
    for side in "LR":
        arrays = [nibabel.gifti.GiftiDataArray(row) for row in values]
        name = f"sub-01_task-x_hemi-{side}_space-fsaverage5_bold.func.gii"
        nibabel.save(nibabel.GiftiImage(darrays=arrays), func / name)
    ones = nibabel.gifti.GiftiDataArray(np.ones(6, "i4"))
    nibabel.save(nibabel.GiftiImage(darrays=[ones]), tmp_path / "a.label.gii")
    put(root, {"task-x_bold.json": '{"RepetitionTime": 2.0}'})
    return root, tmp_path


def test_volumes_and_surfaces_of_one_run(surfaces, atlas):
    root, folder = surfaces
    assert describe_file(root).ok
    (root / "sub-01/func/sub-01_task-x_space-MNI152NLin2009cAsym_desc-preproc_bold.nii.gz").rename(
        folder / "kept.nii.gz"
    )
    for path in (root / "sub-01/func").glob("*.gii"):
        path.rename(folder / path.name)
    assert describe_file(root).ok  # of grayordinates alone
    for path in folder.glob("*.func.gii"):
        path.rename(root / "sub-01/func" / path.name)
    (folder / "kept.nii.gz").rename(
        root / "sub-01/func/sub-01_task-x_space-MNI152NLin2009cAsym_desc-preproc_bold.nii.gz"
    )
    assert read_bids(root, labels=atlas).recordings[0].attrs["space"] == "MNI152NLin2009cAsym"
    for chosen in (
        {"space": "fsLR"},
        {"extension": ".dtseries.nii"},
        {"extension": "dtseries.nii"},
    ):
        (run,) = read_bids(root, labels=folder / "a.dlabel.nii", entities=chosen).recordings
        assert run.attrs["space"] == "fsLR" and run.attrs["run"] == "task-x"
    options = {"labels": folder / "a.label.gii"}
    with pytest.raises(DataError, match=r"more than one file.*'hemi': 'L'"):
        read_bids(root, entities={"space": "fsaverage5"}, **options)
    (run,) = read_bids(root, entities={"hemi": "R"}, **options).recordings
    assert run.attrs["run"] == "task-x_hemi-R" and run.attrs["rate_hz"] == 0.5


def test_a_thousand_runs_are_found_without_opening_one(
    tmp_path, monkeypatch, save_image, volumes, atlas
):
    for at in range(1000):
        stem = tmp_path / f"sub-{at // 10:03}" / "func" / f"sub-{at // 10:03}_task-x_run-{at % 10}"
        stem.parent.mkdir(parents=True, exist_ok=True)
        stem.with_name(f"{stem.name}_bold.nii.gz").touch()
        stem.with_name(f"{stem.name}_events.tsv").write_text(EVENTS.format("a"))
    opened = []
    for module, name in (("_nifti", "parse_image"), ("events", "read_text_table")):
        target = f"neuroml.data.{module}.{name}"
        original = getattr(importlib.import_module(f"neuroml.data.{module}"), name)
        monkeypatch.setattr(
            target, lambda path, *a, f=original, **k: opened.append(path) or f(path, *a, **k)
        )
    runs, participants = find_runs(tmp_path)
    assert len(runs) == 1000 and len(participants) == 100 and not opened
    assert runs[7].events.trial_type.tolist() == ["a"] and len(opened) == 1
    save_image(volumes[0], name=str(runs[7].path))
    assert read_fmri(runs[7].path, labels=atlas).sizes["time"] == 40
    assert opened[1:] == [runs[7].path]
