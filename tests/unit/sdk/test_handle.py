"""Handles of what is deployed: made without asking anybody, known when first used, and asked about once."""

from __future__ import annotations

import pickle

import msgspec
import pytest

from swell.errors import ExecutionError, InvalidError, NotFoundError
from swell.model import (
    AutoscalerSettings,
    ClassSpec,
    Concurrency,
    FunctionSpec,
    MethodSpec,
    ParameterSpec,
    Source,
    WebSpec,
)
from swell.sdk.app import App
from swell.sdk.cls import Cls
from swell.sdk.connection.session import Session
from swell.sdk.declare.parameters import encode_parameters
from swell.sdk.function import Function
from swell.sdk.handle import VARIANTS_KEPT
from swell.wire import context
from swell.wire.apps import FindFunction
from swell.wire.messages import AutoscalerState, BindFunction, GetStats, OpenCall, Stats, UpdateAutoscaler

MODEL = FunctionSpec(
    "Model.*",
    Source("m", "Model"),
    cls=ClassSpec(
        (MethodSpec("predict"), MethodSpec("stream", is_generator=True)), (ParameterSpec("size", "int", 1, True),)
    ),
    parameters=encode_parameters("Model", {"size": 1}),
)


def plain() -> None: ...


def names(line) -> list[tuple[str, str, int]]:
    return [(asked.app, asked.name, asked.version) for asked in line.wire.heard(FindFunction)]


# ---------------------------------------------------------------- laziness


def test_making_a_handle_asks_nobody(line, spec) -> None:
    line.refuses = 1_000
    function = Function.from_name("shop", "f", client=line.has(spec))
    variant = function.with_options(timeout=5).with_concurrency(max_inputs=3)
    method = Cls.from_name("shop", "Model", client=line)(size=2).predict
    assert [function.name, variant.name, method.name] == ["f", "f", "Model.predict"]
    assert not any(handle.is_hydrated for handle in (function, variant, method))
    assert line.wire.received == []
    assert line.refuses == 1_000


def test_what_is_not_known_yet_is_said_to_be_so(line, spec) -> None:
    function = Function.from_name("shop", "f", client=line.has(spec))
    with pytest.raises(ExecutionError, match=r"f has not been hydrated: call it, or \.hydrate\(\), first"):
        _ = function.spec
    with pytest.raises(ExecutionError, match="has not been hydrated"):
        _ = function.is_generator
    with pytest.raises(AttributeError, match="f has no object_id"):
        _ = function.object_id
    with pytest.raises(InvalidError, match=r"f cannot be sent anywhere: f has not been hydrated: call it, or"):
        pickle.dumps(function)


def test_the_first_use_asks_and_the_next_does_not(line, spec) -> None:
    function = Function.from_name("shop", "f", client=line.has(spec))
    for _ in range(3):
        function.spawn(1)
    assert names(line) == [("shop", "f", 0)]
    assert {opened.function_id for opened in line.wire.heard(OpenCall)} == {"fu-f"}
    assert (function.is_hydrated, function.object_id, function.spec) == (True, "fu-f", spec)


def test_hydrating_is_a_use_and_gives_the_handle_back(line, spec) -> None:
    function = Function.from_name("shop", "f", client=line.has(spec))
    assert function.hydrate() is function
    assert function.hydrate() is function
    assert names(line) == [("shop", "f", 0)]


async def test_on_an_event_loop_likewise(line, spec) -> None:
    function = Function.from_name("shop", "f", client=line.has(spec))
    assert await function.hydrate.aio() is function
    await function.spawn.aio(1)
    assert names(line) == [("shop", "f", 0)]


def test_a_version_is_asked_for_by_its_number(line, spec) -> None:
    Function.from_name("shop", "f", version=7, client=line.has(spec)).hydrate()
    assert names(line) == [("shop", "f", 7)]


@pytest.mark.parametrize("version", [0, -1, "2", 1.0, True])
def test_what_is_no_version_is_refused_at_once(version: object) -> None:
    with pytest.raises(InvalidError, match="must be the number of a version, at least 1"):
        Function.from_name("shop", "f", version=version)
    with pytest.raises(InvalidError, match="must be the number of a version, at least 1"):
        Cls.from_name("shop", "Model", version=version)


def test_a_method_is_no_function(line) -> None:
    with pytest.raises(
        InvalidError, match=r"'Model\.predict' is a method: use Cls\.from_name\('shop', 'Model'\)\(\)\.predict"
    ):
        Function.from_name("shop", "Model.predict", client=line)


