"""A diary of versions: one follows another, goes back to a former one, is found by name."""

from __future__ import annotations

import pytest

from swell.engine.events import StartContainer
from swell.model import (
    AutoscalerChange,
    Batching,
    CallKind,
    Environment,
    GpuRequest,
    Node,
    OutputStatus,
    Resources,
    Strategy,
)
from swell.wire import apps as a
from swell.wire import messages as m

ENVIRONMENT = Environment("/py", "/", ())
PLAIN = Node("n", 64, 1 << 40)  # no GPU
LIVE_1 = ["record version 1", "record app shop at version 1", "record function f at version 1", "version 1 is live"]


def deployed(diary, *names: str, **options) -> None:
    """An app with version 1 of some functions, deployed in the first second."""
    diary.at(1.0).deploys(*names, **options)


def ids(diary, app: str = "shop") -> dict[str, str]:
    return dict(diary.engine.census.app(app).function_ids)


# ---------------------------------------------------------------- a new version


def test_a_first_version_is_written_down_before_it_is_said_to_be_live(diary) -> None:
    assert diary.at(1.0).deploys() == LIVE_1
    assert diary.finds() == ["found f at version 1"]


def test_sources_are_kept_with_the_version_that_needs_them(diary) -> None:
    assert "record BundleRecord" in diary.at(1.0).deploys(bundle=b"files")


def test_another_version_keeps_the_ids_of_what_it_still_has(diary) -> None:
    deployed(diary, "f", "g")
    before = ids(diary)
    assert diary.at(2.0).deploys("f", "h", code="two") == [
        "record version 2",
        "record app shop at version 2",
        "record function f at version 2",
        "record function g at version 1, retired",
        "record function h at version 2",
        "version 2 is live",
        "record that a function is gone",
    ]
    after = ids(diary)
    assert after["f"] == before["f"]
    assert list(after) == ["f", "h"]


def test_the_same_again_is_no_version(diary) -> None:
    deployed(diary, "f", "g")
    assert diary.at(2.0).deploys("f", "g") == ["version 1 is live already"]
    assert diary.at(3.0).deploys("f", "g", strategy=Strategy.RECREATE) == ["version 1 is live already"]


@pytest.mark.parametrize("change", [{"code": "two"}, {"tag": "v2"}, {"tags": {"a": "b"}}, {"timeout_s": 5.0}])
def test_whatever_is_different_makes_a_version(diary, change) -> None:
    deployed(diary)
    assert "version 2 is live" in diary.at(2.0).deploys(**change)


@pytest.mark.parametrize("code", ["one", "two"])
def test_every_deploy_drops_overrides_even_one_that_changes_nothing(diary, code: str) -> None:
    deployed(diary, max_containers=5)
    diary.finds(version=1)
    diary.updates(max_containers=2)
    diary.updates(version=1, max_containers=3)
    diary.at(2.0).deploys(max_containers=5, code=code)
    assert diary.pool().settings.max_containers == 5
    assert diary.pool(version=1).settings.max_containers == 5
    diary.restarts()
    assert diary.pool().settings.max_containers == 5


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"timeout_s": -1.0}, "f: timeout = -1 is outside 1 to 86,400"),
        ({"resources": Resources(gpu=(GpuRequest("H100"),))}, "f: no node has a GPU H100"),
    ],
)
def test_a_version_that_cannot_run_leaves_the_live_one_alone(diary, wrong, text: str) -> None:
    deployed(diary, min_containers=1)
    diary.ready("c1")
    (failed,) = diary.at(2.0).deploys(code="two", **wrong)
    assert failed.startswith("fail 2: ")
    assert text.split()[0] in failed
    assert diary.finds() == ["found f at version 1"]
    assert diary.calls("fc-1") == ["deliver #1 to c1: fc-1[0]"]


def test_two_functions_of_one_name_are_refused_and_leave_nothing(diary) -> None:
    (failed,) = diary.at(1.0).deploys("f", "f")
    assert "two functions of one app have this name" in failed
    assert diary.finds_app() == ["fail 6: No App with name 'shop' is deployed"]


def test_an_id_that_could_not_be_the_name_of_a_file_is_refused(diary) -> None:
    for app_id in ("../shop", "", "a" * 101, "ap\n"):
        message = a.DeployApp(2, app_id, "shop", ENVIRONMENT, [])
        (failed,) = diary.says(message)
        assert "is not the id of an app" in failed
        (failed,) = diary.says(m.OpenApp(2, app_id, "shop", ENVIRONMENT, []))
        assert "is not the id of an app" in failed
    (failed,) = diary.finds_app(create_as="../shop")
    assert "is not the id of an app" in failed


