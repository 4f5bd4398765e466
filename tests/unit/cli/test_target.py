"""What can be run in a module, and which of it is meant."""

from __future__ import annotations

from types import ModuleType

import pytest

from swell.cli.reference import Reference
from swell.cli.target import Target, choose, find
from swell.errors import InvalidError

SETUP = "import swell\napp = swell.App('jobs')\n"
FUNCTION = "@app.function()\ndef square(x: int): ...\n"
OTHER_FUNCTION = "@app.function()\ndef cube(x: int): ...\n"
ENTRYPOINT = "@app.local_entrypoint()\ndef main(): ...\n"
OTHER_ENTRYPOINT = "@app.local_entrypoint()\ndef other(): ...\n"
MODEL = (
    "@app.cls()\nclass Model:\n    size: str = swell.parameter(default='s')\n"
    "    @swell.method()\n    def predict(self, text: str): ...\n"
)
SECOND_METHOD = "    @swell.method()\n    def explain(self, text: str): ...\n"
WEB = "@app.function()\n@swell.fastapi_endpoint()\ndef page(): ...\n"
WEB_METHOD = "@app.cls()\nclass Site:\n    @swell.asgi_app()\n    def pages(self): ...\n"
GENERATOR = "@app.function()\ndef count():\n    yield 1\n"


def module(*parts: str) -> ModuleType:
    made = ModuleType("jobs")
    made.__file__ = "/jobs.py"
    exec("".join((SETUP, *parts)), made.__dict__)
    return made


def chosen(name: str, *parts: str) -> Target:
    return choose(Reference("jobs.py", name, is_module=False), module(*parts))


@pytest.mark.parametrize(
    ("parts", "best"),
    [
        ((FUNCTION,), "square"),
        ((ENTRYPOINT,), "main"),
        ((FUNCTION, OTHER_FUNCTION, ENTRYPOINT), "main"),
        ((MODEL,), "Model.predict"),
        ((FUNCTION, WEB), "square"),
        ((FUNCTION, WEB_METHOD), "square"),
        ((ENTRYPOINT, "del main\n", FUNCTION), "square"),
        ((ENTRYPOINT, FUNCTION, "del main, square\n"), "app.main"),
        ((FUNCTION, "del square\n"), "app.square"),
        ((FUNCTION, "also = square\n"), "square"),
        ((MODEL, "large = Model.with_options(cpu=2)\n"), "Model.predict"),
        ((FUNCTION, "deployed = swell.Function\n"), "square"),
    ],
)
def test_without_a_name_the_only_best_one_is_meant(parts: tuple[str, ...], best: str) -> None:
    assert chosen("", *parts).names[0] == best


@pytest.mark.parametrize(
    "parts",
    [(FUNCTION, OTHER_FUNCTION), (ENTRYPOINT, OTHER_ENTRYPOINT), (FUNCTION, MODEL), (MODEL, SECOND_METHOD)],
)
def test_when_several_could_be_meant_they_are_listed(parts: tuple[str, ...]) -> None:
    with pytest.raises(InvalidError, match="say which one to run") as told:
        chosen("", *parts)
    for target in find(module(*parts)):
        assert f"swell run jobs.py::{target.names[0]}" in str(told.value)


def test_the_list_is_written_as_the_user_wrote() -> None:
    with pytest.raises(InvalidError, match=r"swell run -m jobs::square"):
        choose(Reference("jobs", "", is_module=True), module(FUNCTION, OTHER_FUNCTION))


@pytest.mark.parametrize(
    ("name", "kind", "method"),
    [
        ("square", "function", ""),
        ("app.square", "function", ""),
        ("main", "local entrypoint", ""),
        ("app.main", "local entrypoint", ""),
        ("Model.predict", "method", "predict"),
        ("app.Model.predict", "method", "predict"),
        ("Model", "method", "predict"),
        ("app", "local entrypoint", ""),
    ],
)
def test_names_in_full_and_the_beginning_of_names(name: str, kind: str, method: str) -> None:
    target = chosen(name, FUNCTION, ENTRYPOINT, MODEL)
    assert (target.kind, target.method) == (kind, method)


def test_registered_names_count_too() -> None:
    target = chosen("renamed", "@app.function(name='renamed')\ndef f(): ...\n", OTHER_FUNCTION)
    assert target.raw.__name__ == "f"


def test_a_variant_runs_when_it_is_named() -> None:
    target = chosen("large.predict", MODEL, "large = Model.with_options(cpu=2)\n")
    assert target.handle.spec.resources.cpu == 2  # type: ignore[union-attr]


def test_functions_of_an_included_app_can_be_run_with_the_one_that_includes_it() -> None:
    target = chosen("app.square", "other = swell.App()\n", FUNCTION.replace("app", "other"), "app.include(other)\n")
    assert target.raw.__name__ == "square"


@pytest.mark.parametrize(
    ("name", "parts", "problem"),
    [
        ("sqare", (FUNCTION,), "did you mean square?"),
        ("Model.perdict", (MODEL,), "did you mean Model.predict?"),
        ("plain", (FUNCTION, "def plain(): ...\n"), "put @app.function"),
        ("page", (WEB,), "web function"),
        ("", (WEB,), "nothing to run"),
        ("Site.pages", (WEB_METHOD,), "Site.pages is a web function"),
        ("", (WEB_METHOD,), "nothing to run"),
        ("count", (GENERATOR,), "generator functions"),
        ("", (GENERATOR,), "generator functions"),
        ("", (), "nothing to run in jobs.py"),
    ],
)
def test_what_cannot_be_run_is_told_with_what_to_do(name: str, parts: tuple[str, ...], problem: str) -> None:
    with pytest.raises(InvalidError) as told:
        chosen(name, *parts)
    assert problem in str(told.value)


def test_the_users_own_function_is_found_behind_every_handle() -> None:
    found = {target.names[0]: target.raw for target in find(module(FUNCTION, ENTRYPOINT, MODEL))}
    assert {name: raw.__name__ for name, raw in found.items()} == {
        "main": "main",
        "square": "square",
        "Model.predict": "predict",
    }
