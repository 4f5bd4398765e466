"""`swell app`: what is listed and shown, versions, tags, and stopping."""

from __future__ import annotations

import re

import pytest
from place import PATIENCE_S, Place
from terminal import on_a_terminal

TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"


def the(place: Place, name: str, *, command: tuple[str, ...] = ("app", "list")) -> dict[str, object]:
    """Return the row of an App that runs."""
    (row,) = [row for row in place.json(*command) if row["name"] == name and row["state"] != "stopped"]
    return row


def test_apps_are_listed_as_lines_and_as_json(deployed: Place) -> None:
    lines = deployed.told("app", "list").splitlines()
    assert re.split(r"  +", lines[0])[:4] == ["App ID", "Name", "State", "Version"]
    assert any(re.match(rf"ap-\w{{22}}  jobs +deployed +v1 .*{TIME}", line) for line in lines[1:])
    row = the(deployed, "jobs")
    assert list(row) == [
        "app_id",
        "name",
        "state",
        "version",
        "containers",
        "pending",
        "running",
        "created_at",
        "stopped_at",
        "waiting",
    ]
    assert (row["state"], row["version"], row["stopped_at"]) == ("deployed", "v1", None)
    assert re.match(r"\d{4}-\d\d-\d\dT", str(row["created_at"]))


def test_an_app_is_shown_with_its_functions(deployed: Place) -> None:
    deployed.python("print(swell.Function.from_name('jobs', 'square').remote(3))")
    shown = deployed.told("app", "show", "jobs")
    assert re.match(r"jobs \(ap-\w+\): deployed, v1\n", shown)
    assert "tags        team=blue" in shown
    square = shown.partition("\n  square\n")[2].partition("\n\n")[0]
    assert re.search(r"containers +\d idle", square)
    assert re.search(r"wanted +\d \(.+\)", square)
    assert re.search(r"inputs +0 waiting, 0 running, \d+ done", square)
    assert "max_containers=no bound" in square
    assert "scaledown_window=60 s" in square
    assert re.search(rf"\n  nightly\n.*schedule +Period\(days=1\), next run {TIME}", shown, re.DOTALL)
    assert "max_containers=1," in shown.partition("\n  nap\n")[2]


def test_an_app_is_shown_as_json(deployed: Place) -> None:
    shown = deployed.json("app", "show", "jobs")
    assert (shown["name"], shown["state"], shown["tags"]) == ("jobs", "deployed", {"team": "blue"})
    functions = {row["name"]: row for row in shown["functions"]}
    assert set(functions) == {"square", "nightly", "nap", "fail", "site", "Model"}
    assert functions["nightly"]["schedule"] == "Period(days=1)"
    assert functions["nightly"]["next_run"]
    assert functions["nap"]["settings"] == {
        "min_containers": 0,
        "max_containers": 1,
        "buffer_containers": 0,
        "scaledown_window": 60,
    }
    assert set(functions["nap"]["containers"]) == {"starting", "busy", "idle", "wanted"}
    assert functions["nap"]["reason"]


def test_an_app_is_meant_by_its_id_or_the_beginning_of_it(deployed: Place) -> None:
    app_id = str(the(deployed, "jobs")["app_id"])
    assert deployed.json("app", "show", app_id)["name"] == "jobs"
    assert deployed.json("app", "show", app_id[:12])["name"] == "jobs"
    assert "No App with name 'jbos'; did you mean jobs?" in deployed.refused("app", "show", "jbos")


def test_history_rollback_and_rollover(deployed: Place) -> None:
    path = deployed.folder / "steps.py"
    text = "import swell\napp = swell.App('steps')\n@app.function()\ndef f():\n    return 1\n"
    path.write_text(text)
    deployed.told("deploy", "steps.py")
    assert "only one version" in deployed.refused("app", "rollback", "steps")
    path.write_text(text.replace("return 1", "return 2"))
    deployed.told("deploy", "steps.py", "--tag", "second")
    call = "print(swell.Function.from_name('steps', 'f').remote())"
    assert deployed.python(call) == "2"

    assert deployed.told("app", "rollback", "steps", "--strategy", "recreate") == "steps: v1 is live again, as v3\n"
    assert deployed.python(call) == "1"
    assert deployed.told("app", "rollback", "steps", "v2") == "steps: v2 is live again, as v4\n"
    assert "v5 is live, with the code of v4" in deployed.told("app", "rollover", "steps")

    rows = deployed.json("app", "history", "steps")
    assert [row["version"] for row in rows] == ["v5", "v4", "v3", "v2", "v1"]
    assert [row["live"] for row in rows] == [True, False, False, False, False]
    named = ["version", "is_live", "deployed_at", "deployed_by", "client", "commit", "tag"]
    assert list(rows[0]) == [*named, "live", "time_deployed"]
    assert rows[3]["tag"] == "second"
    assert "no version 9" in deployed.refused("app", "rollback", "steps", "v9")
    assert "write it as `swell app history` does" in deployed.refused("app", "rollback", "steps", "2", code=2)
    assert "did you mean v2?" in deployed.refused("app", "rollback", "steps", "2", code=2)


