"""Which clients may share a template."""

from __future__ import annotations

from swell.backends.process.template import Interpreter, ending
from swell.model import Environment


def interpreter(cwd: str = "/here", **variables: str) -> Interpreter:
    return Interpreter.of(Environment("/bin/python3", cwd, (), variables))


def test_ordinary_variables_and_the_directory_do_not_matter() -> None:
    assert interpreter("/a", COLOR="red", TOKEN="x") == interpreter("/b", TOKEN="y")


def test_what_shapes_the_start_of_an_interpreter_matters() -> None:
    base = interpreter()
    for name in ("PYTHONHASHSEED", "LD_PRELOAD", "LC_ALL", "LANG", "HOME"):
        assert interpreter(**{name: "1"}) != base
    assert Interpreter.of(Environment("/bin/python4", "/here", (), {})) != base


def test_a_relative_python_path_means_the_clients_directory() -> None:
    assert dict(interpreter("/a", PYTHONPATH="src:/lib").variables)["PYTHONPATH"] == "/a/src:/lib"
    assert interpreter("/a", PYTHONPATH="src") != interpreter("/b", PYTHONPATH="src")


def test_an_empty_python_path_is_none() -> None:
    """Python ignores it; joined to the client's directory, it would be that directory."""
    assert interpreter("/a", PYTHONPATH="") == interpreter("/a")


def test_endings_in_words() -> None:
    assert [ending(status) for status in (0, 3, -9, -11, -64, -40)] == [
        "exited with code 0",
        "exited with code 3",
        "killed by SIGKILL",
        "killed by SIGSEGV",
        "killed by SIGRTMAX",
        "killed by signal 40",
    ]
