"""The enforcer's agent: one process programs every node of a lab.

Each time the packet filters hold all that was read, it prints a line of JSON: a fingerprint of each kind's objects.
"""

from __future__ import annotations

import argparse
import json
import queue
import sys
import time
from pathlib import Path
from typing import Any

from tests.lab.enforcer.model import Model, compile_model
from tests.lab.enforcer.nft import Nftables
from tests.lab.enforcer.objects import Cluster, parse_node, parse_pod, parse_policy
from tests.lab.enforcer.rules import Denial, Position, node_rules, pod_rules
from tests.lab.enforcer.watch import Changed, Listed, Server, fingerprint, follow

KINDS = {
    "nodes": "/api/v1/nodes",
    "namespaces": "/api/v1/namespaces",
    "pods": "/api/v1/pods",
    "networkpolicies": "/apis/networking.k8s.io/v1/networkpolicies",
}
GATHER_SECONDS = 0.003  # events that arrive together become one transaction


class Filters:
    """The packet filters of all nodes and pods, each written only when its text changes.

    `folder` holds an entry for each network namespace: `node-NAME`, and `pod-ADDRESS`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[str, Nftables] = {}
        self._text: dict[str, str] = {}

    def write(self, wanted: dict[str, str]) -> int:
        """Bring every filter to its text; the number that were written. A namespace that is gone is passed over."""
        written = 0
        for name in self._open.keys() - wanted.keys():
            self._open.pop(name).close()
            self._text.pop(name, None)
        for name, text in wanted.items():
            if self._text.get(name) == text or not (self._folder / name).exists():
                continue
            if name not in self._open:
                self._open[name] = Nftables(self._folder / name)
            self._open[name].run(text)
            self._text[name] = text
            written += 1
        return written


class Store:
    """The newest objects of each kind, as the watches report them."""

    def __init__(self) -> None:
        self._objects: dict[str, dict[tuple[str, str], Any]] = {}

    def take(self, news: Listed | Changed) -> None:
        match news:
            case Listed(kind, objects):
                self._objects[kind] = {_key(item): item for item in objects}
            case Changed(kind, item, deleted):
                if deleted:
                    self._objects[kind].pop(_key(item), None)
                else:
                    self._objects[kind][_key(item)] = item

    @property
    def is_complete(self) -> bool:
        return self._objects.keys() == KINDS.keys()

    def fingerprints(self) -> dict[str, str]:
        """What is held of each kind, in short."""
        return {kind: fingerprint(items.values()) for kind, items in self._objects.items()}

    def model(self) -> Model:
        return compile_model(
            Cluster(
                {
                    name: namespace["metadata"].get("labels") or {}
                    for (_, name), namespace in self._objects["namespaces"].items()
                },
                tuple(parse_pod(self._objects["pods"][key]) for key in sorted(self._objects["pods"])),
                tuple(
                    parse_policy(self._objects["networkpolicies"][key])
                    for key in sorted(self._objects["networkpolicies"])
                ),
            )
        )

    def wanted(self, position: Position, denial: Denial) -> dict[str, str]:
        """The text of every filter, by the name of its namespace."""
        model = self.model()
        nodes = {node.name: node for node in map(parse_node, self._objects["nodes"].values())}
        texts = {f"node-{node.name}": node_rules(model, node, position, denial) for node in nodes.values()}
        if position is Position.POST:
            for verdict in dict.fromkeys(model.pods.values()):
                if verdict.pod.node in nodes:
                    name = f"pod-{verdict.pod.addresses[0]}"
                    texts[name] = pod_rules(verdict, nodes[verdict.pod.node], denial)
        return texts


def _key(raw: Any) -> tuple[str, str]:
    return raw["metadata"].get("namespace", ""), raw["metadata"]["name"]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.lab.enforcer", description=__doc__)
    parser.add_argument("--server", required=True, help="URL of the API server")
    parser.add_argument("--token-file", required=True, type=Path)
    parser.add_argument("--ca-file", required=True)
    parser.add_argument("--namespaces", required=True, type=Path, help="folder of the lab's network namespaces")
    parser.add_argument("--position", type=Position, choices=list(Position), default=Position.PRE)
    parser.add_argument("--denial", type=Denial, choices=list(Denial), default=Denial.REJECT)
    arguments = parser.parse_args()

    news: queue.Queue[Listed | Changed] = queue.Queue()
    server = Server(arguments.server, arguments.token_file.read_text().strip(), arguments.ca_file)
    for kind, path in KINDS.items():
        follow(server, kind, path, news.put)

    store, filters = Store(), Filters(arguments.namespaces)
    while True:  # until the lab ends it
        store.take(news.get())
        time.sleep(GATHER_SECONDS)
        while not news.empty():
            store.take(news.get())
        if store.is_complete:
            began = time.monotonic()
            written = filters.write(store.wanted(arguments.position, arguments.denial))
            took = round((time.monotonic() - began) * 1000, 1)
            print(json.dumps({"in_force": store.fingerprints(), "written": written, "took_ms": took}), flush=True)


if __name__ == "__main__":
    sys.exit(main())
