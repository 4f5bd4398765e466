"""Handles on a real server: every way to name a pool reaches that pool, from here and from inside a container."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

import swell

app = swell.App("handles")
library = swell.App("library")


@library.function()
def increment(x: int) -> int:
    return x + 1


@app.function()
def double(x: int) -> int:
    return 2 * x


@app.function()
def both(x: int) -> int:
    return double.remote(x) + increment.remote(x)


@app.function()
def read(name: str) -> str | None:
    return os.environ.get(name)


@app.function()
def call(function: Any, x: Any) -> Any:
    return function.remote(x)


@app.function()
def call_method(cls_or_obj: Any, x: int) -> Any:
    obj = cls_or_obj(size="made inside") if isinstance(cls_or_obj, swell.Cls) else cls_or_obj
    return obj.run.remote(x)


@app.cls()
class Model:
    size: str = swell.parameter(default="small")
    layers: int = swell.parameter(default=1)

    @swell.enter()
    def open(self) -> None:
        self.pid = os.getpid()

    @swell.method()
    def run(self, x: int) -> tuple[str, int, int]:
        return self.size, self.layers, x

    @swell.method()
    def through_remote(self, x: int) -> Any:
        return self.run.remote(x)

    @swell.method()
    def through_local(self, x: int) -> tuple[Any, bool]:
        return self.run.local(x), self.pid == os.getpid()

    @swell.method()
    def read(self, name: str) -> str | None:
        return os.environ.get(name)

    @swell.method()
    def read_through_remote(self, name: str) -> str | None:
        return self.read.remote(name)

    @swell.method()
    def count(self, n: int) -> Iterator[int]:
        yield from range(n)


def closures(factor: int) -> tuple[Any, Any]:
    @app.function(serialized=True)
    def multiply(x: int) -> int:
        return x * factor

    @app.cls(serialized=True)
    class Multiplier:
        x: int = swell.parameter(default=1)

        @swell.method()
        def run(self) -> int:
            return self.x * factor

        @swell.method()
        def through_remote(self) -> Any:
            return self.run.remote()

    return multiply, Multiplier


multiply, Multiplier = closures(7)
app.include(library)


@pytest.fixture(scope="module", autouse=True)
def running() -> Iterator[None]:
    with app.run():
        yield


# ---------------------------------------------------------------- functions


@pytest.mark.nodes
def test_functions_call_each_other_across_included_apps() -> None:
    assert both.remote(3) == 10


def test_a_variant_has_its_options() -> None:
    assert read.remote("SWELL_TEST_OPTION") is None
    variant = read.with_options(env={"SWELL_TEST_OPTION": "set"})
    assert variant.remote("SWELL_TEST_OPTION") == "set"
    assert read.remote("SWELL_TEST_OPTION") is None


def test_a_variant_that_could_not_run_is_refused_when_it_is_used() -> None:
    variant = double.with_options(timeout=100_000)
    with pytest.raises(swell.exception.InvalidError, match="1 to 86400 seconds"):
        variant.remote(1)


@pytest.mark.nodes
def test_closures_travel_with_what_they_enclose() -> None:
    assert multiply.remote(6) == 42
    assert multiply.with_concurrency(max_inputs=2).remote(6) == 42


# ---------------------------------------------------------------- classes


def test_an_instance_has_its_parameters() -> None:
    assert Model().run.remote(1) == ("small", 1, 1)
    assert Model(size="large").run.remote(2) == ("large", 1, 2)
    assert list(Model(layers=5).run.map(range(3))) == [("small", 5, x) for x in range(3)]
    assert list(Model().count.remote_gen(3)) == [0, 1, 2]


def test_inside_a_method_self_is_the_object_that_was_entered() -> None:
    assert Model(size="large").through_local.remote(1) == (("large", 1, 1), True)


def test_inside_a_method_self_reaches_the_pool_it_is_in() -> None:
    # A second slot, for the inner call: the first one waits for it.
    two_slots = Model.with_concurrency(max_inputs=2)
    assert two_slots().through_remote.remote(1) == ("small", 1, 1)
    assert two_slots(size="large").through_remote.remote(1) == ("large", 1, 1)
    variant = two_slots.with_options(env={"SWELL_TEST_OPTION": "set"})
    assert variant(size="large").read_through_remote.remote("SWELL_TEST_OPTION") == "set"
    assert Model().read.remote("SWELL_TEST_OPTION") is None


def test_a_class_sent_by_value_works_as_any_other() -> None:
    assert Multiplier(x=3).run.remote() == 21
    assert Multiplier.with_concurrency(max_inputs=2)(x=3).through_remote.remote() == 21


def test_an_instance_has_a_pool_of_its_own() -> None:
    large = Model(size="own pool")
    assert large.update_autoscaler(max_containers=3).max_containers == 3
    assert Model(size="own pool").autoscaler.settings().max_containers == 3
    assert Model().autoscaler.settings().max_containers is None


def test_wrong_parameters_are_told_by_the_first_call() -> None:
    with pytest.raises(swell.exception.InvalidError, match="keyword arguments only"):
        Model("large").run.remote(1)
    with pytest.raises(TypeError, match="Expected int"):
        Model(layers="3").run.remote(1)


# ---------------------------------------------------------------- handles as arguments


@pytest.mark.nodes
def test_functions_can_be_sent() -> None:
    assert call.remote(double, 4) == 8
    assert call.remote(double.with_options(timeout=8), 4) == 8
    assert call.remote(Model(layers=8).run, 4) == ("small", 8, 4)


def test_classes_and_instances_can_be_sent() -> None:
    assert call_method.remote(Model(size="sent"), 1) == ("sent", 1, 1)
    assert call_method.remote(Model, 1) == ("made inside", 1, 1)
    assert call_method.remote(Model.with_options(timeout=9), 1) == ("made inside", 1, 1)
