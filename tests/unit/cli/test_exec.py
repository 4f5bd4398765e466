"""The environment of a command that runs beside a container."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from swell.cli.exec import container_environment
from swell.model import Environment
from swell.wire.queries import ContainerDescription, ContainerRow

ENVIRONMENT = Environment("/venv/bin/python", "/srv", (), {"PATH": "/usr/bin:/bin", "LANG": "C", "TERM": "dumb"})
ROW = ContainerRow(
    container_id="ta-1", app_id="ap-1", app_name="jobs", function_name="nap", state="ready", version=1, requested_at=0.0
)
HERE = {"TERM": "xterm", "PATH": "/here/bin", "HOME": "/here"}


def around(*, here: dict[str, str] = HERE, token: str = "", **changes: Any) -> dict[str, str]:
    found = ContainerDescription(
        request=1, container=ROW, pid=5, environment=ENVIRONMENT, variables={"MODE": "test", "LANG": "de"}, workdir=""
    )
    return container_environment(replace(found, **changes), here, "unix:/socket", token)


def test_the_interpreter_comes_first_and_the_rest_is_the_containers() -> None:
    variables = around()
    assert variables["PATH"] == "/venv/bin:/usr/bin:/bin"
    assert (variables["MODE"], variables["LANG"]) == ("test", "de"), "the function's win over the client's"
    assert (variables["SWELL_TASK_ID"], variables["SWELL_IS_REMOTE"]) == ("ta-1", "1")
    assert variables["SWELL_SERVER"] == "unix:/socket"
    assert "HOME" not in variables
    assert "SWELL_TOKEN" not in variables
    assert "PYTHONPATH" not in variables
    assert "CUDA_VISIBLE_DEVICES" not in variables


def test_the_terminal_is_that_of_the_command() -> None:
    assert around()["TERM"] == "xterm"
    assert around(here={})["TERM"] == "dumb"


def test_deployed_code_is_found_before_what_lies_in_the_directory() -> None:
    variables = around(environment=replace(ENVIRONMENT, bundle_dir="/data/bundles/d", variables={"PYTHONPATH": "/lib"}))
    assert variables["PYTHONPATH"] == "/data/bundles/d:/lib"
    assert variables["PYTHONSAFEPATH"] == "1"


def test_gpus_and_a_token() -> None:
    assert around(gpus=["GPU-1", "GPU-2"])["CUDA_VISIBLE_DEVICES"] == "GPU-1,GPU-2"
    assert around(token="secret")["SWELL_TOKEN"] == "secret"
