import errno
import threading

import filelock
import numpy as np
import pytest
import xarray as xr

from neuroml._core.files import (
    atomic_path,
    atomic_write,
    exclusive,
    sha256_of_dataset,
    sha256_of_file,
)


def test_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "a.txt"
    atomic_write(target, "old")
    with pytest.raises(RuntimeError), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_writes_text_and_bytes_and_makes_folders(tmp_path):
    atomic_write(tmp_path / "new" / "a.txt", "ü")
    atomic_write(tmp_path / "new" / "b.bin", b"\x00")
    assert (tmp_path / "new" / "a.txt").read_bytes() == "ü".encode()


def test_sha256_of_file(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_of_file(tmp_path / "a") == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


def test_dataset_hash_sees_values_names_types_and_coordinates():
    base = xr.Dataset(
        {"x": (("t",), np.arange(3.0))}, coords={"t": [0, 1, 2], "u": ("t", list("abc"))}
    )
    variants = [
        base,
        base.rename(x="y"),
        base.astype(np.float32),
        base.assign_coords(t=[0, 1, 3]),
        base.assign_coords(u=("t", list("abd"))),
        base.assign(x=base.x + 1),
    ]
    assert len({sha256_of_dataset(v) for v in variants}) == len(variants)
    assert sha256_of_dataset(base.copy(deep=True)) == sha256_of_dataset(base)


def test_dataset_hash_ignores_memory_layout():
    values = np.arange(6.0).reshape(2, 3)
    c = xr.Dataset({"x": (("a", "b"), values)})
    f = xr.Dataset({"x": (("a", "b"), np.asfortranarray(values))})
    assert sha256_of_dataset(c) == sha256_of_dataset(f)


@pytest.mark.parametrize("has_locks", [True, False])
def test_a_lock_is_held_by_one_and_says_who_waited(tmp_path, monkeypatch, has_locks):
    def refuse(self):
        raise OSError(errno.ENOLCK, "no locks available")

    if not has_locks:  # a network drive without a lock service
        monkeypatch.setattr(filelock.FileLock, "_acquire", refuse)
    seen, inside = [], threading.Event()

    def second():
        inside.set()
        with exclusive(tmp_path / "job") as waited:
            seen.append(("second", waited))

    with exclusive(tmp_path / "job") as waited:
        seen.append(("first", waited))
        thread = threading.Thread(target=second)
        thread.start()
        inside.wait()
        thread.join(0.3)
        assert thread.is_alive(), "the second went on while the first held the lock"
        seen.append(("first", "done"))
    thread.join(10)
    assert seen == [("first", False), ("first", "done"), ("second", True)]
    with exclusive(tmp_path / "job") as waited:
        assert not waited


def test_other_errors_of_a_lock_are_not_hidden(tmp_path, monkeypatch):
    def refuse(self):
        raise PermissionError(errno.EACCES, "not yours")

    monkeypatch.setattr(filelock.FileLock, "_acquire", refuse)
    with pytest.raises(PermissionError), exclusive(tmp_path / "job"):
        pass
