"""Classes: which are accepted, their parameters, the pools of their instances, and what happens locally."""

from __future__ import annotations

import asyncio
import pickle
from typing import Any, Optional

import cloudpickle
import msgspec
import pytest

from swell.errors import ExecutionError, InvalidError
from swell.model import Batching, ClassSpec, Concurrency, FunctionSpec, MethodSpec, ParameterSpec, WebSpec
from swell.sdk.app import App
from swell.sdk.cls import Cls, Obj
from swell.sdk.declare.function_spec import marked_methods
from swell.sdk.declare.parameters import parameter
from swell.sdk.decorators import batched, concurrent, enter, exit, method
from swell.sdk.function import Function
from swell.sdk.instance import Instance
from swell.sdk.web_decorators import asgi_app, fastapi_endpoint


def register(cls: type, **options: Any) -> Cls[Any]:
    return App().cls(serialized=True, **options)(cls)


def pool_of(obj: Any) -> FunctionSpec:
    assert isinstance(obj, Obj)
    return obj._instance.pool_spec()


class Model:
    """A model."""

    size: str = parameter(default="small")
    layers: int = parameter(default=2)
    KIND = "transformer"

    @enter()
    def late(self) -> None:
        self.log = [*self.log, "late"]

    @enter(snap=True)
    def early(self) -> None:
        self.log = ["early"]

    @exit()
    def end(self) -> None:
        raise AssertionError("exit hooks never run locally")

    @method()
    def run(self, x: int) -> Any:
        return self.size, self.layers, x, self.log

    @method()
    def twice(self, x: int) -> Any:
        return self.run.local(x), self.run.local(x)

    @method()
    async def wait(self) -> bool:
        return hasattr(self, "log")

    @method()
    def stream(self) -> Any:
        yield 1

    def plain(self) -> str:
        return f"{self.size}-{self.layers}"


MODEL = App().cls(enable_memory_snapshot=True, min_containers=1, max_containers=4)(Model)


# ---------------------------------------------------------------- the class


def test_a_class_is_one_pool_with_its_methods() -> None:
    spec = MODEL.spec
    assert spec.name == "Model.*"
    assert spec.cls == ClassSpec(
        methods=(
            MethodSpec("run"),
            MethodSpec("twice"),
            MethodSpec("wait", is_async=True),
            MethodSpec("stream", is_generator=True),
        ),
        parameters=(
            ParameterSpec("size", "str", "small", has_default=True),
            ParameterSpec("layers", "int", 2, has_default=True),
        ),
    )


def test_a_cls_stands_in_for_its_class() -> None:
    handle: Any = MODEL
    assert handle.KIND == "transformer"
    assert handle.__name__ == "Model"
    assert handle.__doc__ == "A model."
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        _ = handle.nothing_of_the_kind


def test_a_method_needs_an_instance() -> None:
    with pytest.raises(AttributeError, match=r"forget to instantiate the class, as in Model\(\)\.run"):
        _ = MODEL.run


def test_concurrency_and_batching_come_from_marks() -> None:
    @concurrent(max_inputs=10, target_inputs=5)
    class Batcher:
        @batched(max_batch_size=4, wait_ms=20)
        def run(self, xs: list[int]) -> list[int]:
            return xs

    spec = register(Batcher).spec
    assert spec.concurrency == Concurrency(10, 5)
    assert spec.batching == Batching(4, 20)
    assert spec.cls is not None
    assert spec.cls.methods == (MethodSpec("run"),)


def test_a_class_may_have_generators_and_retries() -> None:
    assert register(type("M", (Model,), {}), retries=3, enable_memory_snapshot=True).spec.retry is not None


class Site:
    @asgi_app(label="site", custom_domains=["a.example"])
    def pages(self) -> str:
        return f"pages of {self.read()}"

    @fastapi_endpoint(method="POST", docs=True)
    async def score(self, text: str) -> float:
        return float(len(text))

    @method()
    def warm(self) -> None: ...

    def read(self) -> str:
        return "disk"


SITE = App().cls()(Site)


