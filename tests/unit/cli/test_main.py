"""The command itself: subcommands, exit codes and what is told before anything runs."""

from __future__ import annotations

import json

import pytest

from swell.cli.main import main


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(list(arguments))
    code = left.value.code
    assert isinstance(code, int)
    return code


def test_help_names_the_commands_and_gives_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    out = capsys.readouterr().out
    assert "run" in out
    assert "config" in out
    assert "swell run examples/hello.py" in out


def test_help_of_run_teaches_by_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("run", "--help") == 0
    out = capsys.readouterr().out
    assert "  swell run hello.py::greet --name Ada" in out, "each example on a line of its own"


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out.startswith("swell ")


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["rnu", "x.py"], 2, "Did you mean 'run'?"),
        (["run"], 2, "Missing argument 'FUNC_REF'"),
        (["run", "--quite", "x.py"], 2, "--quiet"),
        (["hello.py", "--n", "3"], 1, "write: swell run hello.py --n 3"),
        (["run", "no_such_file.py"], 1, "there is no file 'no_such_file.py'"),
        (["run", "-i", "-q", "no_such_file.py"], 1, "cannot go together"),
        (["run", "-w", "/no/such/place", "no_such_file.py"], 2, "there is no directory '/no/such'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_misuse_is_told_on_stderr_with_its_exit_code(
    arguments: list[str], code: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments) == code
    out, err = capsys.readouterr()
    assert told in err
    assert out == ""


def test_settings_are_listed_with_their_values(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWELL_CONTAINERS_MAX", "7")
    monkeypatch.setenv("SWELL_TOKEN", "very-secret")
    main(["config", "--json"])
    rows = {row["setting"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["containers_max"]["value"] == 7
    assert rows["containers_max"]["environment_variable"] == "SWELL_CONTAINERS_MAX"
    assert rows["containers_max"]["meaning"]
    assert rows["token"]["value"] == "***"


def test_settings_as_plain_lines_can_be_read_by_a_shell(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWELL_CONTAINERS_MAX", "7")
    main(["config"])
    assert "SWELL_CONTAINERS_MAX=7  # " in capsys.readouterr().out


def test_a_bad_setting_is_told_with_its_name_and_value(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWELL_CONTAINERS_MAX", "many")
    assert run("config") == 1
    err = capsys.readouterr().err
    assert "SWELL_CONTAINERS_MAX" in err
    assert "'many'" in err


@pytest.mark.parametrize(
    "words",
    [
        ["stop", "--timeout", "nan"],
        ["stop", "--timeout", "inf"],
        ["call", "result", "fc-1", "--timeout", "nan"],
        ["call", "result", "fc-1", "--index", "99999999999999999999"],
        ["app", "logs", "shop", "--tail", "99999999999999999999"],
    ],
)
def test_a_number_that_nothing_can_be_done_with_is_a_mistake_of_usage(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert words[-2] in capsys.readouterr().err
