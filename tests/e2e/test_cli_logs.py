"""`swell app logs` and `swell container logs`: which lines are shown, how, and following."""

from __future__ import annotations

import re
import signal
import subprocess

import pytest
from place import PATIENCE_S, Place

STAMP = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d\d:\d\d"


@pytest.fixture(scope="module")
def written(deployed: Place) -> Place:
    """A place where containers have written something."""
    for x in (1, 2):
        deployed.python(f"swell.Function.from_name('jobs', 'square').remote({x})")
    deployed.python("swell.Cls.from_name('jobs', 'Model')(size='big').predict.remote('x')")
    deployed.eventually(lambda: "careful 2" in deployed.told("app", "logs", "jobs"))
    return deployed


def test_lines_are_led_by_function_and_container(written: Place) -> None:
    lines = written.told("app", "logs", "jobs").splitlines()
    assert any(re.fullmatch(r"square ta-\w{6}\| squaring 1", line) for line in lines)
    assert any(re.fullmatch(r"square ta-\w{6}\| careful 2", line) for line in lines)


def test_which_lines_can_be_chosen(written: Place) -> None:
    def shown(*options: str) -> str:
        return written.told("app", "logs", "jobs", *options)

    assert "squaring" not in shown("-s", "stderr")
    assert "careful" not in shown("--source", "stdout")
    assert "squaring 1" not in shown("--search", "ing 2")
    assert "squaring 2" in shown("--search", "ing 2")
    assert shown("--function", "Model") == ""
    assert "squaring 1" in shown("--function", "square")
    assert "squaring 1" in shown("--since", "1h")
    assert shown("--until", "1h") == ""
    assert shown("--since", "2020-01-01", "--until", "2020-01-02T12:00") == ""
    assert len(shown("-n", "1", "-s", "stdout").splitlines()) == 1
    assert "squaring 1" not in shown("-n", "1", "-s", "stdout")


def test_lines_of_a_call_and_of_a_container(written: Place) -> None:
    call_id = written.spawn("square", 3)
    line = written.eventually(
        lambda: written.told("app", "logs", "jobs", "--function-call", call_id, "-s", "stdout", "--show-container-id")
    )
    found = re.fullmatch(r"square (ta-\w{26})\| squaring 3\n", line)
    assert found, line
    container_id = found[1]
    assert "squaring 3" in written.told("app", "logs", "jobs", "--container", container_id[:10])
    assert "squaring 3" in written.told("container", "logs", container_id)
    assert "squaring 3" in written.told("container", "logs", container_id[:9], "--all")


def test_what_else_may_lead_a_line(written: Place) -> None:
    call_id = written.spawn("square", 4)
    options = ("--timestamps", "--show-function-id", "--show-function-call-id", "--search", "squaring 4")
    line = written.eventually(lambda: written.told("app", "logs", "jobs", *options))
    assert re.fullmatch(rf"{STAMP} fu-\w+ {call_id} square ta-\w{{6}}\| squaring 4\n", line)


def test_what_was_never_written_is_said_beside_the_output(written: Place) -> None:
    done = written.swell("app", "logs", "jobs", "--search", "nobody says this")
    assert (done.returncode, done.stdout) == (0, "")
    assert "nothing like that was written" in done.stderr


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["-f", "-n", "5"], "goes without --since, --until and --tail"),
        (["-f", "--since", "5m"], "goes without --since, --until and --tail"),
        (["--tail", "0"], "x>=1"),
        (["--since", "yesterday"], "'yesterday' is no time"),
        (["-s", "stdin"], "'stdout', 'stderr', 'system'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_misuse(written: Place, options: list[str], told: str) -> None:
    assert told in written.refused("app", "logs", "jobs", *options, code=2)


def test_unknown_apps_and_containers(written: Place) -> None:
    assert "No App with name 'jbos'; did you mean jobs?" in written.refused("app", "logs", "jbos")
    assert "those begin with ta-" in written.refused("container", "logs", "fc-1")
    assert "no container's id begins with 'ta-000'" in written.refused("container", "logs", "ta-000")
    assert "is known here" in written.refused("container", "logs", f"ta-{'0' * 26}")
    assert "--all goes without" in written.refused("container", "logs", "ta-0", "--all", "-f", code=2)


# ---------------------------------------------------------------- following


def follow(place: Place, *arguments: str, until: str) -> subprocess.Popen[str]:
    """Follow logs, and return when a line is there."""
    process = place.begin(*arguments, "-f")
    assert process.stdout is not None
    for line in process.stdout:
        if until in line:
            return process
    raise AssertionError(f"it ended: {process.communicate(timeout=PATIENCE_S)}")


def test_following_shows_what_was_written_and_what_is_until_ctrl_c(written: Place) -> None:
    process = follow(written, "app", "logs", "jobs", until="squaring 1")
    written.spawn("square", 77)
    assert process.stdout is not None
    for line in process.stdout:
        if "squaring 77" in line:
            break
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert err == "", "ending it so is no error"


def test_following_ends_with_the_app(written: Place) -> None:
    written.told("deploy", "jobs.py", "--name", "ending")
    call_id = written.spawn("nap", 600, app="ending")
    process = follow(written, "app", "logs", "ending", until="napping")
    written.told("call", "cancel", call_id)
    written.told("app", "stop", "ending", "-y")
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert "napping" in written.told("app", "logs", "ending", "-f"), "and at once, if it has ended already"


def test_following_ends_with_the_container(written: Place) -> None:
    written.told("deploy", "jobs.py", "--name", "leaving")
    call_id = written.spawn("nap", 600, app="leaving")
    row = written.eventually(lambda: written.json("container", "list", "--app-id", "leaving"))[0]
    process = follow(written, "container", "logs", row["container_id"], until="napping")
    written.told("call", "cancel", call_id, "--terminate-containers")
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert "napping" in written.told("container", "logs", row["container_id"], "-f")


def test_following_ends_when_the_server_is_gone(place: Place) -> None:
    place.told("start")
    place.told("deploy", "jobs.py")
    place.python("swell.Function.from_name('jobs', 'square').remote(5)")
    process = follow(place, "app", "logs", "jobs", until="squaring 5")
    place.told("stop")
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
