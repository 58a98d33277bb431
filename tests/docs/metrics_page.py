"""The page of metrics and log fields, made from the metrics that the operator registers and the fields that it logs."""

from collections.abc import Iterator

from prometheus_client import Counter, Gauge, Histogram

from exposure.controller.metrics import Metrics

#: Every field that a log line can have.
FIELDS: dict[str, str] = {
    "time": "UTC, RFC 3339 with milliseconds",
    "level": "debug, info, warning or error",
    "logger": "the module that logs",
    "message": "a sentence; `reconciled` for a pass over a namespace",
    "exception": "the traceback of an internal error",
    "namespace": "the namespace of a pass",
    "created": "NetworkPolicies that the pass created",
    "updated": "NetworkPolicies that the pass updated",
    "deleted": "NetworkPolicies that the pass deleted",
    "kept": "NetworkPolicies that were already as planned",
    "exposures": "entry points of the namespace",
    "seconds": "how long the pass, or the reading at the start, took",
    "nameConflicts": "NetworkPolicies that the operator did not write and whose names it needs",
    "failures": "why writes failed, at most five sentences",
    "enforced": "what the canary proved: true, false, or null for nothing",
    "evidence": "the canary's evidence, a sentence",
}
#: The metric that is counted in a plain dict: its name, labels and description come from its collector.
EVENTS = "exposure_watch_events_total"


def metrics_page(made: str) -> str:
    metrics = "\n".join(f"| `{name}` | {kind} | {labels} | {text} |" for name, kind, labels, text in sorted(_metrics()))
    fields = "\n".join(f"| `{name}` | {text} |" for name, text in FIELDS.items())
    return f"""# Metrics and logs

{made}

## Metrics

Every replica serves `/metrics` on `--listen` (`:8080`), beside `/healthz` and `/readyz`. Only the leader counts passes
and writes.

| metric | type | labels | what it says |
|---|---|---|---|
{metrics}

The label `resource` is the plural of a kind, such as `services`; in `exposure_writes_total` also
`exposurepolicies/status`. `reason` is a [blind spot](blind-spots.md); in `exposure_relists_total` it is `watch` or
`continue token expired`. `stage` is `policies` (NetworkPolicies are resolved and written) or `reports` (Exposures and
statuses).

What to alert on:

| expression | what it means |
|---|---|
| `sum(exposure_leader) != 1` for a minute | no replica leads, or several run with `--no-leader-elect` |
| `rate(exposure_reconciles_total{{result="failed"}}[5m]) > 0` | NetworkPolicies cannot be written; see the log |
| `exposure_queue_depth{{stage="policies"}} > 0` for minutes | the API server or the operator is too slow |
| `increase(exposure_drift_total[1h]) > 0` | others change NetworkPolicies of the operator |
| `exposure_canary_enforced == 0` | the CNI does not enforce NetworkPolicies |

## Logs

Each line on standard error is one JSON object. `--log-format text` is for people. `--log-level debug` adds the passes
that wrote nothing.

| field | what it says |
|---|---|
{fields}
"""


def _metrics() -> Iterator[tuple[str, str, str, str]]:
    metrics = Metrics()
    for metric in vars(metrics).values():
        if isinstance(metric, Counter | Gauge | Histogram):
            [family] = metric.describe()
            name = family.name + ("_total" if family.type == "counter" else "")
            yield name, family.type, ", ".join(f"`{label}`" for label in metric._labelnames), family.documentation
    [events] = (family for family in metrics.registry.collect() if f"{family.name}_total" == EVENTS)
    yield EVENTS, events.type, "`resource`", events.documentation
