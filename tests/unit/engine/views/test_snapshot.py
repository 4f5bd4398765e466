"""What there is at a moment, in rows for people; and what has ended lately."""

from __future__ import annotations

from swell.engine.state.history import ENDED_MAX, CallHistory, Histories
from swell.engine.views.snapshot import gone_row, stopped_row, why_waiting
from swell.model import AppKind, CallKind, GpuRequest, OutputStatus, Resources, RetryPolicy, ScheduleSpec
from swell.records import AppRecord, ContainerRecord


def test_apps_are_listed_the_latest_first_with_what_they_do(diary) -> None:
    diary.at(1.0).deploys(max_containers=1)
    diary.at(2.0).opens(app="ap-run")
    diary.at(3.0).opens(app="ap-detached", detach=True)
    diary.calls("fc-1", 3, function=next(iter(diary.engine.snapshot.app("shop").pools)))
    diary.ready("c1")
    rows = diary.engine.snapshot.apps()
    assert [(row.name, row.state, row.version) for row in rows] == [
        ("ap-detached", "ephemeral (detached)", 1),
        ("ap-run", "ephemeral", 0),
        ("shop", "deployed", 1),
    ]
    shop = rows[-1]
    assert (shop.containers, shop.pending, shop.running, shop.created_at) == (1, 2, 1, 1.0)
    assert diary.engine.snapshot.inputs() == (2, 1, 0)


def test_an_app_that_is_being_stopped_says_so(diary) -> None:
    diary.at(1.0).deploys(min_containers=1)
    diary.ready("c1")
    diary.stops()
    assert [row.state for row in diary.engine.snapshot.apps()] == ["stopping…"]
    diary.exits("c1")
    assert diary.engine.snapshot.apps() == []


def test_apps_are_found_by_name_and_id(diary) -> None:
    diary.at(1.0).deploys()
    snapshot = diary.engine.snapshot
    app = snapshot.app("shop")
    assert snapshot.app(app.id) is app
    assert snapshot.app_name(app.id) == "shop"
    assert (snapshot.app("none"), snapshot.app_name("none")) == (None, "")


def test_functions_tell_how_many_containers_they_want_and_why_there_are_not_as_many(diary) -> None:
    diary.at(1.0).deploys(resources=Resources(gpu=(GpuRequest("L4"),)), schedule=ScheduleSpec("period", days=1))
    diary.calls("fc-1", 3)
    diary.ready("c1")
    (row,) = diary.engine.snapshot.functions(diary.engine.snapshot.app("shop"))
    assert (row.name, row.version, row.starting, row.busy, row.idle) == ("f", 1, 1, 1, 0)
    assert (row.pending, row.running, row.done, row.plan) == (2, 1, 0, 3)
    assert row.held_back == "the nodes are full"
    assert (row.schedule, row.next_run) == ("Period(days=1)", 86_401.0)


def test_while_versions_change_both_kinds_of_containers_are_counted(diary) -> None:
    diary.at(1.0).deploys(min_containers=2)
    diary.ready("c1")
    diary.ready("c2")
    diary.deploys(code="two", min_containers=2)
    diary.ready("c3")
    (row,) = diary.engine.snapshot.functions(diary.engine.snapshot.app("shop"))
    assert (row.version, row.starting, row.busy, row.idle) == (2, 1, 0, 3)
    (progress,) = diary.engine.snapshot.progress(diary.engine.snapshot.app("shop").id)
    assert (progress.starting, progress.running, progress.idle) == (1, 0, 3)
    versions = [row.version for row in diary.engine.snapshot.containers()]
    assert sorted(versions) == [1, 1, 2, 2]


def test_of_many_containers_the_latest_are_told(diary) -> None:
    diary.opens(min_containers=2)
    diary.ready("c1")
    diary.ready("c2")
    diary.at(5.0).updates(min_containers=4)
    snapshot = diary.engine.snapshot
    assert snapshot.latest_containers(2) == snapshot.containers()[:2]
    assert snapshot.containers_total == 4
    (measures,) = diary.engine.stats.functions(0.0)
    assert (measures.requested, measures.observed) == (4, 2)
    diary.exits("c1")
    (measures,) = diary.engine.stats.functions(0.0)
    assert measures.observed == 1


def test_containers_while_they_run_and_when_they_are_gone(diary) -> None:
    diary.at(1.0).deploys()
    diary.at(2.0).calls("fc-1")
    snapshot, name = diary.engine.snapshot, diary.id("c1")
    assert [(row.state, row.ready_at) for row in snapshot.containers()] == [("requested", None)]
    diary.at(3.0).ready("c1")
    row = snapshot.container(name)
    assert (row.app_name, row.function_name, row.state, row.requested_at, row.ready_at) == (
        "shop",
        "f",
        "ready",
        2.0,
        3.0,
    )
    assert (row.running, row.served) == (1, 1)
    assert snapshot.calls_in(name) == ("fc-1",)
    assert snapshot.containers("ap-other") == []
    diary.at(4.0).exits("c1", "killed by signal 9")
    row = snapshot.container(name)
    assert (row.state, row.ended_at, row.running, row.reason) == ("lost", 4.0, 0, "killed by signal 9")
    assert snapshot.calls_in(name) == ()
    assert snapshot.container("ta-none") is None


