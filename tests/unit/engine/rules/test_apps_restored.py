"""A diary of servers that follow each other: what lasts goes on, what does not is over."""

from __future__ import annotations

from msgspec.structs import replace

from swell.model import AppKind, Environment, FunctionSpec, ScheduleSpec, Source
from swell.records import AppRecord, FunctionRecord
from swell.wire import messages as m


def test_a_deployed_app_is_there_again_with_its_names_ids_and_settings(diary) -> None:
    diary.at(1.0).deploys("f", "g", min_containers=1, tag="v1", tags={"team": "a"})
    diary.at(2.0).updates("f", max_containers=7)
    before = diary.engine.snapshot.app("shop")
    assert diary.at(3.0).restarts() == [
        "record calls of unknown functions as cancelled",
        "start c3",
        "start c4",
    ]
    after = diary.engine.snapshot.app("shop")
    assert (after.id, after.kind, after.created_at, after.tags) == (before.id, AppKind.DEPLOYED, 1.0, {"team": "a"})
    assert after.function_ids == before.function_ids
    assert after.deployment == before.deployment
    assert diary.pool("f").settings.max_containers == 7
    assert diary.pool("f").spec.autoscaler.max_containers is None
    assert diary.deploys("f", "g", min_containers=1, tag="v1", tags={"team": "a"})[-1] == "version 1 is live already"


def test_pins_and_variants_keep_what_they_are(diary) -> None:
    diary.at(1.0).deploys(timeout_s=9.0)
    diary.finds(version=1)
    variant, pinned = diary.binds(max_containers=3), diary.binds(version=1, max_containers=4)
    diary.at(2.0).deploys(code="two", timeout_s=11.0)
    diary.restarts()
    pools = diary.engine.state.pools
    assert pools.keys().isdisjoint({variant, pinned}), "they are put away until somebody names them"
    diary.calls("fc-1", function=variant)
    diary.calls("fc-2", function=pinned)
    assert (pools[variant].version, pools[variant].spec.timeout_s, pools[variant].settings.max_containers) == (
        2,
        11.0,
        3,
    )
    assert (pools[pinned].version, pools[pinned].spec.timeout_s, pools[pinned].is_pinned) == (1, 9.0, True)
    assert diary.finds(version=1) == ["found f at version 1"]
    assert diary.pool(version=1).deployment.environment.bundle == "one"
    assert diary.binds(max_containers=3) == variant
    diary.at(3.0).deploys(code="three", timeout_s=12.0)
    assert pools[variant].spec.timeout_s == 12.0, "and it still follows"


def test_a_dropped_function_still_finishes_what_it_has(diary) -> None:
    diary.at(1.0).deploys("f", "g", max_containers=1)
    diary.spawns("fc-1", 2, function="g")
    diary.at(2.0).deploys("f", code="two")
    diary.restarts()
    assert diary.pool("g").is_retired
    diary.reads()
    assert diary.finds("g") == ["fail 6: Lookup failed for Function 'g': App 'shop' has none of that name"]
    diary.ready("c2")
    diary.completes("c2", 1, 0, busy_s=1.0)
    told = diary.completes("c2", 2, 0)
    assert told[-1] == "drain c2"
    assert "record that a function is gone" in diary.exits("c2")


def test_a_dropped_function_that_had_finished_is_gone(diary) -> None:
    diary.at(1.0).deploys("f", "g", min_containers=1)
    diary.ready("c1")
    diary.ready("c2")
    diary.at(2.0).deploys("f", code="two")
    assert "record that a function is gone" in diary.restarts()


def test_what_waits_is_counted_before_it_is_read(new_diary) -> None:
    diary = new_diary(backlog_inputs_max=4)
    diary.at(1.0).deploys(max_containers=1)
    diary.spawns("fc-1", 4, sealed=False)
    diary.puts("fc-1", 4, 4)
    diary.spawns("fc-2", 2)
    diary.ready("c1")
    diary.completes("c1", 1, 0, busy_s=1.0)
    told = diary.restarts()
    assert "load 8192 calls after 0" in told
    pool = diary.pool()
    assert (pool.window.stored_calls, pool.window.stored_inputs, pool.counts.pending[True]) == (2, 9, 9)
    (refused,) = new_limits(diary, 9)
    assert "pending_async_max" in refused
    assert "start c2" in diary.reads()
    assert pool.window.stored_calls == 0


def new_limits(diary, most: int) -> list[str]:
    """Spawn as if so many inputs were the most that may wait."""
    settings = diary.engine.state.settings
    diary.engine.state.settings = replace(settings, pending_async_max=most)
    told = diary.spawns("fc-3")
    diary.engine.state.settings = settings
    return told