def test_an_id_that_another_app_has_is_refused(diary) -> None:
    deployed(diary)
    taken = diary.engine.census.app("shop").id
    (failed,) = diary.says(a.DeployApp(2, taken, "other", ENVIRONMENT, []))
    assert failed == f"fail 2: {taken} is the id of another app: mint a new one"


# ---------------------------------------------------------------- what a version does not have any more


def test_a_dropped_function_finishes_what_it_has_takes_nothing_new_and_is_gone(diary) -> None:
    deployed(diary, "f", "g", max_containers=1)
    diary.calls("fc-1", 2, function="g")
    diary.spawns("fc-2", function="g")
    diary.ready("c1")
    dropped = diary.function("g")
    diary.at(2.0).deploys("f", code="two", max_containers=1)
    refused = m.OpenCall("fc-3", dropped, "", CallKind.MAP, [1], sealed=True)
    (answer,) = diary.says(refused, b"x")
    assert "is not in the live version of its app any more" in answer
    assert diary.completes("c1", 1, 0, busy_s=1.0) == ["tell 1: fc-1[0]", "deliver #2 to c1: fc-2[0]"]
    diary.completes("c1", 2, 0, busy_s=1.0)
    assert diary.completes("c1", 3, 0, busy_s=1.0) == ["tell 1: fc-1[1]", "drain c1"]
    assert diary.exits("c1") == ["record the end of c1", "record that a function is gone"]
    assert dropped not in diary.engine.ledger.pools
    (answer,) = diary.says(refused, b"x")
    assert "does not exist" in answer


def test_a_dropped_function_keeps_no_containers_for_their_own_sake(diary) -> None:
    deployed(diary, "f", "g", min_containers=2, buffer_containers=1)
    for name in ("c1", "c2", "c3", "c4"):
        diary.ready(name)
    assert diary.aloud(diary.at(2.0).deploys("f", code="two", min_containers=2, buffer_containers=1))[-2:] == [
        "drain c3",
        "drain c4",
    ]
    assert diary.aloud(diary.exits("c3")) == []
    assert diary.exits("c4")[1:] == ["record that a function is gone"]


def test_a_call_that_may_yet_get_inputs_keeps_its_dropped_function(diary) -> None:
    deployed(diary, "f", "g")
    diary.calls("fc-1", function="g", sealed=False)
    diary.ready("c1")
    diary.at(2.0).deploys("f", code="two")
    assert diary.completes("c1", 1, 0) == ["tell 1: fc-1[0]"]
    assert diary.puts("fc-1", 1, 1) == ["deliver #2 to c1: fc-1[1]"]
    assert diary.completes("c1", 2, 0) == ["tell 1: fc-1[1]", "drain c1"]


@pytest.mark.parametrize("how", ["calls", "spawns"])
def test_a_dropped_function_goes_when_the_last_client_that_could_feed_it_does(diary, how: str) -> None:
    deployed(diary, "f", "g")
    getattr(diary, how)("fc-1", function="g", sealed=False, client=2)
    diary.ready("c1")
    diary.completes("c1", 1, 0)
    diary.at(2.0).deploys("f", code="two")
    assert "drain c1" in diary.vanishes(2)


def test_a_function_that_comes_back_while_it_withers_goes_on(diary) -> None:
    deployed(diary, "f", "g")
    diary.calls("fc-1", function="g")
    diary.ready("c1")
    before = ids(diary)["g"]
    diary.at(2.0).deploys("f", code="two")
    diary.at(3.0).deploys("f", "g", code="three")
    assert ids(diary)["g"] == before
    assert diary.calls("fc-2", function="g")[-1:] == ["start c3 of version 3"]


# ---------------------------------------------------------------- rolling


def test_the_former_containers_serve_until_as_many_new_ones_are_ready(diary) -> None:
    deployed(diary, min_containers=2)
    diary.ready("c1")
    diary.ready("c2")
    assert diary.aloud(diary.at(2.0).deploys(code="two", min_containers=2)) == [
        "version 2 is live",
        "start c3 of version 2",
        "start c4 of version 2",
    ]
    assert diary.ready("c3") == []
    assert diary.calls("fc-1") == ["deliver #1 to c2: fc-1[0]"]
    assert diary.ready("c4") == ["drain c1", "drain c2"]
    assert diary.calls("fc-2") == ["deliver #2 to c4: fc-2[0]"]
    assert diary.completes("c2", 1, 0) == ["tell 1: fc-1[0]"], "it finishes what it had"


