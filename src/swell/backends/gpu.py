"""The GPUs of this machine, found through NVIDIA's management library.

This module must not know containers, or which of them gets which GPU.
"""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from swell.bounds import whole_number
from swell.model import Gpu

__all__ = ["NoGpus", "NvmlProvider", "family"]

_MAKERS_WORDS = re.compile(r"\b(NVIDIA|GEFORCE|TESLA|QUADRO)\b")


class NoGpus:
    """A GpuProvider for machines whose GPUs are not to be used."""

    def gpus(self) -> Sequence[Gpu]:
        """Return nothing."""
        return ()


class NvmlProvider:
    """A GpuProvider that asks the driver. Honours the CUDA_VISIBLE_DEVICES that this process was started with."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self._visible = (os.environ if environ is None else environ).get("CUDA_VISIBLE_DEVICES")

    def gpus(self) -> Sequence[Gpu]:
        """Return the GPUs in the driver's order; none where there is no driver.

        Raises:
            pynvml.NVMLError: there is a driver, but it does not work.
        """
        pynvml: Any = importlib.import_module("pynvml")  # only here: it loads the driver's library. It has no types
        try:
            pynvml.nvmlInit()
        except (pynvml.NVMLError_LibraryNotFound, pynvml.NVMLError_DriverNotLoaded):
            return ()
        try:
            handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
            found = [
                Gpu(
                    uuid=_text(pynvml.nvmlDeviceGetUUID(handle)),
                    kind=family(_text(pynvml.nvmlDeviceGetName(handle))),
                    memory_bytes=int(pynvml.nvmlDeviceGetMemoryInfo(handle).total),
                )
                for handle in handles
            ]
        finally:
            pynvml.nvmlShutdown()
        return found if self._visible is None else visible(found, self._visible)


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value  # old drivers answer in bytes


def family(name: str) -> str:
    """Return the name people ask for: "A100" for "NVIDIA A100-SXM4-80GB", "RTX4090" for "NVIDIA GeForce RTX 4090"."""
    words = _MAKERS_WORDS.sub(" ", name.upper()).split()
    if not words:
        return "UNKNOWN"
    if words[0] != "RTX":
        return words[0].partition("-")[0]
    number = next((position for position, word in enumerate(words) if word[:1].isdigit()), len(words) - 1)
    return ("-" if "PRO" in words else "").join(words[: number + 1])


def visible(gpus: Sequence[Gpu], chosen: str) -> Sequence[Gpu]:
    """Return the GPUs that a value of CUDA_VISIBLE_DEVICES names, by number or beginning of the uuid, in its order.

    As for CUDA, the first entry that names nothing ends the list.
    """
    found: list[Gpu] = []
    for entry in chosen.split(","):
        name = entry.strip()
        number = whole_number(name)
        if number is not None:
            matching = [gpus[number]] if number < len(gpus) else []
        else:
            matching = [gpu for gpu in gpus if name and gpu.uuid.startswith(name)]
        if len(matching) != 1:
            break
        found += matching
    return found
