import random

import numpy as np
import pytest
import scipy.io

from neuroml.data._mat5 import read_mat5
from neuroml.exceptions import DataError


@pytest.fixture
def content():
    rng = np.random.default_rng(0)
    cells = np.empty((1, 3), dtype=object)
    cells[0] = [rng.normal(size=(1, 4)), np.zeros((0, 0)), rng.normal(size=(2, 2))]
    return {
        "double": rng.normal(size=(5, 3)),
        "single": rng.normal(size=(2, 7)).astype(np.float32),
        "integers": rng.integers(-100, 100, size=(3, 3)).astype(np.int16),
        "logical": rng.random((1, 6)) > 0.5,
        "complex": rng.normal(size=(2, 2)) + 1j * rng.normal(size=(2, 2)),
        "cube": rng.normal(size=(2, 3, 4)),
        "text": "visual cortex",
        "cells": cells,
        "struct": {"rate": 30.0, "name": "mouse", "inner": {"x": np.arange(4.0)}},
    }


def assert_same(ours, scipys):
    if isinstance(ours, np.ndarray):
        np.testing.assert_array_equal(ours, scipys)
    elif isinstance(ours, list):
        for one, other in zip(ours, scipys.ravel(order="F"), strict=True):
            if one.size or other.size:
                assert_same(one, other)
    elif isinstance(ours, dict):
        assert set(ours) == set(scipys.dtype.names)
        for name in ours:
            assert_same(ours[name], scipys[name][0, 0])
    else:
        assert ours == scipys[0]


@pytest.mark.parametrize("compressed", [False, True])
def test_agrees_with_scipy(tmp_path, content, compressed):
    path = tmp_path / "file.mat"
    scipy.io.savemat(path, content, do_compression=compressed)
    ours, scipys = read_mat5(path), scipy.io.loadmat(path)
    assert set(ours) == set(content)
    for name in ours:
        assert_same(ours[name], scipys[name])


def test_agrees_with_scipy_on_real_files(shared_data):
    paths = [p for p in sorted(shared_data.rglob("*.mat")) if p.read_bytes()[:10] != b"MATLAB 7.3"]
    assert len(paths) > 5
    for path in paths:
        ours, scipys = read_mat5(path), scipy.io.loadmat(path)
        assert set(ours) == {name for name in scipys if not name.startswith("__")}
        for name in ours:
            if isinstance(ours[name], np.ndarray):
                np.testing.assert_array_equal(ours[name], scipys[name])


def big_endian_file(values):
    def element(kind, data):
        return np.array([kind, len(data)], ">u4").tobytes() + data + b"\0" * (-len(data) % 8)

    body = element(6, np.array([6, 0], ">u4").tobytes())
    body += element(5, np.array(values.shape, ">i4").tobytes())
    body += element(1, b"signal") + element(9, values.astype(">f8").tobytes(order="F"))
    return b"MATLAB 5.0".ljust(124) + b"\x01\x00MI" + element(14, body)


def test_big_endian(tmp_path):
    values = np.arange(6.0).reshape(2, 3)
    (tmp_path / "big.mat").write_bytes(big_endian_file(values))
    np.testing.assert_array_equal(read_mat5(tmp_path / "big.mat")["signal"], values)
    np.testing.assert_array_equal(scipy.io.loadmat(tmp_path / "big.mat")["signal"], values)


@pytest.mark.parametrize("compressed", [False, True])
def test_damage_ends_in_an_error_or_a_value_never_worse(tmp_path, content, compressed):
    path = tmp_path / "file.mat"
    scipy.io.savemat(path, content, do_compression=compressed)
    whole = path.read_bytes()
    refused = 0
    for seed in range(400):
        rng = random.Random(seed)
        damaged = bytearray(whole)
        for _ in range(rng.randint(1, 3)):
            damaged[rng.randrange(128, len(damaged))] = rng.randrange(256)
        path.write_bytes(damaged)
        try:
            read_mat5(path)
        except DataError as error:
            refused += 1
            assert str(path) in str(error)
    assert refused > (390 if compressed else 80)


def test_element_type_that_ends_scipys_process(tmp_path):
    path = tmp_path / "file.mat"
    scipy.io.savemat(path, {"m": np.ones((5, 3))})
    damaged = bytearray(path.read_bytes())
    damaged[176] = 211  # the type of the numbers, double (9) before
    path.write_bytes(damaged)
    with pytest.raises(DataError, match="element type 211 where numbers should stand"):
        read_mat5(path)


def test_version_4_is_told(tmp_path):
    path = tmp_path / "old.mat"
    scipy.io.savemat(path, {"m": np.ones((50, 3))}, format="4")
    with pytest.raises(DataError, match=r"not a MATLAB file of version 5.*save\(\.\.\., '-v7'\)"):
        read_mat5(path)
