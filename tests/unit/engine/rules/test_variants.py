"""A diary of variants: those that requests bring into being are few, and none stays a pool for nothing."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from swell.engine.events import Persist, SendToClient
from swell.model import AutoscalerChange, CallKind, ClassSpec, MethodSpec, ParameterSpec, WebSpec
from swell.sdk.declare.parameters import encode_parameters
from swell.wire import messages as m
from swell.wire import web as w

CLS = ClassSpec(
    (MethodSpec("run"), MethodSpec("site", web=WebSpec("asgi"))),
    (ParameterSpec("size", "int", 1, has_default=True),),
)
EDGE = 7


def size(value: int) -> bytes:
    return encode_parameters("Shop", {"size": value})


def requests(diary, call_id: str, value: int) -> list[str]:
    """A request for the site of a Shop of a size."""
    return diary.asks_for(call_id, function=diary.function("Shop.*"), method="site", parameters=size(value))


def comes_and_goes(diary, call_id: str, value: int) -> str:
    """A request is answered, and its container leaves: the variant is idle. Return its id."""
    started = requests(diary, call_id, value)[-1].removeprefix("start ")
    variant = diary.engine.state.containers[diary.id(started)].pool
    diary.ready(started)
    diary.releases(call_id)
    diary.exits(started)
    return variant.id


def deployed(diary, **options) -> None:
    diary.at(1.0).deploys("Shop.*", cls=CLS, **{"scaledown_window": 10} | options)


def variants(diary) -> list[str]:
    return [pool.id for pool in diary.engine.state.pools.values() if pool.variant is not None]


def recorded(diary) -> set[str]:
    """The functions that a server that starts now would find."""
    return {record.function_id for record in diary._store.restore().functions}


# ---------------------------------------------------------------- how many


def test_sixty_sets_of_parameters_are_as_many_pools_as_the_setting_says(new_diary) -> None:
    diary = new_diary(web_variants_max=5)
    deployed(diary)
    told = [requests(diary, f"fc-{value}", value) for value in range(2, 62)]
    assert len(variants(diary)) == 5
    assert [line for lines in told[:5] for line in lines] == [f"start c{n}" for n in range(1, 6)]
    limit = "Resource Exhausted: the limit web_variants_max = 5 is reached; try again in 10 s"
    assert told[5:] == [[f"refuse fc-{value} from 0 on for 10 s: {limit}"] for value in range(7, 62)]


def test_requests_with_parameters_that_have_their_pool_are_served_though_there_may_be_no_more(new_diary) -> None:
    diary = new_diary(web_variants_max=1)
    deployed(diary, max_containers=1)
    requests(diary, "fc-1", 2)
    diary.ready("c1")
    diary.releases("fc-1")
    assert requests(diary, "fc-2", 2) == ["lease c1 to fc-2"]
    assert diary.asks_for("fc-3", function=diary.function("Shop.*"), method="site") == ["start c2"]


def test_with_a_limit_of_nothing_only_the_function_itself_and_what_programs_bound_answer(new_diary) -> None:
    diary = new_diary(web_variants_max=0)
    deployed(diary)
    assert "web_variants_max = 0" in requests(diary, "fc-1", 2)[0]
    diary.binds("Shop.*", parameters=size(3))
    assert requests(diary, "fc-2", 3) == ["start c1"]


def test_each_function_has_its_own_count(new_diary) -> None:
    diary = new_diary(web_variants_max=1)
    diary.deploys("Shop.*", "Mall.*", cls=CLS)
    requests(diary, "fc-1", 2)
    function = diary.function("Mall.*")
    assert diary.asks_for("fc-2", function=function, method="site", parameters=size(2)) == ["start c2"]


def test_the_longest_idle_makes_room_at_once(new_diary) -> None:
    diary = new_diary(web_variants_max=2)
    deployed(diary)
    first = comes_and_goes(diary, "fc-1", 2)
    second = comes_and_goes(diary.at(2.0), "fc-2", 3)
    third = comes_and_goes(diary.at(3.0), "fc-3", 4)
    assert variants(diary) == [second, third]
    assert comes_and_goes(diary.at(4.0), "fc-4", 3) == second
    assert comes_and_goes(diary.at(5.0), "fc-5", 2) == first, "the same parameters have the same id"
    assert variants(diary) == [second, first]


def test_a_variant_whose_containers_are_idle_makes_no_room(new_diary) -> None:
    diary = new_diary(web_variants_max=1)
    deployed(diary)
    requests(diary, "fc-1", 2)
    diary.ready("c1")
    diary.releases("fc-1")
    assert "refuse fc-2 from 0 on for 10 s" in requests(diary.at(9.0), "fc-2", 3)[0]
    assert diary.at(12.0).meanwhile[0] == "drain c1"
    diary.exits("c1")
    assert requests(diary, "fc-3", 3) == ["start c2"]


def test_a_variant_that_could_not_start_makes_no_room_before_its_time(new_diary) -> None:
    diary = new_diary(web_variants_max=1)
    deployed(diary)
    requests(diary, "fc-1", 2)
    diary.fails_to_start("c1")
    diary.cancels("fc-1")
    assert "refuse fc-2 from 0 on for 10 s" in requests(diary.at(2.0), "fc-2", 3)[0]
    diary.at(11.0)
    assert requests(diary, "fc-3", 3) == ["start c2"]


def test_a_call_without_inputs_yet_keeps_its_variant(new_diary) -> None:
    diary = new_diary(web_variants_max=1)
    deployed(diary)
    variant = comes_and_goes(diary, "fc-1", 2)
    diary.says(m.OpenCall("fc-2", variant, "run", CallKind.MAP, [], sealed=False))
    assert "web_variants_max" in requests(diary, "fc-3", 3)[0]
    diary.at(1_000.0)
    assert variants(diary) == [variant]


# ---------------------------------------------------------------- how long


def test_an_idle_variant_is_put_away_after_its_scaledown_window(diary) -> None:
    deployed(diary)
    variant = comes_and_goes(diary, "fc-1", 2)
    diary.at(10.9)
    assert variants(diary) == [variant]
    assert diary.at(11.0).meanwhile == []
    assert variants(diary) == []
    assert diary.engine.snapshot.app("shop").dormant == {}
    assert comes_and_goes(diary, "fc-2", 2) == variant


def test_a_request_writes_nothing_down(diary) -> None:
    deployed(diary)
    requests(diary, "fc-1", 2)
    diary.ready("c1")
    diary.releases("fc-1")
    assert recorded(diary) == {diary.function("Shop.*")}
    diary.at(100.0)
    assert diary.exits("c1") == ["record the end of c1"]
    assert not [effect for effect in diary.at(200.0).last if isinstance(effect, Persist)]
    assert (variants(diary), recorded(diary)) == ([], {diary.function("Shop.*")})


def test_what_requests_asked_for_is_not_there_after_a_restart(diary) -> None:
    deployed(diary, min_containers=1)
    for value in range(2, 8):
        requests(diary, f"fc-{value}", value)
    assert diary.restarts() == ["record calls of unknown functions as cancelled", "want an edge", "start c8"]
    assert variants(diary) == []


def test_a_variant_has_not_the_floor_of_its_base(diary) -> None:
    deployed(diary, min_containers=3)
    variant = comes_and_goes(diary, "fc-1", 2)
    assert diary.pool(variant).settings.min_containers == 0


def test_what_was_counted_of_a_variant_is_counted_when_it_is_gone(diary) -> None:
    deployed(diary)
    comes_and_goes(diary, "fc-1", 2)
    diary.at(50.0)
    (former,) = diary.engine.stats.retired()
    assert (former.name, former.counted.accepted, former.counted.ended) == ("Shop.*", 1, {1: 1})


def test_routes_are_not_told_again_because_of_a_variant(diary) -> None:
    diary.says(w.EdgeUp("http://127.0.0.1:1"), client=EDGE)
    deployed(diary)
    requests(diary, "fc-1", 2)
    assert not [effect for effect in diary.last if isinstance(effect, SendToClient)]


# ---------------------------------------------------------------- what is spawned in one


def test_a_variant_with_spawned_calls_is_recorded_before_them_and_goes_on_after_a_restart(diary) -> None:
    deployed(diary)
    requests(diary, "fc-1", 2)
    (variant,) = variants(diary)
    told = diary.spawns("fc-2", function=variant, method="run", client=9)
    assert told[:2] == ["record function Shop.* at version 1, a variant", "record call fc-2 with 1 inputs"]
    assert diary.restarts() + diary.reads() == [
        "record calls of unknown functions as cancelled",
        "load 8192 calls after 0",
        "want an edge",
        "start c3",
    ]
    diary.ready("c3")
    diary.completes("c3", 1, 0)
    diary.at(20.0).exits("c3")
    assert "record that a function is gone" in diary.at(40.0).meanwhile
    assert recorded(diary) == {diary.function("Shop.*")}


def test_one_whose_calls_had_ended_is_forgotten_by_a_restart(diary) -> None:
    deployed(diary)
    requests(diary, "fc-1", 2)
    (variant,) = variants(diary)
    diary.spawns("fc-2", function=variant, method="run", client=9)
    diary.cancels("fc-2")
    assert "record that a function is gone" in diary.restarts()
    assert recorded(diary) == {diary.function("Shop.*")}


# ---------------------------------------------------------------- run-time settings


def overridden(diary) -> str:
    """A variant that requests asked for, with settings changed at run time, put away."""
    deployed(diary)
    requests(diary, "fc-1", 2)
    (variant,) = variants(diary)
    diary.updates(variant, max_containers=3, scaledown_window=5)
    diary.ready("c1")
    diary.releases("fc-1")
    diary.at(7.0).exits("c1")
    diary.at(12.0)
    assert variants(diary) == []
    return variant


@pytest.mark.parametrize("restarts", [0, 1, 2])
def test_run_time_settings_are_there_again_with_the_variant(diary, restarts: int) -> None:
    variant = overridden(diary)
    for _ in range(restarts):
        diary.restarts()
    requests(diary, "fc-2", 2)
    assert diary.pool(variant).settings.max_containers == 3
    assert diary.pool(variant).settings.scaledown_window == 5
    assert diary.pool(variant).is_public


def test_a_variant_that_settings_keep_warm_is_kept_and_is_warm_after_a_restart(diary) -> None:
    deployed(diary)
    requests(diary, "fc-1", 2)
    (variant,) = variants(diary)
    diary.updates(variant, min_containers=1)
    diary.ready("c1")
    diary.releases("fc-1")
    diary.at(1_000.0)
    assert variants(diary) == [variant]
    assert diary.restarts()[-1] == "start c2"
    assert variants(diary) == [variant]


def test_a_deploy_drops_the_run_time_settings_of_what_is_put_away(diary) -> None:
    variant = overridden(diary)
    assert "record that a function is gone" in diary.deploys("Shop.*", cls=CLS, scaledown_window=10)
    diary.restarts()
    requests(diary, "fc-2", 2)
    assert diary.pool(variant).settings.max_containers is None


def test_settings_of_a_bound_variant_are_dropped_and_its_id_is_good(diary) -> None:
    deployed(diary)
    variant = diary.binds("Shop.*", parameters=size(2))
    diary.updates(variant, max_containers=3)
    diary.at(50.0)
    assert variants(diary) == []
    diary.deploys("Shop.*", cls=CLS, code="two", scaledown_window=10)
    diary.restarts()
    assert diary.calls("fc-1", function=variant, method="run")[-1] == "start c1 of version 2"
    assert diary.pool(variant).settings.max_containers is None


# ---------------------------------------------------------------- what programs bind


def test_what_a_program_binds_is_the_same_pool_and_is_not_counted(new_diary) -> None:
    diary = new_diary(web_variants_max=1)
    deployed(diary)
    requests(diary, "fc-1", 2)
    (variant,) = variants(diary)
    assert diary.binds("Shop.*", parameters=size(2)) == variant
    assert requests(diary, "fc-2", 3) == ["start c2"]
    assert diary.binds("Shop.*", parameters=size(4)) not in (variant, "")
    assert requests(diary, "fc-3", 4) == ["start c3"]
    assert "web_variants_max" in requests(diary, "fc-4", 5)[0]


@pytest.mark.parametrize("restarts", [0, 1])
def test_the_id_that_a_program_was_told_is_good_for_good(diary, restarts: int) -> None:
    deployed(diary)
    requests(diary, "fc-1", 2)
    variant = diary.binds("Shop.*", parameters=size(2))
    diary.cancels("fc-1")
    diary.exits("c1")
    diary.at(50.0)
    for _ in range(restarts):
        diary.restarts()
    assert variants(diary) == []
    assert diary.calls("fc-2", function=variant, method="run")[-1] == "start c2"
    assert variants(diary) == [variant]
    assert diary.binds("Shop.*", parameters=size(2)) == variant


def test_whatever_names_it_brings_it_back(diary) -> None:
    deployed(diary)
    variant = diary.binds("Shop.*", parameters=size(2))
    for at, message in enumerate(
        (
            m.GetStats(1, variant),
            m.UpdateAutoscaler(1, variant, AutoscalerChange(max_containers=2)),
            w.GetWebUrl(1, variant, "site"),
            m.BindFunction(1, variant, b"\x81\xa9timeout_s\x05"),
        ),
        start=1,
    ):
        diary.at(50.0 * at)
        assert variants(diary) == []
        diary.says(message)
        assert variant in variants(diary)
        assert "does not exist" not in str(diary.last)


def test_a_spawn_that_is_sent_again_finds_its_variant(diary) -> None:
    deployed(diary)
    variant = diary.binds("Shop.*", parameters=size(2))
    diary.at(50.0)
    diary.says(m.OpenCall("fc-1", variant, "run", CallKind.SPAWN, [1], sealed=True, resent=True), b"x")
    assert "accept fc-1 up to 1" in diary.reads()


def test_a_variant_of_a_variant_is_one_of_its_base(diary) -> None:
    deployed(diary)
    first = diary.binds("Shop.*", parameters=size(2))
    both = diary.binds(first, timeout_s=5.0)
    assert both == diary.binds("Shop.*", parameters=size(2), timeout_s=5.0)
    assert diary.binds("Shop.*", timeout_s=5.0) != both
    spec = diary.pool(both).spec
    assert (spec.parameters, spec.timeout_s) == (size(2), 5.0)


# ---------------------------------------------------------------- versions


def test_a_public_variant_follows_a_new_version(diary) -> None:
    deployed(diary)
    requests(diary, "fc-1", 2)
    (variant,) = variants(diary)
    told = diary.at(2.0).deploys("Shop.*", cls=CLS, code="two", timeout_s=9.0)
    assert not [line for line in told if "a variant" in line]
    assert (diary.pool(variant).version, diary.pool(variant).spec.timeout_s) == (2, 9.0)
    assert diary.pool(variant).is_public


def test_a_put_away_variant_follows_a_new_version(diary) -> None:
    deployed(diary)
    variant = diary.binds("Shop.*", parameters=size(2))
    diary.at(50.0).deploys("Shop.*", cls=CLS, code="two", timeout_s=9.0)
    assert diary.calls("fc-1", function=variant, method="run")[-1] == "start c1 of version 2"
    assert diary.pool(variant).spec.timeout_s == 9.0
    diary.spawns("fc-2", function=variant, method="run")
    diary.restarts()
    assert (diary.pool(variant).version, diary.pool(variant).spec.timeout_s) == (2, 9.0)


def test_variants_of_a_function_that_a_version_lacks_are_forgotten(diary) -> None:
    deployed(diary)
    bound, function = diary.binds("Shop.*", parameters=size(2)), diary.function("Shop.*")
    comes_and_goes(diary, "fc-1", 3)
    diary.at(5.0).deploys("f", code="two")
    assert recorded(diary) == {diary.function("f")}
    gone = "does not exist; is its app running?"
    assert gone in diary.calls("fc-2", function=bound, method="run")[0]
    assert gone in diary.asks_for("fc-3", function=function, method="site", parameters=size(2))[0]
    assert diary.engine.state.public_variants == {}


def test_a_pinned_variant_comes_back_in_its_version(diary) -> None:
    deployed(diary)
    diary.finds("Shop.*", version=1)
    variant = diary.binds("Shop.*", version=1, timeout_s=5.0)
    diary.at(50.0).deploys("Shop.*", cls=CLS, code="two", timeout_s=9.0)
    diary.restarts()
    assert diary.calls("fc-1", function=variant, method="run")[-1] == "start c1"
    assert (diary.pool(variant).version, diary.pool(variant).spec.timeout_s) == (1, 5.0)


# ---------------------------------------------------------------- ends


def test_nothing_is_left_of_the_variants_of_an_app_that_was_stopped(diary) -> None:
    deployed(diary)
    diary.binds("Shop.*", parameters=size(2))
    diary.at(50.0)
    diary.binds("Shop.*", parameters=size(3))
    requests(diary, "fc-1", 4)
    diary.stops()
    assert diary.exits("c1")[-1] == "ap-shop-1 ended"
    assert recorded(diary) == set()
    state = diary.engine.state
    assert (state.pools, state.public_variants) == ({}, {})


def test_variants_of_an_app_that_runs_with_its_client_come_back_too(diary) -> None:
    diary.opens("Shop.*", cls=CLS, scaledown_window=10)
    variant = diary.binds("Shop.*", parameters=size(2))
    diary.at(50.0)
    assert variants(diary) == []
    assert diary.calls("fc-1", function=variant, method="run") == ["start c1"]
    diary.closes()
    assert diary.exits("c1")[-1] == "ap ended"
    assert recorded(diary) == set()


# ---------------------------------------------------------------- what is refused


def test_only_a_request_of_a_web_function_may_name_parameters(diary) -> None:
    deployed(diary)
    function = diary.function("Shop.*")
    request = m.OpenCall("fc-1", function, "site", CallKind.WEB, [0], sealed=True, parameters=size(2))
    for message, why in (
        (replace(request, method="run"), "does not answer HTTP"),
        (replace(request, method="run", kind=CallKind.MAP), "only a request of a web function may"),
        (replace(request, kind=CallKind.MAP), "cannot be called"),
        (replace(request, function_id="fu-none"), "does not exist"),
        (replace(request, parameters=b"\xc1" * 3, method="none"), "does not answer HTTP"),
    ):
        (told,) = diary.says(message)
        assert told.startswith("refuse fc-1 from 0 on for good")
        assert why in told
    assert variants(diary) == []


def test_a_server_that_stops_makes_no_variant(diary) -> None:
    deployed(diary)
    requests(diary, "fc-1", 2)
    diary.shuts_down()
    assert "the server is stopping" in requests(diary, "fc-2", 3)[0]
    assert len(variants(diary)) == 1
