"""Ids: what is stored under them must be found again, and what a client makes must not lead anywhere."""

from __future__ import annotations

import os

import pytest

from swell.ids import APP_ID, CALL, RANDOM_BYTES, call_and_index, id_problem, input_id, random_id


def test_random_ids_are_a_prefix_and_22_characters() -> None:
    made = random_id("ap-", os.urandom(RANDOM_BYTES))
    assert APP_ID.fullmatch(made)
    assert made != random_id("ap-", os.urandom(RANDOM_BYTES))


def test_the_id_of_an_input_names_its_call() -> None:
    call_id = random_id(CALL, bytes(RANDOM_BYTES))
    assert input_id(call_id, 7) == "in-0000000000000000000000:7"
    assert call_and_index(input_id(call_id, 7)) == (call_id, 7)
    assert call_and_index("in-abc:x") == ("fc-abc", None)


@pytest.mark.parametrize("made", ["", "../etc", "a/b", "a.b", "é", "x" * 101])
def test_an_id_that_leads_elsewhere_is_refused(made: str) -> None:
    assert "is not the id of a call" in id_problem(made, "a call")


def test_the_longest_id_of_letters_digits_dashes_and_underscores_is_one() -> None:
    assert not id_problem("aZ09_-" + "x" * 94, "a call")