def test_history_leaves_out_a_column_that_nobody_uses(deployed: Place) -> None:
    header = deployed.told("app", "history", "jobs").splitlines()[0]
    assert re.split(r"  +", header)[:5] == ["Version", "Live", "Time deployed", "Client", "Deployed by"]
    assert "Tag" not in header


def test_tags_are_shown_and_set(deployed: Place) -> None:
    deployed.told("deploy", "jobs.py", "--name", "tagged")
    assert deployed.told("app", "tag", "tagged") == "team=blue\n"
    assert deployed.told("app", "tag", "tagged", "stage=test", "team=") == "stage=test\n"
    assert deployed.json("app", "show", "tagged")["tags"] == {"stage": "test"}
    assert "KEY=VALUE" in deployed.refused("app", "tag", "tagged", "stage", code=2)
    assert "Invalid tag" in deployed.refused("app", "tag", "tagged", "stage=no way")


# ---------------------------------------------------------------- stopping


def test_stopping_is_not_done_without_being_asked_for(deployed: Place) -> None:
    deployed.told("deploy", "jobs.py", "--name", "wanted")
    refused = deployed.refused("app", "stop", "wanted")
    assert "was not stopped: 0 containers leave, and 0 inputs end" in refused
    assert "--yes" in refused
    assert the(deployed, "wanted")["state"] == "deployed"


def test_a_stopped_app_is_gone_and_remembered(deployed: Place) -> None:
    deployed.told("deploy", "jobs.py", "--name", "passing")
    call_id = deployed.spawn("nap", 600, app="passing")
    deployed.eventually(lambda: the(deployed, "passing")["running"])
    assert re.match(r"passing \(ap-\w+\) is stopped\n", deployed.told("app", "stop", "passing", "--yes"))

    assert [row for row in deployed.json("container", "list") if row["app_name"] == "passing"] == []
    (row,) = [row for row in deployed.json("app", "list") if row["name"] == "passing"]
    assert row["state"] == "stopped"
    assert row["stopped_at"]
    assert "is stopped already" in deployed.refused("app", "stop", "passing", "-y")
    assert "stopped" in deployed.told("app", "show", "passing")
    assert "v1" in deployed.told("app", "history", "passing")
    assert "napping" in deployed.told("app", "logs", "passing")
    assert "only what is deployed" in deployed.refused("app", "rollover", "passing")
    assert deployed.json("call", "show", call_id)["inputs"]["done"] == 1


@pytest.mark.parametrize(("answer", "state"), [("n", "deployed"), ("y", "stopped")])
def test_on_a_terminal_it_asks(deployed: Place, answer: str, state: str) -> None:
    name = f"asked-{answer}"
    deployed.told("deploy", "jobs.py", "--name", name)
    text, code = on_a_terminal(
        deployed.folder, "app", "stop", name, keys=f"{answer}\n", environment=deployed.environment
    )
    assert re.search(rf"Stop {name} \(ap-\w+\)\? 0 containers leave, and 0 inputs end", text)
    assert "It cannot be undone" in text
    assert (code == 0) == (answer == "y")
    (row,) = [row for row in deployed.json("app", "list") if row["name"] == name]
    assert row["state"] == state


def test_on_a_terminal_lists_are_tables_with_ids_as_long_as_there_is_room(deployed: Place) -> None:
    app_id = str(the(deployed, "jobs")["app_id"])
    folder, environment = deployed.folder, deployed.environment
    wide, _ = on_a_terminal(folder, "app", "list", columns=200, environment=environment)
    assert "\x1b[1m" in wide, "a bold header"
    assert app_id in wide
    narrow, _ = on_a_terminal(folder, "app", "list", columns=70, environment=environment)
    assert app_id not in narrow
    assert app_id[:9] in narrow
    assert deployed.json("app", "show", app_id[:9])["app_id"] == app_id


# ---------------------------------------------------------------- what runs for a while


def test_a_run_is_an_app_meanwhile(deployed: Place) -> None:
    process = deployed.begin("run", "jobs.py::nap", "--seconds", "600")
    assert process.stdout is not None
    assert "napping" in process.stdout.readline()
    (row,) = [row for row in deployed.json("app", "list") if row["state"] == "ephemeral"]
    assert (row["name"], row["version"], row["running"], row["containers"]) == ("jobs", None, 1, 1)
    assert deployed.json("app", "show", "jobs")["state"] == "deployed", "a name means what is deployed"
    assert deployed.json("app", "show", row["app_id"])["state"] == "ephemeral"
    deployed.told("app", "stop", row["app_id"], "--yes")
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    assert "the app was stopped" in err
    assert [row for row in deployed.json("app", "list") if row["state"] == "ephemeral"] == []
