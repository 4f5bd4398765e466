"""Options of `@app.function` and `@app.cls`: what each becomes, and what is refused at decoration or at load."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

from swell.errors import DeprecationError, InvalidError, NotFoundError
from swell.model import AutoscalerSettings, FunctionSpec, GpuRequest, Placement, RetryPolicy
from swell.sdk.app import App
from swell.sdk.declare.image import Image
from swell.sdk.declare.options import ClassOptions, FunctionOptions, VariantOptions
from swell.sdk.declare.pool_spec import check_at_load
from swell.sdk.declare.retries import Retries
from swell.sdk.declare.schedule import Cron, Period
from swell.sdk.declare.secret import Secret
from swell.sdk.declare.volume import Volume


def plain(x: int = 0) -> int:
    return x


def needs_argument(x: int) -> int:
    return x


def yields() -> Any:
    yield 1


async def yields_async() -> Any:
    yield 1


async def coroutine() -> int:
    return 1


def spec(**options: Any) -> FunctionSpec:
    return App("a").function(**options)(plain).spec


# ---------------------------------------------------------------- scaling


def test_the_defaults_are_those_of_the_reference() -> None:
    declared = spec()
    assert declared.autoscaler == AutoscalerSettings()
    assert (declared.timeout_s, declared.startup_timeout_s) == (300, 300)
    assert (declared.retry, declared.single_use, declared.snapshot, declared.batching) == (None, False, False, None)
    assert (declared.concurrency.max_inputs, declared.concurrency.target_inputs) == (1, 1)
    assert declared.recorded == {}


def test_scaling_options_reach_the_spec() -> None:
    options = {"min_containers": 1, "max_containers": 9, "buffer_containers": 2, "scaledown_window": 30}
    assert spec(**options).autoscaler == AutoscalerSettings(**options)


@pytest.mark.parametrize("name", ["min_containers", "max_containers", "buffer_containers"])
@pytest.mark.parametrize("value", [1.0, "1", True])
def test_a_number_of_containers_is_an_int(name: str, value: object) -> None:
    with pytest.raises(InvalidError, match=f"{name} must be an int") as caught:
        spec(**{name: value})
    assert isinstance(caught.value, TypeError)


@pytest.mark.parametrize("name", ["min_containers", "max_containers", "buffer_containers"])
def test_a_number_of_containers_is_not_negative(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be 0 or more, not -1") as caught:
        spec(**{name: -1})
    assert isinstance(caught.value, InvalidError)


def test_min_is_at_most_max() -> None:
    with pytest.raises(InvalidError, match="cannot be greater than"):
        spec(min_containers=3, max_containers=2)
    assert spec(min_containers=2, max_containers=2).autoscaler.min_containers == 2


def test_a_max_of_zero_says_nothing() -> None:
    assert spec(min_containers=5, max_containers=0).autoscaler.max_containers is None


@pytest.mark.parametrize("value", [0, -1])
def test_a_scaledown_window_is_positive(value: int) -> None:
    with pytest.raises(InvalidError, match="must be > 0"):
        spec(scaledown_window=value)


@pytest.mark.parametrize("value", [1, 3601])
def test_a_scaledown_window_is_within_bounds(value: int) -> None:
    with pytest.raises(InvalidError, match="from 2 to 3600 seconds"):
        spec(scaledown_window=value)


@pytest.mark.parametrize("value", [2, 3600])
def test_the_bounds_of_a_scaledown_window_belong_to_it(value: int) -> None:
    assert spec(scaledown_window=value).autoscaler.scaledown_window == value


def test_a_scaledown_window_is_whole() -> None:
    with pytest.raises(TypeError, match="scaledown_window"):
        spec(scaledown_window=2.5)


def test_placement() -> None:
    assert spec().placement is spec(placement=None).placement is spec(placement="pack").placement is Placement.PACK
    assert spec(placement="spread").placement is Placement.SPREAD
    with pytest.raises(InvalidError, match="placement must be 'pack' or 'spread', not 'scatter'"):
        spec(placement="scatter")
    with pytest.raises(InvalidError, match="placement must be a str"):
        spec(placement=True)


def test_single_use() -> None:
    assert spec(single_use_containers=True).single_use


# ---------------------------------------------------------------- time


def test_no_timeout_cannot_be_asked_for() -> None:
    with pytest.raises(InvalidError, match="cannot be set to None"):
        spec(timeout=None)


@pytest.mark.parametrize("value", [0, -1, 90_000])
def test_a_timeout_out_of_range_is_told_at_load(value: int) -> None:
    declared = spec(timeout=value)
    with pytest.raises(InvalidError, match=f"plain: timeout must be from 1 to 86400 seconds, not {value}"):
        check_at_load(declared)


@pytest.mark.parametrize("value", [1, 86_400])
def test_a_timeout_in_range_loads(value: int) -> None:
    check_at_load(spec(timeout=value))


@pytest.mark.parametrize("value", [None, 0])
def test_a_startup_timeout_that_says_nothing_is_the_timeout(value: int | None) -> None:
    assert spec(timeout=7, startup_timeout=value).startup_timeout_s == 7
    assert spec(timeout=7, startup_timeout=20).startup_timeout_s == 20


def test_a_timeout_is_a_number() -> None:
    with pytest.raises(TypeError, match="timeout must be a number of seconds"):
        spec(timeout="60")


# ---------------------------------------------------------------- retries, generators, schedules, names


def test_a_number_of_retries_means_that_many_a_second_apart() -> None:
    assert spec(retries=3).retry == RetryPolicy(3, backoff_coefficient=1.0, initial_delay_s=1.0)


def test_a_retry_policy_is_taken_as_it_is() -> None:
    assert spec(retries=Retries(max_retries=2, initial_delay=5.0)).retry == RetryPolicy(2, 2.0, 5.0, 60.0)


@pytest.mark.parametrize("value", [1.0, "3", [1]])
def test_retries_are_a_number_or_a_policy(value: object) -> None:
    with pytest.raises(InvalidError, match="retries must be an int or"):
        spec(retries=value)


@pytest.mark.parametrize("retries", [0, 1, Retries(max_retries=1)])
@pytest.mark.parametrize("function", [yields, yields_async])
def test_generators_have_no_retries(function: Any, retries: Any) -> None:
    with pytest.raises(InvalidError, match="generators cannot have retries"):
        App().function(retries=retries)(function)


def test_declared_generators_have_no_retries_either() -> None:
    with pytest.raises(InvalidError, match="generators cannot have retries"):
        spec(is_generator=True, retries=1)


@pytest.mark.parametrize(
    ("function", "is_async", "is_generator"),
    [(plain, False, False), (coroutine, True, False), (yields, False, True), (yields_async, True, True)],
)
def test_the_kind_of_function_is_found_out(function: Any, is_async: bool, is_generator: bool) -> None:
    declared = App().function()(function).spec
    assert (declared.is_async, declared.is_generator) == (is_async, is_generator)


def test_a_plain_function_can_be_declared_a_generator() -> None:
    assert spec(is_generator=True).is_generator


@pytest.mark.parametrize("schedule", [Cron("5 4 * * *"), Period(hours=4)])
def test_a_scheduled_function_needs_no_arguments(schedule: Any) -> None:
    with pytest.raises(InvalidError, match="called without arguments"):
        App().function(schedule=schedule)(needs_argument)
    assert spec(schedule=schedule).schedule == schedule.spec()


def test_a_schedule_is_a_schedule() -> None:
    with pytest.raises(InvalidError, match=r"must be swell\.Cron"):
        spec(schedule="5 4 * * *")


def test_a_function_can_have_several_names() -> None:
    app = App()
    first, second = app.function(name="first")(plain), app.function(name="second")(plain)
    assert (first.spec.name, second.spec.name) == ("first", "second")
    assert first.spec.source.qualname == second.spec.source.qualname == "plain"
    assert list(app.registered_functions) == ["first", "second"]


@pytest.mark.parametrize("name", ["", 3])
def test_a_name_is_text(name: Any) -> None:
    with pytest.raises(InvalidError, match="name must be a str"):
        spec(name=name)


# ---------------------------------------------------------------- resources


def test_resources_reach_the_spec() -> None:
    declared = spec(cpu=2, memory=512, gpu="H100:2").resources
    assert (declared.cpu, declared.memory_bytes, declared.gpu) == (2.0, 512 << 20, (GpuRequest("H100", 2),))
    assert (declared.cpu_limit, declared.memory_limit_bytes) == (None, None)


def test_limits_reach_the_spec() -> None:
    declared = spec(cpu=(0.5, 2.0), memory=(128, 1024)).resources
    assert (declared.cpu, declared.cpu_limit) == (0.5, 2.0)
    assert (declared.memory_bytes, declared.memory_limit_bytes) == (128 << 20, 1024 << 20)


@pytest.mark.parametrize(("option", "value"), [("cpu", (2, 1)), ("memory", (512, 256))])
def test_a_limit_below_its_request_is_told_at_load(option: str, value: tuple[int, int]) -> None:
    declared = spec(**{option: value})
    with pytest.raises(InvalidError, match=rf"{option}=\({value[0]}, {value[1]}\): the limit cannot be less"):
        check_at_load(declared)


# ---------------------------------------------------------------- surroundings


def test_later_secrets_win_and_env_wins_over_all() -> None:
    app = App(
        secrets=[Secret.from_dict({"A": "app", "B": "app", "C": "app"})], image=Image.debian_slim().env({"D": "image"})
    )
    declared = app.function(secrets=[Secret.from_dict({"B": "own", "C": "own"})], env={"C": "env"})(plain).spec
    assert declared.variables == {"A": "app", "B": "own", "C": "env", "D": "image"}


def test_a_functions_image_replaces_the_apps() -> None:
    app = App(image=Image.debian_slim().env({"FROM": "app"}))
    assert app.function()(plain).spec.variables == {"FROM": "app"}
    assert app.function(name="own", image=Image.debian_slim().env({"ITS": "own"}))(plain).spec.variables == {
        "ITS": "own"
    }


def test_a_functions_volumes_win_over_the_apps() -> None:
    first, second, third = (Volume.from_name(name) for name in ("first", "second", "third"))
    app = App(volumes={"/a": first, "/b": second})
    declared = app.function(volumes={"/b": third})(plain).spec
    assert declared.recorded["volumes"] == {"/a": "first", "/b": "third"}


def test_one_volume_at_two_paths_is_told_at_load() -> None:
    volume = Volume.from_name("data")
    declared = spec(volumes={"/a": volume, "/b": volume})
    with pytest.raises(InvalidError, match="'data' cannot be at two paths, /a and /b"):
        check_at_load(declared)


def test_loading_says_that_volumes_are_not_mounted() -> None:
    with pytest.warns(UserWarning, match="recorded, not mounted.*/data"):
        check_at_load(spec(volumes={"/data": Volume.from_name("data")}))


def test_a_required_variable_must_be_there_at_load(monkeypatch: pytest.MonkeyPatch) -> None:
    declared = spec(secrets=[Secret.from_name("keys", required_keys=["API_KEY"])])
    monkeypatch.delenv("API_KEY", raising=False)
    with pytest.raises(NotFoundError, match="requires the environment variable API_KEY"):
        check_at_load(declared)
    monkeypatch.setenv("API_KEY", "x")
    check_at_load(declared)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"secrets": Secret.from_dict({})}, "secrets must be a list"),
        ({"secrets": ["name"]}, "secrets must be a list of swell.Secret, and holds 'name'"),
        ({"image": "debian"}, "image must be a swell.Image"),
        ({"volumes": ["/a"]}, "volumes must be a dict"),
        ({"volumes": {"/a": "data"}}, "volumes must be a dict from path to swell.Volume"),
        ({"env": {"A": 1}}, "value of 'A' is a int"),
        ({"env": ["A"]}, "env takes a dict"),
    ],
)
def test_surroundings_have_their_types(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidError, match=message):
        spec(**options)


# ---------------------------------------------------------------- the rest


def test_options_without_effect_are_recorded() -> None:
    declared = spec(
        cloud="aws",
        region="eu",
        nonpreemptible=True,
        block_network=True,
        experimental_options={"flash": 1},
        proxy=object,
    )
    assert declared.recorded["cloud"] == "aws"
    assert declared.recorded["region"] == "eu"
    assert declared.recorded["nonpreemptible"] is True
    assert declared.recorded["block_network"] is True
    assert declared.recorded["experimental_options"] == {"flash": "1"}
    assert "proxy" in declared.recorded


def test_every_option_of_the_reference_is_accepted() -> None:
    values: dict[str, Any] = dict.fromkeys(FunctionOptions.__optional_keys__)
    values["timeout"] = 300
    assert spec(**values) == spec()


def test_an_unknown_option_is_a_type_error_with_a_hint() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'max_container'; did you mean 'max_containers'"):
        spec(max_container=1)
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'zzz'$"):
        spec(zzz=1)


@pytest.mark.parametrize("name", ["target_concurrency", "scaleup_window"])
def test_options_of_servers_are_not_for_functions(name: str) -> None:
    with pytest.raises(TypeError, match=name):
        spec(**{name: 1})


@pytest.mark.parametrize("name", ["schedule", "name", "is_generator"])
def test_what_only_functions_have_is_unknown_to_classes(name: str) -> None:
    with pytest.raises(TypeError, match=name):
        App().cls(**{name: None})(type("C", (), {}))


def test_what_variants_cannot_change_is_unknown_to_them() -> None:
    assert VariantOptions.__optional_keys__ < ClassOptions.__optional_keys__ < FunctionOptions.__optional_keys__
    with pytest.raises(TypeError, match="min_containers"):
        App().function()(plain).with_options(min_containers=1)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("keep_warm", "min_containers"),
        ("concurrency_limit", "max_containers"),
        ("container_idle_timeout", "scaledown_window"),
        ("allow_concurrent_inputs", "swell.concurrent"),
    ],
)
def test_old_names_raise_and_tell_the_new_one(old: str, new: str) -> None:
    function = App().function()(plain)
    options: Any = {old: 1}
    with pytest.raises(DeprecationError, match=new):
        spec(**options)
    with pytest.raises(DeprecationError, match=new):
        App().cls(**options)(type("C", (), {}))
    with pytest.raises(DeprecationError, match=new):
        function.with_options(**options)


def test_max_inputs_of_one_is_the_old_spelling_of_single_use() -> None:
    with pytest.warns(DeprecationError, match="single_use_containers=True"):
        assert spec(max_inputs=1).single_use


@pytest.mark.parametrize("value", [0, 2, 1.0, True])
def test_other_values_of_max_inputs_are_refused(value: Any) -> None:
    with pytest.raises(InvalidError, match=r"swell\.concurrent"), warnings.catch_warnings():
        spec(max_inputs=value)
