"""A function that no node can run stops no other function of its app."""

from __future__ import annotations

from typing import Any

import pytest

from swell.model import Environment, FunctionSpec, Gpu, GpuRequest, Node, Resources, Source
from swell.wire import messages as m

GPU = Resources(gpu=(GpuRequest("H100"),))


def spec(name: str, **fields: Any) -> FunctionSpec:
    return FunctionSpec(name, Source("m", name), **fields)


def opened(diary: Any, *specs: FunctionSpec) -> tuple[list[str], m.AppOpened | None]:
    """Open an app, or send that again; return what its client is told, and its answer."""
    lines = diary.says(m.OpenApp(1, "ap-1", "app", Environment("/py", "/", ()), list(specs)))
    messages = [effect.message for effect in diary.last if isinstance(getattr(effect, "message", None), m.AppOpened)]
    return lines, messages[0] if messages else None


def test_the_others_run_and_it_is_told_by_name(diary) -> None:
    _, answer = opened(diary, spec("f"), spec("g", resources=GPU))
    notices = [effect.message.text for effect in diary.last if isinstance(getattr(effect, "message", None), m.Notice)]
    assert answer is not None
    assert (answer.function_ids.keys(), answer.problems.keys()) == ({"f"}, {"g"})
    assert "g: no node has the GPUs asked for (H100:1)" in answer.problems["g"]
    assert notices == [f"{answer.problems['g']}. The other functions of the app run"]
    assert diary.calls("fc-1") == ["start c1"]


def test_a_client_that_asks_again_is_told_again(diary) -> None:
    specs = spec("f"), spec("g", resources=GPU)
    opened(diary, *specs)
    _, again = opened(diary, *specs)
    assert again is not None
    assert again.problems.keys() == {"g"}


def test_a_client_that_asks_again_when_a_node_has_come_is_told_what_is_so(diary) -> None:
    specs = spec("f"), spec("g", resources=GPU)
    opened(diary, *specs)
    diary.observes(Node("small", 8.0, 1 << 40), Node("large", 8.0, 1 << 40, gpus=(Gpu("GPU-1", "H100"),)))
    _, again = opened(diary, *specs)
    assert again is not None
    assert again.function_ids.keys() == {"f"}
    assert again.problems == {"g": "g: no node could run it when its app was opened; one can now, so run the app again"}


def test_an_app_of_which_nothing_could_run_is_refused(diary) -> None:
    said, answer = opened(diary, spec("g", resources=GPU))
    assert answer is None
    assert said[0].startswith("fail 1: g: no node has the GPUs asked for")


def test_with_the_fallback_nothing_is_left_out(new_diary) -> None:
    _, answer = opened(new_diary(gpu_fallback="cpu"), spec("f"), spec("g", resources=GPU))
    assert answer is not None
    assert (answer.function_ids.keys(), answer.problems) == ({"f", "g"}, {})


@pytest.mark.parametrize("order", [1, -1])
def test_a_spec_that_contradicts_itself_is_refused_whatever_else_is_there(diary, order: int) -> None:
    specs = [spec("f"), spec("g", resources=GPU), spec("h", timeout_s=-1.0)]
    said, answer = opened(diary, *specs[::order])
    assert answer is None
    assert said[0].startswith("fail 1: h: timeout = -1")
