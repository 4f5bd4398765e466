"""What containers print reaches whoever runs the App: whole lines, marked, all of them before the run ends."""

from __future__ import annotations

import re
from collections.abc import Callable
from types import ModuleType

import calls_app as c
import pytest

import swell
from swell.exception import ExecutionError, InvalidError, NotFoundError, ServerWarning
from swell.sdk.connection.output import PlainOutput
from swell.wire.messages import Log

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def settings(run_app: Callable[..., swell.App]) -> None:
    """Give containers a board; each test has a run of its own."""


def lines(text: str, function: str) -> list[str]:
    """Return what a function printed, without the marks."""
    return [line.split("| ", 1)[1] for line in text.splitlines() if line.startswith(f"{function} ta-")]


@pytest.mark.nodes
def test_everything_printed_is_there_when_the_run_is_over(capsys: Capture) -> None:
    with swell.enable_output(), c.app.run():
        c.says_both_ways.remote()
    out, err = capsys.readouterr()
    assert sorted(lines(out, "says_both_ways")) == ["from a child", "no newline at the end", "to stdout"]
    assert lines(err, "says_both_ways") == ["to stderr"]
    assert all(re.match(r"says_both_ways ta-\w+\| ", line) for line in out.splitlines())


def test_nothing_is_shown_unless_asked_for(capfd: Capture) -> None:
    with c.app.run():
        c.says_both_ways.remote()
    assert capfd.readouterr() == ("", "")


def test_a_flood_arrives_whole_and_in_order_and_holds_up_nobody(capsys: Capture) -> None:
    with swell.enable_output(), c.app.run():
        flood = c.floods.spawn_map("abc", kwargs={"lines": 20_000})
        assert list(c.square.map(range(1_000))) == [i * i for i in range(1_000)]
        assert list(flood.iter()) == [20_000] * 3
    out = lines(capsys.readouterr().out, "floods")
    for name in "abc":
        assert [line for line in out if line.startswith(name)] == [f"{name} {i}" for i in range(20_000)]


class Teller(PlainOutput):
    """Gives a signal for each text that is shown."""

    def __init__(self, board: ModuleType) -> None:
        super().__init__()
        self._board = board

    def log(self, message: Log, text: str) -> None:
        self._board.give(text.strip())


def test_lines_come_while_the_function_runs(board: ModuleType) -> None:
    with swell.enable_output(Teller(board)), c.app.run():
        c.says_and_waits.remote("what it says")  # it would wait for ever otherwise
    assert board.given("done")


def test_a_forked_child_of_user_code_prints_and_harms_nothing(capsys: Capture) -> None:
    with swell.enable_output(), c.app.run():
        assert c.forks_and_says.remote() == 5
        assert c.forks_and_says.remote() == 5
    assert lines(capsys.readouterr().out, "forks_and_says") == ["child speaks"] * 2


@pytest.mark.nodes
def test_the_traceback_of_a_failure_is_printed_where_it_happened(capsys: Capture) -> None:
    with swell.enable_output(), c.app.run(), pytest.raises(KeyError):
        c.show_or_fail.remote("bad")
    err = "\n".join(lines(capsys.readouterr().err, "show_or_fail"))
    assert "raise KeyError(x)" in err
    assert "KeyError: 'bad'" in err


# ---------------------------------------------------------------- what cannot be had


def with_gpu() -> swell.App:
    app = swell.App("needs a gpu")
    app.function(serialized=True, name="trains", gpu=["Z9000:8", "Z8000"])(lambda: 1)
    return app


@pytest.mark.nodes
def test_a_request_that_nothing_can_satisfy_fails_at_once_and_names_what_there_is() -> None:
    with pytest.raises(InvalidError, match=r"trains.*Z9000.*gpu_fallback"), with_gpu().run():
        pass
    app = swell.App("needs much")
    app.function(serialized=True, name="huge", memory=1 << 30)(lambda: 1)
    with pytest.raises(InvalidError, match=r"huge.*MiB"), app.run():
        pass


def test_what_nothing_can_satisfy_stops_no_other_function(capsys: Capture) -> None:
    app = with_gpu()
    app.function(serialized=True, name="other")(lambda: 2)
    app.function(serialized=True, name="asks", secrets=[swell.Secret.from_name("s", required_keys=["NO_SUCH_KEY"])])(
        lambda: 3
    )
    functions = app.registered_functions
    with swell.enable_output(), app.run():
        assert functions["other"].remote() == 2
        for _ in range(2):
            with pytest.raises(InvalidError, match=r"trains: no node has the GPUs asked for.*Z9000"):
                functions["trains"].remote()
            with pytest.raises(NotFoundError, match="asks: a Secret requires the environment variable NO_SUCH_KEY"):
                functions["asks"].spawn()
    err = capsys.readouterr().err
    assert err.count("trains: no node has the GPUs") == 1
    assert err.count("asks: a Secret requires") == 1
    with pytest.raises(ExecutionError, match="its App is not running"):
        functions["trains"].remote()


def test_an_app_that_has_nothing_else_is_refused() -> None:
    app = swell.App("asks")
    app.function(serialized=True, name="asks", secrets=[swell.Secret.from_name("s", required_keys=["NO_SUCH_KEY"])])(
        lambda: 3
    )
    with pytest.raises(NotFoundError, match="NO_SUCH_KEY"), app.run():
        pass


def test_with_the_fallback_it_runs_on_the_cpu_with_one_warning(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWELL_GPU_FALLBACK", "cpu")
    app = with_gpu()
    with swell.enable_output(), app.run():
        assert [app.registered_functions["trains"].remote() for _ in range(3)] == [1, 1, 1]
    err = capsys.readouterr().err
    assert err.count("Z9000") == 1
    assert "CPU" in err
    with pytest.warns(ServerWarning, match="Z9000.*CPU"), app.run():
        assert app.registered_functions["trains"].remote() == 1


def test_a_variant_that_falls_back_warns_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWELL_GPU_FALLBACK", "cpu")
    app = swell.App("plain")
    plain = app.function(serialized=True, name="plain")(lambda: 1)
    with app.run():
        assert plain.remote() == 1
        with pytest.warns(ServerWarning, match="Z9000.*CPU"):
            assert plain.with_options(gpu="Z9000").remote() == 1
