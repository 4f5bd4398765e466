"""Secrets: where they come from, their bounds, and that they are never shown."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from swell.errors import InvalidError
from swell.sdk.declare.secret import Secret
from swell.wire import context


def test_none_leaves_a_key_out() -> None:
    assert Secret.from_dict({"A": "1", "B": None}).variables == {"A": "1"}
    assert Secret.from_dict().variables == {}


@pytest.mark.parametrize("bad", [{"A": 1}, {1: "A"}, {"A-B": "x"}, {"1A": "x"}, {"": "x"}, ["A"]], ids=str)
def test_keys_and_values_of_secrets(bad: Any) -> None:
    with pytest.raises(InvalidError):
        Secret.from_dict(bad)


def test_secrets_have_bounds() -> None:
    Secret.from_dict({"K" * 16_384: "v" * 32_768})
    with pytest.raises(InvalidError, match="at most 16384 characters"):
        Secret.from_dict({"K" * 16_385: "v"})
    with pytest.raises(InvalidError, match="has 32769 characters"):
        Secret.from_dict({"K": "v" * 32_769})


def test_a_value_is_never_shown() -> None:
    assert "hidden" not in repr(Secret.from_dict({"K": "hidden"}))
    with pytest.raises(InvalidError) as caught:
        Secret.from_dict({"K": ["hidden"]})
    assert "hidden" not in str(caught.value)


def test_secrets_from_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HERE", "1")
    monkeypatch.delenv("NOT_HERE", raising=False)
    assert Secret.from_local_environ(["HERE"]).variables == {"HERE": "1"}
    with pytest.raises(InvalidError, match="NOT_HERE is not set"):
        Secret.from_local_environ(["HERE", "NOT_HERE"])
    monkeypatch.setattr(context, "is_local", lambda: False)
    assert Secret.from_local_environ(["NOT_HERE"]).variables == {}


def test_secrets_from_a_file(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (tmp_path / ".env").write_text("# comment\n\nA=1\nexport B = 'two words' \nC=\"#no comment\"\nD=x # comment\nE=\n")
    expected = {"A": "1", "B": "two words", "C": "#no comment", "D": "x", "E": ""}
    assert Secret.from_dotenv(inner).variables == expected
    assert Secret.from_dotenv(tmp_path / ".env").variables == expected


def test_secrets_from_a_file_that_is_not_there_or_not_readable(tmp_path: Path) -> None:
    with pytest.raises(InvalidError, match=r"there is no \.absent"):
        Secret.from_dotenv(tmp_path, filename=".absent")
    (tmp_path / ".env").write_text("A=1\nhidden\n")
    with pytest.raises(InvalidError, match=":2: expected KEY=value") as caught:
        Secret.from_dotenv(tmp_path)
    assert "hidden" not in str(caught.value)


def test_named_secrets_carry_nothing() -> None:
    secret = Secret.from_name("keys", required_keys=["A"])
    assert (secret.name, secret.variables, secret.required_keys) == ("keys", {}, ("A",))


def test_secrets_do_not_leak_into_the_environment_of_this_process() -> None:
    Secret.from_dict({"SWELL_TEST_LEAK": "1"})
    assert "SWELL_TEST_LEAK" not in os.environ