def test_web_methods_are_methods_that_answer_http() -> None:
    assert SITE.spec.cls is not None
    assert SITE.spec.cls.methods == (
        MethodSpec("pages", web=WebSpec("asgi", label="site")),
        MethodSpec("score", is_async=True, web=WebSpec("endpoint", "POST", docs=True)),
        MethodSpec("warm"),
    )
    assert SITE.spec.web is None
    assert SITE.spec.recorded == {"custom_domains": {"pages": ["a.example"]}}


def test_a_web_method_is_reached_through_an_instance_and_run_here() -> None:
    obj: Any = SITE()
    assert [obj.pages.is_web, obj.score.is_web, obj.warm.is_web] == [True, True, False]
    assert obj.pages.local() == "pages of disk"
    assert asyncio.run(obj.score.local("abc")) == 3.0
    with pytest.raises(AttributeError, match=r"forget to instantiate the class, as in Site\(\)\.pages"):
        _ = SITE.pages


def two_batched() -> type:
    class Two:
        @batched(max_batch_size=4, wait_ms=20)
        def one(self, xs: list[int]) -> list[int]:
            return xs

        @batched(max_batch_size=4, wait_ms=20)
        def two(self, xs: list[int]) -> list[int]:
            return xs

    return Two


def batched_and_method() -> type:
    class Both:
        @batched(max_batch_size=4, wait_ms=20)
        def one(self, xs: list[int]) -> list[int]:
            return xs

        @method()
        def two(self) -> None: ...

    return Both


def batched_and_web() -> type:
    class Both:
        @batched(max_batch_size=4, wait_ms=20)
        def one(self, xs: list[int]) -> list[int]:
            return xs

        @asgi_app()
        def two(self) -> None: ...

    return Both


@pytest.mark.parametrize("make", [two_batched, batched_and_method, batched_and_web])
def test_a_batched_method_stands_alone(make: Any) -> None:
    with pytest.raises(InvalidError, match="batched method"):
        register(make())


def test_a_snapshot_hook_needs_snapshots() -> None:
    with pytest.raises(InvalidError, match="enable_memory_snapshot=True"):
        register(type("M", (Model,), {}))


class WithInit:
    def __init__(self, x: int = 0) -> None: ...


@pytest.mark.parametrize("cls", [WithInit, type("Child", (WithInit,), {})], ids=["own", "inherited"])
def test_a_custom_init_is_refused(cls: type) -> None:
    with pytest.raises(InvalidError, match=r"custom __init__ \(of WithInit\).*parameter"):
        register(cls)


# ---------------------------------------------------------------- parameters


def test_a_parameter_must_be_annotated() -> None:
    with pytest.raises(InvalidError, match=r"M\.x = swell.parameter\(\) must be annotated"):
        register(type("M", (), {"x": parameter()}))


@pytest.mark.parametrize(
    "annotation",
    [float, list, Optional[int], "float", "Optional[int]", "missing.name", "int | None"],  # noqa: UP045
    ids=str,
)
def test_a_parameter_has_a_simple_type(annotation: Any) -> None:
    with pytest.raises(InvalidError, match="not a supported"):
        register(type("M", (), {"x": parameter(), "__annotations__": {"x": annotation}, "__module__": __name__}))


@pytest.mark.parametrize("kind", [str, int, bool, bytes])
@pytest.mark.parametrize("as_text", [False, True])
def test_the_types_of_parameters(kind: type, as_text: bool) -> None:
    annotation = kind.__name__ if as_text else kind
    cls = register(type("M", (), {"x": parameter(), "__annotations__": {"x": annotation}}))
    assert cls.spec.cls is not None
    assert cls.spec.cls.parameters == (ParameterSpec("x", kind.__name__),)


def test_a_default_has_the_declared_type() -> None:
    with pytest.raises(InvalidError, match="Expected int, got str"):
        register(type("M", (), {"x": parameter(default="a"), "__annotations__": {"x": int}}))


def test_parameters_are_inherited_and_can_be_overridden() -> None:
    class Base:
        a: str = parameter(default="a")
        b: int = parameter()
        c: int = parameter(default=1)

    class Child(Base):
        b: int = parameter(default=5)
        c = 7  # a plain attribute from here on
        d: bytes = parameter(default=b"")

    spec = register(Child).spec
    assert spec.cls is not None
    assert [(p.name, p.default) for p in spec.cls.parameters] == [("a", "a"), ("b", 5), ("d", b"")]


