"""How counts of several pools become those of one name. No server is asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families

from swell.edge.admin.metrics import Measured, exposition, routes
from swell.edge.traffic import Traffic
from swell.model import AutoscalerSettings, OutputStatus
from swell.wire import codec
from swell.wire.histogram import BOUNDS_S, Times
from swell.wire.message import Message
from swell.wire.queries import FunctionRow
from swell.wire.stats import Counted, FunctionMeasures, LinkRow, NodeRow, Observation, Observe, RetiredMeasures

NO_SETTINGS = AutoscalerSettings()


def times(count: int) -> Times:
    return Times([count, *(0 for _ in BOUNDS_S)], count / 10_000)


def there(name: str, count: int) -> FunctionMeasures:
    row = FunctionRow(name, f"fu-{name}", 1, NO_SETTINGS, 0, 0, 1, 2, 0, count, 1, "why")
    ended = {int(OutputStatus.SUCCESS): count}
    counted = Counted(count, ended, 0, 0, 0, 0, times(count), times(count), times(count))
    return FunctionMeasures("ap-1", "shop", row, NO_SETTINGS, NO_SETTINGS, 1, 1, counted, [])


def gone(name: str, count: int) -> RetiredMeasures:
    ended = {int(OutputStatus.SUCCESS): count, int(OutputStatus.TIMEOUT): 1}
    return RetiredMeasures(
        "shop", name, Counted(count + 1, ended, 0, 0, 0, 0, times(count), times(count), times(count))
    )


def samples(
    functions: list[FunctionMeasures], former: list[RetiredMeasures], nodes: list[NodeRow] | None = None
) -> dict[tuple[str, ...], float]:
    seen = Observation(1, 9.0, 1, "1.0", 1.0, "unix:/s", nodes or [], [], functions, [], [], former)
    text = exposition(Measured(seen, Traffic())).decode()
    return {
        (sample.name, *(value for name, value in sorted(sample.labels.items()) if name != "app")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_functions_of_one_name_are_added_up() -> None:
    found = samples([there("f", 3), there("f", 4), there("g", 1)], [])
    assert found["swell_inputs_accepted_total", "f"] == 7
    assert found["swell_inputs_waiting", "f"] == 4
    assert found["swell_queue_wait_seconds_count", "f"] == 7
    assert found["swell_inputs_total", "g", "success"] == 1


def test_what_only_grows_does_not_fall_when_one_of_them_is_gone() -> None:
    before = samples([there("f", 3), there("f", 4)], [])
    after = samples([there("f", 3)], [gone("f", 4)])
    for name, value in before.items():
        if name[0].endswith(("_total", "_bucket", "_count", "_sum")):
            assert after[name] >= value, name
    assert after["swell_inputs_total", "f", "timeout"] == 1
    assert after["swell_inputs_waiting", "f"] == 2


def test_a_function_that_is_gone_altogether_is_told_no_more() -> None:
    assert not any("f" in name[1:] for name in samples([there("g", 1)], [gone("f", 4)]))


def test_the_methods_of_a_class_go_by_its_name() -> None:
    found = samples([there("Shop.*", 2)], [gone("Shop.*", 1)])
    assert found["swell_inputs_accepted_total", "Shop"] == 4


def test_call_leases_are_counted_also_those_of_pools_that_are_gone() -> None:
    present, former = there("f", 10), gone("f", 5)
    counted = {"leases_granted": 3, "leases_recalled": 2, "direct": 90, "fallbacks": 7}
    present = replace(present, counted=replace(present.counted, **counted))
    former = replace(former, counted=replace(former.counted, **counted))
    found = samples([present], [former])
    assert found["swell_call_leases_granted_total", "f"] == 6
    assert found["swell_call_leases_recalled_total", "f"] == 4
    assert found["swell_direct_calls_total", "f"] == 180
    assert found["swell_direct_call_fallbacks_total", "f"] == 14


def test_nodes_are_told_each_by_its_name_and_their_links_if_they_have_one() -> None:
    here = NodeRow("here", 8.0, 1.5, 2.0, 1_024, 512, 2, 1, containers=3, started=5, lost=1)
    found = samples([], [], [here, replace(here, name="there", link=LinkRow(8.5, 0.002, 100, 200))])
    assert {found["swell_node_containers", name] for name in ("here", "there")} == {3}
    assert found["swell_node_containers_started_total", "here"] == 5
    assert found["swell_node_containers_lost_total", "here"] == 1
    links = {name[0].removeprefix("swell_node_link_"): value for name, value in found.items() if "_link_" in name[0]}
    assert links == {
        "heard_time_seconds": 8.5,
        "round_trip_seconds": 0.002,
        "received_bytes_total": 100,
        "sent_bytes_total": 200,
    }
    unanswered = replace(here, link=LinkRow(8.5, None, 100, 200))
    assert ("swell_node_link_round_trip_seconds", "here") not in samples([], [], [unanswered])


def test_what_it_asks_the_server_is_within_the_bounds_of_messages() -> None:
    class ApiRequest(Exception):
        pass

    class ApiContext:
        async def ask(self, _kind: object, question: Callable[[int], Message]) -> None:
            decoder = codec.PeerDecoder(1 << 20)
            decoder.trust()
            raise ApiRequest(*decoder.feed(codec.encode(question(1))))

    (route,) = routes(cast("Any", ApiContext()), Traffic())
    with pytest.raises(ApiRequest) as asked:
        cast("Any", route).endpoint(None).send(None)
    ((message, _),) = asked.value.args
    assert isinstance(message, Observe)
