"""What is told of everything there is, every second and when metrics are read: by a real edge, of real containers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import webs as w
from edge_client import ask, await_idle, connect, url_of
from prometheus_client.parser import text_string_to_metric_families

import swell
from swell.edge.admin.metrics import METRICS
from swell.sdk.connection.blocking import run_blocking
from swell.wire.queries import GetStatus, Status


@pytest.fixture(scope="module", autouse=True)
def running(run_app: Callable[..., swell.App]) -> swell.App:
    app = run_app(w.app, web_rate=1e6)
    ask(f"{url_of(w.site)}/")
    ask(f"{url_of(w.site)}/raise")
    ask(f"{url_of(w.private)}/")
    w.Shop().sell.remote()
    await_idle(w.site)
    return app


class AdminSurface:
    def __init__(self) -> None:
        session = w.app.session
        assert session is not None
        link = session.client.blocking_link()
        number = link.next_request()
        status, _ = run_blocking(link.request(number, GetStatus(number)))
        assert isinstance(status, Status)
        self.url = status.admin_url
        self.token = Path(status.admin_token_file).read_text()

    def ask(self, path: str, **headers: str) -> Any:
        return ask(f"{self.url}{path}", authorization=f"Bearer {self.token}", **headers)

    def events(self, path: str) -> Iterator[Any]:
        connection = connect(self.url)
        connection.request("GET", path, headers={"Authorization": f"Bearer {self.token}"})
        answer = connection.getresponse()
        assert answer.getheader("content-type", "").startswith("text/event-stream")
        try:
            while line := answer.readline():
                if line.startswith(b"data: "):
                    yield json.loads(line.removeprefix(b"data: "))
        finally:
            connection.close()


@pytest.fixture(scope="module")
def admin() -> AdminSurface:
    return AdminSurface()


def test_everything_there_is_is_told_and_again_a_second_later(admin: AdminSurface) -> None:
    events = admin.events("/live")
    first, second = next(events), next(events)
    assert second["at"] > first["at"]
    functions = {each["name"]: each for each in first["functions"]}
    site = functions["site"]
    assert (site["app"], site["accepted"], site["done"], site["failed"], site["observed"]) == ("webs", 2, 2, 1, 1)
    assert site["url"] == url_of(w.site)
    assert set(site["settings"]) == {"min_containers", "max_containers", "buffer_containers", "scaledown_window"}
    assert [app["name"] for app in first["apps"]] == ["webs"]
    assert first["containers"]["total"] == len(first["containers"]["rows"]) >= 2
    row = next(row for row in first["containers"]["rows"] if row["function"] == "site")
    assert (row["state"], row["function_id"], row["served"]) == ("ready", site["id"], 2)
    assert {call["kind"] for call in first["calls"]} >= {"web", "remote"}
    assert first["nodes"][0]["cores"] >= 1
    events.close()


def test_the_past_of_a_function_is_told_in_lists_of_one_length(admin: AdminSurface) -> None:
    events = admin.events("/live")
    site = next(each for each in next(events)["functions"] if each["name"] == "site")
    next(events)
    past = json.loads(admin.ask(f"/live/history?function={site['id']}").body)
    events.close()
    decisions = past.pop("decisions")
    assert {len(values) for values in past.values()} == {len(past["at"])}
    assert past["at"] == sorted(past["at"])
    assert any(wait is not None for wait in past["wait_p50"])
    assert decisions
    assert decisions[0].keys() == {"at", "plan", "live", "reason", "held_back"}


def test_a_function_that_is_not_there_has_no_past(admin: AdminSurface) -> None:
    assert admin.ask("/live/history?function=fu-none").status == 404


@pytest.mark.parametrize("path", ["/live", "/live/history", "/metrics"])
def test_who_has_no_token_is_told_nothing(admin: AdminSurface, path: str) -> None:
    assert ask(f"{admin.url}{path}").status == 401


# ---------------------------------------------------------------- metrics


@pytest.fixture(scope="module")
def families(admin: AdminSurface) -> dict[str, Any]:
    reply = admin.ask("/metrics")
    assert reply.status == 200
    assert reply.headers["content-type"].startswith("text/plain")
    return {family.name: family for family in text_string_to_metric_families(reply.body.decode())}


def value(families: dict[str, Any], name: str, sample: str = "", **labels: str) -> float:
    found = [
        each.value
        for each in families[name].samples
        if each.name == (sample or name) and labels.items() <= each.labels.items()
    ]
    assert len(found) == 1, (name, labels, families[name].samples)
    return found[0]


def test_metrics_tell_what_has_happened(families: dict[str, Any]) -> None:
    site = {"app": "webs", "function": "site"}
    assert value(families, "swell_inputs_accepted", "swell_inputs_accepted_total", **site) == 2
    assert value(families, "swell_inputs", "swell_inputs_total", status="success", **site) == 1
    assert value(families, "swell_inputs", "swell_inputs_total", status="failure", **site) == 1
    assert value(families, "swell_containers", state="idle", **site) == 1
    assert value(families, "swell_container_start_seconds", "swell_container_start_seconds_count", **site) == 1
    assert value(families, "swell_queue_wait_seconds", "swell_queue_wait_seconds_count", **site) == 2
    assert value(families, "swell_http_requests", "swell_http_requests_total", label="webs-site-dev", code="200") == 1
    assert value(families, "swell_http_requests", "swell_http_requests_total", label="webs-site-dev", code="500") == 1
    assert value(families, "swell_http_requests_refused", "swell_http_requests_refused_total", code="401") == 1
    assert value(families, "swell_http_requests_in_progress", label="webs-site-dev") == 0


def test_every_metric_is_there_and_named_as_is_the_custom(families: dict[str, Any]) -> None:
    for definition in METRICS:
        family = families[f"swell_{definition.name}"]
        assert family.type == definition.kind
        assert family.documentation == definition.meaning
        assert definition.meaning.endswith(".")
        assert not definition.name.endswith(("_total", "_count", "_sum", "_bucket"))
        assert not {"ms", "milliseconds", "minutes", "kb", "mb", "percent"} & set(definition.name.split("_"))
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(definition.labels)


def test_buckets_only_grow_and_end_with_all(families: dict[str, Any]) -> None:
    family = families["swell_execution_seconds"]
    by_function: dict[str, list[float]] = {}
    totals: dict[str, float] = {}
    for sample in family.samples:
        key = str(sorted((name, text) for name, text in sample.labels.items() if name != "le"))
        if sample.name.endswith("_bucket"):
            by_function.setdefault(key, []).append(sample.value)
        elif sample.name.endswith("_count"):
            totals[key] = sample.value
    assert by_function
    for key, buckets in by_function.items():
        assert buckets == sorted(buckets)
        assert buckets[-1] == totals[key]
