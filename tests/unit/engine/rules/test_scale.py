"""A diary of containers: asked for, ready, idle, gone."""

from __future__ import annotations

from swell.model import AutoscalerChange, GpuRequest, Node, Resources
from swell.wire import messages as m


def test_the_first_input_asks_for_a_container_at_once(diary) -> None:
    diary.opens()
    assert diary.at(5.0).calls("fc-1") == ["start c1"]
    assert diary.at(5.1).ready("c1") == ["deliver #1 to c1: fc-1[0]"]


def test_opening_an_app_with_a_floor_asks_for_it(diary) -> None:
    assert diary.opens(min_containers=2) == ["start c1", "start c2"]


def test_an_idle_container_leaves_after_its_window(diary) -> None:
    diary.opens(scaledown_window=10)
    diary.calls("fc-1")
    diary.at(0.1).ready("c1")
    diary.at(1.0).completes("c1", 1, 0)
    assert diary.at(10.9).meanwhile == []
    assert diary.at(11.1).meanwhile == ["drain c1"]
    assert diary.at(11.2).exits("c1", "exited with status 0") == []


def test_the_longest_idle_leaves_first(diary) -> None:
    diary.opens(min_containers=3, scaledown_window=10)
    for number, name in enumerate(("c2", "c3", "c1")):
        diary.at(1.0 + number).ready(name)
    diary.says(m.UpdateAutoscaler(1, diary.function(), AutoscalerChange(min_containers=1)))
    assert diary.at(11.5).meanwhile == ["drain c2"]
    assert diary.at(12.5).meanwhile == ["drain c3"]
    assert "drain c1" not in diary.at(100.0).meanwhile


def test_who_does_not_leave_within_the_grace_is_killed(new_diary) -> None:
    diary = new_diary(exit_grace_s=4.0)
    diary.opens(scaledown_window=2)
    diary.calls("fc-1")
    diary.ready("c1")
    diary.completes("c1", 1, 0)
    assert diary.at(2.1).meanwhile == ["drain c1"]
    assert diary.at(5.9).meanwhile == []
    assert diary.at(6.1).meanwhile == ["kill c1: did not leave within its grace"]


def test_a_lost_container_is_replaced_and_its_input_runs_again(diary) -> None:
    diary.opens()
    diary.calls("fc-1")
    diary.ready("c1")
    assert diary.at(1.0).exits("c1") == ["start c2"]
    assert diary.at(1.1).ready("c2") == ["deliver #2 to c2: fc-1[0]"]


def test_starts_that_fail_come_ever_slower(new_diary) -> None:
    diary = new_diary(start_backoff_s=1.0)
    diary.opens(detach=True)
    diary.calls("fc-1")
    diary.at(10.0).fails_to_start("c1")
    assert diary.at(10.9).meanwhile == []
    assert diary.at(11.0).meanwhile == ["start c2"]
    diary.at(12.0).fails_to_start("c2")
    assert diary.at(13.9).meanwhile == []
    assert diary.at(14.0).meanwhile == ["start c3"]
    diary.at(14.1).ready("c3")
    assert diary.at(14.2).exits("c3")[-1:] == ["start c4"], "it was ready: its death is no failed start"


def test_the_user_of_an_ephemeral_app_hears_what_is_wrong(new_diary) -> None:
    diary = new_diary(start_failures_max=2)
    diary.opens()
    diary.calls("fc-1", 2)
    assert diary.fails_to_start("c1") == []
    assert diary.fails_to_start("c2") == ["tell 1: fc-1[0:2] INIT_FAILURE"]


def test_a_start_that_takes_too_long_is_ended_once_and_counts_as_failed(new_diary) -> None:
    diary = new_diary(start_failures_max=1)
    diary.opens(startup_timeout_s=5.0)
    diary.calls("fc-1")
    assert diary.at(4.9).meanwhile == []
    assert diary.at(20.0).meanwhile == ["kill c1: not ready within startup_timeout = 5 s"]
    assert diary.ready("c1") == [], "too late: it is being killed"
    assert diary.exits("c1") == ["tell 1: fc-1[0] INIT_FAILURE"]