def test_where_there_is_nothing_to_do_the_former_containers_need_no_replacement(diary) -> None:
    deployed(diary)
    diary.calls("fc-1")
    diary.ready("c1")
    diary.completes("c1", 1, 0)
    assert diary.aloud(diary.at(2.0).deploys(code="two")) == ["version 2 is live", "drain c1"]
    assert diary.calls("fc-2") == ["start c2 of version 2"]


def test_one_that_was_starting_does_not_begin_with_the_former_version(diary) -> None:
    deployed(diary, min_containers=1)
    assert diary.aloud(diary.at(2.0).deploys(code="two", min_containers=1)) == [
        "kill c1: stopped before it was ready",
        "version 2 is live",
        "start c2 of version 2",
    ]
    assert diary.ready("c1") == [], "too late"
    assert diary.aloud(diary.exits("c1")) == []
    assert diary.pool().start_failures == 0


def test_at_the_ceiling_one_makes_place_for_its_replacement(diary) -> None:
    deployed(diary, max_containers=2)
    diary.calls("fc-1", 2)
    diary.ready("c1")
    diary.ready("c2")
    diary.completes("c1", 1, 0, busy_s=1.0)
    assert diary.aloud(diary.at(2.0).deploys(code="two", max_containers=2, min_containers=2)) == [
        "version 2 is live",
        "drain c1",
        "start c3 of version 2",
    ]
    assert diary.calls("fc-2") == [], "c2 is busy, and c3 not there yet"
    assert diary.ready("c3") == ["drain c2", "deliver #3 to c3: fc-2[0]", "start c4 of version 2"]


def test_the_servers_own_ceiling_holds_while_versions_change(new_diary) -> None:
    diary = new_diary(containers_max=2)
    deployed(diary, min_containers=2, max_containers=9)
    diary.ready("c1")
    diary.ready("c2")
    assert diary.aloud(diary.at(2.0).deploys(code="two", min_containers=2, max_containers=9)) == [
        "version 2 is live",
        "drain c1",
        "start c3 of version 2",
    ]


def test_on_a_full_node_the_only_container_leaves_before_its_replacement_comes(diary) -> None:
    gpus = Resources(gpu=(GpuRequest("L4", 2),))
    deployed(diary, min_containers=1, resources=gpus)
    diary.ready("c1")
    diary.calls("fc-1")
    assert diary.aloud(diary.at(2.0).deploys(code="two", min_containers=1, resources=gpus)) == [
        "version 2 is live",
        "drain c1",
    ]
    assert diary.calls("fc-2") == []
    assert diary.completes("c1", 1, 0) == ["tell 1: fc-1[0]"]
    assert diary.aloud(diary.exits("c1")) == ["start c2 of version 2 on gpu-0, gpu-1"]
    assert diary.ready("c2") == ["deliver #2 to c2: fc-2[0]"]


def test_a_version_that_cannot_start_leaves_the_former_one_serving(new_diary) -> None:
    diary = new_diary(start_backoff_s=1.0)
    deployed(diary, min_containers=1)
    diary.ready("c1")
    diary.at(2.0).deploys(code="two", min_containers=1)
    assert diary.aloud(diary.at(3.0).fails_to_start("c2")) == []
    assert diary.calls("fc-1") == ["deliver #1 to c1: fc-1[0]"]
    assert diary.at(10.0).meanwhile == ["start c3 of version 2"]
    assert diary.aloud(diary.fails_to_start("c3")) == []
    assert diary.completes("c1", 1, 0) == ["tell 1: fc-1[0]"]
    assert diary.calls("fc-2") == ["deliver #2 to c1: fc-2[0]"]


def test_a_third_version_does_not_wait_for_the_second(diary) -> None:
    deployed(diary, min_containers=1)
    diary.ready("c1")
    diary.at(2.0).deploys(code="two", min_containers=1)
    assert diary.aloud(diary.at(2.1).deploys(code="three", min_containers=1)) == [
        "kill c2: stopped before it was ready",
        "version 3 is live",
        "start c3 of version 3",
    ]
    assert diary.calls("fc-1") == ["deliver #1 to c1: fc-1[0]"]
    assert diary.ready("c3")[:1] == ["drain c1"]


