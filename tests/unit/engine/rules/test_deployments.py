"""A diary of versions: one follows another, goes back to a former one, is found by name."""

from __future__ import annotations

import pytest

from swell.model import (
    AutoscalerChange,
    CallKind,
    Environment,
    GpuRequest,
    Node,
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
    return dict(diary.engine.snapshot.app(app).function_ids)


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
    taken = diary.engine.snapshot.app("shop").id
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
    assert dropped not in diary.engine.state.pools
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


# ---------------------------------------------------------------- a former version


def test_going_back_is_a_new_version_with_the_former_code(diary) -> None:
    deployed(diary, timeout_s=7.0, tag="good")
    diary.at(2.0).deploys(code="two", timeout_s=9.0)
    assert diary.at(3.0).redeploys() == [f"read version 1 of {diary.engine.snapshot.app('shop').id}"]
    assert "version 3 is live" in diary.reads()
    app = diary.engine.snapshot.app("shop")
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
    lost, leaves = f"{late}: what this request changes would be lost", f"{late}: its apps and functions stop with it"
    assert diary.deploys(code="two") == [f"fail 2: {lost}"]
    assert diary.stops() == [f"fail 4: {leaves}"]
    assert diary.redeploys("other", is_rollover=True) == [f"fail 3: {lost}"]
    assert diary.finds() == diary.finds_app("new", create_as="ap-new") == [f"fail 6: {leaves}"]
    assert diary.opens(app="ap-late") == [f"fail 1: {lost}"]
    function = diary.function()
    assert diary.says(m.GetStats(6, function)) == [f"fail 6: {leaves}"]
    assert diary.says(m.UpdateAutoscaler(6, function, AutoscalerChange())) == [f"fail 6: {lost}"]
    refused = diary.says(m.OpenCall("fc-1", function, "", CallKind.SPAWN, [1], sealed=True), b"x")
    assert refused == [f"refuse fc-1 from 0 on for good: {late}"]
    diary.restarts()
    assert diary.finds() == ["found f at version 1"]