def test_a_ceiling_below_what_there_is_stops_idle_containers_at_once(diary) -> None:
    diary.opens(min_containers=3)
    for name in ("c1", "c2", "c3"):
        diary.ready(name)
    diary.calls("fc-1")
    change = AutoscalerChange(min_containers=0, max_containers=1)
    update = diary.says(m.UpdateAutoscaler(1, diary.function(), change))
    assert update == ["tell 1: AutoscalerState", "drain c1", "drain c2"]


def test_settings_that_contradict_each_other_change_nothing(diary) -> None:
    diary.opens(min_containers=2, max_containers=4)
    refused = diary.says(m.UpdateAutoscaler(7, diary.function(), AutoscalerChange(min_containers=5)))
    text = "f: min_containers = 5 cannot be greater than max_containers = 4; nothing was changed"
    assert refused == [f"fail 7: {text}"]
    assert diary.engine.state.pools[diary.function()].settings.min_containers == 2


def test_a_long_default_window_stands_in_the_way_of_no_change(new_diary) -> None:
    diary = new_diary(default_scaledown_window=7_200)
    diary.opens()
    assert diary.says(m.UpdateAutoscaler(7, diary.function(), AutoscalerChange(max_containers=4)))[0] == (
        "tell 1: AutoscalerState"
    )
    refused = diary.says(m.UpdateAutoscaler(8, diary.function(), AutoscalerChange(scaledown_window=7_200)))
    assert refused == ["fail 8: f: scaledown_window = 7200 s is outside 1 s to 3,600 s; nothing was changed"]


def test_a_floor_above_the_servers_own_ceiling_is_cut(new_diary) -> None:
    diary = new_diary(containers_max=2)
    assert diary.opens(min_containers=5) == ["start c1", "start c2"]


def test_gpus_are_given_out_and_taken_back(diary) -> None:
    diary.opens(resources=Resources(gpu=(GpuRequest("L4"),)))
    assert diary.calls("fc-1", 3) == ["start c1 on gpu-0", "start c2 on gpu-1"]
    assert diary.engine.state.pools[diary.function()].scaling.blocked_reason == "the nodes are full"
    diary.ready("c1")
    assert diary.exits("c1") == ["start c3 on gpu-0"]


def test_a_node_that_is_back_before_its_containers_are_gone_is_not_empty(diary) -> None:
    small = Node("small", 64, 1 << 30)
    diary.observes(small)
    diary.opens(resources=Resources(memory_bytes=1 << 30))
    assert diary.calls("fc-1", 2) == ["start c1"]
    diary.ready("c1")
    diary.observes(Node("other", 1, 1))
    assert diary.observes(small) == [], "c1 is still there"
    assert diary.exits("c1") == ["start c2"]


def test_room_is_made_for_a_function_that_has_nothing(diary) -> None:
    diary.observes(Node("small", 64, 1 << 30))
    diary.opens("f", "g", resources=Resources(memory_bytes=1 << 30), scaledown_window=600)
    diary.calls("fc-1", function="f")
    diary.ready("c1")
    diary.at(1.0).completes("c1", 1, 0)
    assert diary.at(2.0).calls("fc-2", function="g") == ["drain c1"]
    assert diary.exits("c1", "exited with status 0") == ["start c2"]


def test_nothing_is_started_in_reserve_while_another_function_has_nothing(diary) -> None:
    diary.observes(Node("small", 64, 2 << 30))
    diary.opens("f", app="one", resources=Resources(memory_bytes=1 << 30), buffer_containers=1)
    assert diary.calls("fc-1", function="f") == ["start c1", "start c2"]
    diary.ready("c1")
    diary.ready("c2")
    diary.opens("g", app="two", resources=Resources(memory_bytes=2 << 30))
    assert diary.calls("fc-2", function="g") == ["drain c2"]
    assert diary.exits("c2", "exited with status 0") == [], "there is room for a reserve, and no reserve"
    assert diary.completes("c1", 1, 0) == ["tell 1: fc-1[0]", "drain c1"]
    assert diary.exits("c1", "exited with status 0") == ["start c3"]


