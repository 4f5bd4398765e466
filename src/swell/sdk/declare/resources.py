"""The resources that a container requests: reads the options `cpu=`, `memory=` and `gpu=`.

Pure: values in, `Resources` out. This module must not know which machines there are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from swell.bounds import whole_number
from swell.errors import InvalidError
from swell.model import GpuRequest, Resources

__all__ = ["CpuOption", "GpuOption", "MemoryOption", "check_limits", "merge_resources", "parse_gpu"]

CpuOption = float | tuple[float, float]  #: cores, or (request, limit)
MemoryOption = int | tuple[int, int]  #: MiB, or (request, limit)
GpuOption = str | Sequence[str]  #: "H100", "A100:2", or a list of them in order of preference

_MIB: Final = 1 << 20
_GPU: Final = re.compile(r"(?P<kind>[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*)!?(?::(?P<count>[0-9]+))?")


def parse_gpu(gpu: GpuOption | None) -> tuple[GpuRequest, ...]:
    """Return the ranked requests of an option `gpu=`: "H100", "A100-80GB:4", "any", or a list of such.

    A trailing "!" ("H100!": no better kind instead) is accepted: a request always means exactly the kind that it names.

    Raises:
        InvalidError: it is not a str or a list of str, it cannot be parsed, or a count is below 1.
    """
    if gpu is None:
        return ()
    if not isinstance(gpu, (str, list, tuple)):
        raise InvalidError(f'gpu must be a str such as "H100" or "A100:2", or a list of them, not {gpu!r}')
    return tuple(_parse_one(text) for text in ([gpu] if isinstance(gpu, str) else gpu))


def _parse_one(text: str) -> GpuRequest:
    match = _GPU.fullmatch(text) if isinstance(text, str) else None  # pyright: ignore[reportUnnecessaryIsInstance]
    if match is None:
        raise InvalidError(f'cannot read gpu={text!r}: write the kind, as in "H100", or kind and count, as in "A100:2"')
    count = whole_number(match["count"] or "1")
    if not count:
        raise InvalidError(f"gpu={text!r:.100}: the count must be at least 1; leave gpu out for none")
    kind = match["kind"].upper()
    return GpuRequest("any" if kind == "ANY" else kind, count)


def merge_resources(
    base: Resources, cpu: CpuOption | None, memory: MemoryOption | None, gpu: GpuOption | None
) -> Resources:
    """Return `base` with the given resources replaced; None and 0 keep the base's.

    Raises:
        InvalidError: an amount is not a positive number or a pair of them, or the gpu cannot be parsed.
    """
    if cpu:
        request, limit = _pair("cpu", cpu)
        base = replace(base, cpu=float(request), cpu_limit=None if limit is None else float(limit))
    if memory:
        request, limit = _pair("memory", memory)
        base = replace(
            base,
            memory_bytes=int(request * _MIB),
            memory_limit_bytes=None if limit is None else int(limit * _MIB),
        )
    return replace(base, gpu=parse_gpu(gpu) or base.gpu)


def _pair(name: str, value: float | tuple[float, float]) -> tuple[float, float | None]:
    amounts = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    if len(amounts) not in (1, 2) or not all(_is_amount(amount) for amount in amounts):
        unit = "cores" if name == "cpu" else "MiB"
        raise InvalidError(f"{name} must be a positive number of {unit} or a pair (request, limit), not {value!r}")
    return amounts[0], amounts[1] if len(amounts) == 2 else None


def _is_amount(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0


def check_limits(resources: Resources) -> None:
    """Refuse limits below requests. Called when an App is loaded, not when it is declared.

    Raises:
        InvalidError: names the resource and both values.
    """
    if resources.cpu_limit is not None and resources.cpu_limit < resources.cpu:
        raise InvalidError(
            f"cpu=({resources.cpu:g}, {resources.cpu_limit:g}): the limit cannot be less than the request"
        )
    limit = resources.memory_limit_bytes
    if limit is not None and limit < resources.memory_bytes:
        raise InvalidError(
            f"memory=({resources.memory_bytes // _MIB}, {limit // _MIB}): the limit cannot be less than the request"
        )
