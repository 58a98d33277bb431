"""Pods and addresses, as the evaluator of NetworkPolicies sees them at one end of a connection."""

from collections.abc import Iterable

from exposure.addresses import Block, network
from exposure.fields import is_address
from exposure.grouping import grouped
from exposure.labels import NAMESPACE_LABEL, Pairs
from exposure.model.objects import Namespace, Pod
from exposure.networkpolicy.matching import ConnectionEnd, Match


def pods_end(pods: Iterable[Pod], namespace: Namespace, labels: Pairs, *, ip_blocks: bool = True) -> ConnectionEnd:
    """Pods of a namespace that have these labels. Without `pods`, their addresses and named ports are not known."""
    known = tuple(pods)
    named = grouped(((port.protocol, port.name), port.port) for pod in known for port in pod.ports if port.name)
    addresses = address_blocks(ip for pod in known for ip in pod.ips)
    return ConnectionEnd(
        pod=Match.YES,
        namespace=namespace.name,
        labels=labels,
        namespace_labels=((NAMESPACE_LABEL, namespace.name), *namespace.labels),
        addresses=addresses,
        all_addresses=bool(addresses),
        ip_blocks=ip_blocks,
        named_ports={name: frozenset(numbers) for name, numbers in named.items()},
        all_named_ports=any(pod.ports for pod in known),
    )


def addresses_end(addresses: Iterable[Block], *, ip_blocks: bool = True) -> ConnectionEnd:
    """Addresses that belong to no pod: outside the cluster, or of nodes. An empty list: they are not known."""
    blocks = tuple(addresses)
    return ConnectionEnd(pod=Match.NO, addresses=blocks, all_addresses=bool(blocks), ip_blocks=ip_blocks)


def address_blocks(texts: Iterable[str]) -> tuple[Block, ...]:
    """The texts that are addresses, as blocks of one address each."""
    return tuple(Block(network(text)) for text in texts if is_address(text))
