"""An event takes as many steps however much else there is: other calls, functions, apps and clients."""

from __future__ import annotations

from functools import partial

import pytest
from steps import steps_of

from swell.engine.events import ClientGone, ClientMessage, ContainerExited, Event
from swell.model import (
    AutoscalerChange,
    Concurrency,
    Environment,
    FunctionSpec,
    Gpu,
    GpuRequest,
    Node,
    Resources,
    Source,
    WebSpec,
)
from swell.wire import messages as m

ENVIRONMENT = Environment("/py", "/", ())


def calls_with_more_in_the_store_than_memory_has_room_for(diary, size: int) -> Event:
    diary.opens(max_containers=1)
    for number in range(size):
        diary.spawns(f"fc-{number}", size=200, sealed=False)
        diary.puts(f"fc-{number}", 1, 3)
    return update(diary)


def clients_with_an_app_each(diary, size: int) -> Event:
    for client in range(size):
        diary.opens(app=f"ap-{client}", client=client)
    return ClientGone(size // 2)


def requests_of_an_edge(diary, size: int) -> Event:
    diary.opens(web=WebSpec("asgi"), concurrency=Concurrency(1_000, 1_000))
    diary.asks_for("fc-0")
    diary.ready("c1")
    for number in range(1, size):
        diary.asks_for(f"fc-{number}")
    assert len(diary.engine.state.leases) == size
    diary.opens(app="other", client=2)
    return ClientGone(2)


def functions_of_a_closing_app(diary, size: int) -> Event:
    diary.opens(*(f"f{number}" for number in range(size)))
    for function in ("f0", f"f{size - 1}"):
        diary.updates(function, min_containers=1)
    diary.closes()
    return ContainerExited(diary.id("c1"), "it was stopped")


def functions_of_an_app_whose_client_is_gone(diary, size: int) -> Event:
    diary.opens(*(f"f{number}" for number in range(size)), detach=True)
    diary.spawns("fc-1", function=f"f{size - 1}")
    diary.vanishes()
    return update(diary, "f0")


def functions_of_a_pinned_version(diary, size: int) -> Event:
    names = [f"f{number}" for number in range(size)]
    diary.deploys(*names)
    diary.finds("f0", version=1)
    return ClientMessage(1, m.UpdateAutoscaler(8, diary.function("f0", version=1), AutoscalerChange(min_containers=1)))


def functions_that_answer_http(diary, size: int) -> Event:
    diary.opens(*(f"f{number}" for number in range(size)), web=WebSpec("asgi"))
    diary.opens("f", app="other", client=2)
    return ClientMessage(2, m.CloseApp(9, "other"))


def nodes(diary, size: int) -> Event:
    diary.observes(*(Node(f"n{number}", 4, 1 << 34) for number in range(size)))
    diary.opens("f")
    return ClientMessage(1, m.OpenApp(1, "other", "other", ENVIRONMENT, [FunctionSpec("f", Source("m", "f"))]))


def nodes_whose_gpus_are_taken(diary, size: int) -> Event:
    diary.observes(*(Node(f"n{number}", 4, 1 << 34, (Gpu(f"g{number}", "L4"),)) for number in range(size)))
    diary.opens("f", "holder", resources=Resources(gpu=(GpuRequest("L4", 1),)))
    diary.updates("holder", min_containers=size)
    while diary.engine.next_deadline() == 0.0:
        diary.ticks()
    diary.calls("fc-1")
    assert diary.pool().scaling.blocked_reason == "the nodes are full"
    return update(diary)


def update(diary, name: str = "f") -> Event:
    """Have a pool looked at again."""
    return ClientMessage(1, m.UpdateAutoscaler(8, diary.function(name), AutoscalerChange(scaledown_window=9)))


@pytest.mark.parametrize(
    "surroundings",
    [
        calls_with_more_in_the_store_than_memory_has_room_for,
        clients_with_an_app_each,
        requests_of_an_edge,
        functions_of_a_closing_app,
        functions_of_an_app_whose_client_is_gone,
        functions_of_a_pinned_version,
        functions_that_answer_http,
        nodes,
        nodes_whose_gpus_are_taken,
    ],
    ids=lambda surroundings: surroundings.__name__,
)
def test_it_takes_as_many_steps_with_many_as_with_few(new_diary, surroundings) -> None:
    few, many = (steps_in(new_diary(backlog_bytes_max=1_024), surroundings, size) for size in (20, 200))
    assert many < 1.2 * few + 50, f"{few} steps with 20 of them, {many} with 200"


def steps_in(diary, surroundings, size: int) -> int:
    event = surroundings(diary, size)
    return steps_of(partial(diary.engine.handle, event, diary.now))
