"""GPUs, as people ask for them."""

from __future__ import annotations

from typing import Any

import pytest

from swell.errors import InvalidError
from swell.model import GpuRequest
from swell.sdk.declare.resources import parse_gpu


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, ()),
        ("H100", (GpuRequest("H100", 1),)),
        ("h100:8", (GpuRequest("H100", 8),)),
        ("H100!", (GpuRequest("H100", 1),)),
        ("A100-80GB:4", (GpuRequest("A100-80GB", 4),)),
        ("any", (GpuRequest("any", 1),)),
        ("ANY:2", (GpuRequest("any", 2),)),
        (["H100", "A100:2"], (GpuRequest("H100", 1), GpuRequest("A100", 2))),
        (("T4",), (GpuRequest("T4", 1),)),
        ([], ()),
    ],
    ids=str,
)
def test_gpus_are_read(text: Any, expected: tuple[GpuRequest, ...]) -> None:
    assert parse_gpu(text) == expected


@pytest.mark.parametrize(
    "bad", ["", ":2", "H100:", "H100:x", "H100:-1", "H100:0", "H 100", "H100:1:2", 1, {"H100": 1}, [None], [1]], ids=str
)
def test_gpus_that_cannot_be_read(bad: Any) -> None:
    with pytest.raises(InvalidError, match="gpu"):
        parse_gpu(bad)
