"""Which clients may share a template."""

from __future__ import annotations

from swell.backends.process.template import Surroundings, ending
from swell.model import Environment


def surroundings(cwd: str = "/here", **variables: str) -> Surroundings:
    return Surroundings.of(Environment("/bin/python3", cwd, (), variables))


def test_ordinary_variables_and_the_directory_do_not_matter() -> None:
    assert surroundings("/a", COLOR="red", TOKEN="x") == surroundings("/b", TOKEN="y")


def test_what_shapes_the_start_of_an_interpreter_matters() -> None:
    base = surroundings()
    for name in ("PYTHONHASHSEED", "LD_PRELOAD", "LC_ALL", "LANG", "HOME"):
        assert surroundings(**{name: "1"}) != base
    assert Surroundings.of(Environment("/bin/python4", "/here", (), {})) != base


def test_a_relative_python_path_means_the_clients_directory() -> None:
    assert dict(surroundings("/a", PYTHONPATH="src:/lib").variables)["PYTHONPATH"] == "/a/src:/lib"
    assert surroundings("/a", PYTHONPATH="src") != surroundings("/b", PYTHONPATH="src")


def test_endings_in_words() -> None:
    assert [ending(status) for status in (0, 3, -9, -11, -64, -40)] == [
        "exited with code 0",
        "exited with code 3",
        "killed by SIGKILL",
        "killed by SIGSEGV",
        "killed by SIGRTMAX",
        "killed by signal 40",
    ]
