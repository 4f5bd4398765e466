"""The package's front page: every name is there, leads where it says, and costs nothing until it is used."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

import swell
from swell.types import InputStatus

ROOT = ast.parse(Path(swell.__file__).read_text())

ORIGINAL = [
    "App",
    "Client",
    "Cls",
    "Cron",
    "Error",
    "Function",
    "FunctionCall",
    "Image",
    "Period",
    "Retries",
    "Secret",
    "Volume",
    "asgi_app",
    "batched",
    "concurrent",
    "current_function_call_id",
    "current_input_id",
    "enable_output",
    "enter",
    "exception",
    "exit",
    "experimental",
    "fastapi_endpoint",
    "is_local",
    "method",
    "parameter",
    "types",
    "web_endpoint",
    "web_server",
    "wsgi_app",
]


@pytest.mark.parametrize("name", swell.__all__)
def test_every_name_is_there(name: str) -> None:
    assert getattr(swell, name) is not None
    assert name in dir(swell)


@pytest.mark.parametrize("name", ORIGINAL)
def test_the_names_of_the_original_are_there(name: str) -> None:
    assert name in swell.__all__


def test_type_checkers_see_what_is_loaded() -> None:
    guarded = next(node for node in ROOT.body if isinstance(node, ast.If))
    seen = {
        alias.asname or alias.name: f"{node.module}.{alias.name}" if isinstance(node, ast.ImportFrom) else alias.name
        for node in guarded.body
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }
    assert seen.keys() == set(swell.__all__)
    for name, path in seen.items():
        module, _, attribute = path.rpartition(".")
        assert getattr(importlib.import_module(module), attribute) is getattr(swell, name)


def test_unknown_names_are_attribute_errors() -> None:
    for name in ("Stub", "foo"):
        assert not hasattr(swell, name)
    assert not hasattr(swell.exception, "foo")


def test_the_version_is_that_of_the_package() -> None:
    assert swell.__version__.count(".") >= 1


def test_input_states_have_the_numbers_of_the_original() -> None:
    assert [(s.name, s.value) for s in InputStatus] == [
        ("PENDING", 0),
        ("SUCCESS", 1),
        ("FAILURE", 2),
        ("TERMINATED", 3),
        ("TIMEOUT", 4),
        ("INIT_FAILURE", 5),
    ]
    assert InputStatus(99) is InputStatus.PENDING


def test_a_program_that_runs_nowhere_is_nowhere() -> None:
    assert swell.is_local() is True
    assert swell.current_input_id() is None
    assert swell.current_function_call_id() is None
    with pytest.raises(RuntimeError, match="only inside a container"):
        swell.experimental.stop_fetching_inputs()
