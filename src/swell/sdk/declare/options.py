"""Options of `@app.function`, `@app.cls` and `with_options`: their names and types.

Each option is declared here only. This module must not know what an option does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, TypedDict

from swell.errors import DeprecationError
from swell.sdk.declare.image import Image
from swell.sdk.declare.resources import CpuOption, GpuOption, MemoryOption
from swell.sdk.declare.retries import Retries
from swell.sdk.declare.schedule import Schedule
from swell.sdk.declare.secret import Secret
from swell.sdk.declare.volume import Volume

__all__ = ["ClassOptions", "FunctionOptions", "VariantOptions", "check_names"]

_OLD_NAMES: Final = {
    "keep_warm": "min_containers",
    "concurrency_limit": "max_containers",
    "container_idle_timeout": "scaledown_window",
    "allow_concurrent_inputs": "the decorator @swell.concurrent(max_inputs=…)",
}


class VariantOptions(TypedDict, total=False):
    """Options that `with_options` changes. Those without a comment are recorded, and have no effect on one machine."""

    max_containers: int | None  #: most containers at a time; default: no bound
    buffer_containers: int | None  #: extra idle containers while there is work; default 0
    scaledown_window: int | None  #: seconds an idle container is kept, 2 to 3600; default 60
    timeout: float  #: seconds one attempt may take, 1 to 86400; default 300
    retries: int | Retries | None  #: retries of a failed input: their number, one second apart, or a policy
    cpu: CpuOption | None  #: cores, or (request, limit); default 0.125
    memory: MemoryOption | None  #: MiB, or (request, limit); default 128
    gpu: GpuOption | None  #: "H100", "A100:2", or a list in order of preference
    env: Mapping[str, str | None] | None  #: environment variables, over those of secrets
    secrets: Sequence[Secret] | None  #: more environment variables
    volumes: Mapping[str, Volume] | None
    region: str | Sequence[str] | None
    cloud: str | None
    routing_region: str | None


class ClassOptions(VariantOptions, total=False):
    """Options of `@app.cls`. Options without a comment are recorded, and have no effect on one machine."""

    min_containers: int | None  #: containers kept even without work; default 0
    placement: Literal["pack", "spread"] | None  #: of containers on nodes: on few, or apart; default "pack"
    single_use_containers: bool  #: a container exits after its first input, or batch
    startup_timeout: float | None  #: seconds that imports and enter hooks may take; default: `timeout`
    enable_memory_snapshot: bool  #: fork containers from a process that has imported the code
    serialized: bool  #: send the code pickled, so that it need not be importable
    image: Image | None  #: its `env` and `workdir` take effect
    include_source: bool | None
    max_inputs: int | None  #: old spelling of `single_use_containers`; only 1 is possible
    network_file_systems: Mapping[str, Any] | None
    proxy: Any
    ephemeral_disk: int | None
    nonpreemptible: bool
    i6pn: bool | None
    block_network: bool
    restrict_modal_access: bool
    experimental_options: Mapping[str, Any] | None
    _experimental_restrict_output: bool


class FunctionOptions(ClassOptions, total=False):
    """Options of `@app.function`."""

    name: str | None  #: name in the App; default: that of the function
    is_generator: bool | None  #: True for a plain function that returns a generator object
    schedule: Schedule | None


def check_names(options: Mapping[str, object], declared: type, where: str) -> None:
    """Refuse options that a decorator does not have.

    Args:
        options: What the user gave.
        declared: The TypedDict with the names there are.
        where: The decorator, for messages.

    Raises:
        DeprecationError: an old name; says what it is called now.
        TypeError: any other name.
    """
    known: frozenset[str] = getattr(declared, "__optional_keys__")  # noqa: B009 - TypedDicts have it, `type` does not
    for name in sorted(options.keys() - known):
        if name in _OLD_NAMES:
            raise DeprecationError(f"{where}: the option {name} has been replaced by {_OLD_NAMES[name]}")
        from difflib import get_close_matches

        near = get_close_matches(name, known, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise TypeError(f"{where} got an unexpected keyword argument {name!r}{hint}")
