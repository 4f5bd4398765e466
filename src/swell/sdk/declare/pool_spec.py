"""Makes the spec of a pool from options: resources, scaling, timeouts, retries, container environment.

This module must not know callables, marks, apps or handles.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, Final

from swell.errors import DeprecationError, InvalidError
from swell.model import FunctionSpec, Resources, Source
from swell.sdk.declare.container_env import ContainerEnv, check_container_env, parse_container_env
from swell.sdk.declare.options import ClassOptions
from swell.sdk.declare.resources import check_limits, merge_resources
from swell.sdk.declare.retries import retry_policy
from swell.sdk.declare.scaling import autoscaler_settings, check_timeouts, placement, seconds

__all__ = ["check_at_load", "pool_spec", "recorded_options"]

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


def pool_spec(name: str, source: Source, options: ClassOptions, defaults: ContainerEnv) -> FunctionSpec:
    """Return the spec that the options describe, without the fields that depend on the callable.

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
        placement=placement(options.get("placement")),
        snapshot=bool(options.get("enable_memory_snapshot")),
        variables=env.variables(),
        workdir=env.image.working_directory if env.image is not None else "",
        recorded={**recorded_options(options), **env.recorded()},
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


def recorded_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that are recorded and shown, and have no effect on one machine, as plain values."""
    recorded: dict[str, Any] = {name: options[name] for name in _RECORDED if options.get(name)}
    if experimental := options.get("experimental_options"):
        recorded["experimental_options"] = {str(name): str(value) for name, value in experimental.items()}
    for name in ("network_file_systems", "proxy"):
        if options.get(name):
            recorded[name] = repr(options[name])
    return recorded


def check_at_load(spec: FunctionSpec) -> None:
    """Refuse a spec that decorators accept and no container could run with. Called when an App or a variant is opened.

    Raises:
        InvalidError: a limit below its request, a timeout out of range, or one Volume at two paths.
        NotFoundError: an environment variable that a Secret requires is not set.
    """
    check_limits(spec.resources)
    check_timeouts(spec)
    check_container_env(spec)
