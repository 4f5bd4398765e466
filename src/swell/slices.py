"""Slices: the part of a machine that one agent has for its containers, which a cluster such as Ray accounts to it.

This module must not know Ray, agents, or how many slices are wanted.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

from swell.errors import InvalidError

__all__ = ["Slice", "parse_slices", "slice_text"]

_UNITS: Final = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)(KiB|MiB|GiB|TiB|)")
_CPU_MAX: Final = 4_096.0
_MEMORY_MAX: Final = 1 << 50
_GPUS_MAX: Final = 64
_HOW: Final = 'a slice is written as "cpu=8,memory=32GiB,gpu=1", several with spaces between them'


class Slice(Struct, frozen=True):
    """What an agent reserves of one machine."""

    cpu: float  #: cores
    memory_bytes: int = 0  #: 0: none is reserved, and the containers have that of the machine
    gpus: int = 0


def parse_slices(text: str) -> tuple[Slice, ...]:
    """Return the slices in a setting.

    Raises:
        InvalidError: it names what is wrong.
    """
    return tuple(_parse(word) for word in text.split())


def _parse(word: str) -> Slice:
    values: dict[str, float] = {}
    for part in word.split(","):
        name, _, text = part.partition("=")
        match = _SIZE.fullmatch(text)
        if name not in ("cpu", "memory", "gpu") or name in values or match is None:
            raise InvalidError(f"ray_slices: {part!r} in {word!r} is not understood; {_HOW}")
        values[name] = float(match[1]) * _UNITS[match[2]]
    cpu, memory, gpus = values.get("cpu", 0.0), int(values.get("memory", 0)), values.get("gpu", 0.0)
    if not 0.1 <= cpu <= _CPU_MAX or (cpu > 1 and cpu != int(cpu)):
        raise InvalidError(f"ray_slices: cpu of {word!r} is a part of a core from 0.1, or whole cores to {_CPU_MAX:g}")
    if not 0 <= memory <= _MEMORY_MAX:
        raise InvalidError(f"ray_slices: memory of {word!r} is at most {_MEMORY_MAX >> 40} TiB")
    if gpus != int(gpus) or gpus > _GPUS_MAX:
        raise InvalidError(f"ray_slices: gpu of {word!r} is a whole number to {_GPUS_MAX}")
    return Slice(cpu, memory, int(gpus))


def slice_text(wanted: Slice | None) -> str:
    """Return a slice as people write it; None is all that is free on a node."""
    if wanted is None:
        return "all that is free on a node"
    parts = [f"cpu={wanted.cpu:g}"]
    if wanted.memory_bytes:
        parts.append(f"memory={_size_text(wanted.memory_bytes)}")
    if wanted.gpus:
        parts.append(f"gpu={wanted.gpus}")
    return ",".join(parts)


def _size_text(size: int) -> str:
    name, unit = max((each for each in _UNITS.items() if each[1] <= max(1, size)), key=_unit_of)
    return f"{size / unit:.4g}{name}"


def _unit_of(named: tuple[str, int]) -> int:
    return named[1]
