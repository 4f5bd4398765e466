"""Stories as documents: what happened to something, and where its time went.

This module must not know how a story comes about.
"""

from __future__ import annotations

from swell.documents.document import Document, Moment, moment
from swell.wire.queries import Story

__all__ = ["StoryEvent", "StoryPart", "StoryTold", "story_told"]


class StoryEvent(Document, frozen=True, kw_only=True):
    """Something that happened."""

    at: Moment | None
    offset_s: float  #: after the first event
    text: str


class StoryPart(Document, frozen=True, kw_only=True):
    """A stretch of time that has a name; parts follow each other without a gap."""

    name: str
    seconds: float
    share: float  #: of the total, 0 to 1


class StoryTold(Document, frozen=True, kw_only=True):
    """What happened to something, and why."""

    title: str
    state: str
    began_at: Moment | None  #: when the first event was
    total_s: float  #: from the beginning to the end, or to now
    events: list[StoryEvent]
    parts: list[StoryPart]  #: of the total


def story_told(story: Story) -> StoryTold:
    """Return what happened to something."""
    began = story.lines[0].at if story.lines else 0.0
    total_s = sum(part.seconds for part in story.parts)
    return StoryTold(
        title=story.title,
        state=story.state,
        began_at=moment(began),
        total_s=total_s,
        events=[
            StoryEvent(at=moment(line.at), offset_s=round(line.at - began, 6), text=line.text) for line in story.lines
        ],
        parts=[
            StoryPart(name=part.name, seconds=part.seconds, share=part.seconds / total_s if total_s else 0.0)
            for part in story.parts
        ],
    )