def test_calls_of_an_app_that_only_ran_ended_with_its_server(diary) -> None:
    diary.opens(max_containers=1)
    diary.spawns("fc-1", 2)
    diary.ready("c1")
    diary.completes("c1", 1, 0, busy_s=1.0)
    diary.restarts()
    assert diary.engine.state.apps == {}
    diary.watches("fc-1", 0, 2)
    assert diary.reads()[-1] == "2 gets 0 SUCCESS, 1 TERMINATED of fc-1"


def test_a_detached_app_goes_on_until_its_calls_have_ended(diary) -> None:
    diary.at(1.0).opens(detach=True, max_containers=1)
    diary.spawns("fc-1")
    diary.restarts()
    diary.reads()
    assert "ap" in diary.engine.state.apps
    diary.ready("c2")
    told = diary.completes("c2", 1, 0)
    assert told[:3] == ["record fc-1[0]", "record fc-1 as ended", "record app ap at version 1, stopped"]
    assert diary.exits("c2", "exited with status 0")[-1] == "ap ended"


def test_a_detached_app_without_calls_ends_with_its_server(diary) -> None:
    diary.at(1.0).opens(detach=True)
    assert diary.restarts()[-2:] == ["record that a function is gone", "ap ended"]


def test_a_detached_app_is_not_found_by_name(diary) -> None:
    diary.at(1.0).opens(app="shop", detach=True)
    diary.spawns("fc-1")
    diary.restarts()
    assert diary.finds_app() == ["fail 6: No App with name 'shop' is deployed"]


def test_schedules_go_on_in_step(diary) -> None:
    diary.at(0.0).deploys(schedule=ScheduleSpec("period", hours=1))
    diary.at(1_000.0).restarts()
    assert diary.pool().next_run == 3_600.0
    assert any(line.startswith("record call") for line in diary.at(3_600.0).meanwhile)


def test_spawned_calls_are_numbered_on(diary) -> None:
    diary.at(1.0).deploys()
    diary.spawns("fc-1")
    diary.spawns("fc-2")
    before = diary.engine.state.calls["fc-2"].sequence
    diary.restarts()
    diary.spawns("fc-3")
    diary.reads()
    assert diary.engine.state.calls["fc-3"].sequence == before + 1


def test_a_stopped_app_stays_stopped_and_leaves_nothing(diary) -> None:
    """Its containers had not all left when the server was killed."""
    diary.at(1.0).deploys(min_containers=1)
    diary.ready("c1")
    diary.at(2.0).stops()
    assert diary.restarts() == [
        "record that a function is gone",
        "record calls of unknown functions as cancelled",
    ]
    assert diary.engine.state.apps == {}
    assert diary.restarts() == ["record calls of unknown functions as cancelled"]


def test_an_app_without_a_version_is_found_again(diary) -> None:
    diary.finds_app("new", create_as="ap-new")
    diary.restarts()
    assert diary.finds_app("new") == ["found new at version 0"]


def test_an_orderly_stop_loses_nothing_either(diary) -> None:
    diary.at(1.0).deploys(max_containers=1)
    diary.spawns("fc-1", 3)
    diary.calls("fc-2")
    diary.ready("c1")
    assert diary.at(2.0).shuts_down() == ["tell 1: fc-2[0] TERMINATED", "drain c1"]
    assert diary.completes("c1", 1, 0) == ["record fc-1[0]"]
    assert diary.exits("c1", "exited with status 0") == ["record the end of c1", "ap-shop-1 ended"]
    assert diary.engine.state.calls == {}
    diary.restarts()
    diary.reads()
    assert diary.engine.state.calls["fc-1"].pending == 2


def test_an_app_that_was_being_stopped_when_the_server_stops_is_over(diary) -> None:
    diary.at(1.0).deploys(min_containers=1)
    diary.ready("c1")
    diary.at(2.0).stops()
    diary.shuts_down()
    diary.exits("c1")
    diary.restarts()
    assert diary.engine.state.apps == {}


def test_records_of_an_app_that_the_store_no_longer_has_change_nothing(diary) -> None:
    spec = FunctionSpec("f", Source("m", "f"))
    diary.keep(FunctionRecord("fu-1", "ap-gone", 1, spec))
    diary.keep(AppRecord("ap-old", "old", AppKind.DEPLOYED, 1.0, 1, stopped_at=2.0))
    assert diary.restarts() == [
        "record that a function is gone",
        "record calls of unknown functions as cancelled",
    ]
    assert diary.says(m.OpenApp(1, "ap-new", "new", Environment("/py", "/", ()), [spec])) == []
