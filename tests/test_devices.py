"""``--device`` means the same everywhere, and is checked before hours of embedding."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from headlight import SCP, HeadlightError, cluster
from headlight.devices import resolve_devices


@pytest.mark.parametrize(
    ("device", "gpus", "devices"),
    [
        ("auto", 0, ["cpu"]),
        ("auto", 2, ["cuda:0", "cuda:1"]),
        ("cuda", 1, ["cuda:0"]),
        ("cuda:1", 2, ["cuda:1"]),
        ("cpu", 2, ["cpu"]),
    ],
)
def test_devices_of_this_machine(
    monkeypatch: pytest.MonkeyPatch, device: str, gpus: int, devices: list[str]
) -> None:
    monkeypatch.setattr("headlight.devices.gpu_count", lambda: gpus)
    assert resolve_devices(device) == devices


@pytest.mark.parametrize("device", ["cuda:2", "cuda:", "cuda:-1", "tpu", "", "CPU"])
def test_a_device_that_is_not_there_is_refused(
    monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    monkeypatch.setattr("headlight.devices.gpu_count", lambda: 2)
    with pytest.raises(HeadlightError, match="device"):
        resolve_devices(device)


def test_scp_trains_on_the_gpu_that_was_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as can be seen without one: PyTorch is asked for that very device."""
    monkeypatch.setattr("headlight.devices.gpu_count", lambda: 2)
    X = np.random.default_rng(0).normal(size=(50, 4))
    with pytest.raises((AssertionError, RuntimeError), match="(?i)cuda"):
        SCP(2, device="cuda:1").fit(X)


def test_scp_refuses_a_device_as_scikit_learn_does() -> None:
    with pytest.raises(ValueError, match="device 'cuda:7'"):
        SCP(2, device="cuda:7").fit(np.eye(4))


def test_the_device_is_checked_before_anything_is_embedded(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(HeadlightError, match="device 'cuda:7'"):
        cluster(photos, 2, out=tmp_path / "run", device="cuda:7")
    assert not (tmp_path / "run").exists()