def test_what_is_not_there_is_told_at_first_use_and_asked_again_at_the_next(line, spec) -> None:
    function = Function.from_name("shop", "g", client=line.has(spec))
    for _ in range(2):
        with pytest.raises(NotFoundError, match="Lookup failed for 'g'"):
            function.remote()
    line.has(FunctionSpec("g", Source("m", "g")))
    function.spawn()
    assert len(names(line)) == 3


def test_a_handle_that_is_known_travels(line, spec) -> None:
    function = Function.from_name("shop", "f", client=line.has(spec)).hydrate()
    elsewhere = pickle.loads(pickle.dumps(function))
    assert (elsewhere.object_id, elsewhere.name, elsewhere.spec) == ("fu-f", "f", spec)


# ---------------------------------------------------------------- what it turns out to be


def test_a_generator_turns_out_to_be_one(line) -> None:
    function = Function.from_name("shop", "f", client=line.has(FunctionSpec("f", Source("m", "f"), is_generator=True)))
    with pytest.raises(InvalidError, match="is a generator function"):
        function.remote()
    with pytest.raises(InvalidError, match="is a generator function"):
        function.spawn()
    assert line.wire.heard(OpenCall) == []


def test_a_web_function_turns_out_to_be_one(line) -> None:
    function = Function.from_name(
        "shop", "f", client=line.has(FunctionSpec("f", Source("m", "f"), web=WebSpec("asgi")))
    )
    with pytest.raises(InvalidError, match=r"f is a webhook: \.remote\(\) is not possible"):
        function.remote()


def test_the_code_of_what_was_looked_up_is_not_here(line, spec) -> None:
    function = Function.from_name("shop", "f", client=line.has(spec)).hydrate()
    with pytest.raises(ExecutionError, match="the code of f is not known here"):
        function.local(1)


def test_nothing_is_looked_up_for_a_local_call(line, spec) -> None:
    for handle in (Function.from_name("shop", "f", client=line), Cls.from_name("shop", "Model", client=line)().predict):
        with pytest.raises(ExecutionError, match=r"the code of .* is not known here; only calls with \.remote\(\)"):
            handle.local(1)
    assert line.wire.received == []


# ---------------------------------------------------------------- variants


def test_a_variant_finds_its_base_and_then_its_own_pool(line, spec) -> None:
    function = Function.from_name("shop", "f", client=line.has(spec))
    function.with_options(timeout=20).spawn(1)
    assert names(line) == [("shop", "f", 0)]
    (bound,) = line.wire.heard(BindFunction)
    assert (bound.function_id, msgspec.msgpack.decode(bound.changes)) == ("fu-f", {"timeout_s": 20.0})
    assert [opened.function_id for opened in line.wire.heard(OpenCall)] == ["fu-f/1"]
    assert function.object_id == "fu-f"


def test_equal_variants_of_a_handle_are_asked_for_once(line, spec) -> None:
    function = Function.from_name("shop", "f", client=line.has(spec))
    for _ in range(3):
        function.with_options(timeout=20).spawn(1)
    function.with_options(timeout=30).with_options(timeout=20).spawn(1)
    assert len(line.wire.heard(BindFunction)) == 1
    function.with_options(timeout=30).spawn(1)
    assert len(line.wire.heard(BindFunction)) == 2


def test_variants_compose_over_what_the_base_turns_out_to_be(line) -> None:
    base = FunctionSpec("f", Source("m", "f"), autoscaler=AutoscalerSettings(2, 5), concurrency=Concurrency(4, 2))
    variant = Function.from_name("shop", "f", client=line.has(base)).with_options(max_containers=9)
    variant.with_concurrency(max_inputs=8).hydrate()
    (bound,) = line.wire.heard(BindFunction)
    assert msgspec.msgpack.decode(bound.changes) == {
        "autoscaler": {"max_containers": 9},
        "concurrency": {"max_inputs": 8, "target_inputs": 8},
    }


def test_a_variant_without_a_difference_still_has_a_pool_of_its_own(line, spec) -> None:
    """One without the floor of its base."""
    Function.from_name("shop", "f", client=line.has(spec)).with_options().spawn(1)
    (bound,) = line.wire.heard(BindFunction)
    assert msgspec.msgpack.decode(bound.changes) == {}


def test_what_a_variant_asks_for_is_checked_before_anybody_is_asked(line) -> None:
    with pytest.raises(InvalidError, match="max_inputs"):
        Function.from_name("shop", "f", client=line).with_concurrency(max_inputs=0)
    assert line.wire.received == []