def test_replacements_that_wait_are_relieved_themselves_by_a_third_version(diary) -> None:
    deployed(diary, min_containers=2)
    diary.ready("c1")
    diary.ready("c2")
    diary.at(2.0).deploys(code="two", min_containers=2)
    diary.ready("c3")
    assert diary.aloud(diary.at(2.1).deploys(code="three", min_containers=2))[:3] == [
        "kill c4: stopped before it was ready",
        "drain c3",
        "version 3 is live",
    ]
    diary.ready("c5")
    assert diary.ready("c6") == ["drain c1", "drain c2"]


def test_what_a_relieved_container_runs_has_all_its_time_and_the_grace_is_for_what_comes_after(new_diary) -> None:
    diary = new_diary(exit_grace_s=4.0)
    deployed(diary, timeout_s=60.0)
    diary.calls("fc-1")
    diary.ready("c1")
    diary.at(2.0).deploys(code="two", timeout_s=60.0)
    diary.calls("fc-2")
    diary.ready("c2")
    diary.at(50.0)
    assert [line for line in diary.meanwhile if line.startswith("kill")] == []
    assert "tell 1: fc-1[0]" in diary.completes("c1", 1, 0)
    diary.at(60.0)
    assert "kill c1: did not leave within its grace" in diary.meanwhile


def test_a_former_container_that_dies_is_no_reason_to_wait_for_another_replacement(diary) -> None:
    deployed(diary, min_containers=2)
    diary.ready("c1")
    diary.ready("c2")
    diary.at(2.0).deploys(code="two", min_containers=2)
    diary.ready("c3")
    assert diary.aloud(diary.exits("c1")) == ["drain c2"]
    assert diary.calls("fc-1") == ["deliver #1 to c3: fc-1[0]"]


def test_what_was_learned_of_the_former_code_is_void(diary) -> None:
    deployed(diary)
    diary.calls("fc-1")
    diary.ready("c1")
    diary.completes("c1", 1, 0, busy_s=1.0)
    diary.at(2.0).deploys(code="two")
    assert diary.pool().service_s is None


def test_the_serving_version_rules_how_inputs_are_placed(diary) -> None:
    deployed(diary, max_containers=1, batching=Batching(2, 0))
    diary.calls("fc-1", 2)
    diary.ready("c1")
    diary.at(2.0).deploys(code="two", max_containers=2)
    diary.calls("fc-2", 2)
    assert diary.completes("c1", 1, 0, 2) == ["tell 1: fc-1[0:2]", "deliver #2 to c1: fc-2[0:2] (batch)"]
    diary.calls("fc-3", 2)
    assert diary.ready("c2")[:2] == ["drain c1", "deliver #3 to c2: fc-3[0]"], "and no batches any more"


# ---------------------------------------------------------------- recreate


def test_recreate_interrupts_what_runs_and_runs_it_again(diary) -> None:
    deployed(diary)
    diary.calls("fc-1")
    diary.ready("c1")
    assert diary.aloud(diary.at(2.0).deploys(code="two", strategy=Strategy.RECREATE)) == [
        "interrupt c1",
        "version 2 is live",
        "start c2 of version 2",
    ]
    assert diary.aloud(diary.exits("c1")) == []
    assert diary.ready("c2") == ["deliver #2 to c2: fc-1[0]"]
    assert diary.completes("c2", 2, 0, status=OutputStatus.FAILURE) == ["tell 1: fc-1[0] FAILURE"]


def test_recreate_gives_the_interrupted_their_grace_and_no_more(new_diary) -> None:
    diary = new_diary(exit_grace_s=4.0)
    deployed(diary, min_containers=1)
    diary.ready("c1")
    diary.at(2.0).deploys(code="two", strategy=Strategy.RECREATE)
    assert diary.at(5.9).meanwhile == []
    assert diary.at(6.1).meanwhile == ["kill c1: did not leave within its grace"]


# ---------------------------------------------------------------- a former version


def test_going_back_is_a_new_version_with_the_former_code(diary) -> None:
    deployed(diary, timeout_s=7.0, tag="good")
    diary.at(2.0).deploys(code="two", timeout_s=9.0)
    assert diary.at(3.0).redeploys() == [f"read version 1 of {diary.engine.census.app('shop').id}"]
    assert "version 3 is live" in diary.reads()
    app = diary.engine.census.app("shop")
    assert (app.deployment.tag, app.deployment.environment.bundle, app.deployment.deployed_at) == ("good", "one", 3.0)
    assert diary.pool().spec.timeout_s == 7.0
    assert diary.finds() == ["found f at version 3"]


