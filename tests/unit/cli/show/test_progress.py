"""What the board shows of functions and maps, as a table and as lines."""

from __future__ import annotations

import io
import threading

from rich.console import Console

from swell.cli.show.progress import RunProgress
from swell.wire.messages import FunctionProgress, Progress


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def function(name: str = "square", **numbers: int | str) -> FunctionProgress:
    fields: dict[str, int | str] = dict.fromkeys(
        ("starting", "running", "idle", "backlog", "running_inputs", "done", "total"), 0
    )
    return FunctionProgress(function_name=name, **{**fields, **numbers})  # type: ignore[arg-type]


def shown(run_progress: RunProgress) -> str:
    console = Console(width=100, record=True, force_terminal=True, file=io.StringIO())
    console.print(run_progress.table())
    return console.export_text()


def test_before_the_app_runs_it_says_so() -> None:
    run_progress = RunProgress("squares", Clock())
    assert "squares: initializing…" in shown(run_progress)


def test_a_function_shows_its_containers_and_inputs() -> None:
    run_progress = RunProgress("squares", Clock())
    run_progress.update(
        Progress("ap", [function(starting=2, running=4, idle=1, backlog=1_500, done=20_000, total=21_504)])
    )
    text = shown(run_progress)
    assert "initializing" not in text
    assert "2 starting, 4 running, 1 idle" in text
    assert "20,000/21,504 done, 1,500 waiting" in text


def test_the_reason_to_wait_stands_under_the_function() -> None:
    run_progress = RunProgress("squares", Clock())
    run_progress.update(Progress("ap", [function(backlog=1, total=1, note="the nodes are full")]))
    assert "the nodes are full" in shown(run_progress)
    assert run_progress.lines() == ["square: containers none; inputs 0/1 done, 1 waiting (the nodes are full)"]


def test_functions_that_were_never_used_are_left_out() -> None:
    run_progress = RunProgress("squares", Clock())
    run_progress.update(Progress("ap", [function("used", done=1, total=1), function("unused")]))
    assert "unused" not in shown(run_progress)
    assert run_progress.lines() == [], "used, but nothing happens there now"


def test_a_map_shows_how_far_it_is_its_rate_and_the_time_left() -> None:
    clock = Clock()
    run_progress = RunProgress("squares", clock)
    run_progress.map_started("fc-1", "square")
    clock.now += 10
    run_progress.map_advanced("fc-1", 1_000, 2_000, 10_000)
    assert "square map" in shown(run_progress)
    assert run_progress.lines() == ["square map: 1,000/10,000  100/s  1:30 left"]


def test_a_map_of_unknown_length_shows_what_was_sent() -> None:
    clock = Clock()
    run_progress = RunProgress("squares", clock)
    run_progress.map_started("fc-1", "square")
    clock.now += 2
    run_progress.map_advanced("fc-1", 5, 1_000, None)
    assert run_progress.lines() == ["square map: 5/1,000 so far  2.5/s"]


def test_a_map_that_ended_is_gone_and_late_news_of_it_are_harmless() -> None:
    run_progress = RunProgress("squares", Clock())
    run_progress.map_started("fc-1", "square")
    run_progress.map_ended("fc-1")
    run_progress.map_advanced("fc-1", 1, 1, 1)
    run_progress.map_ended("fc-1")
    assert run_progress.lines() == []


def test_it_can_be_drawn_while_other_threads_report() -> None:
    run_progress = RunProgress("squares", Clock())

    def report(number: int) -> None:
        for turn in range(200):
            call = f"fc-{number}-{turn}"
            run_progress.map_started(call, "square")
            run_progress.map_advanced(call, 1, 2, 3)
            run_progress.map_ended(call)

    threads = [threading.Thread(target=report, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        run_progress.lines()
    for thread in threads:
        thread.join()
    assert run_progress.lines() == []