def test_nobody_who_has_work_waiting_makes_room(diary) -> None:
    diary.observes(Node("small", 64, 1 << 30))
    diary.opens("f", "g", resources=Resources(memory_bytes=1 << 30))
    diary.calls("fc-1", 5, function="f")
    diary.calls("fc-2", function="g")
    assert diary.ready("c1") == ["deliver #1 to c1: fc-1[0]"]
    assert diary.completes("c1", 1, 0, busy_s=1.0)[1:] == ["deliver #2 to c1: fc-1[1]"]


def test_a_busy_node_is_looked_at_ever_less_often(diary) -> None:
    busy = Node("busy", 2, 1 << 40)
    diary.observes(busy, busy=2.0)
    diary.opens()
    diary.calls("fc-1", 30)
    diary.started("c1")
    looks = 0
    while diary.now < 60:
        diary.at(diary.now + 0.01)
        for line in diary.meanwhile:
            looks += line == "look at the nodes"
            diary.observes(busy, busy=2.0)
    assert 100 < looks < 140


def test_who_wants_to_leave_gets_no_more_inputs_and_is_let_go_when_it_is_done(diary) -> None:
    diary.opens(max_containers=1)
    diary.calls("fc-1")
    diary.ready("c1")
    assert diary.answers("c1", m.Leaving()) == [], "what it runs it will finish: nothing needs another container"
    assert diary.calls("fc-2") == ["start c2"]
    assert diary.completes("c1", 1, 0) == ["tell 1: fc-1[0]", "drain c1"]


def test_who_wants_to_leave_before_it_began_has_failed_to_start(diary) -> None:
    diary.opens()
    diary.calls("fc-1")
    assert diary.answers("c1", m.Leaving()) == ["kill c1: it wants to leave before it is ready for its first input"]


def test_an_app_ends_when_its_last_container_is_gone(diary) -> None:
    diary.opens(min_containers=2)
    diary.ready("c1")
    assert diary.closes() == ["drain c1", "kill c2: stopped before it was ready"]
    assert diary.exits("c2") == []
    assert diary.exits("c1") == ["tell 1: Done", "ap ended"]
    assert diary.engine.state.pools == {}


def test_a_shutdown_ends_every_app(diary) -> None:
    diary.opens(app="ap-1")
    diary.opens(app="ap-2", detach=True)
    assert diary.shuts_down() == ["ap-1 ended", "ap-2 ended"]


def test_many_starts_are_made_in_ticks_that_are_due_at_once(diary) -> None:
    diary.engine.state.agenda.bound(looks=64, changes=3)
    assert diary.opens(min_containers=8) == ["start c1", "start c2", "start c3"]
    assert diary.engine.next_deadline() == 0.0
    assert diary.ready("c1") == ["start c4", "start c5", "start c6"], "other events come in between"
    assert diary.ticks() == ["start c7", "start c8"]
    assert diary.engine.next_deadline() > 0.0


def test_many_idle_containers_leave_in_ticks_that_are_due_at_once(diary) -> None:
    diary.opens(min_containers=5, scaledown_window=10)
    for number in range(1, 6):
        diary.at(number / 10).ready(f"c{number}")
    diary.engine.state.agenda.bound(looks=64, changes=2)
    change = AutoscalerChange(min_containers=0, max_containers=1)
    update = diary.says(m.UpdateAutoscaler(1, diary.function(), change))
    assert update == ["tell 1: AutoscalerState", "drain c1", "drain c2"]
    assert diary.at(1.0).meanwhile == ["drain c3", "drain c4"]


