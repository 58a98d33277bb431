"""Addresses as few prefixes."""

from ipaddress import IPv4Address, ip_network

from hypothesis import given, settings
from hypothesis import strategies as st

from exposure.flows.prefixes import cover

WIDEST = {4: 16, 6: 48}


@settings(max_examples=100, deadline=None)
@given(st.sets(st.integers(0x14000000, 0x14010000), min_size=1, max_size=60), st.integers(1, 8))
def test_a_cover_is_bounded_and_holds_everything_or_says_what_not(seen: set[int], most: int) -> None:
    """At most so many prefixes, none too wide, and counts that add up."""
    networks = [ip_network(f"{IPv4Address(each)}/32") for each in seen]
    found = cover([(each, 2) for each in networks], most, WIDEST)
    assert len(found.prefixes) <= most
    assert all(each.cidr.prefixlen >= 16 for each in found.prefixes)
    assert len(seen) == sum(each.networks for each in found.prefixes) + found.left_out
    assert 2 * len(seen) == sum(each.weight for each in found.prefixes) + found.left_weight
    held = sum(any(each.subnet_of(p.cidr) for p in found.prefixes) for each in networks)  # type: ignore[arg-type]
    assert len(seen) - found.left_out == held


def test_few_addresses_stay_exact() -> None:
    """Nothing is widened without need."""
    seen = [(ip_network(text), 1) for text in ("198.51.100.7/32", "198.51.100.200/32", "2001:db8::1/128")]
    assert [str(net) for net, _ in seen] == [str(each.cidr) for each in cover(seen, 32, WIDEST).prefixes]


def test_a_crowd_stands_for_its_network() -> None:
    """Eight clients of one /24 are that /24."""
    seen = [(ip_network(f"198.51.100.{n}/32"), 1) for n in range(0, 160, 20)]
    assert ["198.51.100.0/24"] == [str(each.cidr) for each in cover(seen, 32, WIDEST).prefixes]
