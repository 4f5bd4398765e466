"""How the descriptors of the edge are divided, so that no kind of connection can use up those of another."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from swell.edge.descriptors import PER_ADMIN_CONNECTION, RESERVED, DescriptorShares, divide_descriptors


def test_with_enough_all_get_what_the_settings_say() -> None:
    shares = divide_descriptors(1 << 20, 4_096, 256)
    assert (shares.clients, shares.admin) == (4_096, 256)
    assert shares.upstream > 1_000_000


def test_with_little_each_gets_its_part() -> None:
    assert divide_descriptors(1_024, 4_096, 256) == DescriptorShares(clients=324, upstream=324, admin=108)


@given(limit=st.integers(0, 1 << 21), clients_max=st.integers(1, 1 << 20), admin_max=st.integers(1, 1 << 20))
def test_the_shares_fit_into_the_limit(limit: int, clients_max: int, admin_max: int) -> None:
    shares = divide_descriptors(limit, clients_max, admin_max)
    assert 1 <= shares.clients <= clients_max
    assert 1 <= shares.admin <= admin_max
    assert shares.upstream >= shares.clients
    if limit >= RESERVED + 2 + PER_ADMIN_CONNECTION:
        assert RESERVED + shares.clients + shares.upstream + PER_ADMIN_CONNECTION * shares.admin <= limit
