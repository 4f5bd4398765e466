"""Variants are what they change of their base, whichever version of it they are applied to."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from swell.errors import InvalidError
from swell.model import (
    AutoscalerSettings,
    Batching,
    Concurrency,
    FunctionSpec,
    GpuRequest,
    Resources,
    RetryPolicy,
    ScheduleSpec,
    Source,
)
from swell.wire.variant import apply_changes, changes_between, merged_changes, parameter_changes

BASE = FunctionSpec(
    "f",
    Source("m", "f", pickled=b"code"),
    autoscaler=AutoscalerSettings(2, 5, None, 30),
    retry=RetryPolicy(3),
    timeout_s=10.0,
    resources=Resources(2.0, 1 << 30, (GpuRequest("T4"),)),
    schedule=ScheduleSpec("period", hours=1),
    variables={"A": "1"},
)


def varied(base: FunctionSpec = BASE, **changes: Any) -> FunctionSpec:
    """Return a variant as a client makes it: without the floor of its base."""
    scaling = replace(base.autoscaler, min_containers=None)
    return replace(base, autoscaler=changes.pop("autoscaler", scaling), **changes)


CHANGES = [
    {"timeout_s": 20.0},
    {"retry": None},
    {"batching": Batching(4, 10)},
    {"concurrency": Concurrency(8, 4)},
    {"resources": Resources(2.0, 2 << 30, (GpuRequest("T4"),))},
    {"resources": Resources(2.0, 1 << 30)},
    {"autoscaler": AutoscalerSettings(None, 7, 1, 30)},
    {"variables": {"B": "2"}, "parameters": b"\x81\xa1x\x01"},
]


@pytest.mark.parametrize("changes", CHANGES)
def test_what_was_changed_is_changed_again(changes: dict[str, Any]) -> None:
    variant = varied(**changes)
    again = apply_changes(BASE, changes_between(BASE, variant))
    assert again == replace(variant, schedule=None), "but for the schedule, which no variant has"


def test_only_changes_travel() -> None:
    assert msgspec.msgpack.decode(changes_between(BASE, varied())) == {}
    changed = msgspec.msgpack.decode(
        changes_between(BASE, varied(timeout_s=20.0, autoscaler=AutoscalerSettings(None, 5, 4, 30)))
    )
    assert changed == {"timeout_s": 20.0, "autoscaler": {"buffer_containers": 4}}


def test_code_and_name_are_the_bases() -> None:
    other = varied(name="g", source=Source("n", "g"), schedule=None, timeout_s=20.0)
    changes = changes_between(BASE, other)
    assert b"code" not in changes
    assert msgspec.msgpack.decode(changes) == {"timeout_s": 20.0}


def test_equal_changes_are_equal_bytes() -> None:
    first = changes_between(BASE, varied(timeout_s=20.0, retry=None, variables={"X": "1", "Y": "2"}))
    second = changes_between(BASE, varied(variables={"Y": "2", "X": "1"}, retry=None, timeout_s=20.0))
    assert first == second


def test_a_variant_is_the_same_whatever_the_floor_of_its_base() -> None:
    bare = replace(BASE, autoscaler=replace(BASE.autoscaler, min_containers=None))
    assert changes_between(BASE, varied(timeout_s=20.0)) == changes_between(bare, varied(bare, timeout_s=20.0))


def test_a_variant_follows_its_base_in_what_it_does_not_change() -> None:
    changes = changes_between(BASE, varied(timeout_s=20.0, autoscaler=AutoscalerSettings(None, 9, None, 30)))
    newer = replace(
        BASE,
        source=Source("m2", "f"),
        retry=None,
        timeout_s=99.0,
        autoscaler=AutoscalerSettings(4, 6, 2, 40),
        concurrency=Concurrency(3, 3),
    )
    variant = apply_changes(newer, changes)
    assert (variant.source, variant.retry, variant.concurrency) == (Source("m2", "f"), None, Concurrency(3, 3))
    assert variant.timeout_s == 20.0
    assert variant.autoscaler == AutoscalerSettings(None, 9, 2, 40)


def test_no_version_gives_a_variant_the_floor_of_its_base() -> None:
    bare = replace(BASE, autoscaler=AutoscalerSettings())
    changes = changes_between(bare, varied(bare, timeout_s=20.0))
    assert apply_changes(BASE, changes).autoscaler.min_containers is None


def test_resources_are_changed_one_by_one() -> None:
    changes = changes_between(BASE, varied(resources=Resources(8.0, 1 << 30, (GpuRequest("T4"),))))
    newer = replace(BASE, resources=Resources(1.0, 7 << 30, (GpuRequest("H100", 2),)))
    assert apply_changes(newer, changes).resources == Resources(8.0, 7 << 30, (GpuRequest("H100", 2),))


@pytest.mark.parametrize(
    "changes",
    [
        b"",
        b"\xff",
        b"\x01",
        b"\x81\x01\x02",
        msgspec.msgpack.encode({"timeout_s": "long"}),
        msgspec.msgpack.encode({"autoscaler": 3}),
        msgspec.msgpack.encode({"resources": {"cpu": []}}),
        msgspec.msgpack.encode({"batching": 1}),
        b"\x81\xa1\xff\x01",
    ],
)
def test_what_are_no_changes_is_refused_by_name(changes: bytes) -> None:
    with pytest.raises(InvalidError, match="f: these are not the options of a variant"):
        apply_changes(BASE, changes)


def test_parameters_alone_are_the_same_changes_as_a_program_sends() -> None:
    parameters = b"\x81\xa1x\x01"
    assert parameter_changes(parameters) == changes_between(BASE, varied(parameters=parameters))


@pytest.mark.parametrize("first", CHANGES)
@pytest.mark.parametrize("second", CHANGES)
def test_a_variant_of_a_variant_changes_both_of_its_base(first: dict[str, Any], second: dict[str, Any]) -> None:
    one = varied(**first)
    both = varied(one, **second)
    merged = merged_changes(changes_between(BASE, one), changes_between(one, both))
    assert apply_changes(BASE, merged) == replace(both, schedule=None)


@pytest.mark.parametrize("changes", [b"", b"\xc1", b"\x01", b"\x81\xaaautoscaler\x01"])
def test_what_are_no_changes_cannot_be_merged(changes: bytes) -> None:
    with pytest.raises(InvalidError, match="not the options of a variant"):
        merged_changes(changes, changes)