def test_init_false_is_a_plain_attribute() -> None:
    class Plain:
        x: int = parameter(default=3, init=False)
        y: int = parameter(init=False)

        def both(self) -> int:
            return self.x + self.y

    cls = register(Plain)
    assert cls.spec.cls == ClassSpec(())
    assert cls().x == 3
    with pytest.raises(AttributeError, match=r"Plain\.y has no value"):
        cls().both()


def test_defaults_are_applied_before_a_pool_is_chosen() -> None:
    assert pool_of(MODEL()) is MODEL.spec
    assert pool_of(MODEL(size="small", layers=2)) == MODEL.spec
    assert pool_of(MODEL(size="large")) != MODEL.spec
    assert pool_of(MODEL(layers=3, size="large")) == pool_of(MODEL(size="large", layers=3))


def test_the_encoding_is_a_sorted_map_of_all_parameters() -> None:
    assert msgspec.msgpack.decode(pool_of(MODEL(size="large")).parameters) == {"layers": 2, "size": "large"}
    assert list(msgspec.msgpack.decode(MODEL.spec.parameters)) == ["layers", "size"]
    assert register(type("M", (), {})).spec.parameters == b""


def test_true_given_for_a_number_is_one() -> None:
    assert pool_of(MODEL(layers=True)) == pool_of(MODEL(layers=1))


def test_a_variants_pool_has_no_floor_but_the_ceiling() -> None:
    assert pool_of(MODEL()).autoscaler.min_containers == 1
    variant = pool_of(MODEL(size="large")).autoscaler
    assert (variant.min_containers, variant.max_containers) == (None, 4)


def test_with_a_required_parameter_there_is_nothing_to_keep_warm() -> None:
    class Needs:
        x: str = parameter()

    spec = register(Needs, min_containers=3).spec
    assert (spec.autoscaler.min_containers, spec.parameters) == (None, b"")


@pytest.mark.parametrize(
    ("args", "kwargs", "error", "message"),
    [
        (("large",), {}, InvalidError, "keyword arguments only"),
        ((), {"colour": "red"}, InvalidError, "no parameter 'colour'; its parameters: size, layers"),
        ((), {"size": 3}, TypeError, "Expected str, got int"),
        ((), {"size": b"x"}, TypeError, "Expected str, got bytes"),
        ((), {"layers": "3"}, TypeError, "Expected int, got str"),
        ((), {"size": "x" * (16 << 10)}, InvalidError, "at most 16,384 are accepted"),
        ((), {"layers": 1 << 64}, InvalidError, "64 bits"),
    ],
)
def test_wrong_parameters_are_told_at_first_use(
    args: tuple[Any, ...], kwargs: dict[str, Any], error: type[Exception], message: str
) -> None:
    obj = MODEL(*args, **kwargs)
    handle = obj.run
    assert isinstance(handle, Function)
    with pytest.raises(error, match=message):
        pool_of(obj)


def test_a_missing_parameter_is_told_at_first_use() -> None:
    class Needs:
        x: bytes = parameter()

    obj = register(Needs)()
    with pytest.raises(InvalidError, match="Missing required parameter 'x'"):
        pool_of(obj)


def test_a_bool_is_no_number() -> None:
    class Flag:
        on: bool = parameter()

    with pytest.raises(TypeError, match="Expected bool, got int"):
        pool_of(register(Flag)(on=1))


# ---------------------------------------------------------------- variants


def test_variants_of_a_class_share_code_and_differ_in_options() -> None:
    variant = MODEL.with_options(cpu=4).with_concurrency(max_inputs=8).with_batching(max_batch_size=2, wait_ms=1)
    assert (variant.spec.resources.cpu, variant.spec.concurrency.max_inputs) == (4, 8)
    assert variant.spec.batching == Batching(2, 1)
    assert variant.spec.autoscaler.min_containers is None
    assert pool_of(variant(size="large")).resources.cpu == 4
    assert variant().run.local(1) == ("small", 2, 1, ["early", "late"])
    assert MODEL.spec.resources.cpu == 0.125


# ---------------------------------------------------------------- local use


