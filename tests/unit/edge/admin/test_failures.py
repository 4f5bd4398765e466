"""Errors over HTTP: every class has a status and a name that the SDK knows."""

from __future__ import annotations

import json

import pytest

import swell.exception
from swell import errors
from swell.edge.admin.failures import code_of, failed, status_of


def every_class(cls: type[errors.Error] = errors.Error) -> list[type[errors.Error]]:
    return [cls, *(below for child in cls.__subclasses__() for below in every_class(child))]


def test_every_error_has_a_status_and_a_public_name() -> None:
    for cls in every_class():
        assert 400 <= status_of(cls) < 600
        assert hasattr(swell.exception, code_of(cls)), cls


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (errors.InvalidValueError("too large"), 422, "InvalidError"),
        (errors.ConflictError("not now"), 409, "ConflictError"),
        (errors.OutputExpiredError("over"), 410, "OutputExpiredError"),
        (errors.DataLossError("gone"), 500, "DataLossError"),
        (errors.ConnectionError("no server"), 503, "ConnectionError"),
    ],
)
def test_an_error_says_whose_fault_it_is(error: errors.Error, status: int, code: str) -> None:
    answer = failed(error)
    assert answer.status_code == status
    assert json.loads(answer.body) == {"error": {"code": code, "message": str(error)}}


@pytest.mark.parametrize(("after_s", "header"), [(0.2, "1"), (2.1, "3"), (None, None)])
def test_a_limit_is_told_with_its_number_and_when_to_try_again(after_s: float | None, header: str | None) -> None:
    answer = failed(errors.ResourceExhausted("pending_sync_max", 2_000, after_s))
    assert answer.status_code == 429
    assert answer.headers.get("retry-after") == header
    told = json.loads(answer.body)["error"]
    assert (told["code"], told["limit"], told["value"]) == ("ResourceExhausted", "pending_sync_max", 2_000)
    assert told.get("retry_after_s") == after_s