def test_calls_while_they_go_on_and_when_they_have_ended(diary) -> None:
    diary.at(1.0).deploys(max_containers=1)
    diary.calls("fc-1", 3, sealed=False)
    diary.ready("c1")
    report = diary.engine.snapshot.call(9, "fc-1")
    assert (report.app_name, report.function_name, report.kind, report.num_inputs) == ("shop", "f", "map", None)
    assert (report.pending, report.running, report.done, report.ended_at) == (2, 1, 0, None)
    diary.at(5.0).cancels("fc-1")
    report = diary.engine.snapshot.call(9, "fc-1")
    assert (report.num_inputs, report.pending, report.running, report.done, report.ended_at) == (3, 0, 0, 3, 5.0)
    assert diary.engine.snapshot.call(9, "fc-none") is None


def test_names_of_functions_may_have_dots_also_those_of_calls_that_have_ended(diary) -> None:
    diary.at(1.0).deploys("Cart.checkout", app="shop")
    diary.calls("fc-1", 1, function="Cart.checkout")
    told = [diary.engine.snapshot.call(9, "fc-1"), diary.engine.stats.calls()[0]]
    diary.at(2.0).cancels("fc-1")
    told += [diary.engine.snapshot.call(9, "fc-1"), diary.engine.stats.calls()[0]]
    assert [row.ended_at for row in told] == [None, None, 2.0, 2.0]
    assert {(row.app_name, row.function_name) for row in told} == {("shop", "Cart.checkout")}


def test_progress_is_that_of_every_function(diary) -> None:
    diary.at(1.0).deploys("f", "g", max_containers=1)
    diary.calls("fc-1", 3)
    diary.ready("c1")
    diary.completes("c1", 1, 0, busy_s=1.0)
    progress = {row.function_name: row for row in diary.engine.snapshot.progress(diary.engine.snapshot.app("shop").id)}
    assert list(progress) == ["f", "g"]
    f = progress["f"]
    assert (f.done, f.total, f.running_inputs, f.backlog) == (1, 3, 1, 1)
    assert list(diary.engine.snapshot.progress("ap-none")) == []


def test_why_inputs_wait(new_diary) -> None:
    diary = new_diary(start_backoff_s=60.0, backlog_calls_max=2)
    diary.at(1.0).deploys(max_containers=1, retry=RetryPolicy(1, 1.0, 30.0))
    pool = diary.pool()
    assert why_waiting(pool) == ""
    diary.spawns("fc-1")
    assert why_waiting(pool) == "waiting for a container to start"
    diary.fails_to_start("c1")
    assert why_waiting(pool) == "starts pause after 1 failures in a row"
    diary.at(62.0).ready("c2")
    diary.completes("c2", 1, 0, status=OutputStatus.FAILURE, busy_s=1.0)
    assert why_waiting(pool) == "waiting for a retry's delay"
    diary.spawns("fc-2", 2)
    assert why_waiting(pool) == "", "only for its turn"
    diary.restarts()
    assert why_waiting(diary.pool()) == "being read from the store"


def test_what_has_ended_is_counted_when_its_function_is_gone_too(diary) -> None:
    diary.opens(app="ap-1")
    diary.calls("fc-1")
    diary.ready("c1")
    diary.completes("c1", 1, 0)
    diary.closes("ap-1")
    diary.exits("c1")
    assert diary.engine.snapshot.inputs() == (0, 0, 1)


def test_what_is_long_over_as_a_row() -> None:
    app = stopped_row(AppRecord("ap-1", "shop", AppKind.DEPLOYED, 1.0, 3, stopped_at=9.0))
    assert (app.state, app.version, app.stopped_at, app.containers) == ("stopped", 3, 9.0, 0)
    record = ContainerRecord("ta-1", "ap-1", "fu-1", "f", 1.0, 5.0, "idle", 2.0, 7, "stopped", 3)
    row = gone_row(record, "shop")
    assert (row.app_name, row.state, row.version, row.served, row.ended_at, row.reason) == (
        "shop",
        "stopped",
        3,
        7,
        5.0,
        "idle",
    )


def test_only_so_much_of_what_has_ended_is_remembered() -> None:
    histories = Histories()
    for number in range(ENDED_MAX + 5):
        history = CallHistory(
            f"fc-{number}",
            CallKind.MAP,
            pool_id="fu-1",
            app_name="shop",
            function_name="f",
            parent="",
            opened_at=1.0,
        )
        histories.keep_call(history)
        histories.keep_container(ContainerRecord(f"ta-{number}", "ap-1", "fu-1", "f", 1.0, 2.0, "idle"))
    assert histories.call("fc-4") is None
    assert histories.call("fc-5") is not None
    assert histories.container("ta-4") is None
    assert len(histories.containers()) == ENDED_MAX
    assert histories.containers()[0].container_id == f"ta-{ENDED_MAX + 4}"
