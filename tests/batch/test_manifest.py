import json
import multiprocessing

import pytest

from neuroml._core.files import sha256_of_file
from neuroml.batch.manifest import append_record, is_done, read_manifest


def record(job, **more):
    return {"job": job, "status": "done", "id": "x", "files": {}, **more}


def test_the_last_record_of_a_job_counts(tmp_path):
    path = tmp_path / "manifest.jsonl"
    append_record(path, record("a", status="failed"))
    append_record(path, record("b"))
    append_record(path, record("a"))
    assert [json.loads(line)["job"] for line in path.read_text().splitlines()] == ["a", "b", "a"]
    assert read_manifest(path)["a"]["status"] == "done"
    assert read_manifest(tmp_path / "absent.jsonl") == {}


@pytest.mark.parametrize("cut", range(1, 40, 3))
def test_a_line_cut_short_by_a_kill_costs_only_itself(tmp_path, cut):
    path = tmp_path / "manifest.jsonl"
    append_record(path, record("a"))
    append_record(path, record("b"))
    path.write_bytes(path.read_bytes()[:-cut])
    append_record(path, record("c"))
    found = read_manifest(path)
    assert "a" in found and "c" in found and ("b" in found) == (cut == 1)


def append_many(path, name):
    for i in range(50):
        append_record(path, record(f"{name}{i}", filler="x" * 5000))


def test_processes_append_at_once_without_mixing_lines(tmp_path):
    path = tmp_path / "manifest.jsonl"
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=append_many, args=(path, name)) for name in "pq"]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(read_manifest(path)) == 100


def test_done_needs_the_same_identity_and_untouched_files(tmp_path):
    (tmp_path / "model").write_text("weights")
    files = {"model": sha256_of_file(tmp_path / "model")}
    good = record("a", files=files)
    assert is_done(good, "x", tmp_path)
    assert not is_done(good, "other", tmp_path)
    assert not is_done(record("a", files=files, status="failed"), "x", tmp_path)
    assert not is_done(None, "x", tmp_path)
    (tmp_path / "model").write_text("changed")
    assert not is_done(good, "x", tmp_path)
    (tmp_path / "model").unlink()
    assert not is_done(good, "x", tmp_path)
