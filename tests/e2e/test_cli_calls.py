"""`swell call` and `swell why`: where inputs are, their results, and where their time went."""

from __future__ import annotations

import re

import pytest
from place import Place

MOMENT = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d\d:\d\d"


def ended(place: Place, call_id: str) -> bool:
    return place.json("call", "show", call_id)["ended_at"] is not None


@pytest.fixture(scope="module")
def squares(deployed: Place) -> str:
    """A call of twenty inputs that has ended."""
    program = "call = swell.Function.from_name('jobs', 'square').spawn_map(range(20)); print(call.object_id)"
    call_id = deployed.python(program)
    deployed.eventually(lambda: ended(deployed, call_id))
    return call_id


# ---------------------------------------------------------------- call


def test_a_call_is_shown(deployed: Place, squares: str) -> None:
    shown = deployed.told("call", "show", squares)
    assert re.match(rf"{squares}: spawn call of jobs\.square\n  opened  {MOMENT}\n  ended   {MOMENT}, after ", shown)
    assert "0 waiting, 0 running, 20 of 20 done" in shown
    assert deployed.told("call", "show", f"in-{squares[3:]}:3") == shown, "an input stands for its call"


def test_a_call_as_json(deployed: Place, squares: str) -> None:
    report = deployed.json("call", "show", squares)
    assert (report["call_id"], report["app_name"], report["function"]) == (squares, "jobs", "square")
    assert (report["kind"], report["num_inputs"], report["parent"]) == ("spawn", 20, None)
    assert report["inputs"] == {"waiting": 0, "running": 0, "done": 20}


def test_results_are_printed_as_python_writes_them(deployed: Place, squares: str) -> None:
    assert deployed.told("call", "result", squares, "--index", "3") == "9\n"
    assert "has no input 20: it has 20, numbered from 0" in deployed.refused("call", "result", squares, "--index", "20")
    program = "print(swell.Cls.from_name('jobs', 'Model')(size='big').predict.spawn('x').object_id)"
    assert deployed.told("call", "result", deployed.python(program)) == "'big: x'\n"


def test_what_a_function_raised_is_the_error_of_the_command(deployed: Place) -> None:
    done = deployed.swell("call", "result", deployed.spawn("fail"))
    assert done.returncode == 1
    assert "ValueError: as it must" in done.stderr
    assert "── in container ta-" in done.stderr


def test_a_call_that_goes_on_can_be_cancelled(deployed: Place) -> None:
    call_id = deployed.spawn("nap", 3_000)
    assert "has not finished yet" in deployed.refused("call", "result", call_id, "--timeout", "0")
    assert f"{call_id} is cancelled: 1 inputs had not finished" in deployed.told("call", "cancel", call_id)
    deployed.eventually(lambda: ended(deployed, call_id))
    assert "has ended already" in deployed.told("call", "cancel", call_id)
    assert "cancelled" in deployed.refused("call", "result", call_id)


def test_unknown_calls(deployed: Place) -> None:
    assert "those begin with fc-" in deployed.refused("call", "show", "ta-1")
    for command in ("show", "cancel", "result"):
        assert "no call fc-0000" in deployed.refused("call", command, "fc-0000")


# ---------------------------------------------------------------- why


def test_the_story_of_an_input(deployed: Place, squares: str) -> None:
    told = deployed.told("why", f"in-{squares[3:]}:7")
    assert re.match(rf"input 7 of call {squares} \(jobs\.square\): succeeded\n  began {MOMENT}\n", told)
    assert re.search(r"^ +\+0\.000 s  accepted", told, re.MULTILINE)
    assert re.search(r"^ +\+\d+\.\d{3} s  given to container ta-\w{26}", told, re.MULTILINE)
    assert re.search(r"^ +\+\d+\.\d{3} s  succeeded", told, re.MULTILINE)
    parts = re.findall(r"^  (\D+?) +(\d+\.\d{3}) s +(\d+) %$", told, re.MULTILINE)
    *stretches, whole = parts
    assert "ran" in [name for name, _, _ in stretches]
    assert whole[0] == "in all"
    assert sum(round(float(seconds) * 1_000) for _, seconds, _ in stretches) == round(float(whole[1]) * 1_000)
    assert sum(int(percent) for _, _, percent in stretches) == int(whole[2]) == 100


def test_the_story_of_an_input_as_json(deployed: Place, squares: str) -> None:
    story = deployed.json("why", f"in-{squares[3:]}:7")
    assert list(story) == ["title", "state", "began_at", "total_s", "events", "parts"]
    assert story["state"] == "succeeded"
    assert sum(part["seconds"] for part in story["parts"]) == pytest.approx(story["total_s"])
    assert sum(part["share"] for part in story["parts"]) == pytest.approx(1)
    offsets = [event["offset_s"] for event in story["events"]]
    assert offsets == sorted(offsets)
    assert offsets[0] == 0
    assert offsets[-1] == pytest.approx(story["total_s"], abs=1e-3)


def test_the_first_input_waited_for_a_container_to_start(deployed: Place) -> None:
    deployed.told("deploy", "jobs.py", "--name", "cold")
    call_id = deployed.spawn("square", 1, app="cold")
    deployed.eventually(lambda: ended(deployed, call_id))
    story = deployed.json("why", f"in-{call_id[3:]}:0")
    assert story["parts"][0]["name"] == "waited for a container to start"
    texts = [event["text"] for event in story["events"]]
    assert any(text.startswith("1 container is wanted (1 inputs at 1 per container)") for text in texts)


def test_the_story_of_a_call_a_container_and_a_function(deployed: Place, squares: str) -> None:
    told = deployed.told("why", squares)
    assert re.match(rf"spawn call {squares} of jobs\.square: ended\n", told)
    assert "waited until its first input left" in told

    container_id = re.findall(r"given to container (ta-\w{26})", told)[0]
    story = deployed.told("why", container_id[:12])
    assert re.match(rf"container {container_id} of jobs\.square: ", story)
    assert "requested: " in story

    function = deployed.told("why", "jobs.square")
    assert re.match(r"function jobs\.square: inputs: 0 waiting, 0 running; containers: \d+\n", function)
    assert "now, " in function


def test_what_is_not_known(deployed: Place) -> None:
    assert "did you mean jobs.square?" in deployed.refused("why", "jobs.sqare")
    assert "no call fc-0000" in deployed.refused("why", "fc-0000")
    assert "no container's id begins with 'ta-000'" in deployed.refused("why", "ta-000")


def test_of_what_ended_before_a_restart_the_outline_is_kept(place: Place) -> None:
    place.told("start")
    place.told("deploy", "jobs.py")
    call_id = place.spawn("square", 5)
    place.eventually(lambda: ended(place, call_id))
    place.told("restart")
    story = place.json("why", f"in-{call_id[3:]}:0")
    assert story["state"] == "ended"
    assert {part["name"] for part in story["parts"]} == {"waited", "ran"}
    assert place.told("call", "result", call_id) == "25\n"
