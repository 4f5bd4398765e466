"""Deploying from a program: what is sent, what is refused before, and what is told afterwards."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from swell.errors import InvalidError, NotFoundError, ServerWarning
from swell.model import Provenance, Strategy
from swell.sdk.app import App
from swell.sdk.deploy.deploying import provenance, strategy_named
from swell.wire.apps import AppFound, DeployApp, Deployed, FindApp, TagApp
from swell.wire.messages import Done, Failed, Notice


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., App]:
    """Makes an app of a module of its own: one of these tests would take all of them along."""
    (tmp_path / "till.py").write_text("def square(x): return x * x\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("till", "__swell_main__"):  # deploying leaves them behind
        monkeypatch.setitem(sys.modules, name, sys.modules["__main__"])
    del sys.modules["till"]
    till = importlib.import_module("till")

    def make(name: str | None = "shop", **options: Any) -> App:
        app = App(name, **options)
        app.function(min_containers=1)(till.square)
        return app

    return make


@pytest.fixture
def server(line):
    """A server that takes everything as version 4 of ap-live."""
    line.wire.answers |= {
        DeployApp: lambda received: Deployed(received.request, "ap-live", 4, {"square": "fu-1"}, 5.0),
        FindApp: lambda received: AppFound(received.request, "ap-live", received.app, 4, {"team": "a"}),
        TagApp: lambda received: Done(received.request),
    }
    return line


def sent(line) -> DeployApp:
    (message,) = line.wire.heard(DeployApp)
    return message


def test_an_app_is_sent_with_everything_it_consists_of(server, shop) -> None:
    app = shop(tags={"team": "a"})
    assert app.deploy(client=server, tag="v1") is app
    assert app.app_id == "ap-live"
    message = sent(server)
    assert (message.name, message.tag, message.tags, message.strategy) == (
        "shop",
        "v1",
        {"team": "a"},
        Strategy.ROLLING,
    )
    assert message.app_id.startswith("ap-")
    (spec,) = message.functions
    assert (spec.name, spec.source.file, spec.autoscaler.min_containers) == ("square", "till.py", 1)
    assert len(message.environment.bundle) == 64


async def test_on_an_event_loop_likewise(server, shop) -> None:
    assert (await shop().deploy.aio(client=server)).app_id == "ap-live"


def test_a_name_that_is_given_goes_before_the_apps_own(server, shop) -> None:
    shop().deploy(name="other", client=server)
    assert sent(server).name == "other"


def test_interrupting_what_runs_must_be_asked_for(server, shop) -> None:
    shop().deploy(client=server, strategy="recreate")
    assert sent(server).strategy is Strategy.RECREATE


@pytest.mark.parametrize(
    ("name", "options", "why"),
    [
        (None, {}, "an App needs a name to be deployed"),
        ("shop", {"name": "a b"}, "a b"),
        ("shop", {"tag": "x" * 51}, "tag"),
        ("shop", {"tag": "a b"}, "tag"),
        ("shop", {"strategy": "slowly"}, "strategy must be 'rolling' or 'recreate', not 'slowly'"),
        ("shop", {"strategy": None}, "strategy must be 'rolling' or 'recreate', not None"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_sent(
    server, shop, name: str | None, options: Any, why: str
) -> None:
    with pytest.raises(InvalidError, match=why):
        shop(name).deploy(client=server, **options)
    assert server.wire.received == []


def test_what_the_server_refuses_leaves_the_app_as_it_was(server, shop) -> None:
    server.wire.answers[DeployApp] = lambda received: Failed(
        received.request, "invalid", "square: no node has a GPU H100"
    )
    app = shop()
    with pytest.raises(InvalidError, match="no node has a GPU H100"):
        app.deploy(client=server)
    assert app.app_id is None


def test_what_the_server_has_to_say_is_a_warning(server, shop) -> None:
    server.wire.answers[DeployApp] = lambda received: [
        Notice("ap-live", "square: running on the CPU instead"),
        Deployed(
            request=received.request,
            app_id="ap-live",
            version=4,
            function_ids={},
            deployed_at=5.0,
            warnings=["the bundle is large"],
        ),
    ]
    with pytest.warns(ServerWarning) as warned:
        shop().deploy(client=server)
    assert [str(warning.message) for warning in warned] == ["square: running on the CPU instead", "the bundle is large"]


def test_strategies_have_names() -> None:
    assert [strategy_named(name) for name in ("rolling", "recreate")] == [Strategy.ROLLING, Strategy.RECREATE]


# ---------------------------------------------------------------- handles of apps


def test_an_app_is_looked_up_by_its_name(server) -> None:
    app = App.lookup("shop", client=server)
    assert (app.name, app.app_id, app.tags) == ("shop", "ap-live", {"team": "a"})
    (asked,) = server.wire.heard(FindApp)
    assert (asked.app, asked.create_as) == ("shop", "")


async def test_an_app_that_is_missing_can_be_made(server) -> None:
    await App.lookup.aio("shop", client=server, create_if_missing=True)
    (asked,) = server.wire.heard(FindApp)
    assert asked.create_as.startswith("ap-")


def test_an_app_that_is_not_there(server) -> None:
    server.wire.answers[FindApp] = lambda received: Failed(received.request, "not_found", "No App with name 'shop'")
    with pytest.raises(NotFoundError, match="No App with name 'shop'"):
        App.lookup("shop", client=server)
    with pytest.raises(InvalidError):
        App.lookup("no name", client=server)


def test_tags_are_those_on_the_server_that_has_the_app(server, shop) -> None:
    app = App.lookup("shop", client=server)
    app.set_tags({"team": "b"})
    assert [(received.app, received.tags) for received in server.wire.heard(TagApp)] == [("ap-live", {"team": "b"})]
    assert app.get_tags() == {"team": "a"}
    deployed = shop().deploy(client=server)
    assert deployed.get_tags() == {"team": "a"}


def test_an_app_that_is_nowhere_has_no_tags_there(shop) -> None:
    with pytest.raises(InvalidError, match=r"has no id: deploy it, or use App\.lookup\('shop'\), first"):
        shop().get_tags()
    with pytest.raises(InvalidError, match="has no id"):
        shop().set_tags({})


# ---------------------------------------------------------------- where a version comes from


def git(directory: Path, *arguments: str) -> str:
    who = ("-c", "user.name=me", "-c", "user.email=me@here")
    command = ["git", "-C", str(directory), *who, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_a_version_says_who_deployed_it_and_from_which_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert provenance().commit == "", "no work tree"
    git(tmp_path, "init", "-q")
    assert provenance().commit == "", "nothing committed"
    file = tmp_path / "app.py"
    file.write_text("x = 1")
    git(tmp_path, "add", "app.py")
    git(tmp_path, "commit", "-qm", "first")
    commit = git(tmp_path, "rev-parse", "HEAD")[:7]
    (tmp_path / "notes.txt").write_text("not part of it")
    found = provenance()
    assert found == Provenance(found.deployed_by, found.client, commit)
    assert found.deployed_by
    assert found.client.startswith("swell ")
    file.write_text("x = 2")
    assert provenance().commit == f"{commit}*"


def test_without_git_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert provenance().commit == ""
