"""Body parts that DeepLabCut or SLEAP tracked, joined to a recording."""

import h5py
import numpy as np
import pandas as pd
import pytest

from neuroml.data import add_covariates, describe_file, make_recording, read_traces
from neuroml.exceptions import DataError

RATE_HZ, N_FRAMES = 10.0, 8


@pytest.fixture
def recording():
    return make_recording(np.zeros((8, 1)), rate_hz=RATE_HZ, modality="calcium")


def deeplabcut(path, animals=("",), parts=("nose", "tail"), start=0):
    rng = np.random.default_rng(0)
    heads = [(a, p, c) for a in animals for p in parts for c in ("x", "y", "likelihood")]
    levels = [("scorer", ["DLC"] * len(heads))]
    levels += [("individuals", [a for a, _, _ in heads])] if animals != ("",) else []
    levels += [("bodyparts", [p for _, p, _ in heads]), ("coords", [c for _, _, c in heads])]
    values = rng.random((N_FRAMES, len(heads)))
    lines = [",".join([name, *cells]) for name, cells in levels]
    lines += [f"{start + i}," + ",".join(map(repr, row.tolist())) for i, row in enumerate(values)]
    path.write_text("\n".join(lines) + "\n")
    return values


def sleap(path, n_tracks=2, *, time_first=False):
    rng = np.random.default_rng(0)
    tracks = rng.random((n_tracks, 2, 3, N_FRAMES))
    scores = rng.random((n_tracks, 3, N_FRAMES))
    with h5py.File(path, "w") as file:
        file["tracks"] = np.transpose(tracks) if time_first else tracks
        file["point_scores"] = np.transpose(scores) if time_first else scores
        file["node_names"] = np.array([b"nose", b"hip", b"tail"])
        file["track_names"] = np.array([b"ann", b"bob"][:n_tracks])
    return tracks, scores


def test_deeplabcut_of_one_animal(tmp_path, recording):
    values = deeplabcut(tmp_path / "a.csv")
    found = add_covariates(recording, tmp_path / "a.csv", rate_hz=RATE_HZ)
    parts = [f"{part}_{c}" for part in ("nose", "tail") for c in ("x", "y", "likelihood")]
    assert found.feature.values.tolist() == parts
    np.testing.assert_allclose(found.covariates.values, values)


def test_frames_count_from_the_number_that_the_table_gives_them(tmp_path, recording):
    values = deeplabcut(tmp_path / "a.csv", start=3)
    found = add_covariates(recording, tmp_path / "a.csv", rate_hz=RATE_HZ)
    assert np.isnan(found.covariates.values[:3]).all()
    np.testing.assert_allclose(found.covariates.values[3:], values[:5])


def test_deeplabcut_of_several_animals(tmp_path, recording):
    values = deeplabcut(tmp_path / "a.csv", ("ann", "bob"), ("nose",))
    found = add_covariates(recording, tmp_path / "a.csv", rate_hz=RATE_HZ, columns=["bob_nose_y"])
    np.testing.assert_allclose(found.covariates.values[:, 0], values[:, 4])


def test_unlikely_positions_are_missing(tmp_path, recording):
    values = deeplabcut(tmp_path / "a.csv")
    found = add_covariates(recording, tmp_path / "a.csv", rate_hz=RATE_HZ, min_likelihood=0.5)
    assert found.feature.values.tolist() == ["nose_x", "nose_y", "tail_x", "tail_y"]
    expected = np.where(values[:, [2, 2, 5, 5]] >= 0.5, values[:, [0, 1, 3, 4]], np.nan)
    np.testing.assert_allclose(found.covariates.values, expected)
    assert np.isnan(expected).any() and not np.isnan(expected).all()


@pytest.mark.parametrize("time_first", [False, True])
@pytest.mark.parametrize("n_tracks", [1, 2])
def test_sleap(tmp_path, recording, n_tracks, time_first):
    tracks, scores = sleap(tmp_path / "a.h5", n_tracks, time_first=time_first)
    found = add_covariates(recording, tmp_path / "a.h5", rate_hz=RATE_HZ).covariates
    prefix = "bob_" if n_tracks == 2 else ""
    of_track = n_tracks - 1
    np.testing.assert_allclose(found.sel(feature=f"{prefix}hip_y"), tracks[of_track, 1, 1])
    np.testing.assert_allclose(found.sel(feature=f"{prefix}tail_score"), scores[of_track, 2])
    assert len(found.feature) == n_tracks * 9


def faulty(case, where):
    path = where / ("a.h5" if case in ("pandas", "nodes", "other") else "a.csv")
    if case == "pandas":
        with h5py.File(path, "w") as file:
            file["df_with_missing/table"] = np.zeros((3, 2))
    elif case in ("nodes", "other"):
        sleap(path)
        with h5py.File(path, "r+") as file:
            del file["node_names" if case == "other" else "tracks"]
            if case == "nodes":
                file["tracks"] = np.zeros((2, 2, 5, 8))
    else:
        deeplabcut(path)
        changed = {"labeled": ("\n0,", "\nimg0.png,"), "head": ("coords", "x"), "text": ("0.", "a")}
        path.write_text(path.read_text().replace(*changed[case]))
    return path


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("pandas", "pandas stored.*save_as_csv"),
        ("nodes", "tracks do not fit their nodes.*2 x 2 x 5 x 8"),
        ("other", "not an analysis file of SLEAP"),
        ("labeled", "not frames of a video.*analyze_videos"),
        ("head", "not a table of DeepLabCut.*coords"),
        ("text", "not frames of a video"),
    ],
)
def test_other_files_are_refused(tmp_path, recording, case, message):
    with pytest.raises(DataError, match=f"(?s){message}"):
        add_covariates(recording, faulty(case, tmp_path), rate_hz=RATE_HZ)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "not known when the rows were taken.*neither"),
        ({"time": "t", "rate_hz": 1.0}, "both"),
        ({"rate_hz": 0.0}, "not a frequency"),
        ({"rate_hz": 1.0, "min_likelihood": 2.0}, "not a probability"),
    ],
)
def test_options_are_checked(tmp_path, recording, options, message):
    deeplabcut(tmp_path / "a.csv")
    with pytest.raises(DataError, match=message):
        add_covariates(recording, tmp_path / "a.csv", **options)


def test_a_likelihood_is_for_tracked_positions(recording):
    table = pd.DataFrame({"speed": np.arange(8.0)})
    joined = add_covariates(recording, table, rate_hz=RATE_HZ)
    np.testing.assert_array_equal(joined.covariates.values[:, 0], table["speed"])
    with pytest.raises(DataError, match="tracked positions"):
        add_covariates(recording, table, rate_hz=RATE_HZ, min_likelihood=0.9)


def test_a_reader_of_traces_and_the_check_say_where_to_go(tmp_path):
    deeplabcut(tmp_path / "a.csv")
    sleap(tmp_path / "a.h5")
    with pytest.raises(DataError, match="table of DeepLabCut.*add_covariates"):
        read_traces(tmp_path / "a.csv", rate_hz=RATE_HZ)
    for name in ("a.csv", "a.h5"):
        report = describe_file(tmp_path / name)
        assert report.ok and "8 frames" in str(report) and "add_covariates" in report.advice