def test_only_so_many_variants_are_remembered(line, spec) -> None:
    function = Function.from_name("shop", "f", client=line.has(spec))
    for number in range(VARIANTS_KEPT + 1):
        function.with_options(timeout=10 + number).hydrate()
    assert len(line.wire.heard(BindFunction)) == VARIANTS_KEPT + 1
    function.with_options(timeout=10 + VARIANTS_KEPT).hydrate()
    assert len(line.wire.heard(BindFunction)) == VARIANTS_KEPT + 1
    function.with_options(timeout=10).hydrate()
    assert len(line.wire.heard(BindFunction)) == VARIANTS_KEPT + 2


# ---------------------------------------------------------------- classes


def test_an_instance_with_nothing_but_defaults_is_the_class_itself(line) -> None:
    Cls.from_name("shop", "Model", client=line.has(MODEL))().predict.spawn(1)
    (opened,) = line.wire.heard(OpenCall)
    assert (opened.function_id, opened.method) == ("fu-Model.*", "predict")
    assert names(line) == [("shop", "Model.*", 0)]


def test_an_instance_with_parameters_has_a_pool_of_its_own(line) -> None:
    instance = Cls.from_name("shop", "Model", client=line.has(MODEL))(size=3)
    instance.predict.spawn(1)
    instance.predict.spawn(2)
    assert len(line.wire.heard(BindFunction)) == 1
    assert {opened.function_id for opened in line.wire.heard(OpenCall)} == {"fu-Model.*/1"}


def test_a_method_that_there_is_not_is_told_with_those_there_are(line) -> None:
    instance = Cls.from_name("shop", "Model", client=line.has(MODEL))()
    with pytest.raises(NotFoundError, match="Model has no method 'forecast'; it has predict, stream"):
        instance.forecast.spawn(1)
    with pytest.raises(InvalidError, match="is a generator function"):
        instance.stream.spawn(1)


def test_parameters_that_there_are_not_are_refused_when_the_class_is_known(line) -> None:
    with pytest.raises(InvalidError, match="length"):
        Cls.from_name("shop", "Model", client=line.has(MODEL))(length=3).predict.spawn(1)
    assert line.wire.heard(OpenCall) == []


# ---------------------------------------------------------------- its pool


def test_numbers_and_settings_are_those_of_the_function_that_was_found(line, spec) -> None:
    function = Function.from_name("shop", "f", client=line.has(spec))
    settings = AutoscalerSettings(1, 0, 2, 60)
    line.wire.answers |= {
        UpdateAutoscaler: lambda asked: AutoscalerState(asked.request, settings, spec.autoscaler, settings),
    }
    after = function.update_autoscaler(min_containers=1)
    assert (after.min_containers, after.max_containers, after.buffer_containers) == (1, None, 2)
    line.wire.answers[GetStats] = lambda asked: Stats(asked.request, 1, 2, 3, 4)
    stats = function.get_current_stats()
    assert (stats.backlog, stats.num_total_runners, stats.num_running_inputs, stats.input_headroom) == (1, 2, 3, 4)
    assert {asked.function_id for asked in line.wire.received if isinstance(asked, UpdateAutoscaler | GetStats)} == {
        "fu-f"
    }


def test_a_function_of_this_program_is_not_looked_up() -> None:
    function = App("local").function()(plain)
    assert not function.is_hydrated
    with pytest.raises(ExecutionError, match="its App is not running"):
        function.remote()


def test_a_function_that_its_app_runs_without_says_so_in_a_container(line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context._Process, "container", None)
    monkeypatch.setattr("swell.sdk.handle.client_from_settings", lambda: line)
    app = App("local")
    there, missing = app.function(name="there")(plain), app.function(name="missing", gpu="H100")(plain)
    context.enter_container(lambda: None, {"there": "fu-1"})
    assert there.object_id == "fu-1"
    with pytest.raises(ExecutionError, match="missing cannot be called from this container") as caught:
        missing.remote()
    assert "no node could run it" in str(caught.value)
    assert "not running" not in str(caught.value)
    with pytest.raises(InvalidError, match=r"missing cannot be sent anywhere: .* from this container"):
        pickle.dumps(missing)
    with pytest.raises(AttributeError, match=r"missing has no object_id: .* from this container"):
        _ = missing.object_id


def test_a_function_that_its_app_runs_without_says_why_in_the_program(line) -> None:
    app = App("local")
    missing = app.function(name="missing")(plain)
    app.session = Session(line, "ap-1", {}, {"missing": InvalidError("missing: no node has a GPU H100")})
    for use in (missing.remote, lambda: pickle.dumps(missing)):
        with pytest.raises(InvalidError, match="missing: no node has a GPU H100"):
            use()
    with pytest.raises(AttributeError, match="missing: no node has a GPU H100"):
        _ = missing.object_id