def test_going_back_brings_dropped_functions_back(diary) -> None:
    deployed(diary, "f", "g")
    diary.at(2.0).deploys("f", code="two")
    diary.at(3.0).redeploys(version=1)
    diary.reads()
    assert diary.finds("g") == ["found g at version 3"]


def test_a_rollover_gives_the_live_version_fresh_containers(diary) -> None:
    deployed(diary, min_containers=1)
    diary.ready("c1")
    diary.updates(min_containers=3)
    assert diary.aloud(diary.at(2.0).redeploys(is_rollover=True)) == [
        "kill c2: stopped before it was ready",
        "kill c3: stopped before it was ready",
        "version 2 is live",
        "start c4 of version 2",
    ]


@pytest.mark.parametrize(
    ("how", "text"),
    [
        ({"version": 2}, "version 2 of shop is live already; a rollover gives it fresh containers"),
        ({"version": 7}, "shop has no version 7; there are 1 to 2, and 2 is live"),
        ({"version": -1}, "shop has no version -1; there are 1 to 2, and 2 is live"),
        ({"app": "shp"}, "No App with name 'shp' is deployed; did you mean 'shop'?"),
    ],
)
def test_versions_that_there_are_not(diary, how, text: str) -> None:
    deployed(diary)
    diary.at(2.0).deploys(code="two")
    assert diary.redeploys(**how) == [f"fail 3: {text}"]


def test_before_the_first_version_there_is_none(diary) -> None:
    deployed(diary)
    text = "version 1 of shop is live: there is none before it to go back to"
    assert diary.redeploys() == [f"fail 3: {text}"]
    diary.finds_app("empty", create_as="ap-empty")
    for is_rollover in (False, True):
        text = "no version of empty was ever deployed"
        assert diary.redeploys("empty", is_rollover=is_rollover) == [f"fail 3: {text}"]


def test_an_app_that_is_stopped_while_a_version_is_read(diary) -> None:
    deployed(diary)
    diary.at(2.0).deploys(code="two")
    diary.redeploys()
    diary.stops()
    assert diary.reads() == ["fail 3: shop was stopped in the meantime"]


def test_whoever_waits_for_a_version_that_is_read_gets_it(diary) -> None:
    deployed(diary)
    diary.at(2.0).deploys(code="two")
    assert len(diary.finds(version=1)) == 1
    assert diary.finds(version=1) == [], "it is being read"
    assert diary.aloud(diary.reads()) == ["found f at version 1", "found f at version 1"]


def test_a_former_version_that_cannot_run_any_more_leaves_the_live_one(diary) -> None:
    gpu = Resources(gpu=(GpuRequest("L4"),))
    deployed(diary, resources=gpu)
    diary.at(2.0).deploys(code="two")
    diary.observes(PLAIN)
    diary.redeploys()
    (failed,) = diary.reads()
    assert failed.startswith("fail 3: f: ")
    assert diary.finds() == ["found f at version 2"]


# ---------------------------------------------------------------- pins


def test_a_pin_has_pools_of_its_own_for_the_whole_version(diary) -> None:
    deployed(diary, "f", "g", min_containers=1)
    diary.at(2.0).deploys("f", code="two")
    diary.finds(version=1)
    assert diary.reads() == [
        "record function f at version 1, pinned",
        "record function g at version 1, pinned",
        "found f at version 1",
    ]
    assert diary.finds("g", version=1) == ["found g at version 1"]
    assert diary.pool(version=1).settings.min_containers == 0
    assert diary.function(version=1) != diary.function()


def test_the_live_version_can_be_pinned_too_and_stays_when_another_is_live(diary) -> None:
    deployed(diary)
    assert diary.finds(version=1) == ["record function f at version 1, pinned", "found f at version 1"]
    diary.at(2.0).deploys(code="two")
    assert diary.finds(version=1) == ["found f at version 1"]
    assert diary.finds() == ["found f at version 2"]


