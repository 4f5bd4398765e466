"""Ids: what is stored under them must be found again, and what a client makes must not lead anywhere."""

from __future__ import annotations

import os
import re

import pytest

from swell.ids import (
    APP_ID,
    CALL,
    CALL_RANDOM_BYTES,
    RANDOM_BYTES,
    call_and_index,
    call_id,
    id_problem,
    input_id,
    random_id,
)


def test_random_ids_are_a_prefix_and_22_characters() -> None:
    made = random_id("ap-", os.urandom(RANDOM_BYTES))
    assert APP_ID.fullmatch(made)
    assert made != random_id("ap-", os.urandom(RANDOM_BYTES))


def test_ids_of_calls_have_22_characters_and_are_random_within_a_millisecond() -> None:
    made = {call_id(1_796_000_000_000, os.urandom(CALL_RANDOM_BYTES)) for _ in range(1_000)}
    assert len(made) == 1_000
    assert all(re.fullmatch(rf"{CALL}[0-9a-f]{{22}}", one) for one in made)


def test_ids_of_calls_are_in_the_order_of_their_times() -> None:
    times = [0x123_4000000 + ms for ms in (0, 1, 9, 10, 255, 256, 0xFFFFFE, 0xFFFFFF)]
    made = [call_id(ms, os.urandom(CALL_RANDOM_BYTES)) for ms in times]
    assert made == sorted(made)


def test_the_id_of_an_input_names_its_call() -> None:
    call = call_id(0, bytes(CALL_RANDOM_BYTES))
    assert input_id(call, 7) == "in-0000000000000000000000:7"
    assert call_and_index(input_id(call, 7)) == (call, 7)
    assert call_and_index("in-abc:x") == ("fc-abc", None)


@pytest.mark.parametrize("made", ["", "../etc", "a/b", "a.b", "é", "x" * 101])
def test_an_id_that_leads_elsewhere_is_refused(made: str) -> None:
    assert "is not the id of a call" in id_problem(made, "a call")


def test_the_longest_id_of_letters_digits_dashes_and_underscores_is_one() -> None:
    assert not id_problem("aZ09_-" + "x" * 94, "a call")
