"""Options of `@app.function` and `@app.cls`: their names and types, and the `FunctionSpec` they make.

The one place where an option is declared. `with_options` and its siblings are functions from spec to spec here, too.
This module must not know callables, apps or handles.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypedDict

from msgspec.structs import replace

from swell.errors import DeprecationError, InvalidError
from swell.model import Batching, Concurrency, FunctionSpec, Resources, Source
from swell.sdk.declare.container_env import ContainerEnv, check_container_env, parse_container_env
from swell.sdk.declare.image import Image
from swell.sdk.declare.marks import check_batching, check_concurrency
from swell.sdk.declare.resources import CpuOption, GpuOption, MemoryOption, check_limits, merge_resources
from swell.sdk.declare.retries import Retries, retry_policy
from swell.sdk.declare.scaling import autoscaler_settings, check_timeouts, seconds
from swell.sdk.declare.schedule import Schedule
from swell.sdk.declare.secret import Secret
from swell.sdk.declare.volume import Volume

__all__ = [
    "ClassOptions",
    "FunctionOptions",
    "VariantOptions",
    "check_at_load",
    "check_names",
    "concurrency",
    "pool_spec",
    "with_batching",
    "with_concurrency",
    "with_options",
]

_OLD_NAMES: Final = {
    "keep_warm": "min_containers",
    "concurrency_limit": "max_containers",
    "container_idle_timeout": "scaledown_window",
    "allow_concurrent_inputs": "the decorator @swell.concurrent(max_inputs=…)",
}

_RECORDED: Final = (
    "cloud",
    "region",
    "routing_region",
    "nonpreemptible",
    "i6pn",
    "block_network",
    "restrict_modal_access",
    "ephemeral_disk",
    "include_source",
    "_experimental_restrict_output",
    "serialized",
)


class VariantOptions(TypedDict, total=False):
    """What `with_options` can change. Options without a comment are recorded, and have no effect on one machine."""

    max_containers: int | None  #: most containers at a time; default: no bound
    buffer_containers: int | None  #: extra idle containers while there is work; default 0
    scaledown_window: int | None  #: seconds an idle container is kept, 2 to 3600; default 60
    timeout: float  #: seconds one attempt may take, 1 to 86400; default 300
    retries: int | Retries | None  #: retries of a failed input: so many, one second apart, or a policy
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
    single_use_containers: bool  #: a container leaves after its first input, or batch
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


def pool_spec(name: str, source: Source, options: ClassOptions, defaults: ContainerEnv) -> FunctionSpec:
    """Return the spec that the options describe, without what depends on the callable itself.

    Raises:
        InvalidError: an option has a wrong type or value; says which.
    """
    own = parse_container_env(
        image=options.get("image"),
        secrets=options.get("secrets"),
        volumes=options.get("volumes"),
        env=options.get("env"),
    )
    env = defaults.under(own)
    timeout_s = seconds("timeout", options.get("timeout", 300))
    startup_timeout = options.get("startup_timeout")
    return FunctionSpec(
        name=name,
        source=source,
        autoscaler=autoscaler_settings(
            min_containers=options.get("min_containers"),
            max_containers=options.get("max_containers"),
            buffer_containers=options.get("buffer_containers"),
            scaledown_window=options.get("scaledown_window"),
        ),
        retry=retry_policy(options.get("retries")),
        timeout_s=timeout_s,
        startup_timeout_s=seconds("startup_timeout", startup_timeout) if startup_timeout else timeout_s,
        resources=merge_resources(Resources(), options.get("cpu"), options.get("memory"), options.get("gpu")),
        single_use=_single_use(options),
        snapshot=bool(options.get("enable_memory_snapshot")),
        variables=env.variables(),
        workdir=env.image.working_directory if env.image is not None else "",
        recorded={**_recorded(options), **env.recorded()},
    )


def _single_use(options: ClassOptions) -> bool:
    max_inputs: object = options.get("max_inputs")
    if max_inputs is None:
        return bool(options.get("single_use_containers"))
    if type(max_inputs) is not int or max_inputs != 1:
        raise InvalidError(
            f"max_inputs={max_inputs!r}: only 1 is possible here, and is now spelled single_use_containers=True; "
            "for inputs that run side by side use @swell.concurrent(max_inputs=…)"
        )
    warnings.warn("max_inputs=1 is now spelled single_use_containers=True", DeprecationError, stacklevel=5)
    return True


def _recorded(options: Mapping[str, Any]) -> dict[str, Any]:
    recorded: dict[str, Any] = {name: options[name] for name in _RECORDED if options.get(name)}
    if experimental := options.get("experimental_options"):
        recorded["experimental_options"] = {str(name): str(value) for name, value in experimental.items()}
    for name in ("network_file_systems", "proxy"):
        if options.get(name):
            recorded[name] = repr(options[name])
    return recorded


# ---------------------------------------------------------------- variants


def with_options(spec: FunctionSpec, options: VariantOptions) -> FunctionSpec:
    """Return the spec of a variant: what is given and true replaces, the rest stays. `min_containers` is not inherited.

    Raises:
        InvalidError: as for the decorator.
        TypeError: an option that variants do not have.
    """
    check_names(options, VariantOptions, "with_options()")
    spec = _variant(spec)
    over = autoscaler_settings(
        max_containers=options.get("max_containers"),
        buffer_containers=options.get("buffer_containers") or None,
        scaledown_window=options.get("scaledown_window") or None,
    )
    return replace(
        spec,
        autoscaler=spec.autoscaler.merge(over),
        retry=retry_policy(options.get("retries") or None) or spec.retry,
        timeout_s=seconds("timeout", options.get("timeout") or spec.timeout_s),
        resources=merge_resources(spec.resources, options.get("cpu"), options.get("memory"), options.get("gpu")),
        **_container_env_over(spec, options),
    )


def _container_env_over(spec: FunctionSpec, options: VariantOptions) -> dict[str, Any]:
    """Return the changed fields: secrets (env among them) and volumes replace the former ones as a whole, or stay."""
    env = parse_container_env(secrets=options.get("secrets"), volumes=options.get("volumes"), env=options.get("env"))
    recorded, variables = {**spec.recorded}, spec.variables
    if env.secrets:
        recorded.pop("secrets", None)
        recorded.pop("required_keys", None)
        variables = {**Image.variables_of(spec.recorded.get("image", [])), **env.variables()}
    return {"variables": variables, "recorded": {**recorded, **_recorded(options), **env.recorded()}}


def with_concurrency(spec: FunctionSpec, max_inputs: int, target_inputs: int | None) -> FunctionSpec:
    """Return the spec of a variant with this concurrency.

    Raises:
        InvalidError: as for the decorator.
    """
    return replace(_variant(spec), concurrency=concurrency(max_inputs, target_inputs))


def concurrency(max_inputs: int | None, target_inputs: int | None) -> Concurrency:
    """Return what the arguments of `concurrent` mean.

    Raises:
        InvalidError: a number is out of range.
        TypeError: `max_inputs` is missing.
    """
    check_concurrency(max_inputs, target_inputs)
    if max_inputs is None:
        raise TypeError("@swell.concurrent() is missing its required keyword argument 'max_inputs'")
    return Concurrency(max_inputs, max_inputs if target_inputs is None else target_inputs)


def with_batching(spec: FunctionSpec, max_batch_size: int, wait_ms: int) -> FunctionSpec:
    """Return the spec of a variant with this batching.

    Raises:
        InvalidError: as for the decorator.
    """
    check_batching(max_batch_size, wait_ms)
    return replace(_variant(spec), batching=Batching(max_batch_size, wait_ms))


def _variant(spec: FunctionSpec) -> FunctionSpec:
    return replace(spec, autoscaler=replace(spec.autoscaler, min_containers=None))


# ---------------------------------------------------------------- checks that wait until an App is loaded


def check_at_load(spec: FunctionSpec) -> None:
    """Refuse what decorators accept but no container could run with. Called when an App, or a variant, is opened.

    Raises:
        InvalidError: a limit below its request, a timeout out of range, or one Volume at two paths.
        NotFoundError: an environment variable that a Secret requires is not set.
    """
    check_limits(spec.resources)
    check_timeouts(spec)
    check_container_env(spec)