def test_what_a_pinned_function_calls_is_pinned_too(diary) -> None:
    deployed(diary, "f", "g")
    diary.at(2.0).deploys("f", "g", code="two")
    diary.finds(version=1)
    diary.reads()
    function = diary.function(version=1)
    diary.says(m.OpenCall("fc-1", function, "", CallKind.MAP, [1], sealed=True), b"x")
    (start,) = (effect for effect in diary.last if isinstance(effect, StartContainer))
    assert start.version == 1
    assert start.environment.bundle == "one"
    assert start.function_ids == {name: diary.function(name, version=1) for name in ("f", "g")}


def test_a_version_that_never_was(diary) -> None:
    deployed(diary)
    diary.finds(version=3)
    assert diary.reads() == ["fail 6: Lookup failed for Function 'f': App 'shop' has no version 3"]


def test_a_function_that_a_version_did_not_have(diary) -> None:
    deployed(diary)
    diary.at(2.0).deploys("f", "g", code="two")
    diary.finds("g", version=1)
    (failed,) = diary.aloud(diary.reads())
    assert (
        failed
        == "fail 6: Lookup failed for Function 'g': App 'shop' version 1 has none of that name; did you mean 'g'?"
    )


# ---------------------------------------------------------------- variants


def test_a_variant_is_one_pool_whoever_asks(diary) -> None:
    deployed(diary)
    variant = diary.binds(timeout_s=5.0)
    assert diary.binds(timeout_s=5.0) == variant
    assert variant not in (diary.binds(timeout_s=6.0), diary.function())
    assert diary.engine.ledger.pools[variant].spec.timeout_s == 5.0


def test_variants_follow_a_new_version_of_their_base(diary) -> None:
    deployed(diary, timeout_s=9.0, max_containers=4)
    variant = diary.binds(max_containers=7)
    diary.at(2.0).deploys(code="two", timeout_s=11.0, max_containers=5)
    pool = diary.engine.ledger.pools[variant]
    assert (pool.version, pool.spec.timeout_s, pool.settings.max_containers) == (2, 11.0, 7)


def test_a_variant_that_the_new_version_cannot_have_retires(diary) -> None:
    deployed(diary)
    variant = diary.binds(batching=Batching(5, 0))
    told = diary.at(2.0).deploys("g", code="two")
    assert "record function f at version 1, retired, a variant" in told
    assert variant not in diary.engine.ledger.pools


def test_a_variant_that_no_node_can_hold_any_more_retires_with_its_reason(diary) -> None:
    gpu = Resources(gpu=(GpuRequest("L4"),))
    deployed(diary)
    variant = diary.binds(resources=gpu)
    diary.calls("fc-1", function="f")
    diary.says(m.OpenCall("fc-2", variant, "", CallKind.MAP, [1], sealed=False), b"x")
    diary.observes(PLAIN)
    diary.at(2.0).deploys(code="two")
    assert diary.engine.ledger.pools[variant].is_retired
    assert "GPU" in diary.binds(resources=gpu)
    diary.observes()
    assert diary.binds(resources=gpu) == variant
    assert not diary.engine.ledger.pools[variant].is_retired


def test_a_variant_of_a_pin_is_pinned(diary) -> None:
    deployed(diary)
    diary.finds(version=1)
    variant = diary.engine.ledger.pools[diary.binds(version=1, timeout_s=5.0)]
    diary.at(2.0).deploys(code="two")
    assert (variant.is_pinned, variant.version) == (True, 1)


# ---------------------------------------------------------------- finding


def test_names_that_are_not_there_and_what_may_have_been_meant(diary) -> None:
    deployed(diary, "resize", "Model.*")
    lookup = "fail 6: Lookup failed for"
    assert diary.finds("resise") == [
        f"{lookup} Function 'resise': App 'shop' has none of that name; did you mean 'resize'?"
    ]
    assert diary.finds("Model") == [
        f"{lookup} Function 'Model': App 'shop' has none of that name; "
        "it is a class: use Cls.from_name('shop', 'Model')"
    ]
    assert diary.finds("resize.*") == [
        f"{lookup} Cls 'resize': App 'shop' has none of that name; "
        "it is a function: use Function.from_name('shop', 'resize')"
    ]
    assert diary.finds("x", app="shpo") == [
        f"{lookup} Function 'x': no App with name 'shpo' is deployed; did you mean 'shop'?"
    ]
    assert diary.finds("x", app="zzz") == [f"{lookup} Function 'x': no App with name 'zzz' is deployed"]


