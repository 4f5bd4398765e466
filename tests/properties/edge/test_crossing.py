"""Whatever an attacker sends, the clients behind it get their own answers. `scripts/fuzz` goes on with other seeds."""

from __future__ import annotations

from collections import Counter

import pytest
from crossing import Crossed, cross

from swell.edge.gateway.upstream import Upstream

CASES = 750


@pytest.mark.parametrize("part", range(2))
def test_who_asks_behind_an_attacker_gets_an_answer_of_their_own(part: int) -> None:
    outcomes = Counter(cross(seed) for seed in range(part * CASES, (part + 1) * CASES))
    assert min(outcomes["answered"], outcomes["refused"], outcomes["cut"]) > CASES / 20


@pytest.mark.parametrize("forgotten", ["_body.is_whole", "_reader.is_clean"])
def test_a_connection_that_is_used_again_too_soon_would_be_noticed(
    forgotten: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_reusable(upstream: Upstream) -> bool:
        counts = {"_body.is_whole": upstream._body.is_whole, "_reader.is_clean": upstream._reader.is_clean}
        counts[forgotten] = True
        return upstream.is_open and upstream._may_stay and not upstream._is_raw and all(counts.values())

    monkeypatch.setattr(Upstream, "_is_reusable", property(is_reusable))
    with pytest.raises(Crossed):
        for seed in range(200):
            cross(seed)
