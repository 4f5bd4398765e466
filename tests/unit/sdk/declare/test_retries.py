"""Retries: how they are given, and their bounds."""

from __future__ import annotations

from typing import Any

import pytest

from swell.errors import InvalidError
from swell.model import RetryPolicy
from swell.sdk.declare.retries import Retries, retry_policy


def test_retries_double_by_default() -> None:
    assert Retries(max_retries=4).policy == RetryPolicy(4, 2.0, 1.0, 60.0)


@pytest.mark.parametrize(
    "options",
    [
        {"max_retries": -1},
        {"max_retries": 1.5},
        {"max_retries": "1"},
        {"max_retries": 1, "max_delay": 0.5},
        {"max_retries": 1, "max_delay": 61},
        {"max_retries": 1, "initial_delay": -0.1},
        {"max_retries": 1, "initial_delay": 61},
        {"max_retries": 1, "backoff_coefficient": 0.9},
        {"max_retries": 1, "backoff_coefficient": 10.1},
    ],
    ids=str,
)
def test_retries_out_of_range(options: dict[str, Any]) -> None:
    name = list(options)[-1]
    with pytest.raises(InvalidError, match=f"Retries\\({name}=…\\) must be"):
        Retries(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"max_retries": 0},
        {"max_retries": 10**6},
        {"max_retries": 1, "max_delay": 1, "initial_delay": 60},
        {"max_retries": 1, "max_delay": 60, "initial_delay": 0, "backoff_coefficient": 1},
        {"max_retries": 1, "backoff_coefficient": 10},
    ],
    ids=str,
)
def test_retries_in_range(options: dict[str, Any]) -> None:
    assert Retries(**options).policy.max_retries == options["max_retries"]


def test_retries_need_their_number() -> None:
    with pytest.raises(TypeError, match="max_retries"):
        Retries()


@pytest.mark.parametrize(("value", "count"), [(0, 0), (3, 3), (True, 1)])
def test_a_plain_number_of_retries(value: int, count: int) -> None:
    assert retry_policy(value) == RetryPolicy(count, backoff_coefficient=1.0, initial_delay_s=1.0)


def test_a_negative_number_of_retries() -> None:
    with pytest.raises(InvalidError, match="at least 0"):
        retry_policy(-1)
