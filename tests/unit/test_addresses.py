"""Operations on blocks, compared with sets of addresses small enough to be counted."""

from ipaddress import ip_address, ip_network
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exposure.addresses import (
    LINK_LOCAL,
    PRIVATE,
    Block,
    Network,
    address,
    admits_everyone,
    block,
    blocks,
    collapsed,
    common_prefix_length,
    covered,
    everyone,
    family,
    in_any,
    inside,
    intersection,
    network,
    of_families,
    overlap,
    sort_key,
    union,
    whole_families,
)
from exposure.resolve.pod_ranges import PodRanges
from exposure.resolve.widening import narrowest_cover

#: Sixteen addresses of each family, so that every statement about blocks can be counted.
UNIVERSE = [*map(ip_address, range(16)), *(ip_address(2**64 + n) for n in range(16))]
BASES = {4: 0, 6: 2**64}


@st.composite
def networks(draw: st.DrawFn, versions: tuple[int, ...] = (4, 6)) -> Network:
    version = draw(st.sampled_from(versions))
    size = draw(st.sampled_from([1, 2, 4, 8, 16]))
    first = BASES[version] + size * draw(st.integers(0, 16 // size - 1))
    longest = 32 if version == 4 else 128
    return ip_network(f"{ip_address(first)}/{longest - size.bit_length() + 1}")


@st.composite
def some_blocks(draw: st.DrawFn) -> list[Block]:
    drawn = [block(draw(networks()), draw(st.lists(networks(), max_size=3))) for _ in range(draw(st.integers(0, 4)))]
    return [part for part in drawn if part is not None]


def held(parts: object) -> set[object]:
    """The addresses of the universe that blocks or networks admit."""
    admitted: set[object] = set()
    for part in parts:  # type: ignore[attr-defined]
        cidr, excepts = (part.cidr, part.excepts) if isinstance(part, Block) else (part, ())
        admitted |= {a for a in UNIVERSE if a in cidr and not any(a in excluded for excluded in excepts)}
    return admitted


@given(networks(), st.lists(networks(), max_size=4))
def test_a_block_is_its_cidr_without_its_excepts(cidr: Network, cuts: list[Network]) -> None:
    """What is left of a block is what is left of the set. Nothing left is no block at all."""
    left = block(cidr, cuts)
    expected = held([cidr]) - held(cuts)
    assert expected == (held([left]) if left is not None else set())
    if left is not None:
        assert all(inside(cut, cidr) and cut != cidr for cut in left.excepts)
        assert list(left.excepts) == sorted(collapsed(left.excepts), key=sort_key)


@given(some_blocks(), some_blocks())
def test_an_intersection_has_what_both_sides_admit(left: list[Block], right: list[Block]) -> None:
    """No more addresses and no fewer."""
    assert held(left) & held(right) == held(intersection(left, right))


@given(some_blocks())
def test_a_union_loses_nothing_and_has_nothing_twice(parts: list[Block]) -> None:
    """It admits what its parts admit, in a stable order, without a block that another one contains."""
    united = union(parts)
    assert held(parts) == held(united)
    assert union(reversed(united)) == united
    for left, right in combinations(united, 2):
        assert held([left]) != held([right]) or left == right


@given(st.lists(networks(), max_size=5), st.lists(networks(), max_size=3))
def test_networks_become_blocks_with_excepts(parts: list[Network], cuts: list[Network]) -> None:
    """Networks as blocks, each without the cuts."""
    assert held(parts) - held(cuts) == held(blocks(parts, cuts))


@given(networks(), st.lists(networks(), max_size=5))
def test_a_network_may_be_covered_by_several_together(inner: Network, outer: list[Network]) -> None:
    """A network is covered where the union holds it, also where no single member does."""
    assert (held([inner]) <= held(outer)) == covered(inner, outer)


@given(st.lists(networks(), max_size=6))
def test_collapsed_networks_hold_the_same_addresses(parts: list[Network]) -> None:
    """They are never more networks than before."""
    assert held(parts) == held(collapsed(parts))
    assert len(collapsed(parts)) <= len(set(parts))


@given(networks(), networks())
def test_two_networks_overlap_where_one_contains_the_other(left: Network, right: Network) -> None:
    """CIDRs that share an address nest."""
    assert bool(held([left]) & held([right])) == overlap(left, right)


@given(networks(), st.lists(networks(), max_size=5))
def test_one_network_alone_must_contain_another(inner: Network, outer: list[Network]) -> None:
    """One of them alone has to hold the network, unlike `covered`."""
    assert any(held([inner]) <= held([network]) for network in outer) == in_any(inner, outer)


@given(some_blocks(), st.lists(networks(), max_size=3))
def test_pods_are_excluded_from_wider_blocks_alone(parts: list[Block], pods: list[Network]) -> None:
    """A block that is wider than a pod range loses it. One that equals it or lies inside is emitted as written."""
    ranges = PodRanges(collapsed(pods))
    kept, cut = ranges.exclude(parts)
    expected: set[object] = set()
    for part in parts:
        inner = [pod for pod in ranges.excluded if inside(pod, part.cidr) and pod != part.cidr]
        expected |= held([part]) - held(inner)
    assert expected == held(kept)
    assert cut or held(kept) == held(parts)


def covers_by_hand(leaves: set[Network], limit: int, forbidden: list[Network], whole: Network) -> int:
    """The fewest addresses that a cover of at most `limit` prefixes holds, tried one by one."""
    size = whole.max_prefixlen - whole.prefixlen
    candidates = [
        prefix
        for length in range(whole.prefixlen, whole.prefixlen + size + 1)
        for prefix in whole.subnets(new_prefix=length)
        if prefix in leaves or not any(overlap(prefix, pods) for pods in forbidden)
    ]
    best = 2**40
    for count in range(1, limit + 1):
        for chosen in combinations(candidates, count):
            if all(in_any(leaf, chosen) for leaf in leaves):
                best = min(best, sum(prefix.num_addresses for prefix in collapsed(chosen)))
    return best


@given(
    st.sets(st.integers(0, 7), min_size=1, max_size=6),
    st.integers(1, 3),
    st.lists(st.sampled_from(["0.0.0.0/31", "0.0.0.4/30", "0.0.0.6/32"]), max_size=1),
)
def test_the_narrowest_cover(hosts: set[int], limit: int, pods: list[str]) -> None:
    """No cover of as many prefixes that crosses no pod range holds fewer addresses. Node addresses are never lost."""
    forbidden = [network(text) for text in pods]
    leaves = collapsed(network(str(ip_address(n))) for n in hosts)
    cover = narrowest_cover(leaves, limit, tuple(forbidden))
    assert all(covered(leaf, cover) for leaf in leaves)
    assert not any(overlap(prefix, pod) for prefix in cover for pod in forbidden if prefix not in leaves)
    fixed = {leaf for leaf in leaves if any(overlap(leaf, pod) for pod in forbidden)}
    free = set(leaves) - fixed
    capacity = max(1, limit - len(fixed))
    if len(leaves) > limit and len(free) > capacity:
        best = covers_by_hand(free, capacity, forbidden, network("0.0.0.0/29"))
        # Where every prefix over a gap crosses a pod range, all addresses stay as they are.
        expected = best if best < 2**40 else sum(leaf.num_addresses for leaf in free)
        assert expected == sum(prefix.num_addresses for prefix in collapsed(cover) if prefix not in fixed)
        assert len(cover) <= max(limit, len(fixed) + 1) or best == 2**40
    else:
        assert leaves == cover


@pytest.mark.parametrize(
    "limit, expected",
    [
        pytest.param(1, ["192.0.2.0/29", "10.0.0.1/32", "10.0.0.3/32"], id="those-among-pods-count"),
        pytest.param(4, ["192.0.2.1/32", "192.0.2.6/32", "10.0.0.1/32", "10.0.0.3/32"], id="as-many-as-fit"),
    ],
)
def test_addresses_among_pods_are_never_widened(limit: int, expected: list[str]) -> None:
    """A prefix that crosses a pod range would admit pods as if they were nodes."""
    nodes = tuple(map(network, ("192.0.2.1", "192.0.2.6", "10.0.0.1", "10.0.0.3")))
    assert set(map(network, expected)) == set(narrowest_cover(nodes, limit, (network("10.0.0.0/24"),)))


def test_where_only_those_among_pods_are_too_many_nothing_is_widened() -> None:
    """Widening the one that could be would not bring the list under its limit."""
    nodes = tuple(map(network, ("10.0.0.1", "10.0.0.3", "192.0.2.1")))
    assert collapsed(nodes) == narrowest_cover(nodes, 2, (network("10.0.0.0/24"),))


def test_blocks_that_exclude_each_other_share_nothing() -> None:
    """Where the one admits only what the other excludes, no address is admitted by both."""
    office = Block(network("203.0.113.0/24"), (network("203.0.113.64/26"),))
    assert () == intersection([office], [Block(network("203.0.113.64/26"))])


@pytest.mark.parametrize(
    "members, expected",
    [
        pytest.param(["10.0.0.1/32", "10.0.0.2/32"], "10.0.0.0/30", id="two-addresses"),
        pytest.param(["10.0.0.0/24", "10.0.1.0/24"], "10.0.0.0/23", id="two-halves"),
        pytest.param(["10.0.0.0/24"], "10.0.0.0/24", id="itself"),
        pytest.param(["0.0.0.1/32", "255.0.0.1/32"], "0.0.0.0/0", id="the-whole-family"),
        pytest.param(["fd00::1/128", "fd00::2/128"], "fd00::/126", id="ipv6"),
    ],
)
def test_the_common_prefix_is_the_narrowest_of_all(members: list[str], expected: str) -> None:
    """The narrowest prefix that holds them all."""
    parts = [network(text) for text in members]
    assert network(expected) == parts[0].supernet(new_prefix=common_prefix_length(parts))


@given(st.lists(networks((4,)), min_size=1, max_size=5))
def test_no_longer_prefix_holds_them_all(parts: list[Network]) -> None:
    """As counted: the prefix holds every network, and neither of its halves does."""
    common = parts[0].supernet(new_prefix=common_prefix_length(parts))
    assert all(inside(part, common) for part in parts)
    halves = common.subnets() if common.prefixlen < 32 else ()
    assert not any(all(inside(part, half) for part in parts) for half in halves)


@pytest.mark.parametrize(
    "text, private, link_local",
    [
        pytest.param("10.1.2.3", True, False, id="rfc-1918-ten"),
        pytest.param("172.31.255.255", True, False, id="rfc-1918-172"),
        pytest.param("172.32.0.1", False, False, id="beyond-rfc-1918"),
        pytest.param("192.168.0.1", True, False, id="rfc-1918-192"),
        pytest.param("100.127.255.255", True, False, id="rfc-6598"),
        pytest.param("100.128.0.0", False, False, id="beyond-rfc-6598"),
        pytest.param("fdff::1", True, False, id="rfc-4193"),
        pytest.param("2001:db8::1", False, False, id="documentation-is-public-here"),
        pytest.param("169.254.1.1", False, True, id="rfc-3927"),
        pytest.param("fe80::1", False, True, id="rfc-4291"),
    ],
)
def test_ranges_of_the_rfcs(text: str, private: bool, link_local: bool) -> None:
    """RFC 1918, RFC 6598, RFC 4193; RFC 3927, RFC 4291."""
    assert (private, link_local) == (in_any(network(text), PRIVATE), in_any(network(text), LINK_LOCAL))


@pytest.mark.parametrize(
    "text, expected",
    [
        pytest.param("203.0.113.7", "203.0.113.7/32", id="an-address-is-a-network-of-one"),
        pytest.param(" 203.0.113.7/24 ", "203.0.113.0/24", id="host-bits-of-a-fact-are-ignored"),
        pytest.param("2001:db8::1/32", "2001:db8::/32", id="ipv6"),
        pytest.param("::ffff:203.0.113.7/120", "203.0.113.0/24", id="ipv4-inside-ipv6-means-ipv4"),
    ],
)
def test_networks_are_parsed_from_facts(text: str, expected: str) -> None:
    """An address is a network of one, and host bits are ignored."""
    assert expected == str(network(text))


def test_an_address_is_parsed_or_none() -> None:
    """A host name is no address."""
    assert address("lb.example.com") is None
    assert str(address("2001:db8::1")) == "2001:db8::1"


@pytest.mark.parametrize(
    "cidrs, families, expected",
    [
        pytest.param(["0.0.0.0/0"], ["IPv4"], True, id="the-whole-of-one"),
        pytest.param(["0.0.0.0/1", "128.0.0.0/1"], ["IPv4"], True, id="two-halves"),
        pytest.param(["0.0.0.0/0"], ["IPv4", "IPv6"], False, id="one-family-does-not-count-for-the-other"),
        pytest.param(["10.0.0.0/8"], ["IPv4"], False, id="a-part"),
    ],
)
def test_everyone_is_a_whole_family(cidrs: list[str], families: list[str], expected: bool) -> None:
    """Everyone is every address of every given family."""
    assert expected == admits_everyone(blocks(map(network, cidrs)), families)  # type: ignore[arg-type]
    assert expected == (set(families) <= whole_families(map(network, cidrs)))


def test_families_are_kept_apart() -> None:
    """IPv4 comes before IPv6, and one family can be selected."""
    both = everyone(("IPv6", "IPv4"))
    assert ["0.0.0.0/0", "::/0"] == list(map(str, both))
    assert ["::/0"] == list(map(str, of_families(both, ["IPv6"])))
    assert family(network("::/0")) == "IPv6"
    assert "10.0.0.0/8 except 10.1.0.0/16" == str(block(network("10.0.0.0/8"), [network("10.1.0.0/16")]))
