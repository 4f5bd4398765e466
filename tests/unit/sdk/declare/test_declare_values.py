"""The objects that options are made of: retries, schedules, GPUs, images, secrets, volumes, and names."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from swell.errors import InvalidError
from swell.model import GpuRequest, RetryPolicy, ScheduleSpec
from swell.names import check_object_name
from swell.sdk.declare.image import Image
from swell.sdk.declare.resources import parse_gpu
from swell.sdk.declare.retries import Retries, retry_policy
from swell.sdk.declare.schedule import Cron, Period
from swell.sdk.declare.secret import Secret
from swell.sdk.declare.volume import Volume
from swell.wire import context

# ---------------------------------------------------------------- retries


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


# ---------------------------------------------------------------- schedules


def test_schedules_are_described_by_plain_values() -> None:
    assert Cron("5 4 * * *", timezone="Europe/Berlin").spec() == ScheduleSpec("cron", "5 4 * * *", "Europe/Berlin")
    assert Period(days=1, seconds=1.5).spec() == ScheduleSpec("period", days=1, seconds=1.5)


@pytest.mark.parametrize("schedule", [Period(days=1.5), Period(hours="2"), Cron(5), Period(seconds=True)])  # type: ignore[arg-type]
def test_a_schedule_of_wrong_types_is_refused(schedule: Cron | Period) -> None:
    with pytest.raises(InvalidError, match="must be"):
        schedule.spec()


def test_a_cron_line_is_not_read_before_deploy() -> None:
    assert Cron("nonsense").cron_string == "nonsense"


# ---------------------------------------------------------------- gpus


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, ()),
        ("H100", (GpuRequest("H100", 1),)),
        ("h100:8", (GpuRequest("H100", 8),)),
        ("H100!", (GpuRequest("H100", 1),)),
        ("A100-80GB:4", (GpuRequest("A100-80GB", 4),)),
        ("any", (GpuRequest("any", 1),)),
        ("ANY:2", (GpuRequest("any", 2),)),
        (["H100", "A100:2"], (GpuRequest("H100", 1), GpuRequest("A100", 2))),
        (("T4",), (GpuRequest("T4", 1),)),
        ([], ()),
    ],
    ids=str,
)
def test_gpus_are_read(text: Any, expected: tuple[GpuRequest, ...]) -> None:
    assert parse_gpu(text) == expected


@pytest.mark.parametrize(
    "bad", ["", ":2", "H100:", "H100:x", "H100:-1", "H100:0", "H 100", "H100:1:2", 1, {"H100": 1}, [None], [1]], ids=str
)
def test_gpus_that_cannot_be_read(bad: Any) -> None:
    with pytest.raises(InvalidError, match="gpu"):
        parse_gpu(bad)


# ---------------------------------------------------------------- images


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


# ---------------------------------------------------------------- secrets


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


# ---------------------------------------------------------------- volumes and names


def test_volumes_have_a_name() -> None:
    volume = Volume.from_name("data", create_if_missing=True)
    assert (volume.name, volume.is_read_only, volume.read_only().is_read_only) == ("data", False, True)


@pytest.mark.parametrize("name", ["", "a b", "a/b", "ü", "x" * 65, "ap-" + "a" * 22], ids=str)
def test_names_that_are_not_allowed(name: str) -> None:
    with pytest.raises(InvalidError, match="Invalid App name"):
        check_object_name(name, "App")
    with pytest.raises(InvalidError, match="Invalid Volume name"):
        Volume.from_name(name)
    with pytest.raises(InvalidError, match="Invalid Secret name"):
        Secret.from_name(name)


@pytest.mark.parametrize("name", ["a", "A.b_c-9", "x" * 64, "ap-short", "ap-" + "a" * 23], ids=str)
def test_names_that_are_allowed(name: str) -> None:
    check_object_name(name, "App")


def test_secrets_do_not_leak_into_the_environment_of_this_process() -> None:
    Secret.from_dict({"SWELL_TEST_LEAK": "1"})
    assert "SWELL_TEST_LEAK" not in os.environ
