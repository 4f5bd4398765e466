"""What is told of Ray's errors; no Ray is needed for that."""

from __future__ import annotations

import pytest

from swell.backends.ray.cluster import words_of

CREATION = "The actor died because of an error raised in its creation task, ray::n:AgentHost.__init__() (pid=1)\n"
IMPORT = "RuntimeError: The actor with name AgentHost failed to import on the worker. This may be because\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            f"{CREATION}  File x\n{IMPORT}ModuleNotFoundError: No module named 'swell'",
            "the machine that Ray has chosen has no swell: install it there, or name it in ray_runtime_env",
        ),
        (
            f"{CREATION}  File x\n{IMPORT}AttributeError: Can't get attribute 'AgentHost'",
            "the swell of the machine that Ray has chosen is not this one: AttributeError: Can't get attribute "
            "'AgentHost'; install the same version",
        ),
        (
            f"{CREATION}  File x\nswell.errors.InvalidError: Ray has assigned GPU 3, and there is none",
            "Ray has assigned GPU 3, and there is none",
        ),
        (
            "Failed to set up runtime environment.\nTraceback\n  File x\nFileNotFoundError: [Errno 2] 'conda'\n ^^^",
            "ray_runtime_env cannot be set up on the machine that Ray has chosen: FileNotFoundError: [Errno 2] 'conda'",
        ),
        ("The actor is dead: it died.\n\tclass_name: A", "The actor is dead: it died."),
        ("", "Exception"),
    ],
)
def test_an_error_of_many_lines_is_told_in_one(text: str, words: str) -> None:
    assert words_of(Exception(text)) == words
