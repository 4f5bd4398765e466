"""`swell run` where a server stays: the App lives there meanwhile, and beyond with --detach."""

from __future__ import annotations

import re
import signal
import subprocess
from typing import Any

from place import PATIENCE_S, Place


def ephemeral(place: Place) -> list[dict[str, Any]]:
    return [row for row in place.json("app", "list") if str(row["state"]).startswith("ephemeral")]


def begun(place: Place, *arguments: str) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    """Begin a run of `nap`, and return it with its App once it naps."""
    process = place.begin("run", *arguments, "jobs.py::nap", "--seconds", "600")
    assert process.stdout is not None
    assert "napping" in process.stdout.readline()
    return process, ephemeral(place)[0]


def test_a_run_leaves_nothing_and_the_server_stays(deployed: Place) -> None:
    done = deployed.swell("run", "-q", "-w", "out.txt", "jobs.py::Model.predict", "--text", "hi")
    assert done.returncode == 0, done.stderr
    assert (deployed.folder / "out.txt").read_text() == "small: hi"
    assert ephemeral(deployed) == []
    assert deployed.json("status")["is_running"]


def test_a_run_is_shown_as_its_name_or_its_command_line(deployed: Place) -> None:
    (deployed.folder / "nameless.py").write_text(
        "import swell, time\napp = swell.App()\n@app.function()\n"
        "def nap(seconds: float):\n    print('napping', flush=True)\n    time.sleep(seconds)\n"
    )
    for options, name in (([], "nameless.py::nap --seconds 600"), (["-n", "nightly"], "nightly")):
        process = deployed.begin("run", *options, "nameless.py::nap", "--seconds", "600")
        assert process.stdout is not None
        process.stdout.readline()
        assert [row["name"] for row in ephemeral(deployed)] == [name]
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE_S)


def test_ctrl_c_stops_the_app(deployed: Place) -> None:
    process, _ = begun(deployed)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert "App aborted" in err
    assert ephemeral(deployed) == []


def test_a_run_that_is_killed_takes_its_app_along(deployed: Place) -> None:
    process, _ = begun(deployed)
    process.kill()
    process.communicate(timeout=PATIENCE_S)
    deployed.eventually(lambda: not ephemeral(deployed))


def test_a_detached_run_goes_on_after_ctrl_c_which_tells_how_to_see_and_stop_it(deployed: Place) -> None:
    process, app = begun(deployed, "--detach")
    assert app["state"] == "ephemeral (detached)"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert "Shutting down" in err
    assert "App aborted" not in err
    assert "--detach has no effect" not in err
    commands = re.findall(r"`swell (.*?)`", err)
    assert commands == [f"app logs -f {app['app_id']}", f"app stop {app['app_id']}"]

    (still,) = ephemeral(deployed)
    assert (still["app_id"], still["running"]) == (app["app_id"], 1)
    assert "napping" in deployed.told("app", "logs", app["app_id"])
    deployed.told(*commands[1].split(), "--yes")
    assert ephemeral(deployed) == []


def test_a_detached_run_that_ends_by_itself_is_over(deployed: Place) -> None:
    done = deployed.swell("run", "--detach", "-w", "out.txt", "jobs.py::Model.predict", "--text", "hi")
    assert done.returncode == 0, done.stderr
    assert (deployed.folder / "out.txt").read_text() == "small: hi"
    deployed.eventually(lambda: not ephemeral(deployed))


def test_of_a_detached_entrypoint_what_it_spawned_goes_on(deployed: Place) -> None:
    (deployed.folder / "spawning.py").write_text(
        "import swell, time\napp = swell.App('spawning')\n@app.function()\n"
        "def nap(seconds: float) -> float:\n    time.sleep(seconds)\n    return seconds\n"
        "@app.local_entrypoint()\ndef main():\n    print(nap.spawn(0.5).object_id)\n"
    )
    done = deployed.swell("run", "--detach", "spawning.py")
    assert done.returncode == 0, done.stderr
    assert "what the local entrypoint has spawned goes on" in done.stderr
    assert deployed.told("call", "result", done.stdout.strip()) == "0.5\n"
    deployed.eventually(lambda: not ephemeral(deployed))


def test_without_a_server_that_stays_detaching_has_no_effect(place: Place) -> None:
    done = place.swell("run", "--detach", "-w", "out.txt", "jobs.py::Model.predict", "--text", "hi")
    assert done.returncode == 0, done.stderr
    assert "--detach has no effect" in done.stderr
    assert "`swell start` starts one that stays" in done.stderr


def test_a_run_may_have_a_server_of_its_own_beside_the_one_that_stays(deployed: Place) -> None:
    deployed.environment["SWELL_SERVER"] = "private"
    try:
        process = deployed.begin("run", "jobs.py::nap", "--seconds", "600")
        assert process.stdout is not None
        assert "napping" in process.stdout.readline()
    finally:
        del deployed.environment["SWELL_SERVER"]
    assert ephemeral(deployed) == []
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE_S)
