"""Classes: what runs around inputs, in which order, on which object, and what a set of parameters means."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import order_app
import pytest
from classes_app import AsyncHooked, Counter, Ends, Leaves, Once, app, ending, nowhere, once_beside_others, surroundings
from order_app import Hooked
from patience import patience
from programs import Programs

import swell


@pytest.fixture(scope="module", autouse=True)
def running(run_app: Callable[..., swell.App]) -> None:
    run_app(app, exit_grace_s=3, start_backoff_s=0.05)


# ---------------------------------------------------------------- order


@pytest.mark.nodes
def test_a_container_imports_enters_base_classes_first_then_runs(board: ModuleType) -> None:
    with order_app.app.run():
        assert Hooked(layers=3).run.remote(7) == 7
    assert board.notes("order") == [
        "import",
        "Base.first small",
        "Hooked.overridden",  # an override keeps the place of what it overrides
        "Hooked.last 3 None",  # a hook belongs to no input
        "run 7",
        "Base.exit",
        "Hooked.exit None",
    ]


def test_async_hooks_and_async_methods_share_one_loop() -> None:
    assert AsyncHooked().on_the_same_loop.remote() == (True, True, True)


def test_a_plain_method_beside_async_ones_finds_no_running_loop() -> None:
    assert AsyncHooked().no_loop_here.remote() == (True, True)


# ---------------------------------------------------------------- objects and pools


def test_a_container_keeps_its_object_from_call_to_call() -> None:
    counter = Counter(start=100)
    pids, counts = zip(*[counter.up.remote() for _ in range(5)], strict=True)
    assert len(set(pids)) == 1
    assert counts == (101, 102, 103, 104, 105)


@pytest.mark.nodes
def test_each_set_of_parameters_has_a_pool_and_defaults_are_part_of_it() -> None:
    one, two = Counter(start=0).up.remote(), Counter(start=5).up.remote()
    assert one[0] != two[0]
    assert Counter().up.remote() == (one[0], one[1] + 1)


def test_methods_are_called_in_every_way() -> None:
    counter = Counter(start=10)
    assert counter.add.remote(1, to=5) == 16
    assert counter.add.spawn(2).get() == 12
    assert list(counter.add.map(range(3), kwargs={"to": 1})) == [11, 12, 13]
    assert list(counter.add.starmap([(1,), (2,)])) == [11, 12]
    assert sorted(counter.add.map(range(3), order_outputs=False)) == [10, 11, 12]
    assert list(counter.add.spawn_map([1, 2]).iter()) == [11, 12]


def test_an_exception_of_a_method_is_the_callers() -> None:
    with pytest.raises(KeyError) as caught:
        Counter().fail.remote()
    assert caught.value.args == ("kept", 1)


def test_generators_of_every_kind_stream() -> None:
    counter = Counter(start=3)
    assert list(counter.values.remote_gen(4)) == [3, 4, 5, 6]
    assert list(counter.slowly.remote_gen(4)) == [3, 4, 5, 6]
    assert list(counter.declared.remote_gen(4)) == [0, 1, 2, 3]


def test_what_a_generator_yielded_before_it_raised_arrives() -> None:
    values = Counter().breaks.remote_gen()
    assert next(values) == 1
    with pytest.raises(ValueError, match="after one"):
        next(values)


def test_a_class_is_not_an_instance() -> None:
    with pytest.raises(AttributeError, match="instantiate"):
        Counter.up.remote()


def test_variants_have_pools_of_their_own() -> None:
    base = Counter(start=0).up.remote()
    for variant in (
        Counter.with_options(timeout=77),
        Counter.with_concurrency(max_inputs=3),
        Counter.with_options(timeout=77).with_concurrency(max_inputs=3),
    ):
        pid, count = variant(start=0).up.remote()
        assert pid != base[0]
        assert count == 1
    assert Counter(start=0).up.remote() == (base[0], base[1] + 1)


@pytest.mark.nodes
def test_an_image_gives_variables_and_a_working_directory() -> None:
    assert surroundings.remote() == ("/tmp", "yes")
    assert surroundings.with_options(timeout=9).remote() == ("/tmp", "yes")


def test_a_working_directory_must_exist() -> None:
    with pytest.raises(swell.exception.InvalidError, match=r"/no/such/place.*must exist"):
        nowhere.remote()


# ---------------------------------------------------------------- here, without a container


def test_local_methods_enter_once_and_never_exit(board: ModuleType) -> None:
    hooked = Hooked()
    assert [hooked.run.local(1), hooked.run.local(2)] == [1, 2]
    assert board.notes("order") == ["Base.first small", "Hooked.overridden", "Hooked.last 1 None", "run 1", "run 2"]


def test_a_parameter_is_read_without_entering(board: ModuleType) -> None:
    assert Hooked(layers=4).layers == 4
    assert board.notes("order") == []


# ---------------------------------------------------------------- leaving


def test_exit_hooks_run_when_a_container_is_scaled_down(board: ModuleType) -> None:
    pid = Leaves(how="idle").pid.remote()
    board.wait_for_note(f"exit {pid}", f"second exit {pid}")


def test_exit_hooks_run_when_a_container_wants_no_more_inputs(board: ModuleType) -> None:
    pid = Leaves().leave.remote()
    board.wait_for_note(f"exit {pid}", f"second exit {pid}")
    assert Leaves().pid.remote() != pid


def test_an_interrupted_container_exits_and_its_input_runs_elsewhere(board: ModuleType) -> None:
    pid = Leaves().interrupted.remote()
    (interrupted,) = board.notes("interrupted")
    assert interrupted != str(pid)
    board.wait_for_note(f"exit {interrupted}")


def test_a_container_interrupted_while_it_enters_is_replaced_without_exit_hooks(board: ModuleType) -> None:
    call = Leaves(how="waits in enter").pid.spawn()
    board.wait_for("first enters")
    (pid,) = map(int, board.notes("entering"))
    os.kill(pid, signal.SIGINT)
    board.give("enter")
    assert call.get() != pid
    assert str(pid) not in board.notes("exit")


def test_an_exit_hook_that_raises_does_not_spoil_what_is_done(board: ModuleType) -> None:
    pid = Leaves(how="exit raises").leave.remote()
    board.wait_for_note(f"exit {pid}", f"second exit {pid}")


def test_a_single_use_container_takes_one_input_and_exits(board: ModuleType) -> None:
    pids = [Once().pid.remote() for _ in range(3)]
    assert len(set(pids)) == 3
    board.wait_for_note(*(f"exit {pid}" for pid in pids))


def test_a_single_use_container_takes_one_input_whatever_its_slots(board: ModuleType) -> None:
    assert len(set(once_beside_others.map(range(4)))) == 4


def test_the_end_of_a_run_waits_for_exit_hooks(board: ModuleType) -> None:
    with ending.run():
        assert Ends().hello.remote() == "hello"
    assert board.notes("end") == ["begins", "over"]


def test_the_end_of_a_run_waits_no_longer_than_the_grace(board: ModuleType) -> None:
    with ending.run():
        assert Ends(how="hangs").hello.remote() == "hello"
    assert board.notes("end") == ["begins"]


PROGRAM = """
import board
from classes_app import Ends, ending
with ending.run():
    {call}
"""


@pytest.mark.parametrize("to_group", [False, True], ids=["to the program", "to its process group"])
@pytest.mark.parametrize(
    "call",
    [
        "Ends().busy.remote()",
        "Ends().busy_async.remote()",
        "Ends.with_concurrency(max_inputs=2)().busy.remote()",
        "[*Ends().busy.starmap([()] * 20)]",
        "Ends().busy.spawn().get()",
    ],
)
def test_exit_hooks_run_after_ctrl_c(board: ModuleType, programs: Programs, to_group: bool, call: str) -> None:
    apps = str(Path(__file__).parent / "apps")
    program = programs.start(
        [sys.executable, "-c", PROGRAM.format(call=call)],
        env={**os.environ, "PYTHONPATH": apps, "SWELL_CANCEL_GRACE_S": "0.3"},
        cwd=apps,
        start_new_session=True,
    )
    board.wait_for_note("busy")
    (os.killpg if to_group else os.kill)(program.pid, signal.SIGINT)
    assert program.wait(patience()) == 0  # the run's block swallows it
    assert board.notes("end").count("begins") == board.notes("end").count("over") >= 1  # in every container