def test_local_calls_enter_once_in_order() -> None:
    obj: Any = MODEL(size="large")
    assert obj.run.local(1) == ("large", 2, 1, ["early", "late"])
    assert obj.run.local(2) == ("large", 2, 2, ["early", "late"])
    assert obj.log == ["early", "late"]


def test_a_method_that_calls_another_does_not_enter_again() -> None:
    obj: Any = MODEL()
    assert obj.twice.local(1) == (("small", 2, 1, ["early", "late"]),) * 2


def test_attributes_come_from_a_local_object_without_entering() -> None:
    obj: Any = MODEL(layers=5)
    assert (obj.size, obj.layers, obj.KIND, obj.plain()) == ("small", 5, "transformer", "small-5")
    assert not hasattr(obj, "log")
    with pytest.raises(AttributeError, match="nothing"):
        _ = obj.nothing


def test_async_methods_are_called_without_entering() -> None:
    obj: Any = MODEL()
    assert asyncio.run(obj.wait.local()) is False


def test_async_hooks_are_run_before_a_blocking_method() -> None:
    class Mixed:
        @enter()
        async def connect(self) -> None:
            self.connected = True

        @method()
        def run(self) -> bool:
            return self.connected

    obj: Any = register(Mixed)()
    assert obj.run.local() is True


def test_local_parameters_are_checked_too() -> None:
    with pytest.raises(TypeError, match="Expected int"):
        MODEL(layers="x").plain()


def test_self_gives_functions() -> None:
    local = MODEL().plain.__self__
    assert isinstance(local.run, Function)
    with pytest.raises(TypeError, match="not callable"):
        local.run(1)


def test_self_in_a_container_answers_for_the_object_that_is_there() -> None:
    live = object.__new__(Model)
    live.size, live.layers, live.log = "large", 9, ["entered by the container"]
    assert live.run.local(1) == ("large", 9, 1, ["entered by the container"])
    assert Instance.of(MODEL.service, live).pool_spec() == pool_of(MODEL(size="large", layers=9))


# ---------------------------------------------------------------- inheritance


def test_methods_and_hooks_keep_the_place_of_the_base() -> None:
    class Base:
        @enter()
        def first(self) -> None: ...

        @method()
        def run(self) -> str:
            return "base"

        @enter()
        def second(self) -> None: ...

    class Child(Base):
        @enter()
        def third(self) -> None: ...

        @enter()
        def first(self) -> None: ...

        def run(self) -> str:
            return f"child of {super().run()}"

    assert [name for name, _ in marked_methods(Child)] == ["first", "run", "second", "third"]
    obj: Any = register(Child)()
    assert obj.run.local() == "child of base"
    assert Base().run() == "base", "the base class is left as it was"


def test_a_class_can_derive_from_a_registered_one() -> None:
    class Child(MODEL):
        def plain(self) -> str:
            return "child"

    cls = register(Child, enable_memory_snapshot=True)
    obj: Any = cls()
    assert obj.plain() == "child"
    assert obj.run.local(3) == ("small", 2, 3, ["early", "late"])
    assert MODEL().plain() == "small-2"


# ---------------------------------------------------------------- handles


def test_live_methods_need_a_running_app() -> None:
    for live in (MODEL().run.remote, MODEL().update_autoscaler, MODEL().get_current_stats):
        with pytest.raises(ExecutionError, match="has not been hydrated"):
            live()


def test_a_method_has_no_pool_of_its_own() -> None:
    with pytest.raises(InvalidError, match="method"):
        MODEL().run.update_autoscaler(min_containers=1)


def test_handles_are_sent_only_while_the_app_runs() -> None:
    for handle in (MODEL, MODEL(), MODEL().run):
        with pytest.raises(InvalidError, match="hydrated"):
            pickle.dumps(handle)


def test_a_class_sent_by_value_has_its_methods_but_not_its_app() -> None:
    class Local:
        x: int = parameter(default=4)

        @method()
        def run(self) -> int:
            return self.x

        @method()
        def again(self) -> Any:
            return self.run.local()

    arrived: Any = cloudpickle.loads(cloudpickle.dumps(register(Local).__swell_raw__))
    live = object.__new__(arrived)
    live.x = 6
    assert live.again.local() == 6
    assert live.run.spec.name == "Local.*"
    assert live.run.app is None
