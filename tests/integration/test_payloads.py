"""What calls carry: of any size and kind that can be pickled, and a clear error for the rest."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import values_app as v
from patience import wait_until

import swell
from swell.exception import DeserializationError, ExecutionError, SerializationError

MB = 1 << 20


@pytest.fixture(scope="module", autouse=True)
def running(run_app: Callable[..., swell.App]) -> swell.App:
    return run_app(v.app)


def files_of_the_run() -> set[Path]:
    session = v.app.session
    assert session is not None
    return set(Path(session.client.address.removeprefix("unix:")).parent.joinpath("blobs").iterdir())


# ---------------------------------------------------------------- size


@pytest.mark.nodes
def test_fifty_megabytes_go_and_return() -> None:
    assert v.length.remote(bytes(50 * MB)) == 50 * MB
    assert v.zeros.remote(50 * MB) == bytes(50 * MB)
    assert v.zeros.spawn(50 * MB).get() == bytes(50 * MB)


async def test_fifty_megabytes_go_and_return_on_a_loop() -> None:
    assert len(await v.echo.remote.aio(bytes(50 * MB))) == 50 * MB


def test_large_arrays_go_and_return_and_can_be_changed() -> None:
    numpy = pytest.importorskip("numpy")
    array = numpy.arange(50 * MB // 8, dtype="float64")
    result = v.double_array.remote(array)
    assert (result == array * 2).all()
    assert array[1] == 1  # the caller's own is as it was
    result += 1


@pytest.mark.nodes
@pytest.mark.parametrize("size", [0, 1, 100_000, 131_000, 131_072, 140_000, 2 * MB])
def test_every_size_arrives_as_it_was(size: int) -> None:
    data = bytes(i % 251 for i in range(min(size, 1_000))) + bytes(max(0, size - 1_000))
    assert v.echo.remote(data) == data


def test_a_map_of_megabytes() -> None:
    sizes = [1 * MB, 10, 3 * MB, 200_000] * 10
    assert [len(x) for x in v.zeros.map(sizes)] == sizes
    assert list(v.length.map(bytes(size) for size in sizes)) == sizes


@pytest.mark.nodes
def test_files_of_large_values_go_when_their_call_is_done() -> None:
    before = files_of_the_run()  # results of spawned calls, which are kept
    v.length.remote(bytes(1 * MB))
    v.zeros.remote(1 * MB)
    list(v.echo.map([bytes(1 * MB)] * 5))
    v.echo.remote(1)
    # The server deletes a file after the result has left, so a moment may pass, also for those of the calls before.
    wait_until(lambda: files_of_the_run() <= before, files_of_the_run)


# ---------------------------------------------------------------- arguments


def test_an_unpicklable_argument_is_the_callers_error_and_names_it() -> None:
    with pytest.raises(SerializationError, match="lock"):
        v.echo.remote(threading.Lock())
    with pytest.raises(SerializationError, match="lock"):
        v.echo.spawn(threading.Lock())
    with pytest.raises(SerializationError, match="lock"):
        list(v.echo.map([threading.Lock()]))
    with pytest.raises(SerializationError, match="lock"):
        list(v.echo.map([1], kwargs={"value": threading.Lock()}))
    assert v.echo.remote(1) == 1


def test_an_argument_that_cannot_be_read_in_the_container_fails_its_call_alone() -> None:
    before = v.pid.remote()
    with pytest.raises(DeserializationError, match="cannot be read in a container"):
        v.echo.remote(v.Explosive())
    values = list(v.echo.map([1, v.Explosive(), 3], return_exceptions=True))
    assert (values[0], type(values[1]), values[2]) == (1, DeserializationError, 3)
    assert v.pid.remote() == before


def test_lambdas_and_local_classes_travel_by_value() -> None:
    assert v.echo.remote(lambda x: x + 1)(2) == 3
    assert v.makes.remote("lambda")(2) == 3
    assert v.makes.remote("local class").value == 5


# ---------------------------------------------------------------- results


def test_an_unpicklable_result_is_an_error_that_names_it() -> None:
    with pytest.raises(SerializationError, match="lock"):
        v.makes.remote("lock")
    assert v.makes.remote("x") == "x"


@pytest.mark.parametrize(("what", "text"), [("explosive", "cannot be read at the caller"), ("unknown", "unshared")])
def test_a_result_that_the_caller_cannot_read_is_an_error_of_that_call(
    what: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide_unshared(monkeypatch)
    with pytest.raises(ExecutionError, match=text):
        v.makes.remote(what)
    values: list[Any] = list(v.makes.map(["a", what, "c"], return_exceptions=True))
    assert (values[0], type(values[1]), values[2]) == ("a", ExecutionError, "c")
    with pytest.raises(ExecutionError, match=text):
        v.makes.spawn(what).get()


def hide_unshared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make `unshared` a module that only containers have."""
    monkeypatch.setitem(__import__("sys").modules, "unshared", None)
