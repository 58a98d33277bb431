"""The findings as JSON: the shape is documented in docs/how-to/read-flow-logs.md."""

from dataclasses import asdict
from typing import Any

from exposure.flows.findings import ExposureFindings, ObservedFlow, peer_text
from exposure.flows.reading import Account
from exposure.flows.table import FlowTable
from exposure.render.exposures import ports_json

Manifest = dict[str, Any]


def account_json(account: Account, attributed: int, table: FlowTable) -> Manifest:
    """What became of every line; `attributed` flows touched a Service behind an entry point."""
    return {
        "lines": account.lines,
        "flows": account.flows,
        "attributed": attributed,
        "badLines": account.bad,
        "badLineExamples": [{"source": s, "line": n, "reason": r} for s, n, r in account.examples],
        "passedOver": dict(sorted(account.passed.items())),
        "formats": dict(sorted(account.formats.items())),
        "brokenSources": [{"source": source, "reason": reason} for source, reason in account.broken],
        "rows": len(table.rows),
        "compactions": table.compactions,
    }


def finding_json(finding: ExposureFindings, most: int) -> Manifest:
    """`most` rows of each kind, the heaviest."""
    exposure, policy = finding.exposure, finding.exposure.policy
    return {
        "namespace": exposure.namespace,
        "name": exposure.name,
        "services": [served.name for served in finding.services],
        "policy": policy and {"kind": policy.kind, "namespace": policy.namespace, "name": policy.name},
        "incoming": [_flow(flow) for flow in finding.incoming[:most]],
        "incomingLeftOut": max(0, len(finding.incoming) - most),
        "outgoing": [_flow(flow) for flow in finding.outgoing[:most]],
        "outgoingLeftOut": max(0, len(finding.outgoing) - most),
        "unusedPorts": ports_json(finding.unused_ports),
        "unusedGrants": [{"networkPolicy": grant.policy, "peer": grant.peer} for grant in finding.unused_grants],
        "perhapsWanted": [{**_flow(flow), "why": flow.wanted} for flow in finding.wanted[:most]],
        "contradictions": [asdict(contradiction) for contradiction in finding.contradictions[:most]],
    }


def _flow(flow: ObservedFlow) -> Manifest:
    key, peer = flow.key, flow.key.peer
    return {
        "service": key.service,
        "peer": {"kind": peer.kind, "text": peer_text(peer), **peer._asdict(), "labels": dict(peer.labels)},
        "protocol": key.protocol,
        "port": key.port,
        "exposed": key.exposed,
        **flow.counts._asdict(),
        "expected": flow.expected.answer,
        "by": flow.expected.by,
    }
