"""Pickles that an older version stored are read under the names of today."""

from __future__ import annotations

import base64
import importlib
import json
import pickle
from pathlib import Path
from typing import Any

import pytest

import swell
from swell.errors import DeserializationError, InvalidError
from swell.wire import former_names, payload

#: Written by the tree in which all modules of the SDK lay in one folder.
STORED: dict[str, bytes] = {
    name: base64.b64decode(text)
    for name, text in json.loads(Path(__file__).with_name("former_pickles.json").read_text()).items()
}


def stored(name: str) -> Any:
    return payload.loads(STORED[name])


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("retries", "Retries(max_retries=3, backoff_coefficient=2, initial_delay=2, max_delay=60)"),
        ("secret", "Secret(keys=['KEY'])"),
        ("volume", "Volume('data', read only)"),
        ("cron", "Cron('5 4 * * *', timezone='Europe/Berlin')"),
        ("period", "Period(hours=4, seconds=0.5)"),
        ("call", "<FunctionCall fc-1>"),
        ("function", "<Function square>"),
    ],
)
def test_declarations_and_handles(name: str, shown: str) -> None:
    assert repr(stored(name)) == shown


def test_images() -> None:
    image = stored("image")
    assert image.variables == {"A": "1"}
    assert [step for step, _, _ in image.describe()] == ["debian_slim", "pip_install", "env"]


@pytest.mark.parametrize(
    ("name", "module", "qualname"),
    [
        ("remote", "swell.sdk.connection.sync_async", "SyncAsync"),
        ("remote_gen", "swell.sdk.connection.sync_async", "SyncAsyncIterator"),
        ("spawn", "swell.sdk.connection.retrying", "Retrying"),
        ("map", "swell.sdk.calls.results", "MapForm"),
        ("surroundings", "swell.sdk.declare.container_env", "ContainerEnv"),
    ],
)
def test_classes_that_have_another_name_today(name: str, module: str, qualname: str) -> None:
    found = type(stored(name))
    assert (found.__module__, found.__qualname__) == (module, qualname)


def test_references_and_errors() -> None:
    assert stored("class") is swell.Secret
    assert stored("client") is swell.enable_output
    assert isinstance(stored("error"), InvalidError)


def test_arguments() -> None:
    (retries,), kwargs = payload.decode_arguments(STORED["arguments"])
    assert retries.policy.max_retries == 1
    assert kwargs["secret"].variables == {"KEY": "value"}


def test_code_that_travels_by_value() -> None:
    assert stored("serialized function")(2) == (
        "Secret(keys=['A'])",
        "Retries(max_retries=2, backoff_coefficient=2, initial_delay=1, max_delay=60)",
    )
    cls = stored("serialized class")
    model = object.__new__(cls)
    assert model.size == "small"
    assert cls.predict.__swell_raw__(model, 3) == ("small", 3, "Model.again")


def test_every_present_name_exists() -> None:
    for module in former_names._MODULES.values():
        importlib.import_module(module)
    for module, name in former_names._NAMES.values():
        assert hasattr(importlib.import_module(module), name)


def test_what_still_cannot_be_read_is_told() -> None:
    gone = pickle.dumps(swell.Retries(max_retries=1), 0).replace(
        b"swell.sdk.declare.retries\nRetries", b"swell.sdk.retries\nGone"
    )
    with pytest.raises(DeserializationError, match="Gone"):
        payload.loads(gone)


def test_other_failures_are_not_read_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payload, "loads_former", lambda *_: pytest.fail("read again"))
    for data in (b"no pickle", b"cswell.nowhere\nName\n.", b"cjson\nnothing\n."):
        with pytest.raises(DeserializationError):
            payload.loads(data)
