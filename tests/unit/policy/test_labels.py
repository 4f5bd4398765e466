"""What the label of a web function is, and what is none."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swell.policy.labels import LABEL_MAX, label_of, label_problem


@pytest.mark.parametrize(
    ("app", "function", "method", "suffix", "label"),
    [
        ("shop", "site", "", "", "shop-site"),
        ("My Shop", "Search", "look_up", "", "my-shop-search-look-up"),
        ("shop", "site", "", "dev", "shop-site-dev"),
        ("a.b", "__f__", "", "", "a-b-f"),
    ],
)
def test_names_become_one_label(app: str, function: str, method: str, suffix: str, label: str) -> None:
    assert label_of(app, function, method, own=None, suffix=suffix) == label


def test_a_label_of_its_own_stays_as_it_is_but_for_the_suffix() -> None:
    assert label_of("shop", "site", "", own="front") == "front"
    assert label_of("shop", "site", "", own="front", suffix="dev") == "front-dev"


def test_one_that_is_too_long_keeps_its_beginning_and_stays_apart() -> None:
    one, two = (label_of("a" * 40, "f" * 40 + end, "", own=None) for end in ("1", "2"))
    assert one != two
    assert one.startswith("a" * 40 + "-" + "f" * 15 + "-")
    assert re.fullmatch(r".{56}-[0-9a-f]{6}", one)


@given(st.text(min_size=1), st.text(min_size=1), st.text())
def test_every_label_is_a_part_of_a_host_name_or_cannot_be_made(app: str, function: str, method: str) -> None:
    label = label_of(app, function, method, own=None)
    assert len(label) <= LABEL_MAX
    assert not label or label_problem(label) == ""


@pytest.mark.parametrize("label", ["", "-a", "a-", "A", "a_b", "ä", "a b", "a.b", "a" * 64, "a\n"])
def test_what_is_no_label_is_said_to_be_none(label: str) -> None:
    assert repr(label) in label_problem(label)
