"""The catalogue against a made-up data set and a web server on this machine."""

import contextlib
import gc
import hashlib
import os
import re
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from neuroml.data import catalog, load_dataset
from neuroml.data.catalog import list_datasets, open_dataset, read_card
from neuroml.exceptions import DataError

CONTENT = {"series.csv": b"a,b\n1,2\n3,5\n6,4\n", "more here/labels.txt": b"left right\n"}
PREPARE = """
import pandas as pd
from neuroml.data import make_recording
from neuroml.exceptions import DataError

def keys(folder):
    return [("01", "", "a"), ("01", "", "b"), ("02", "", "a")]

def read(folder, key):
    if key[0] == "02":
        raise DataError("broken", field="signal")
    table = pd.read_csv(folder / "series.csv")
    return make_recording(table, units=list(table), modality="fmri", key=key), None
"""


class Server(BaseHTTPRequestHandler):
    """Serves ``pages``; ``cut`` names a page whose second half never arrives."""

    def __init__(self, state, *args):
        self.state = state
        super().__init__(*args)

    def do_GET(self):
        self.state["asked"].append(self.path)
        body = self.state["pages"].get(self.path)
        if body == "endless":
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(OSError):  # until the other side hangs up
                while True:
                    self.wfile.write(bytes(2**16))
                    self.state["sent"] = self.state.get("sent", 0) + 2**16
            return
        if body is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if self.path == self.state["cut"] else body)

    def log_message(self, *args):
        pass


@pytest.fixture
def web():
    """State of a local server, and its address under 'url'."""
    state = {"asked": [], "cut": None, "pages": {}}
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Server, state))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    state["url"] = f"http://127.0.0.1:{server.server_port}/"
    state["pages"] = {"/series.csv": CONTENT["series.csv"]}
    state["pages"]["/more%20here/labels.txt"] = CONTENT["more here/labels.txt"]
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def toy(tmp_path, monkeypatch, web):
    """A data set 'toy' in folder 'toys', known nowhere but on the local server."""
    monkeypatch.setattr(catalog, "_datasets_folder", lambda: tmp_path / "cards")
    monkeypatch.setattr(catalog.pooch, "os_cache", lambda _: tmp_path / "cache")
    monkeypatch.setenv("NEUROML_DATA", "")
    monkeypatch.setenv("NEUROML_OFFLINE", "")
    write_card(tmp_path, base_url=web["url"])
    return tmp_path


def write_card(tmp_path: Path, base_url: str = "") -> None:
    lines = [f'{name} = "a {name}"' for name in ("title", "description", "source", "licence")]
    lines += ['citation = ""', 'modality = "fmri"', 'value_units = ""', "subjects = 2"]
    lines += ['folder = "toys"', *([f'base_url = "{base_url}"'] if base_url else []), "[files]"]
    for name, content in CONTENT.items():
        digest = hashlib.sha256(content).hexdigest()
        lines.append(f'"{name}" = {{ sha256 = "{digest}", size = {len(content)} }}')
    folder = tmp_path / "cards" / "toy"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "card.toml").write_text("\n".join(lines))
    (folder / "prepare.py").write_text(PREPARE)


def write_files(folder: Path, names=tuple(CONTENT)) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(CONTENT[name])
    return folder


def files_below(folder: Path) -> list[str]:
    """All files, hidden and temporary ones too."""
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_an_unknown_name_is_answered_with_the_nearest(toy):
    with pytest.raises(DataError, match="Did you mean 'toy'"):
        read_card("tay")


def test_the_bundled_cards_are_listed():
    assert {"nitime_fmri", "psytrack_rat"} <= set(list_datasets())


def test_places_are_searched_in_order(toy, monkeypatch, web):
    places = [toy / "given", toy / "first", toy / "second"]
    monkeypatch.setenv("NEUROML_DATA", os.pathsep.join([str(places[1]), str(places[2])]))
    folders = [place / "toys" for place in places]
    folders += [toy / "cards" / "toy" / "sample", toy / "cache" / "toys"]
    for folder in reversed(folders):
        write_files(folder)
        assert open_dataset("toy", data_dir=toy / "given").folder == folder
    assert open_dataset("toy").folder == folders[1]
    assert not web["asked"]


def test_a_place_that_lacks_a_file_is_passed_over(toy):
    write_files(toy / "given" / "toys", ["series.csv"])
    write_files(toy / "cache" / "toys")
    assert open_dataset("toy", data_dir=toy / "given").folder == toy / "cache" / "toys"


