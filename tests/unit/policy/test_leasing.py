"""Which functions' containers may be leased to a client for its calls."""

from __future__ import annotations

from typing import Any

import pytest

from swell.model import Batching, ClassSpec, Concurrency, FunctionSpec, MethodSpec, Source, WebSpec
from swell.policy.leasing import is_worth_leasing, may_lease

SOURCE = Source("app", "f", "app.py")


def test_a_container_that_runs_one_synchronous_input_after_another_may_be_leased() -> None:
    assert may_lease(FunctionSpec("f", SOURCE))
    assert may_lease(FunctionSpec("C.*", SOURCE, cls=ClassSpec((MethodSpec("a"), MethodSpec("b", is_generator=True)))))


@pytest.mark.parametrize(
    "options",
    [
        {"is_async": True},
        {"is_generator": True},
        {"single_use": True},
        {"concurrency": Concurrency(2, 2)},
        {"batching": Batching(2, 10)},
        {"web": WebSpec("asgi")},
        {"cls": ClassSpec((MethodSpec("a"), MethodSpec("b", is_async=True)))},
        {"cls": ClassSpec((MethodSpec("a"), MethodSpec("b", web=WebSpec("endpoint"))))},
    ],
    ids=str,
)
def test_others_may_not(options: dict[str, Any]) -> None:
    assert not may_lease(FunctionSpec("f", SOURCE, **options))


@pytest.mark.parametrize(("service_s", "is_worth"), [(None, False), (0.00001, True), (0.0049, True), (0.005, False)])
def test_only_calls_that_are_known_to_be_quick_are_worth_it(service_s: float | None, is_worth: bool) -> None:
    assert is_worth_leasing(service_s) is is_worth
