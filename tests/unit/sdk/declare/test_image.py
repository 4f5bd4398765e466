"""Images: builders, what is added, and imports that may fail here."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from swell.errors import InvalidError
from swell.sdk.declare.image import Image
from swell.sdk.declare.secret import Secret
from swell.wire import context


def test_builders_return_new_images() -> None:
    base = Image.debian_slim("3.11")
    image = base.pip_install("numpy", ["scipy"], pre=True).apt_install("git").env({"A": "1"}).workdir("/app")
    assert [step[0] for step in base.steps] == ["debian_slim"]
    assert [step[0] for step in image.steps] == ["debian_slim", "pip_install", "apt_install", "env", "workdir"]
    assert image.env({"A": "2", "B": "3"}).variables == {"A": "2", "B": "3"}
    assert image.variables == {"A": "1"}


def test_every_builder_is_there() -> None:
    image = (
        Image.from_registry("python:3.11", add_python="3.11")
        .uv_pip_install("a")
        .uv_sync()
        .pip_install_from_requirements("r.txt")
        .pip_install_from_pyproject("pyproject.toml")
        .micromamba_install("b")
        .run_commands("true")
        .run_function(test_builders_return_new_images)
        .dockerfile_commands("RUN true")
        .entrypoint([])
        .cmd(["python"])
        .shell(["sh"])
        .add_local_file("a", "/a")
        .add_local_dir("b", "/b")
        .add_local_python_source("c", ignore=["*.bin"])
        .pipe(lambda image, name: image.pip_install(name), "d")
    )
    assert image.steps[-1] == ("pip_install", ("d",), {})
    assert Image.from_dockerfile("Dockerfile").steps[0][0] == "from_dockerfile"
    assert Image.micromamba().steps[0][0] == "micromamba"
    msgspec.msgpack.encode(image.describe())


def test_a_description_is_made_of_plain_values() -> None:
    described = (
        Image.debian_slim().pip_install("a", gpu=object(), secrets=[Secret.from_dict({"K": "hidden"})]).describe()
    )
    assert b"hidden" not in msgspec.msgpack.encode(described)


def test_the_environment_of_an_image_is_text() -> None:
    with pytest.raises(InvalidError, match="str keys and str values"):
        Image.debian_slim().env({"A": 1})


def test_what_an_image_adds_is_named_by_text() -> None:
    with pytest.raises(InvalidError, match=r"takes names of modules, not \['a'\]"):
        Image().add_local_python_source(["a"])
    for builder in (Image().add_local_python_source, Image().add_local_dir):
        with pytest.raises(InvalidError, match="ignore takes a list of patterns"):
            builder("a", "b", ignore=lambda path: True)
    assert Image().add_local_file(Path("a"), "b").describe() == [["add_local_file", ["a", "b"], {}]]


def test_imports_may_fail_on_the_client_only(monkeypatch: pytest.MonkeyPatch) -> None:
    with Image.debian_slim().imports():
        import no_such_module_anywhere
    monkeypatch.setattr(context, "is_local", lambda: False)
    with pytest.raises(ImportError), Image.debian_slim().imports():
        import no_such_module_anywhere  # noqa: F401


def test_other_errors_of_imports_are_raised() -> None:
    with pytest.raises(ValueError, match="inside"), Image.debian_slim().imports():
        raise ValueError("inside")