@pytest.mark.parametrize(
    ("content", "expected"), [(b"a,b\n", "expected 16 bytes"), (b"a,b\n1,2\n3,5\n6,5\n", "sha256")]
)
def test_a_changed_file_is_refused(toy, content, expected):
    folder = write_files(toy / "given" / "toys")
    open_dataset("toy", data_dir=toy / "given")
    (folder / "series.csv").write_bytes(content)
    with pytest.raises(DataError, match=expected) as error:
        open_dataset("toy", data_dir=toy / "given")
    assert error.value.file == folder / "series.csv"


def test_files_are_fetched_once(toy, web):
    source = open_dataset("toy")
    assert source.folder == toy / "cache" / "toys"
    assert {name: path.read_bytes() for name, path in source.files.items()} == CONTENT
    assert files_below(source.folder) == sorted(CONTENT)
    assert len(web["asked"]) == 2
    open_dataset("toy")
    assert len(web["asked"]) == 2


def test_offline_nothing_is_asked_for(toy, web, monkeypatch):
    monkeypatch.setenv("NEUROML_OFFLINE", "1")
    with pytest.raises(DataError, match="NEUROML_OFFLINE=1 forbids") as error:
        open_dataset("toy", data_dir=toy / "given")
    assert "2 missing in" in str(error.value)
    assert "given" in str(error.value)
    assert not web["asked"]


def test_without_an_address_the_source_is_named(toy, web):
    write_card(toy)
    with pytest.raises(DataError, match="Get them from a source"):
        open_dataset("toy")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # pooch's socket
@pytest.mark.parametrize("fault", ["cut", "wrong", "missing", "endless"])
def test_a_failed_fetch_leaves_whole_files_only_and_can_be_repeated(toy, web, fault):
    page = "/more%20here/labels.txt"
    if fault == "cut":
        web["cut"] = page
    else:
        bodies = {"wrong": b"left wrong\n", "missing": None, "endless": "endless"}
        web["pages"][page] = bodies[fault]
    with pytest.raises(DataError, match="could not be fetched") as error:
        open_dataset("toy")
    assert error.value.file == toy / "cache" / "toys" / "more here/labels.txt"
    del error  # its traceback holds the connection
    gc.collect()
    assert files_below(toy / "cache") == ["toys/series.csv"]

    web["cut"], web["pages"][page] = None, CONTENT["more here/labels.txt"]
    open_dataset("toy")
    assert files_below(toy / "cache" / "toys") == sorted(CONTENT)
    assert web["asked"].count("/series.csv") == 1


@pytest.mark.parametrize("path", ["../escaped.csv", "/tmp/escaped.csv", "a/../../escaped.csv"])
def test_a_card_cannot_write_outside_its_folder(toy, web, monkeypatch, path):
    monkeypatch.setitem(CONTENT, path, b"a,b\n1,2\n")
    write_card(toy, base_url=web["url"])
    with pytest.raises(DataError, match=rf"card.toml.*outside.*found {re.escape(path)}"):
        open_dataset("toy")
    assert not web["asked"]


def test_recordings_are_read_one_at_a_time_and_say_where_they_are_from(toy):
    source = open_dataset("toy")
    recording, events = source.read(("01", "", "b"))
    assert recording.signal.values.tolist() == [[1, 2], [3, 5], [6, 4]]
    assert recording.attrs["run"] == "b"
    assert recording.attrs["source"] == "a source"
    assert recording.attrs["sha256"] == source.card.sha256
    assert events is None
    assert source.participants()["participant_id"].tolist() == ["01", "02"]


def test_an_error_says_which_recording(toy):
    source = open_dataset("toy")
    with pytest.raises(DataError, match="subject 02/a, field signal: broken"):
        source.read(("02", "", "a"))
    with pytest.raises(DataError, match="'toy' has no such recording"):
        source.read(("03", "", "a"))


def test_the_fingerprint_of_a_card_depends_on_every_file(toy):
    before = read_card("toy")
    card_file = toy / "cards" / "toy" / "card.toml"
    digest = before.files["series.csv"].sha256
    card_file.write_text(card_file.read_text().replace(digest, digest[::-1]))
    assert read_card("toy").sha256 != before.sha256


def test_load_dataset_gives_everything():
    data = load_dataset("nitime_fmri")
    assert len(data.recordings) == len(data.events) == len(data.participants) == 1
    assert data.files["fmri_timeseries.csv"].is_file()
    assert data.licence == "BSD-3-Clause"
    assert "Rokem" in data.citation
    assert len(data.defects) == 3
