"""What holds for every named data set: its card, its files, and the schema of its recordings."""

import re
import tomllib
from urllib.parse import unquote

import numpy as np
import pytest

from neuroml._core.files import sha256_of_dataset, sha256_of_file
from neuroml.data import validate_recording
from neuroml.data.catalog import list_datasets, open_dataset, read_card

NAMES = list_datasets()
BUNDLED = {"nitime_fmri", "nitime_small", "psytrack_rat"}  # their licences allow it
NOT_BYTE_FOR_BYTE_PUBLIC = {"celegans_neuropal", "nwb_small", *BUNDLED}
RAW = re.compile(r"https://raw\.githubusercontent\.com/[\w.-]+/[\w.-]+/[0-9a-f]{40}/.+")
URL_BREAKERS = set(' "<>')


@pytest.mark.parametrize("name", NAMES)
def test_the_card_is_complete(name):
    card = read_card(name)
    for text in (card.title, card.description, card.source, card.licence, card.citation):
        assert text.strip()
    assert card.files
    assert all(defect.endswith(".") for defect in card.defects)
    for file, facts in card.files.items():
        assert re.fullmatch(r"[0-9a-f]{64}", facts.sha256)
        assert facts.size > 0
        assert ".." not in file
        assert not file.startswith("/")


@pytest.mark.parametrize("name", NAMES)
def test_public_addresses_are_pinned_to_a_commit(name):
    card = read_card(name)
    urls = {file: facts.url for file, facts in card.files.items() if facts.url}
    for file, url in urls.items():
        assert RAW.fullmatch(url)
        assert not URL_BREAKERS & set(url)
        assert unquote(url).endswith(file.rsplit("/", 1)[-1])
    if name not in NOT_BYTE_FOR_BYTE_PUBLIC:
        assert len(urls) == len(card.files)


def test_samples_are_bundled_only_where_the_licence_allows_with_its_text():
    bundled = {name for name in NAMES if (read_card(name).where / "sample").is_dir()}
    assert bundled == BUNDLED
    for name in bundled:
        card = read_card(name)
        assert "Copyright" in (card.where / "sample" / "LICENSE").read_text()
        present = {p.name for p in (card.where / "sample").iterdir()}
        assert present == {"LICENSE", *card.files}
        for file, facts in card.files.items():
            assert sha256_of_file(card.where / "sample" / file) == facts.sha256


def test_every_folder_of_real_recordings_has_a_card(shared_data):
    folders = {path.name for path in shared_data.iterdir() if path.is_dir()}
    assert folders == {read_card(name).folder for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_the_files_are_those_of_the_card(name, shared_data):
    card = read_card(name)
    for file, facts in card.files.items():
        path = shared_data / card.folder / file
        assert path.stat().st_size == facts.size
        assert sha256_of_file(path) == facts.sha256


@pytest.mark.parametrize("name", NAMES)
def test_recordings_keep_the_schema_and_the_card(name, shared_data):
    source = open_dataset(name, data_dir=shared_data)
    card, keys = source.card, source.keys()
    subjects = list(dict.fromkeys(key[0] for key in keys))
    assert len(set(keys)) == len(keys)
    assert len(subjects) == card.subjects
    assert list(source.participants()["participant_id"]) == subjects
    for key in keys:
        recording, events = source.read(key)
        validate_recording(recording)
        attrs = recording.attrs
        assert (attrs["subject"], attrs["session"], attrs["run"]) == key
        assert attrs["modality"] in card.modality.split(", ")
        assert attrs["value_units"] in card.value_units.split(", ")
        if card.rate_hz is not None:
            assert attrs["rate_hz"] == pytest.approx(card.rate_hz, rel=1e-9)
        if attrs["rate_hz"] is not None:
            assert attrs["time_axis"] == "seconds"
            steps = np.diff(recording["time"].values)
            assert np.median(steps) == pytest.approx(1 / attrs["rate_hz"], rel=0.01)
        signal = recording["signal"].values
        assert np.isfinite(signal).all()
        assert (np.ptp(signal, axis=0) > 0).all(), "a constant unit"
        if events is not None:
            assert list(events.columns[:3]) == ["onset", "duration", "trial_type"]
            assert (events["duration"] >= 0).all()
            assert events["onset"].is_monotonic_increasing
            assert events["onset"].iloc[-1] < recording["time"].values[-1] + 1 / attrs["rate_hz"]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_done_to_a_recording_does_not_reach_the_next_reader(name, shared_data):
    source = open_dataset(name, data_dir=shared_data)
    for key in source.keys()[-1:]:
        first, _ = source.read(key)
        for variable in first.data_vars.values():
            variable.values[...] = 0
        again, _ = source.read(key)
        other, _ = open_dataset(name, data_dir=shared_data).read(key)
        assert sha256_of_dataset(again) == sha256_of_dataset(other) != sha256_of_dataset(first)


def test_cards_are_plain_toml_without_unknown_keys():
    known = {"title", "description", "source", "licence", "citation", "modality", "value_units"}
    known |= {"rate_hz", "subjects", "folder", "base_url", "defects", "files"}
    for name in NAMES:
        content = tomllib.loads((read_card(name).where / "card.toml").read_text(encoding="utf-8"))
        assert set(content) <= known
        assert all(set(facts) <= {"sha256", "size", "url"} for facts in content["files"].values())
