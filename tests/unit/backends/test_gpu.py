"""GPUs are named as people ask for them, and only those this server may use are offered."""

from __future__ import annotations

import ctypes.util

import pytest

from swell.backends.gpu import NvmlProvider, family, visible
from swell.model import Gpu

GPUS = [Gpu("GPU-aa1", "H100"), Gpu("GPU-ab2", "H100"), Gpu("GPU-bc3", "A100")]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("NVIDIA A100-SXM4-80GB", "A100"),
        ("NVIDIA H200", "H200"),
        ("NVIDIA L40S", "L40S"),
        ("NVIDIA A10G", "A10G"),
        ("Tesla T4", "T4"),
        ("Tesla V100-SXM2-16GB", "V100"),
        ("NVIDIA GeForce RTX 4090", "RTX4090"),
        ("NVIDIA RTX PRO 6000 Blackwell Server Edition", "RTX-PRO-6000"),
        ("NVIDIA RTX A6000", "RTXA6000"),
        ("NVIDIA", "UNKNOWN"),
    ],
)
def test_family(name: str, kind: str) -> None:
    assert family(name) == kind


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ("0,2", ["GPU-aa1", "GPU-bc3"]),
        ("2,0", ["GPU-bc3", "GPU-aa1"]),
        ("GPU-b", ["GPU-bc3"]),
        (" 1 ", ["GPU-ab2"]),
        ("1,7,0", ["GPU-ab2"]),
        ("GPU-a", []),  # means two
        ("", []),
        ("-1", []),
    ],
)
def test_visible(chosen: str, expected: list[str]) -> None:
    assert [gpu.uuid for gpu in visible(GPUS, chosen)] == expected


@pytest.mark.skipif(ctypes.util.find_library("nvidia-ml") is not None, reason="there is a driver here")
def test_without_a_driver_there_are_no_gpus() -> None:
    assert list(NvmlProvider({}).gpus()) == []


@pytest.mark.gpu
@pytest.mark.skipif(ctypes.util.find_library("nvidia-ml") is None, reason="no NVIDIA driver on this machine")
def test_the_driver_tells_what_there_is() -> None:
    found = NvmlProvider({}).gpus()
    assert found
    assert all(gpu.uuid.startswith("GPU-") and gpu.memory_bytes > 1 << 30 for gpu in found)
    assert NvmlProvider({"CUDA_VISIBLE_DEVICES": "0"}).gpus() == [found[0]]
