"""Checks as JSON and as JUnit, for machines."""

import xml.etree.ElementTree as xml
from collections.abc import Sequence
from typing import Any

from exposure.verify.values import Cause, Check


def check_json(check: Check) -> dict[str, Any]:
    target, vantage, observed, cause = check.target, check.vantage, check.observed, check.cause
    document: dict[str, Any] = {"exposure": check.exposure, "result": check.result}
    if vantage is not None:
        document["from"] = {
            "place": vantage.place,
            "namespace": vantage.namespace,
            "node": vantage.node,
            "addresses": list(vantage.addresses),
        }
    if target is not None:
        document["target"] = {
            "entryPoint": target.entry_point,
            "address": target.address,
            "port": target.port,
            "protocol": target.protocol,
            "service": str(target.service.ref),
        }
    document["expected"] = {"verdict": check.expected.verdict, "why": check.expected.why}
    if observed is not None:
        document["observed"] = list(observed.outcomes)
    if cause is not None:
        document["cause"] = {"reason": cause.reason, "message": cause.message, "cure": cause.cure}
    if check.notes:
        document["notes"] = list(check.notes)
    return document


def as_junit(checks: Sequence[Check]) -> str:
    """One test case for each check: a mismatch is a failure, a check that could not be judged is skipped."""
    failures = sum(check.result == "mismatch" for check in checks)
    skipped = sum(check.result == "not judged" for check in checks)
    counts = {"tests": str(len(checks)), "failures": str(failures), "skipped": str(skipped)}
    suite = xml.Element("testsuite", {"name": "kubectl exposure verify", **counts})
    for check in checks:
        where = f"{check.target.place} from {check.vantage}" if check.target else "policies as planned"
        case = xml.SubElement(suite, "testcase", classname=_plain(check.exposure), name=_plain(where))
        if check.result == "mismatch":
            cause = check.cause or Cause("", "")
            failure = xml.SubElement(case, "failure", type=cause.reason, message=_plain(cause.message))
            failure.text = _plain(
                f"expected {check.expected.verdict} ({check.expected.why}), observed {check.observed or '-'}"
            )
        elif check.result == "not judged":
            xml.SubElement(case, "skipped", message=_plain("; ".join((*check.notes, check.expected.why))))
    xml.indent(suite)
    return xml.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _plain(text: str) -> str:
    """The text without characters that XML 1.0 cannot carry."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
