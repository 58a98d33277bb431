"""Checks as JSON and as JUnit, for machines. Values in, text out."""

import json
import xml.etree.ElementTree as xml
from collections.abc import Iterable, Sequence
from typing import Any

from exposure.verify.values import Check


def as_json(checks: Iterable[Check]) -> str:
    """A list with one object for each check; ASCII only."""
    return json.dumps([check_json(each) for each in checks], indent=2) + "\n"


def check_json(check: Check) -> dict[str, Any]:
    target, vantage, seen, finding = check.target, check.vantage, check.seen, check.finding
    found: dict[str, Any] = {"exposure": check.exposure, "result": check.result}
    if vantage is not None:
        found["from"] = {
            "place": vantage.place,
            "namespace": vantage.namespace,
            "node": vantage.node,
            "addresses": list(vantage.addresses),
        }
    if target is not None:
        found["target"] = {
            "entryPoint": target.entry_point,
            "address": target.address,
            "port": target.port,
            "protocol": target.protocol,
            "service": f"{target.namespace}/{target.service}",
        }
    found["expected"] = {"verdict": check.expected.verdict, "why": check.expected.why}
    if seen is not None:
        found["seen"] = list(seen.outcomes)
    if finding is not None:
        found["cause"] = {"reason": finding.reason, "message": finding.message, "cure": finding.cure}
    if check.notes:
        found["notes"] = list(check.notes)
    return found


def as_junit(checks: Sequence[Check]) -> str:
    """One test case for each check: a mismatch is a failure, what could not be judged is skipped."""
    failures = sum(each.result == "mismatch" for each in checks)
    skipped = sum(each.result == "not judged" for each in checks)
    suite = xml.Element(
        "testsuite",
        name="kubectl exposure verify",
        tests=str(len(checks)),
        failures=str(failures),
        skipped=str(skipped),
    )
    for check in checks:
        where = f"{check.target.place} from {check.vantage}" if check.target else "policies as planned"
        case = xml.SubElement(suite, "testcase", classname=_plain(check.exposure), name=_plain(where))
        if check.result == "mismatch":
            finding = check.finding
            failure = xml.SubElement(
                case,
                "failure",
                type=finding.reason if finding else "",
                message=_plain(finding.message if finding else ""),
            )
            failure.text = _plain(f"expected {check.expected.verdict} ({check.expected.why}), seen {check.seen or '-'}")
        elif check.result == "not judged":
            xml.SubElement(case, "skipped", message=_plain("; ".join((*check.notes, check.expected.why))))
    xml.indent(suite)
    return xml.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _plain(text: str) -> str:
    """What XML 1.0 can carry."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
