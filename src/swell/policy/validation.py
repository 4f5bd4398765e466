"""Validation of specs and settings: bounds that the rest of the server relies on, whoever sent them.

The decorators check the same where the user writes, in the user's terms; this is for specs that reach the server by
other ways. This module must not know where a spec comes from, or what nodes there are.
"""

from __future__ import annotations

from swell.model import AutoscalerSettings, ClassSpec, FunctionSpec, WebSpec
from swell.names import function_name_problem, identifier_problem, text_problem, variables_problem
from swell.option_bounds import (
    BATCH_SIZE,
    BATCH_WAIT_MS,
    CORES,
    GPUS,
    MAX_INPUTS,
    STORED_BACKOFF,
    STORED_RETRY_DELAY_S,
    STORED_SCALEDOWN_WINDOW_S,
    TIMEOUT_S,
)
from swell.policy.labels import label_problem

__all__ = ["settings_problem", "spec_problem"]

METHOD_MAX = 32  #: characters
WEB_KINDS = frozenset({"asgi", "wsgi", "endpoint", "server"})
PARAMETER_KINDS = frozenset({"str", "int", "bool", "bytes"})


def spec_problem(spec: FunctionSpec) -> str:
    """Return what is wrong with a spec, naming the value and its bounds; "" if nothing."""
    if problem := _names_problem(spec):
        return problem
    concurrency, batching, retry, resources = spec.concurrency, spec.batching, spec.retry, spec.resources
    # Each row: name, value, (least, largest). A comparison with NaN is false, and so refused.
    rows: list[tuple[str, float, tuple[float, float]]] = [
        ("timeout", spec.timeout_s, TIMEOUT_S),
        ("startup_timeout", spec.startup_timeout_s, TIMEOUT_S),
        ("max_inputs", concurrency.max_inputs, MAX_INPUTS),
        ("target_inputs", concurrency.target_inputs, (1, concurrency.max_inputs)),
        ("cpu", resources.cpu, CORES),
        ("memory", resources.memory_bytes, (0, float("inf"))),
        *(("number of GPUs", request.count, GPUS) for request in resources.gpu),
    ]
    if batching is not None:
        rows += [("max_batch_size", batching.max_batch_size, BATCH_SIZE), ("wait_ms", batching.wait_ms, BATCH_WAIT_MS)]
    if retry is not None:
        rows += [
            ("max_retries", retry.max_retries, (0, float("inf"))),
            ("backoff_coefficient", retry.backoff_coefficient, STORED_BACKOFF),
            ("initial_delay", retry.initial_delay_s, STORED_RETRY_DELAY_S),
            ("max_delay", retry.max_delay_s, STORED_RETRY_DELAY_S),
        ]
    for name, value, (least, largest) in rows:
        if not least <= value <= largest:
            return f"{name} = {value:g} is outside {least:,g} to {largest:,g}"
    return settings_problem(spec.autoscaler)


def _names_problem(spec: FunctionSpec) -> str:
    """Return what is wrong with the names and texts of a spec, which people read."""
    problems = [
        function_name_problem(spec.name),
        variables_problem(spec.variables),
        *(text_problem(request.kind, "kind of GPU") for request in spec.resources.gpu),
        *map(_web_problem, spec.web_methods.values()),
        "" if spec.cls is None else _class_problem(spec.cls),
        "workdir has a NUL in it, which no path can have" if "\0" in spec.workdir else "",
    ]
    return next(filter(None, problems), "")


def _class_problem(cls: ClassSpec) -> str:
    problems = [identifier_problem(method.name, "method") for method in cls.methods]
    for parameter in cls.parameters:
        problems.append(identifier_problem(parameter.name, "parameter"))
        if parameter.kind not in PARAMETER_KINDS:
            problems.append(f"{parameter.kind!r:.200} is not a type of parameter; use str, int, bool or bytes")
    return next(filter(None, problems), "")


def _web_problem(web: WebSpec) -> str:
    if web.kind not in WEB_KINDS:
        return f"{web.kind!r:.200} is not a kind of web function; use one of {', '.join(sorted(WEB_KINDS))}"
    if not (web.method.isascii() and web.method.isalpha() and len(web.method) <= METHOD_MAX):
        return f"{web.method!r:.200} is not a method of HTTP: 1 to {METHOD_MAX} letters, such as GET"
    return "" if web.label is None else label_problem(web.label)


def settings_problem(settings: AutoscalerSettings) -> str:
    """Return what is wrong with settings that would be in force; "" if nothing. max_containers 0 means no limit."""
    low, high = settings.min_containers or 0, settings.max_containers or 0
    buffer, window = settings.buffer_containers or 0, settings.scaledown_window
    if low < 0 or high < 0 or buffer < 0:
        return f"min_containers = {low}, max_containers = {high}, buffer_containers = {buffer}: none may be negative"
    if high and low > high:
        return f"min_containers = {low} cannot be greater than max_containers = {high}"
    least, most = STORED_SCALEDOWN_WINDOW_S
    if window is not None and not least <= window <= most:
        return f"scaledown_window = {window} s is outside {least} s to {most:,} s"
    return ""