def test_what_only_runs_is_not_found_by_name(diary) -> None:
    diary.opens(app="shop")
    assert diary.finds() == ["fail 6: Lookup failed for Function 'f': no App with name 'shop' is deployed"]
    assert diary.finds_app() == ["fail 6: No App with name 'shop' is deployed"]


def test_an_app_is_found_by_name_and_by_id(diary) -> None:
    deployed(diary, tags={"team": "a"})
    app_id = diary.engine.census.app("shop").id
    assert diary.finds_app() == diary.finds_app(app_id) == ["found shop at version 1"]
    assert diary.says(a.TagApp(6, app_id, {"team": "b"})) == ["record app shop at version 1", "tell 1: Done"]
    diary.restarts()
    diary.finds_app()
    assert diary.last[-1].message.tags == {"team": "b"}


def test_an_app_can_be_made_before_there_is_a_version_of_it(diary) -> None:
    assert diary.finds_app("new", create_as="ap-new") == ["record app new at version 0", "found new at version 0"]
    assert diary.finds_app("new", create_as="ap-other") == ["found new at version 0"]
    diary.at(1.0)
    diary.restarts()
    assert "version 1 is live" in diary.deploys(app="new")
    assert diary.engine.census.app("new").id == "ap-new"


# ---------------------------------------------------------------- the end


def test_a_stop_ends_calls_and_is_told_when_the_last_container_has_gone(diary) -> None:
    deployed(diary)
    diary.calls("fc-1")
    diary.spawns("fc-2")
    diary.ready("c1")
    assert diary.at(2.0).stops() == [
        "cancel #1[0] in c1",
        "tell 1: fc-1[0] TERMINATED",
        "record fc-2[0] alike TERMINATED",
        "record fc-2 as ended",
        "record app shop at version 1, stopped",
        "drain c1",
        "kill c2: stopped before it was ready",
    ]
    assert diary.exits("c2") == ["record the end of c2"]
    assert diary.exits("c1")[1:] == ["record that a function is gone", "tell 1: Done", "ap-shop-1 ended"]


def test_calls_that_only_the_store_has_end_with_one_record(new_diary) -> None:
    diary = new_diary(backlog_calls_max=2)
    deployed(diary)
    for number in range(50):
        diary.spawns(f"fc-{number}")
    told = diary.at(2.0).stops()
    assert told.count("record calls of 1 functions as cancelled") == 1
    assert len(told) < 20
    diary.says(m.Watch(5, "fc-40", 0, 1))
    assert diary.reads() == ["send what is recorded of fc-40[0:1] to 1", "1 gets 0 TERMINATED of fc-40"]


def test_after_a_stop_the_name_is_free_and_the_ids_are_new(diary) -> None:
    deployed(diary, min_containers=1)
    diary.ready("c1")
    before = ids(diary)
    diary.at(2.0).stops()
    assert diary.finds_app() == ["fail 6: No App with name 'shop' is deployed"]
    assert "version 1 is live" in diary.at(3.0).deploys()
    assert ids(diary)["f"] != before["f"]


def test_what_does_not_run_cannot_be_stopped(diary) -> None:
    deployed(diary)
    assert diary.stops("shpo") == [
        "fail 4: No App with name 'shpo' runs here; it may be stopped already; did you mean 'shop'?"
    ]


def test_a_server_that_is_stopping_makes_nothing_that_the_next_one_would_not_know(diary) -> None:
    deployed(diary)
    diary.at(2.0).deploys(app="other", min_containers=1)
    diary.ready("c1")
    diary.shuts_down()
    late = "the server is stopping"
    assert diary.deploys(code="two") == [f"fail 2: {late}"]
    assert diary.stops() == [f"fail 4: {late}"]
    assert diary.redeploys("other", is_rollover=True) == [f"fail 3: {late}"]
    assert diary.finds() == diary.finds_app("new", create_as="ap-new") == [f"fail 6: {late}"]
    assert diary.opens(app="ap-late") == [f"fail 1: {late}"]
    function = diary.function()
    assert diary.says(m.GetStats(6, function)) == [f"fail 6: {late}"]
    assert diary.says(m.UpdateAutoscaler(6, function, AutoscalerChange())) == [f"fail 6: {late}"]
    refused = diary.says(m.OpenCall("fc-1", function, "", CallKind.SPAWN, [1], sealed=True), b"x")
    assert refused == [f"refuse fc-1 from 0 on for good: {late}"]
    diary.restarts()
    assert diary.finds() == ["found f at version 1"]
