"""`swell container`: which there are, stopping one, and a command in its environment."""

from __future__ import annotations

import os
import re
from typing import Any

import psutil
import pytest
from place import PATIENCE_S, Place
from terminal import on_a_terminal


@pytest.fixture
def napping(deployed: Place) -> dict[str, Any]:
    """The container of a nap that has begun."""
    if not naps(deployed):
        deployed.spawn("nap", 3_000)
    return deployed.eventually(lambda: [row for row in naps(deployed) if row["running"]])[0]


def naps(place: Place) -> list[dict[str, Any]]:
    return [row for row in place.json("container", "list", "--app-id", "jobs") if row["function"] == "nap"]


def test_containers_are_listed_as_lines_and_as_json(deployed: Place, napping: dict[str, Any]) -> None:
    assert list(napping) == [
        "container_id",
        "app_id",
        "app_name",
        "function_name",
        "version",
        "state",
        "requested_at",
        "ready_at",
        "ended_at",
        "running",
        "served",
        "reason",
        "node",
        "function",
        "start_time",
    ]
    assert (napping["app_name"], napping["state"], napping["running"]) == ("jobs", "ready", 1)
    assert napping["node"] == "local"
    out = deployed.told("container", "list")
    assert re.search(rf"^{napping['container_id']}  ap-\w+  jobs +nap +ready +1 ", out, re.MULTILINE)
    assert deployed.json("container", "list", "--app-id", napping["app_id"])
    assert "did you mean jobs?" in deployed.refused("container", "list", "--app-id", "jbos")


def test_one_that_is_stopped_is_replaced_and_its_input_run_again(deployed: Place, napping: dict[str, Any]) -> None:
    assert "is interrupted" in deployed.told("container", "stop", napping["container_id"][:12])
    after = deployed.eventually(
        lambda: [row for row in naps(deployed) if row["running"] and row["container_id"] != napping["container_id"]]
    )[0]
    assert after["function"] == "nap"
    rows = deployed.json("container", "list", "--all", "--app-id", "jobs")
    (gone,) = [row for row in rows if row["container_id"] == napping["container_id"]]
    assert gone["end_time"]
    assert gone["reason"]
    assert gone["app_name"] == "jobs"
    refused = deployed.refused("container", "stop", napping["container_id"])
    assert "does not run, or is leaving already" in refused


def test_one_that_is_stopped_gracefully_finishes_what_it_runs(place: Place) -> None:
    place.environment["SWELL_EXIT_GRACE_S"] = "50"
    place.told("start")
    place.told("deploy", "jobs.py")
    call_id = place.spawn("nap", 1.5)
    row = place.eventually(lambda: [row for row in naps(place) if row["running"]])[0]
    assert "leaves when it has finished" in place.told("container", "stop", row["container_id"], "--graceful")
    assert place.told("call", "result", call_id) == "1.5\n"
    story = place.json("why", f"in-{call_id[3:]}:0")
    assert [part["name"] for part in story["parts"]].count("ran") == 1, "it was not run twice"


# ---------------------------------------------------------------- exec


def test_a_command_finds_the_environment_of_the_container(deployed: Place, napping: dict[str, Any]) -> None:
    container_id = napping["container_id"]

    def told(*command: str) -> str:
        return deployed.told("container", "exec", container_id, *command).strip()

    assert told("pwd") == str(deployed.folder)
    assert told("sh", "-c", "echo $SWELL_TASK_ID $SWELL_IS_REMOTE $OF_NAP") == f"{container_id} 1 yes"
    assert told("python", "-c", "import sys, jobs; print(jobs.__file__)").startswith(str(deployed.data_dir / "bundles"))
    program = "import swell; print(swell.Function.from_name('jobs', 'square').remote(6))"
    assert told("python", "-c", program) == "36", "it reaches the server of the container"


def test_the_exit_code_is_that_of_the_command(deployed: Place, napping: dict[str, Any]) -> None:
    short = napping["container_id"][:9]
    assert deployed.swell("container", "exec", short, "sh", "-c", "exit 7").returncode == 7
    missing = deployed.swell("container", "exec", short, "no-such-command", "--help")
    assert missing.returncode == 127
    assert "no-such-command: there is no such command" in missing.stderr
    refused = deployed.swell("container", "exec", short, str(deployed.folder / "jobs.py"))
    assert refused.returncode == 126


def test_the_command_has_the_terminal(deployed: Place, napping: dict[str, Any]) -> None:
    command = ("container", "exec", napping["container_id"], "sh", "-c", "test -t 0 && test -t 1 && echo $TERM: $(tty)")
    text, code = on_a_terminal(deployed.folder, *command, environment=deployed.environment)
    assert code == 0
    assert re.search(r"xterm-256color: /dev/pts/\d+", text)


def test_on_a_node_a_command_has_a_terminal_until_the_node_is_lost(place: Place) -> None:
    place.environment |= {"SWELL_BACKEND": "agents", "SWELL_AGENTS": "1"}
    place.told("start")
    place.told("deploy", "jobs.py")
    place.spawn("nap", 3_000)
    row = place.eventually(lambda: [row for row in naps(place) if row["running"]])[0]
    command = ("container", "exec", row["container_id"], "sh", "-c", "test -t 0 && echo $SWELL_SERVER; exit 7")
    text, code = on_a_terminal(place.folder, *command, environment=place.environment)
    assert (code, text.rstrip().endswith("/agent.sock")) == (7, True), text
    process = place.begin("container", "exec", row["container_id"], "sh", "-c", "echo up; sleep 1000")
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    server = psutil.Process(place.json("status")["pid"])
    (agent,) = [each for each in server.children() if "swell.agent.main" in each.cmdline()]
    agent.kill()
    _, err = process.communicate(timeout=PATIENCE_S)
    assert f"the link to node {row['node']} is lost" in err
    assert process.returncode == 1


def test_a_container_that_is_gone_has_no_environment(deployed: Place) -> None:
    assert "does not run here" in deployed.refused("container", "exec", f"ta-{'A' * 26}", "true")
    assert "Missing argument 'COMMAND...'" in deployed.refused("container", "exec", "ta-A", code=2)


def test_of_a_run_it_is_where_the_program_runs(deployed: Place) -> None:
    process = deployed.begin("run", "jobs.py::nap", "--seconds", "600")
    assert process.stdout is not None
    assert "napping" in process.stdout.readline()
    (app,) = [row for row in deployed.json("app", "list") if row["state"] == "ephemeral"]
    (row,) = deployed.json("container", "list", "--app-id", app["app_id"])
    told = deployed.told("container", "exec", row["container_id"], "python", "-c", "import jobs; print(jobs.__file__)")
    assert os.path.samefile(told.strip(), deployed.folder / "jobs.py")
    deployed.told("app", "stop", app["app_id"], "-y")
    process.communicate(timeout=PATIENCE_S)
