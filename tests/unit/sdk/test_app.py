"""App: its constructor, what it registers, local entrypoints, inclusion of other Apps."""

from __future__ import annotations

import logging
from inspect import signature
from typing import Any

import pytest

from swell.errors import InvalidError
from swell.sdk.app import App
from swell.sdk.call import FunctionCall
from swell.sdk.cls import Cls
from swell.sdk.connection.session import Session
from swell.sdk.declare.image import Image
from swell.sdk.declare.secret import Secret
from swell.sdk.declare.volume import Volume
from swell.sdk.decorators import method
from swell.sdk.function import Function
from swell.sdk.web_decorators import asgi_app


def plain(x: int) -> int:
    return x


def other(x: int) -> int:
    return x


def main() -> str:
    return "ran"


class Model:
    @method()
    def run(self, x: int) -> int:
        return x


class Pages:
    @asgi_app()
    def show(self) -> None: ...


# ---------------------------------------------------------------- constructor


@pytest.mark.parametrize("name", [3, object(), ["a"]], ids=["number", "object", "list"])
def test_a_name_is_text(name: Any) -> None:
    with pytest.raises(InvalidError, match="Must be string"):
        App(name)


def test_the_characters_of_a_name_wait_until_it_is_deployed() -> None:
    assert App("bad name!").name == "bad name!"


def test_an_app_needs_no_name() -> None:
    app = App()
    assert (app.name, app.app_id) == (None, None)
    app.set_description("swell run x.py")
    assert app.description == "swell run x.py"
    assert App("named").description == "named"


@pytest.mark.parametrize(
    "tags",
    [{"": "v"}, {"k": ""}, {"k" * 64: "v"}, {"k": "v" * 64}, {"k k": "v"}, {"k": "ü"}, {"k": 1}, {1: "v"}, ["k"]],
    ids=str,
)
def test_tags_have_their_characters(tags: Any) -> None:
    with pytest.raises(InvalidError, match="tag"):
        App(tags=tags)


def test_good_tags_are_kept() -> None:
    tags = {"team": "a.b_c-9", "k" * 63: "v" * 63}
    assert App(tags=tags).tags == tags


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"secrets": Secret.from_dict({})}, "secrets must be a list"),
        ({"secrets": [1]}, "secrets must be a list"),
        ({"image": "debian"}, "image must be"),
        ({"volumes": {"/a": 1}}, "volumes must be"),
    ],
    ids=["secret alone", "no secret", "no image", "no volume"],
)
def test_what_functions_inherit_has_its_types(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidError, match=message):
        App(**options)


def test_secrets_may_be_a_tuple() -> None:
    app = App(secrets=(Secret.from_dict({"A": "1"}),), volumes={"/a": Volume.from_name("v")})
    assert app.function()(plain).spec.variables == {"A": "1"}


def test_the_image_can_be_set_later() -> None:
    app = App()
    app.image = Image.debian_slim().env({"A": "1"})
    assert app.function()(plain).spec.variables == {"A": "1"}
    with pytest.raises(InvalidError, match="image must be"):
        app.image = "debian"


def test_an_app_has_no_attributes_but_its_own() -> None:
    assert not hasattr(App(), "foo")


# ---------------------------------------------------------------- what is registered


def test_functions_classes_and_entrypoints_are_registered() -> None:
    app = App()
    function = app.function()(plain)
    cls = app.cls()(Model)
    entrypoint = app.local_entrypoint()(main)
    assert app.registered_functions == {"plain": function}
    assert app.registered_classes == {"Model": cls}
    assert app.registered_entrypoints == {"main": entrypoint}
    assert isinstance(function, Function)
    assert isinstance(cls, Cls)
    assert function.app is cls.app is entrypoint.app is app


def test_web_functions_are_listed() -> None:
    app = App()
    app.function(name="site", serialized=True)(asgi_app()(lambda: None))
    app.function()(plain)
    app.cls()(Model)
    app.cls()(Pages)
    assert app.registered_web_endpoints == ["site", "Pages.show"]


