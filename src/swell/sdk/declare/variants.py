"""Variants: the spec of a Function with other options, derived from its own spec.

Functions from spec to spec. This module must not know callables, apps or handles.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from swell.model import FunctionSpec
from swell.sdk.declare.concurrency import batching, concurrency
from swell.sdk.declare.container_env import parse_container_env
from swell.sdk.declare.image import Image
from swell.sdk.declare.options import VariantOptions, check_names
from swell.sdk.declare.pool_spec import recorded_options
from swell.sdk.declare.resources import merge_resources
from swell.sdk.declare.retries import retry_policy
from swell.sdk.declare.scaling import autoscaler_settings, seconds

__all__ = ["with_batching", "with_concurrency", "with_options"]


def with_options(spec: FunctionSpec, options: VariantOptions) -> FunctionSpec:
    """Return the spec of a variant: given options replace the former ones. `min_containers` is not inherited.

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
    """Return the changed fields: given secrets (with env) and volumes replace the former ones as a whole."""
    env = parse_container_env(secrets=options.get("secrets"), volumes=options.get("volumes"), env=options.get("env"))
    recorded, variables = {**spec.recorded}, spec.variables
    if env.secrets:
        recorded.pop("secrets", None)
        recorded.pop("required_keys", None)
        variables = {**Image.variables_of(spec.recorded.get("image", [])), **env.variables()}
    return {"variables": variables, "recorded": {**recorded, **recorded_options(options), **env.recorded()}}


def with_concurrency(spec: FunctionSpec, max_inputs: int, target_inputs: int | None) -> FunctionSpec:
    """Return the spec of a variant with this concurrency.

    Raises:
        InvalidError: as for the decorator.
    """
    return replace(_variant(spec), concurrency=concurrency(max_inputs, target_inputs))


def with_batching(spec: FunctionSpec, max_batch_size: int, wait_ms: int) -> FunctionSpec:
    """Return the spec of a variant with this batching.

    Raises:
        InvalidError: as for the decorator.
    """
    return replace(_variant(spec), batching=batching(max_batch_size, wait_ms))


def _variant(spec: FunctionSpec) -> FunctionSpec:
    return replace(spec, autoscaler=replace(spec.autoscaler, min_containers=None))
