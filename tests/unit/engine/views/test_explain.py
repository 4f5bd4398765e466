"""Why something is where it is: the parts of a story follow each other without a gap, and add up to the whole."""

from __future__ import annotations

import pytest

from swell.engine.state.history import EVENTS_MAX
from swell.ids import call_and_index
from swell.model import Batching, GpuRequest, OutputStatus, Resources, RetryPolicy
from swell.wire.queries import Story

FAILURE = OutputStatus.FAILURE


def parts(story: Story) -> list[tuple[str, float]]:
    return [(part.name, round(part.seconds, 6)) for part in story.parts]


def texts(story: Story) -> list[str]:
    return [line.text for line in story.lines]


def total_s(story: Story) -> float:
    return sum(part.seconds for part in story.parts)


# ---------------------------------------------------------------- an input


def test_an_input_that_found_a_container_ran(diary) -> None:
    diary.at(1.0).deploys(max_containers=1, min_containers=1)
    diary.at(2.0).ready("c1")
    diary.at(10.0).calls("fc-1")
    assert parts(diary.at(13.0).story("in-1:0")) == [("ran", 3.0)]
    diary.at(15.0).completes("c1", 1, 0)
    story = diary.at(99.0).story("in-1:0")
    assert (story.title, story.state) == ("input 0 of call fc-1 (shop.f)", "succeeded")
    assert parts(story) == [("ran", 5.0)]


def test_an_input_that_waits_for_the_first_container(diary) -> None:
    diary.at(1.0).deploys()
    diary.at(2.0).calls("fc-1")
    story = diary.at(5.0).story("in-1:0")
    assert story.state == "pending"
    assert parts(story) == [("waited for a container to start", 3.0)]


def test_an_input_that_waited_for_a_start_and_then_for_its_turn(diary) -> None:
    diary.at(1.0).deploys(max_containers=1)
    diary.at(2.0).calls("fc-1", 2)
    diary.at(2.5).ready("c1")
    diary.at(4.0).completes("c1", 1, 0, busy_s=1.0)
    diary.at(10.0).completes("c1", 2, 0)
    story = diary.at(20.0).story("in-1:1")
    assert parts(story) == [("waited for a container to start", 0.5), ("waited for its turn", 1.5), ("ran", 6.0)]
    assert total_s(story) == 8.0


def test_each_input_tells_of_its_own_container(diary) -> None:
    diary.at(1.0).deploys()
    diary.at(2.0).calls("fc-1", 2)
    diary.at(3.0).ready("c1")
    diary.at(7.0).ready("c2")
    assert parts(diary.at(8.0).story("in-1:0"))[0] == ("waited for a container to start", 1.0)
    assert parts(diary.story("in-1:1"))[0] == ("waited for a container to start", 5.0)


def test_an_input_that_waited_for_its_batch(diary) -> None:
    diary.at(1.0).deploys(max_containers=1, min_containers=1, batching=Batching(4, 1_000))
    diary.ready("c1")
    diary.at(10.0).calls("fc-1")
    diary.at(13.0).completes("c1", 1, 0)
    assert parts(diary.story("in-1:0")) == [("waited for its batch", 1.0), ("ran", 2.0)]


def test_an_input_that_failed_and_was_tried_again(diary) -> None:
    diary.at(1.0).deploys(max_containers=1, retry=RetryPolicy(1, 1.0, 4.0))
    diary.at(2.0).calls("fc-1")
    diary.at(3.0).ready("c1")
    diary.at(5.0).completes("c1", 1, 0, status=FAILURE)
    assert parts(diary.at(6.0).story("in-1:0"))[-1:] == [("waited for its retry", 1.0)]
    diary.at(12.0).completes("c1", 2, 0, status=FAILURE)
    story = diary.at(20.0).story("in-1:0")
    assert story.state == "failure"
    assert parts(story) == [
        ("waited for a container to start", 1.0),
        ("ran", 2.0),
        ("waited for its retry", 4.0),
        ("ran", 3.0),
    ]
    assert "failed, and is tried again in 4 s" in texts(story)
    assert total_s(story) == 10.0


def test_an_input_whose_container_was_lost(diary) -> None:
    diary.at(1.0).deploys(max_containers=1)
    diary.at(2.0).calls("fc-1")
    diary.at(3.0).ready("c1")
    diary.at(9.0).exits("c1", "killed by signal 9")
    diary.at(10.0).ready("c2")
    diary.at(12.0).completes("c2", 2, 0)
    story = diary.story("in-1:0")
    assert parts(story) == [
        ("waited for a container to start", 1.0),
        ("ran", 6.0),
        ("waited for a container to start", 1.0),
        ("ran", 2.0),
    ]
    assert f"container {diary.id('c1')} is gone (killed by signal 9): to be run again" in texts(story)