def test_a_second_object_of_one_name_wins_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    app = App("shop")
    app.function(name="f")(plain)
    with caplog.at_level(logging.WARNING, "swell"):
        newer = app.function(name="f")(other)
    assert "collision" in caplog.text
    assert "f is registered twice" in caplog.text
    assert app.registered_functions == {"f": newer}


@pytest.mark.parametrize("decorator", ["function", "cls", "local_entrypoint"])
@pytest.mark.parametrize("argument", [plain, Image.debian_slim()], ids=["function", "image"])
def test_forgotten_parentheses_are_pointed_out(decorator: str, argument: object) -> None:
    with pytest.raises(InvalidError, match=rf"@app\.{decorator}\(\)"):
        getattr(App(), decorator)(argument)


# ---------------------------------------------------------------- local entrypoints


def test_an_entrypoint_is_called_here() -> None:
    entrypoint = App().local_entrypoint(name="go")(main)
    assert entrypoint() == "ran"
    assert (entrypoint.name, entrypoint.raw) == ("go", main)


def test_an_app_can_have_several_entrypoints_of_different_names() -> None:
    app = App()
    app.local_entrypoint()(main)
    app.local_entrypoint(name="second")(main)
    assert list(app.registered_entrypoints) == ["main", "second"]
    with pytest.raises(InvalidError, match="Duplicate local entrypoint name: main"):
        app.local_entrypoint()(main)


def test_the_name_of_an_entrypoint_is_text() -> None:
    with pytest.raises(InvalidError, match="name must be a str"):
        App().local_entrypoint(name=3)


# ---------------------------------------------------------------- inclusion


def test_an_app_takes_over_functions_classes_and_tags() -> None:
    outer, inner = App("outer", tags={"a": "outer"}), App("inner", tags={"a": "inner", "b": "inner"})
    function, cls = inner.function()(plain), inner.cls()(Model)
    inner.local_entrypoint()(main)
    assert outer.include(inner) is outer
    assert outer.registered_functions == {"plain": function}
    assert outer.registered_classes == {"Model": cls}
    assert outer.registered_entrypoints == {}
    assert outer.tags == {"a": "outer", "b": "inner"}


def test_tags_can_be_left_where_they_are() -> None:
    outer = App(tags={"a": "outer"})
    outer.include(App(tags={"b": "inner"}), inherit_tags=False)
    assert outer.tags == {"a": "outer"}


def test_a_clash_with_an_included_app_gives_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    outer, inner = App(), App()
    outer.function(name="f")(plain)
    newer = inner.function(name="f")(other)
    with caplog.at_level(logging.WARNING, "swell"):
        outer.include(inner)
    assert "collision" in caplog.text
    assert outer.registered_functions == {"f": newer}


def test_including_twice_is_no_clash(caplog: pytest.LogCaptureFixture) -> None:
    outer, inner = App(), App()
    inner.function()(plain)
    with caplog.at_level(logging.WARNING, "swell"):
        outer.include(inner).include(inner)
    assert not caplog.text


def test_an_included_app_runs_where_its_includer_runs() -> None:
    outer, inner = App(), App()
    outer.include(inner)
    session = Session.__new__(Session)
    outer.session = session
    assert inner.session is session
    outer.session = None
    assert inner.session is None


def test_what_is_said_once_has_its_signature_and_help_in_both_forms() -> None:
    assert list(signature(App("a").deploy).parameters) == ["name", "environment_name", "tag", "client", "strategy"]
    assert list(signature(App.lookup).parameters) == ["name", "client", "environment_name", "create_if_missing"]
    assert "create_if_missing: Make an empty App" in (App.lookup.__doc__ or "")
    assert "in the order given" in (FunctionCall.gather.__doc__ or "")
    with pytest.raises(TypeError, match="nme"):
        App.lookup(nme="a")
