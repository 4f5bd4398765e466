"""A defect in what changes nothing is an error of the one who asked; the engine goes on."""

from __future__ import annotations

from typing import Any, NoReturn

import pytest

from swell.engine.events import DefectFound, SendToClient
from swell.wire import messages as m
from swell.wire import queries as q
from swell.wire.web import GetWebUrl


def fail(*_: Any, **__: Any) -> NoReturn:
    raise KeyError("lost")


def failure(diary) -> m.Failed:
    """What was told on the last event, which must be a failure and the defect behind it."""
    defect, told = diary.last
    assert isinstance(defect, DefectFound)
    assert isinstance(defect.error, KeyError)
    assert isinstance(told, SendToClient)
    assert isinstance(told.message, m.Failed)
    return told.message


@pytest.mark.parametrize(
    "question",
    [
        m.DescribeCall(9, "fc-1"),
        q.InspectCall(9, "fc-1"),
        q.AskStory(9, "fc-1"),
        GetWebUrl(9, "fu-1"),
    ],
    ids=lambda question: type(question).__name__,
)
def test_a_defect_in_an_answer_is_the_answer(diary, monkeypatch: pytest.MonkeyPatch, question: m.Message) -> None:
    diary.opens("f")
    diary.calls("fc-1", 1)
    with monkeypatch.context() as patch:
        for view in ("admission._description", "questions.SnapshotView.call", "questions.Explainer.tell"):
            patch.setattr(f"swell.engine.rules.{view}", fail)
        patch.setattr("swell.engine.state.edges.Edges.latest", property(fail))
        diary.says(question if question.__class__ is not GetWebUrl else GetWebUrl(9, diary.function()))
    told = failure(diary)
    assert told.request == 9
    assert told.code == "internal"
    assert "KeyError" in told.text
    assert "nothing was changed" in told.text
    assert diary.says(m.DescribeCall(10, "fc-1")), "the engine goes on"


def test_a_defect_in_checking_an_app_leaves_no_trace(diary, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("swell.engine.rules.apps.spec_problem", fail)
        diary.opens("f")
    assert failure(diary).request
    assert not diary.engine.state.apps
    diary.opens("f")
    assert diary.engine.state.apps, "it can be opened when the defect is gone"


def test_a_defect_in_checking_a_new_version_leaves_the_live_one(diary, monkeypatch: pytest.MonkeyPatch) -> None:
    diary.deploys("f")
    diary.binds(timeout_s=5.0)
    app = next(iter(diary.engine.state.apps.values()))
    with monkeypatch.context() as patch:
        patch.setattr("swell.engine.rules.apps.apply_changes", fail)
        diary.deploys("f", timeout_s=7.0, tags={"new": "tag"})
    assert failure(diary).request
    assert app.deployment.version == 1
    assert app.tags == {}
    diary.deploys("f", timeout_s=7.0)
    assert app.deployment.version == 2


def test_a_defect_in_a_stored_story_is_the_answer(new_diary, monkeypatch: pytest.MonkeyPatch) -> None:
    diary = new_diary()
    diary.deploys("f")
    diary.spawns("fc-1", 1)
    diary.ready("c1")
    diary.completes("c1", 1, 0)
    diary.restarts()
    with monkeypatch.context() as patch:
        patch.setattr("swell.engine.rules.lookups.Explainer.from_store", fail)
        diary.says(q.AskStory(9, "fc-1"))
        diary.reads()
    assert failure(diary).request == 9
    diary.says(q.AskStory(10, "fc-1"))
    assert diary.reads() == ["tell 1: Story"]


@pytest.mark.parametrize("about", ["in-1:²", "in-1:٣", "in-1:1_0", "in-1:+1", "in-1:" + "9" * 5_000])
def test_digits_that_are_no_digits_name_no_input(diary, about: str) -> None:
    diary.opens("f")
    diary.calls("fc-1", 1)
    story = diary.story(about)
    assert "call fc-1" in story.title, "the whole call, as for any other index that is none"
