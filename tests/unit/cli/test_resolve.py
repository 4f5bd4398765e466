"""Which App is meant by an id, the beginning of one, or a name."""

from __future__ import annotations

import pytest

from swell.cli.resolve import match_app
from swell.errors import InvalidError, NotFoundError
from swell.wire.queries import AppRow


def row(app_id: str, name: str, state: str = "deployed", version: int = 1) -> AppRow:
    return AppRow(
        app_id=app_id, name=name, state=state, containers=0, pending=0, running=0, created_at=0.0, version=version
    )


APPS = [
    row("ap-9a", "squares", "ephemeral", 0),
    row("ap-8b", "squares"),
    row("ap-7c", "cubes", "stopped"),
    row("ap-6c", "cubes", "stopped"),
    row("ap-55", "twice", "ephemeral", 0),
    row("ap-56", "twice", "ephemeral", 0),
    row("ap-4d", "roots", "ephemeral (detached)"),
    row("ap-3d", "roots", "stopped"),
]


@pytest.mark.parametrize(
    ("written", "app_id"),
    [
        ("ap-9a", "ap-9a"),
        ("squares", "ap-8b"),  # what is deployed goes before what runs for a while
        ("cubes", "ap-7c"),  # of those that were stopped, the latest
        ("roots", "ap-4d"),  # what runs goes before what was stopped
        ("ap-8", "ap-8b"),
    ],
)
def test_what_is_meant(written: str, app_id: str) -> None:
    assert match_app(APPS, written).app_id == app_id


def test_an_id_goes_before_the_beginning_of_another() -> None:
    assert match_app([row("ap-12", "a"), row("ap-1", "b")], "ap-1").name == "b"


@pytest.mark.parametrize("written", ["twice", "ap-5"])
def test_several_are_listed(written: str) -> None:
    with pytest.raises(InvalidError, match=r"write the id of one:\n  ap-55  twice .*\n  ap-56  twice"):
        match_app(APPS, written)


def test_none_is_told_with_a_near_miss() -> None:
    with pytest.raises(NotFoundError, match=r"No App with name 'sqares'; did you mean squares\? `swell app list`"):
        match_app(APPS, "sqares")
    with pytest.raises(NotFoundError, match="No App with name 'quite another'; `swell app list`"):
        match_app(APPS, "quite another")
    with pytest.raises(NotFoundError):
        match_app([], "ap-1")
