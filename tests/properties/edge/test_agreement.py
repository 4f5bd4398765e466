"""The gateway reads HTTP as h11 does, or not at all. `scripts/fuzz` goes on with other seeds."""

from __future__ import annotations

from collections import Counter

import pytest
from agreement import Disagreement, compare_answers, compare_requests

CASES = 1_500


@pytest.mark.parametrize("part", range(2))
def test_requests_are_read_and_passed_on_as_h11_reads_them(part: int) -> None:
    outcomes = Counter(compare_requests(seed) for seed in range(part * CASES, (part + 1) * CASES))
    assert min(outcomes["taken"], outcomes["refused"], outcomes["closed"]) > CASES / 20


@pytest.mark.parametrize("part", range(2))
def test_answers_are_read_as_h11_reads_them(part: int) -> None:
    outcomes = Counter(compare_answers(seed) for seed in range(part * CASES, (part + 1) * CASES))
    assert min(outcomes["kept"], outcomes["refused"], outcomes["closed"]) > CASES / 20


def test_a_disagreement_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fault that this is here for: a parser stops at an offer to upgrade, and the body is read as a request."""
    monkeypatch.setattr("swell.edge.gateway.head.RequestHead.has_body", False)
    with pytest.raises(Disagreement):
        for seed in range(100):
            compare_requests(seed)