def test_many_containers_of_an_app_that_ends_leave_in_ticks_that_are_due_at_once(diary) -> None:
    diary.opens(min_containers=5)
    for number in range(1, 5):
        diary.ready(f"c{number}")
    diary.engine.state.agenda.bound(looks=64, changes=2)
    assert diary.closes() == ["drain c1", "drain c2"]
    assert diary.exits("c1") == ["drain c3", "drain c4"], "other events come in between"
    assert diary.engine.next_deadline() == 0.0
    assert diary.ticks() == ["kill c5: stopped before it was ready"]
    assert diary.engine.next_deadline() > 0.0


def test_many_functions_are_begun_in_ticks_that_are_due_at_once(diary) -> None:
    diary.engine.state.agenda.bound(looks=2, changes=100)
    assert diary.opens("a", "b", "c", min_containers=1) == ["start c1", "start c2"]
    assert diary.calls("fc-1", function="b") == []
    assert diary.ticks() == ["start c3"]


def test_of_many_that_wait_for_room_the_next_has_its_turn_with_each_exit(diary) -> None:
    diary.observes(Node("small", 64, 2 << 30))
    gib = Resources(memory_bytes=1 << 30)
    diary.opens("f", resources=gib, app="one", min_containers=2)
    diary.ready("c1")
    diary.ready("c2")
    for number in range(4):
        diary.calls(f"fc-{number}", function="f")
    names = [f"g{number}" for number in range(5)]
    diary.opens(*names, resources=gib, app="two")
    for number, name in enumerate(names):
        assert diary.calls(f"fc-1{number}", function=name) == [], "the node is full"
    for exited, expected in (("c1", "g0"), ("c2", "g1")):
        assert [line for line in diary.exits(exited) if line.startswith("start")] != []
        *_, newest = diary.engine.state.containers.values()
        assert newest.pool.spec.name == expected


def test_room_that_the_first_cannot_use_is_offered_to_the_others_when_the_nodes_are_observed(diary) -> None:
    small, gib = Node("small", 64, 5 << 30), 1 << 30
    diary.observes(small)
    diary.opens("f", "keeper", resources=Resources(memory_bytes=2 * gib), app="one", min_containers=1)
    diary.ready("c1")
    diary.ready("c2")
    diary.calls("fc-1", function="keeper")
    diary.opens(*(f"big{number}" for number in range(5)), resources=Resources(memory_bytes=5 * gib), app="two")
    for number in range(5):
        assert diary.calls(f"fc-1{number}", function=f"big{number}") == []
    diary.opens("g", resources=Resources(memory_bytes=3 * gib), app="three")
    assert diary.calls("fc-2", function="g") == []
    override = AutoscalerChange(min_containers=0)
    assert diary.says(m.UpdateAutoscaler(1, diary.function("f"), override)) == ["tell 1: AutoscalerState", "drain c1"]
    assert diary.exits("c1", "exited with status 0") == [], "for whom it is not enough was looked at first"
    assert set(diary.at(0.1).meanwhile) == {"look at the nodes"}
    assert diary.observes(small) == ["start c3"]
    assert diary.at(5.0).meanwhile == [], "nothing is left that could be of use"


def test_first_starts_are_waited_for_without_looking_at_the_nodes(diary) -> None:
    diary.observes(Node("n", 2, 1 << 40))
    diary.opens()
    assert diary.calls("fc-1", 20) == [f"start c{number}" for number in range(1, 5)]
    diary.started("c1")
    assert diary.at(0.49).meanwhile == [], "nothing could come of it"
    assert diary.at(0.51).meanwhile[0] == "start c5", "they take long, and more are wanted"


def test_who_breaks_the_protocol_is_replaced_without_waiting_for_its_end(diary) -> None:
    diary.opens(min_containers=1)
    diary.ready("c1")
    decided = diary.answers("c1", m.CancelCall("fc-1"))
    assert decided[0].startswith("kill c1")
    assert decided[1:] == ["start c2"]
