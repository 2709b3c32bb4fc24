"""One resolver of devices, and one sentence for options that do not exist."""

import pytest
import torch

from neuroml._core.estimator import check_option, resolve_device
from neuroml.exceptions import DataError


def with_devices(monkeypatch, cuda, mps=False):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


@pytest.mark.parametrize("device", ["cpu", "cpu:0", torch.device("cpu")])
def test_the_cpu_is_there(device):
    assert resolve_device(device) == torch.device(device)


@pytest.mark.parametrize(
    ("cuda", "mps", "double", "wanted"),
    [
        (0, False, False, "cpu"),
        (2, False, False, "cuda"),
        (0, True, False, "mps"),
        (0, True, True, "cpu"),
        (1, True, False, "cuda"),
    ],
)
def test_auto_takes_what_there_is(monkeypatch, cuda, mps, double, wanted):
    with_devices(monkeypatch, cuda, mps)
    assert resolve_device("auto", double=double) == torch.device(wanted)


@pytest.mark.parametrize("device", ["cuda", "cuda:0", "cuda:1", torch.device("cuda", 1)])
def test_what_is_there_is_taken(monkeypatch, device):
    with_devices(monkeypatch, 2)
    assert resolve_device(device) == torch.device(device)


@pytest.mark.parametrize(
    ("device", "cuda"),
    [
        ("cuda", 0),
        ("cuda:0", 0),
        ("cuda:2", 2),
        (torch.device("cuda:1"), 1),
        ("mps", 1),
        ("cpu:1", 1),
    ],
)
def test_what_is_not_there_is_refused(monkeypatch, device, cuda):
    with_devices(monkeypatch, cuda)
    with pytest.raises(DataError, match=r'device is not there.*device="auto"'):
        resolve_device(device)


@pytest.mark.parametrize("device", ["gpu", "CPU", "meta", "", None, 0, "cuda:x", "cuda:-1"])
def test_what_is_no_device_is_refused(device):
    with pytest.raises(DataError, match='field device: this is not a device; expected "auto"'):
        resolve_device(device)


def test_single_precision_devices_are_refused_for_double(monkeypatch):
    with_devices(monkeypatch, 0, mps=True)
    assert resolve_device("mps").type == "mps"
    with pytest.raises(DataError, match="double precision"):
        resolve_device("mps", double=True)


def test_options_are_named():
    check_option("shift", ("shift", "shuffle"), "scheme")
    for value in ("shufle", None, ["shift"]):
        with pytest.raises(DataError, match="field scheme: .*'shift' or 'shuffle'; found"):
            check_option(value, ("shift", "shuffle"), "scheme")