def test_an_input_whose_container_was_killed_for_its_memory(diary) -> None:
    diary.at(1.0).deploys(max_containers=1)
    diary.at(2.0).calls("fc-1")
    diary.at(3.0).ready("c1")
    diary.at(9.0).outgrows("c1", used_mib=612, limit_mib=256)
    story = diary.story("in-1:0")
    assert parts(story) == [("waited for a container to start", 1.0), ("ran", 6.0)]
    why = f"container {diary.id('c1')} was killed: it used 612 MiB of memory; its limit is 256 MiB"
    told = texts(story)
    assert told.index(why) + 1 == told.index("ended: out of memory")
    assert story.state == "out of memory"


def test_an_input_that_was_cancelled_while_it_ran(diary) -> None:
    diary.at(1.0).deploys(max_containers=1)
    diary.at(2.0).calls("fc-1")
    diary.at(3.0).ready("c1")
    diary.at(8.0).cancels("fc-1")
    story = diary.at(9.0).story("in-1:0")
    assert story.state == "terminated"
    assert parts(story) == [("waited for a container to start", 1.0), ("ran", 5.0)]


def test_an_input_that_was_left_to_the_store(new_diary) -> None:
    diary = new_diary(backlog_calls_max=2)
    diary.at(1.0).deploys(max_containers=1)
    for number in range(3):
        diary.spawns(f"fc-{number}")
    diary.at(2.0).ready("c1")
    diary.at(3.0).completes("c1", 1, 0, busy_s=1.0)
    diary.at(3.5).reads()
    diary.at(4.0).completes("c1", 2, 0, busy_s=1.0)
    diary.at(6.0).completes("c1", 3, 0, busy_s=1.0)
    story = diary.story("in-2:0")
    assert parts(story) == [("waited in the store", 2.5), ("waited for its turn", 0.5), ("ran", 2.0)]
    assert total_s(story) == 5.0


def test_an_input_that_a_former_server_had_accepted(diary) -> None:
    diary.at(1.0).deploys(max_containers=1)
    diary.spawns("fc-1")
    diary.at(5.0).restarts()
    diary.reads()
    diary.at(6.0).ready("c2")
    diary.at(8.0).completes("c2", 1, 0)
    story = diary.story("in-1:0")
    assert parts(story) == [("waited in the store", 4.0), ("waited for a container to start", 1.0), ("ran", 2.0)]


@pytest.mark.parametrize("status", [OutputStatus.SUCCESS, FAILURE])
def test_what_is_forgotten_is_told_as_far_as_it_is_kept(diary, status: OutputStatus) -> None:
    diary.at(1.0).deploys(max_containers=1)
    diary.spawns("fc-1")
    diary.at(4.0).ready("c1")
    diary.at(6.0).completes("c1", 1, 0, status=status)
    container = diary.id("c1")
    diary.restarts()
    story = diary.story("in-1:0")
    assert (story.title, story.state) == ("input 0 of call fc-1 of f", "ended")
    assert parts(story) == [("waited", 3.0), ("ran", 2.0)]
    assert texts(story) == ["accepted", f"given to container {container}", "ended"]
    story = diary.story("fc-1")
    assert parts(story) == [("took", 5.0)]
    assert texts(story) == ["opened; inputs in all: 1", "ended"]


def test_what_ended_in_the_store_has_only_the_story_of_its_call(new_diary) -> None:
    diary = new_diary(backlog_calls_max=2)
    diary.at(1.0).deploys(max_containers=1)
    for number in range(3):
        diary.spawns(f"fc-{number}")
    diary.at(5.0).stops()
    assert parts(diary.story("in-2:0")) == [("took", 4.0)]


def test_decisions_are_told_where_they_were_made(diary) -> None:
    diary.at(1.0).deploys(max_containers=1)
    diary.at(2.0).calls("fc-1", 2)
    diary.at(3.0).ready("c1")
    story = diary.at(4.0).story("in-1:0")
    assert texts(story) == [
        "until then, 0 containers are wanted (idle) and 0 are there",
        "accepted, with 1 others",
        "1 container is wanted (2 inputs at 1 per container; max_containers is 1) and 1 is there",
        f"given to container {diary.id('c1')}",
    ]
    assert [line.at for line in story.lines] == [2.0, 2.0, 2.0, 3.0]


def test_a_variant_tells_of_its_own_pool(diary) -> None:
    diary.at(1.0).deploys(min_containers=1)
    diary.ready("c1")
    variant = diary.binds(timeout_s=5.0)
    diary.at(2.0).calls("fc-1", function=variant)
    assert parts(diary.at(5.0).story("in-1:0")) == [("waited for a container to start", 3.0)]


