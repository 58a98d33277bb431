"""Many addresses as a few prefixes."""

from ipaddress import IPv4Address, ip_network

from hypothesis import given, settings
from hypothesis import strategies as st

from exposure.flows.prefixes import cover

WIDEST = {4: 16, 6: 48}


@settings(max_examples=100, deadline=None)
@given(st.sets(st.integers(0x14000000, 0x14010000), min_size=1, max_size=60), st.integers(1, 8))
def test_a_cover_is_bounded_and_counts_what_it_leaves_out(numbers: set[int], most: int) -> None:
    """At most so many prefixes, none too wide, and counts that add up."""
    networks = [ip_network(f"{IPv4Address(number)}/32") for number in numbers]
    covered = cover([(net, 2) for net in networks], most, WIDEST)
    assert len(covered.prefixes) <= most
    assert all(prefix.cidr.prefixlen >= 16 for prefix in covered.prefixes)
    assert len(numbers) == sum(prefix.networks for prefix in covered.prefixes) + covered.left_out
    assert 2 * len(numbers) == sum(prefix.weight for prefix in covered.prefixes) + covered.left_weight
    held = sum(any(net.subnet_of(p.cidr) for p in covered.prefixes) for net in networks)  # type: ignore[arg-type]
    assert len(numbers) - covered.left_out == held


def test_few_addresses_stay_exact() -> None:
    """No address is widened without need."""
    weighted = [(ip_network(text), 1) for text in ("198.51.100.7/32", "198.51.100.200/32", "2001:db8::1/128")]
    assert [str(net) for net, _ in weighted] == [str(prefix.cidr) for prefix in cover(weighted, 32, WIDEST).prefixes]


def test_many_addresses_of_a_network_become_the_network() -> None:
    """Eight clients of one /24 are that /24."""
    weighted = [(ip_network(f"198.51.100.{n}/32"), 1) for n in range(0, 160, 20)]
    assert ["198.51.100.0/24"] == [str(prefix.cidr) for prefix in cover(weighted, 32, WIDEST).prefixes]
