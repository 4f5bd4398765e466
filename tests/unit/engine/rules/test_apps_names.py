"""Names from a client that does not use the SDK: refused before anything is kept, and no reason to stop."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from swell.engine.ids import derive_function_id
from swell.escaping import one_line
from swell.model import (
    AppKind,
    ClassSpec,
    Environment,
    FunctionSpec,
    GpuRequest,
    MethodSpec,
    ParameterSpec,
    Provenance,
    Resources,
    Source,
    WebSpec,
)
from swell.records import AppRecord, FunctionRecord
from swell.wire import apps as a
from swell.wire import messages as m

HOSTILE = "a\x1b]52;c;aGk=\x07\n\u202e" + "x" * 300

SURROUNDINGS = Environment("/py", "/", ())
SOURCE = Source("m", "f")

SPECS = {
    "function": FunctionSpec(HOSTILE, SOURCE),
    "class": FunctionSpec(f"{HOSTILE}.*", SOURCE, cls=ClassSpec(())),
    "method": FunctionSpec("C.*", SOURCE, cls=ClassSpec((MethodSpec(HOSTILE),))),
    "parameter": FunctionSpec("C.*", SOURCE, cls=ClassSpec((), (ParameterSpec(HOSTILE, "str"),))),
    "type of parameter": FunctionSpec("C.*", SOURCE, cls=ClassSpec((), (ParameterSpec("size", HOSTILE),))),
    "label": FunctionSpec("f", SOURCE, web=WebSpec("asgi", label=HOSTILE)),
    "kind of web function": FunctionSpec("f", SOURCE, web=WebSpec(HOSTILE)),
    "method of HTTP": FunctionSpec("f", SOURCE, web=WebSpec("endpoint", method=HOSTILE)),
    "kind of GPU": FunctionSpec("f", SOURCE, resources=Resources(gpu=(GpuRequest(HOSTILE),))),
    "variable": FunctionSpec("f", SOURCE, variables={"A\0": ""}),
    "workdir": FunctionSpec("f", SOURCE, workdir="a\0"),
}

VERSIONS: dict[str, dict[str, Any]] = {
    "name": {"name": HOSTILE},
    "tag": {"tag": HOSTILE},
    "key of a tag": {"tags": {HOSTILE: "x"}},
    "value of a tag": {"tags": {"x": HOSTILE}},
    "user": {"provenance": Provenance(HOSTILE)},
    "client": {"provenance": Provenance(client=HOSTILE)},
    "commit": {"provenance": Provenance(commit=HOSTILE)},
    "directory": {"environment": Environment("/py", "/\0", ())},
    "raw variable": {"environment": Environment("/py", "/", (), raw_variables=((b"A=", b""),))},
    "raw value": {"environment": Environment("/py", "/", (), raw_variables=((b"A", b"\0"),))},
    "variable": {"environment": Environment("/py", "/", (), {"A=": ""})},
}


def is_refused(decided: list[str]) -> bool:
    (told,) = decided
    assert told.startswith("fail ")
    assert one_line(told) == told, "the value is shown escaped"
    assert len(told) < 900
    return True


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_no_function_has_a_hostile_word(diary, spec: FunctionSpec) -> None:
    assert is_refused(diary.says(m.OpenApp(1, "ap-1", "app", SURROUNDINGS, [spec])))
    assert is_refused(diary.says(a.DeployApp(2, "ap-2", "shop", SURROUNDINGS, [spec])))
    assert not diary.engine.state.apps


@pytest.mark.parametrize("changed", VERSIONS.values(), ids=VERSIONS)
def test_no_version_has_a_hostile_word(diary, changed: dict[str, Any]) -> None:
    plain = a.DeployApp(2, "ap-2", "shop", SURROUNDINGS, [FunctionSpec("f", SOURCE)])
    assert is_refused(diary.says(replace(plain, **changed)))
    assert not diary.engine.state.apps
    diary.says(plain)
    assert diary.engine.state.apps


def test_no_app_is_run_or_made_or_tagged_with_one(diary) -> None:
    assert is_refused(diary.says(m.OpenApp(1, "ap-1", HOSTILE, SURROUNDINGS, [])))
    assert is_refused(diary.finds_app(HOSTILE, create_as="ap-3"))
    diary.deploys()
    assert is_refused(diary.says(a.TagApp(5, "shop", {"team": HOSTILE})))
    assert is_refused(diary.redeploys(is_rollover=True, provenance=Provenance(HOSTILE)))
    assert diary.engine.snapshot.app("shop").tags == {}


def test_no_call_is_of_a_hostile_method_or_caller(diary) -> None:
    diary.opens()
    for changed in ({"method": HOSTILE}, {"parent": HOSTILE}):
        message = m.OpenCall("fc-1", diary.function(), "", m.CallKind.MAP, [1], True)
        (refused,) = diary.says(replace(message, **changed), b"x")
        assert "refuse" in refused
    assert not diary.engine.state.calls


def test_what_an_older_server_took_is_restored_and_goes_on(diary) -> None:
    spec = FunctionSpec(HOSTILE, SOURCE)
    diary.deploys()
    deployment = diary.engine.snapshot.app("shop").deployment
    odd = replace(deployment, app_id="ap-odd", functions=(spec,), tag=HOSTILE, provenance=Provenance(HOSTILE))
    diary.keep(odd)
    diary.keep(AppRecord("ap-odd", HOSTILE, AppKind.DEPLOYED, 1.0, 1, tags={HOSTILE: HOSTILE}))
    diary.keep(FunctionRecord(derive_function_id("ap-odd", HOSTILE), "ap-odd", 1, spec))
    diary.restarts()
    app = diary.engine.snapshot.app(HOSTILE)
    assert app.tags == {HOSTILE: HOSTILE}
    assert diary.finds(HOSTILE, HOSTILE) == [f"found {HOSTILE} at version 1"]
    assert is_refused(diary.redeploys(HOSTILE, is_rollover=True)), "what is made live anew is checked"
    diary.stops(HOSTILE)
    diary.engine.validate()