# ---------------------------------------------------------------- a call


def test_a_call_from_its_beginning_to_its_end(diary) -> None:
    diary.at(1.0).deploys(max_containers=1)
    diary.at(2.0).calls("fc-1", 2)
    assert diary.at(2.4).story("fc-1").state == "pending"
    diary.at(2.5).ready("c1")
    diary.at(3.0).completes("c1", 1, 0, busy_s=1.0)
    assert diary.story("fc-1").state == "running"
    diary.at(5.0).completes("c1", 2, 0)
    story = diary.at(9.0).story("fc-1")
    assert (story.title, story.state) == ("map call fc-1 of shop.f", "ended")
    assert parts(story) == [("waited until its first input left", 0.5), ("ran", 2.5)]
    assert texts(story)[0] == "opened"
    assert texts(story)[-1] == "ended; inputs in all: 2"


def test_of_a_very_long_call_the_beginning_and_the_end_are_told(diary) -> None:
    diary.at(1.0).deploys(max_containers=1)
    diary.calls("fc-1", 400)
    diary.ready("c1")
    for number in range(1, 401):
        diary.completes("c1", number, 0, busy_s=1.0)
    story = diary.story("fc-1")
    assert len(story.lines) <= 201
    assert sum("more …" in text for text in texts(story)) == 1
    assert texts(story)[-2] == "input 399: succeeded"
    kept = diary.engine.state.histories.call("fc-1")
    assert len(kept.events) <= EVENTS_MAX


# ---------------------------------------------------------------- a container, a function


def test_a_container_while_it_lives_and_when_it_is_gone(diary) -> None:
    diary.at(1.0).deploys(max_containers=1)
    diary.at(2.0).calls("fc-1")
    name = diary.id("c1")
    assert parts(diary.at(2.5).story(name)) == [("started", 0.5)]
    diary.at(3.0).ready("c1")
    story = diary.at(4.0).story(name)
    assert (story.title, story.state) == (f"container {name} of shop.f", "ready")
    assert parts(story) == [("started", 1.0), ("was there for inputs", 1.0)]
    assert texts(story) == [
        "requested: 1 inputs at 1 per container",
        "ready; inputs it was given in all: 1",
        "inputs it has now: 1",
    ]
    diary.at(7.0).exits("c1", "killed by signal 9")
    story = diary.at(20.0).story(name)
    assert story.state == "lost"
    assert parts(story) == [("started", 1.0), ("was there for inputs", 4.0)]
    assert texts(story)[-1] == "gone: killed by signal 9"


def test_a_container_that_never_was_ready(diary) -> None:
    diary.at(1.0).deploys(max_containers=1)
    diary.at(2.0).calls("fc-1")
    diary.at(4.0).fails_to_start("c1")
    story = diary.story(diary.id("c1"))
    assert story.state == "failed"
    assert parts(story) == [("started", 2.0)]


def test_a_function_tells_what_was_decided_and_what_holds_it_back(diary) -> None:
    diary.at(1.0).deploys(resources=Resources(gpu=(GpuRequest("L4"),)))
    diary.at(2.0).calls("fc-1", 3)
    story = diary.at(3.0).story("shop.f")
    assert story.state == "inputs: 3 waiting, 0 running; containers: 2"
    assert texts(story)[-1] == (
        "now, 3 containers are wanted (3 inputs at 1 per container) and 2 are there, held back: the nodes are full"
    )
    assert diary.story(diary.function()).lines == story.lines


def test_of_several_pools_of_a_name_the_live_one_is_meant(diary) -> None:
    diary.at(1.0).deploys()
    diary.finds(version=1)
    diary.binds(timeout_s=5.0)
    diary.at(2.0).calls("fc-1")
    assert diary.story("shop.f").state.startswith("inputs: 1 waiting")


@pytest.mark.parametrize("about", ["", "shop.g", "ta-NONE", "in-1:5", "hello"])
def test_what_is_not_known(diary, about: str) -> None:
    diary.at(1.0).deploys()
    diary.calls("fc-1")
    answer = diary.story(about)
    assert answer.text.startswith(f"nothing is known of {about!r}: name an input")


def test_ids_of_inputs_and_calls() -> None:
    assert call_and_index("fc-abc") == ("fc-abc", None)
    assert call_and_index("in-abc:7") == ("fc-abc", 7)
    assert call_and_index("in-abc:x") == ("fc-abc", None)
    assert call_and_index("in-abc") == ("fc-abc", None)
