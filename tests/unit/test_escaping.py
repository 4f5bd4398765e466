"""What is printed of others' text: nothing that a terminal obeys, and everything that it merely shows."""

from __future__ import annotations

import json
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swell.escaping import json_document, log_lines, many_lines, one_line

SGR = re.compile(r"\x1b\[[0-9;:]*m")
BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"

texts = st.text(st.characters() | st.sampled_from("\x1b\r\n\b\t\x07\x7f\x9b\x9d[]m0;8" + BIDI), max_size=40)


def obeyed(text: str, *, beside: str = "") -> set[str]:
    """Return the characters in a text that a terminal obeys, or that change the order of others."""
    return {c for c in text if (unicodedata.category(c) in {"Cc", "Cs"} or c in BIDI) and c not in beside}


@given(texts)
def test_nothing_in_a_line_is_obeyed(text: str) -> None:
    assert not obeyed(one_line(text))


@given(texts)
def test_in_a_text_only_lines_and_tabs_are(text: str) -> None:
    assert not obeyed(many_lines(text), beside="\n\t")


@given(texts, st.booleans())
def test_in_a_log_only_tabs_and_whole_colours_are(text: str, colours: bool) -> None:
    for line in log_lines(text, colours=colours):
        assert not obeyed(SGR.sub("", line) if colours else line, beside="\t")


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs", "M"]), max_size=40))
def test_what_is_only_shown_stays_as_it_is(text: str) -> None:
    assert one_line(text) == many_lines(text) == text
    assert log_lines(text, colours=False) == [text]


@given(texts)
def test_json_means_what_it_meant(text: str) -> None:
    document = json.dumps({"text": text}, ensure_ascii=False)
    assert not obeyed(json_document(document))
    assert json.loads(json_document(document)) == json.loads(document)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J", r"\x1b[2J"),
        ("\x1b]52;c;aGk=\x07", r"\x1b]52;c;aGk=\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("a\rb", r"a\rb"),
        ("a\bb", r"a\x08b"),
        ("a\nb\tc", r"a\nb\tc"),
        ("user\u202etxt.exe", r"user\u202etxt.exe"),
        ("\udc9b", r"\udc9b"),
        (r"C:\new", r"C:\new"),
    ],
)
def test_it_is_shown_as_python_writes_it(text: str, shown: str) -> None:
    assert one_line(text) == shown


def test_lines_that_end_as_on_windows_are_lines() -> None:
    assert many_lines("a\r\nb\r\n") == "a\nb\n"
    assert log_lines("a\r\nb\r\n", colours=False) == ["a", "b"]


def test_what_a_carriage_return_would_cover_is_a_line_of_its_own() -> None:
    assert log_lines("\r 10%|#\r100%|##\ndone\n", colours=True) == [" 10%|#", "100%|##", "done"]


def test_an_empty_line_stays_one() -> None:
    assert log_lines("\n", colours=True) == [""]
    assert log_lines("a\n\nb\n", colours=True) == ["a", "", "b"]


def test_colours_pass_where_there_are_any_and_end_with_their_line() -> None:
    assert log_lines("\x1b[1;38;5;9mred\nplain\n", colours=True) == ["\x1b[1;38;5;9mred\x1b[0m", "plain"]
    assert log_lines("\x1b[1;38;5;9mred\x1b[m\n", colours=False) == ["red"]


@pytest.mark.parametrize("sequence", ["\x1b[>4;2m", "\x1b[?1049h", "\x1b[5n", "\x1b[3A", "\x1b[", "\x1b[31", "\x1bc"])
def test_what_only_looks_like_a_colour_does_not(sequence: str) -> None:
    (line,) = log_lines(sequence, colours=True)
    assert "\x1b" not in line


def test_what_python_takes_for_printable_needs_no_escape() -> None:
    """By this, most texts are told to be harmless at once."""
    every = "".join(filter(str.isprintable, map(chr, range(0x110000))))
    assert many_lines(every) == every
