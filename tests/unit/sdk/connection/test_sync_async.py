"""What help and editors show of methods with an `.aio` form."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

import swell


@pytest.mark.parametrize(
    ("method", "result"),
    [(swell.FunctionCall.gather, "list[Any]"), (swell.App.lookup, "App"), (swell.App("a").deploy, "Self")],
)
def test_a_prepared_method_shows_what_a_call_returns_and_its_help(method: Callable[..., Any], result: str) -> None:
    assert inspect.signature(method).return_annotation == result
    assert inspect.getdoc(method)
