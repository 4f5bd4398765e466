"""A noun has the same fields wherever it is shown: by `--json`, over the HTTP API and in the dashboard's stream."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from swell.cli.show import former as former_by_cli
from swell.cli.show.json_output import fields_of
from swell.documents.apps import app_detail, app_summary, version
from swell.documents.calls import call, call_detail, call_summary
from swell.documents.containers import container_summary
from swell.documents.document import Document, plain, seconds
from swell.documents.functions import function_live, function_summary
from swell.documents.logs import log_lines
from swell.documents.server import node, node_description, node_row, server, server_status
from swell.documents.stories import story_told
from swell.edge.admin import former as former_in_stream
from swell.errors import NotFoundError
from swell.model import AutoscalerSettings, Provenance
from swell.wire.histogram import BOUNDS_S, Times
from swell.wire.queries import (
    AppDescription,
    AppRow,
    CallReport,
    ContainerRow,
    FunctionRow,
    LogEntry,
    Status,
    Story,
    StoryLine,
    StoryPart,
    VersionRow,
)
from swell.wire.stats import CallRow, Counted, FunctionMeasures, LinkRow, NodeRow, Observation

AT = 1_777_000_000.25
STATUS = Status(1, 7, "1.2", AT, "/data", "unix:/x", 2, 3, 4, 5, 6, "http://w", "http://a", "", "/data/token")
NODE = NodeRow("here", 8.0, 1.5, 2.0, 1_024, 512, 2, 1)
NODE_ELSEWHERE = replace(NODE, name="there", started=7, lost=1, link=LinkRow(AT, 0.001, 3_000, 4_000))
APP = AppRow("ap-1", "shop", "deployed", 3, 4, 5, AT, 6, None)
SETTINGS = AutoscalerSettings(1, 0, 2, 60)
FUNCTION = FunctionRow("Model.*", "fu-1", 6, SETTINGS, 1, 2, 3, 4, 5, 6, 7, "because", "", "", None)
VERSION = VersionRow(6, AT, Provenance("me", "swell 1", "abc*"), "v-tag", True)
URLS = {"Model.site": "http://w/shop-model-site", "other": "http://w/other"}
DESCRIPTION = AppDescription(1, APP, [FUNCTION], {"team": "x"}, VERSION, URLS)
CONTAINER = ContainerRow("ta-1", "ap-1", "", "Model.*", "ready", 6, AT, AT + 1, None, 2, 9)
CALL = CallRow("fc-1", "shop.Model", "spawn", 1, 2, 3, None, AT, None, "shop")
REPORT = CallReport(1, "fc-1", "shop", "Model.*", "spawn", AT, None, 1, 2, 3)
STORY = Story(1, "a call", "ended", [StoryPart("ran", 3.0), StoryPart("waited", 1.0)], [StoryLine(AT, "accepted")])
TIMES = Times([0] * (len(BOUNDS_S) + 1), 0.0)
COUNTED = Counted(9, {1: 6}, 0, 0, 0, 0, TIMES, TIMES, TIMES)
MEASURES = FunctionMeasures(
    "ap-1", "shop", FUNCTION, SETTINGS, AutoscalerSettings(), 3, 2, COUNTED, [], URLS["Model.site"]
)
SEEN = Observation(1, AT, 7, "1.2", AT, "unix:/x", [NODE], [APP], [MEASURES], [CONTAINER], [CALL])

#: Fields whose form by `--json` is the former one for a release: "v6" for 6, null for an empty text or for no number.
FORMER_FORMS = {
    "app_in_list": {"version"},
    "version": {"version"},
    "container": {"app_name"},
    "container_gone": {"app_name", "reason"},
    "call": {"parent"},
}


def by_api(document: Document) -> dict[str, Any]:
    return json.loads(msgspec.json.encode(document))


def by_cli(document: Document) -> dict[str, Any]:
    return json.loads(json.dumps(fields_of(document), default=datetime.isoformat))


def in_stream(document: Document) -> dict[str, Any]:
    return json.loads(msgspec.json.encode(plain(document, seconds)))


def timeless(value: Any) -> Any:
    """The same with every time as seconds since the epoch, whichever way it is written."""
    if isinstance(value, dict):
        return {name: timeless(each) for name, each in value.items()}
    if isinstance(value, list):
        return [timeless(each) for each in value]
    if isinstance(value, str) and value[:2] == "20" and "T" in value:
        return datetime.fromisoformat(value).timestamp()
    return value


DOCUMENTS = {
    "server": server(SEEN),
    "server status": server_status(STATUS),
    "node": node(NODE),
    "node elsewhere": node(NODE_ELSEWHERE),
    "app": app_summary(APP),
    "app with functions": app_detail(DESCRIPTION),
    "version": version(VERSION),
    "function": function_summary(FUNCTION, [URLS["Model.site"]]),
    "function with measures": function_live(MEASURES, rate=1.5, wait={"p50": 0.1}, run=None),
    "container": container_summary(CONTAINER),
    "node with containers": node_description(NODE, [CONTAINER, replace(CONTAINER, node="here")]),
    "node elsewhere with containers": node_description(NODE_ELSEWHERE, [replace(CONTAINER, node="there")]),
    "call": call(CALL),
    "call with its parent": call_detail(REPORT),
    "call in a list": call_summary(CALL),
    "story": story_told(STORY),
    "log line": log_lines(LogEntry(1, AT, "ap-1", "Model.*", "ta-1", "stdout", ["fc-1"]), b"hello\n")[0],
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_is_the_same_in_all_three_places_but_for_how_times_are_written(name: str) -> None:
    document = DOCUMENTS[name]
    assert list(by_api(document)) == list(by_cli(document)) == list(in_stream(document))
    assert timeless(by_api(document)) == timeless(by_cli(document)) == in_stream(document)


def test_a_node_is_shown_with_its_own_containers() -> None:
    shown = node_description(NODE, [CONTAINER, replace(CONTAINER, container_id="ta-2", node="here")])
    assert [each.container_id for each in shown.on_it] == ["ta-2"]


def test_times_are_text_for_programs_and_seconds_for_charts() -> None:
    document = app_summary(APP)
    assert by_api(document)["created_at"].endswith("Z")
    assert datetime.fromisoformat(by_cli(document)["created_at"]).timestamp() == AT
    assert in_stream(document)["created_at"] == AT
    assert in_stream(document)["stopped_at"] is None


@pytest.mark.parametrize(
    ("former", "document", "names"),
    [
        (former_by_cli.server_status, server_status(STATUS), {"inputs"}),
        (former_by_cli.app_in_list, app_summary(APP), {"waiting"}),
        (former_by_cli.version, version(VERSION), {"live", "time_deployed"}),
        (former_by_cli.container, container_summary(CONTAINER), {"function", "start_time"}),
        (former_by_cli.container_gone, container_summary(CONTAINER), {"function", "start_time", "end_time"}),
        (former_by_cli.call, call_detail(REPORT), {"function", "inputs"}),
    ],
)
def test_former_fields_stand_beside_those_of_the_api(
    former: Callable[[dict[str, Any]], dict[str, Any]], document: Document, names: set[str]
) -> None:
    shown, told = former(by_cli(document)), by_cli(document)
    assert shown.keys() - told.keys() == names
    assert {name for name in told if shown[name] != told[name]} == FORMER_FORMS.get(former.__name__, set())


def test_an_app_that_is_shown_has_its_former_fields_too() -> None:
    told = by_cli(app_detail(DESCRIPTION))
    shown = former_by_cli.app_shown(told)
    assert {name for name in told if shown[name] != told[name]} == {"functions"}
    assert shown["version"] == 6
    assert shown["deployed_by"] == "me"
    assert shown["created_at"] == told["app"]["created_at"]
    (function,), (plainly,) = shown["functions"], told["functions"]
    assert function.keys() - plainly.keys() == {"containers", "inputs"}
    differing = {name for name in plainly if function[name] != plainly[name]}
    assert differing == {"held_back", "schedule"}
    assert function["containers"] == {"starting": 1, "busy": 2, "idle": 3, "wanted": 7}
    assert function["inputs"] == {"waiting": 4, "running": 5, "done": 6}
    assert function["settings"]["max_containers"] is None


@pytest.mark.parametrize(
    ("former", "document", "names"),
    [
        (former_in_stream.function, DOCUMENTS["function with measures"], {"id", "app", "url", "static", "override"}),
        (former_in_stream.container, container_summary(CONTAINER), {"id", "app", "function", "executing"}),
        (former_in_stream.call, call(CALL), {"id", "app", "function", "total"}),
    ],
)
def test_pages_of_an_older_server_find_their_fields(
    former: Callable[[dict[str, Any]], dict[str, Any]], document: Document, names: set[str]
) -> None:
    told = in_stream(document)
    shown = former(told)
    assert shown.keys() - told.keys() == names
    assert {name for name in told if shown[name] != told[name]} <= {"state"}


@pytest.mark.parametrize(
    ("row", "state"),
    [
        (CALL, "running"),
        (msgspec.structs.replace(CALL, running=0), "running"),
        (msgspec.structs.replace(CALL, running=0, done=0), "pending"),
        (msgspec.structs.replace(CALL, ended_at=AT), "ended"),
    ],
)
def test_pages_of_an_older_server_find_the_state_of_a_call_in_its_former_words(row: CallRow, state: str) -> None:
    assert former_in_stream.call(in_stream(call(row)))["state"] == state


def test_a_class_is_shown_by_its_own_name_and_with_its_own_urls() -> None:
    (function,) = app_detail(DESCRIPTION).functions
    assert (function.name, function.web_urls) == ("Model", ["http://w/shop-model-site"])


def test_no_bound_is_no_number() -> None:
    assert function_summary(FUNCTION, []).settings.max_containers is None


def test_the_parts_of_a_story_are_shares_of_the_whole() -> None:
    told = story_told(STORY)
    assert told.total_s == 4.0
    assert [part.share for part in told.parts] == [0.75, 0.25]
    assert [event.offset_s for event in told.events] == [0.0]
    empty = story_told(Story(1, "a call", "open", [], []))
    assert (empty.began_at, empty.total_s) == (None, 0.0)


def test_a_node_is_found_by_its_name() -> None:
    assert node_row("here", [NODE, replace(NODE, name="there")]) is NODE
    with pytest.raises(NotFoundError, match=r"no node 'attic'; there are here, there$"):
        node_row("attic", [NODE, replace(NODE, name="there")])
    with pytest.raises(NotFoundError, match=r"no node 'attic'; there are none yet$"):
        node_row("attic", [])
