"""Scenarios: manifests in, the whole set of NetworkPolicies and blind spots out, through the public command line.

One file is one scenario: the first document says what is expected and from which document that follows, the others are
what `kubectl exposure plan -f` reads. README.md here describes the form.
"""

import contextlib
import io
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from exposure.cli import main
from exposure.cli.offline import read_config, read_snapshot
from exposure.model.config import Config
from exposure.resolve import cluster_facts, resolve
from tests.scenarios.notation import planned, written

HERE = Path(__file__).parent
FILES = sorted(HERE.rglob("*.yaml"))
KNOWN = {"title", "source", "config", "expect"}
EXPECTED = {"policies", "blindSpots", "exposures", "status"}


@dataclass(frozen=True)
class Scenario:
    title: str
    source: list[str]
    config: dict[str, Any] | None
    expect: dict[str, Any]


def _read(path: Path) -> Scenario:
    first = next(yaml.safe_load_all(path.read_text()))["scenario"]
    assert set() == set(first) - KNOWN, "unknown field of a scenario"
    assert set() == set(first["expect"]) - EXPECTED, "unknown field of what is expected"
    return Scenario(first["title"], first["source"], first.get("config"), first["expect"])


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(HERE).with_suffix("")) for path in FILES])
def test_scenario(path: Path, tmp_path: Path) -> None:
    """What is written, and what is said about it, is exactly what the documents lead one to expect."""
    scenario = _read(path)
    assert scenario.source, "a scenario names the document or the code that its expectation comes from"
    config = []
    if scenario.config is not None:
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(scenario.config))
        config = ["--config", str(tmp_path / "config.yaml")]

    manifests = yaml.safe_load_all(_run("plan", "-f", str(path), "-o", "yaml", *config))
    policies = [planned(each) for each in manifests if each]
    exposures = json.loads(_run("map", "-f", str(path), "-o", "json", *config))

    expected, actual = [], []
    expected += _policy_lines([written(each) for each in scenario.expect["policies"]])
    actual += _policy_lines(policies)
    said = _blind_spots(exposures)
    wanted = scenario.expect["blindSpots"]
    for name in sorted({*said, *wanted}):
        hoped = [str(each) for each in wanted.get(name, [])]
        with_effect = {each.partition("(")[0] for each in hoped if "(" in each}
        got = [f"{reason}({effect})" if reason in with_effect else reason for reason, effect in said.get(name, [])]
        expected.append(f"blind spots of {name}: {', '.join(sorted(hoped)) or 'none'}")
        actual.append(f"blind spots of {name}: {', '.join(sorted(got)) or 'none'}")
    for name, fields in scenario.expect.get("exposures", {}).items():
        found = next((each for each in exposures if name in (each["name"], _full_name(each))), None)
        for field, value in fields.items():
            expected.append(f"{name} {field}: {_text(value)}")
            actual.append(f"{name} {field}: {_text(_field(found, field)) if found else 'there is no such Exposure'}")
    verdicts = _verdicts(path, config) if "status" in scenario.expect else {}
    for name, reason in scenario.expect.get("status", {}).items():
        expected.append(f"status of {name}: {reason}")
        actual.append(f"status of {name}: {verdicts.get(name, 'there is no such policy')}")
    if expected != actual:
        pytest.fail(_side_by_side(scenario, expected, actual), pytrace=False)


PAGES = HERE.parents[1]
CITED = sorted({each for path in FILES for each in _read(path).source if not each.startswith("https://")})


@pytest.mark.parametrize("source", CITED)
def test_a_source_can_be_looked_up(source: str) -> None:
    """What an expectation rests on is a public address, or a page of this repository with that very section."""
    page, _, _ = source.partition(": ")
    path, _, section = page.partition("#")
    headings = re.findall(r"^#+ (.+)$", (PAGES / path).read_text(encoding="utf-8"), re.MULTILINE)
    assert not section or section in {re.sub(r"[^\w -]", "", each).lower().replace(" ", "-") for each in headings}


def _run(*arguments: str) -> str:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(list(arguments))
    assert 0 == status, err.getvalue()
    return out.getvalue()


def _verdicts(path: Path, config: list[str]) -> dict[str, str]:
    """The reason of each policy's condition Accepted; the command line shows no status, so the resolution is asked."""
    snapshot = read_snapshot(
        [str(path)], read_config(config[1], Config().operator_namespace) if config else Config(), None
    )
    facts = cluster_facts(snapshot)
    return {
        f"{outcome.policy.namespace}/{outcome.policy.name}".lstrip("/"): outcome.verdict.reason
        for namespace in sorted(snapshot.namespaces)
        for outcome in resolve(snapshot, facts, namespace).outcomes
    }


def _policy_lines(policies: list[Any]) -> list[str]:
    return [line for each in sorted(policies, key=lambda p: str(p.name)) for line in each.lines()]


def _full_name(exposure: dict[str, Any]) -> str:
    return f"{exposure['namespace']}/{exposure['name']}"


def _blind_spots(exposures: list[dict[str, Any]]) -> dict[str, list[tuple[str, str]]]:
    """Reasons and effects by Exposure, by bare name where that is enough; an Exposure without any is left out."""
    names = [each["name"] for each in exposures]
    found = {}
    for each in exposures:
        spots = {(spot["reason"], spot["effect"]) for spot in each["blindSpots"]}
        if spots:
            found[each["name"] if names.count(each["name"]) == 1 else _full_name(each)] = sorted(spots)
    return found


def _field(exposure: dict[str, Any], field: str) -> Any:
    match field:
        case "open":
            return [f"{each['port']}→{each['targetPort']}" for each in exposure["ports"]]
        case "from":
            return sorted({f"{s['kind']} {block['cidr']}" for s in exposure["sources"] for block in s["cidrs"]})
        case "rows":
            return sorted({each["row"] for each in exposure["sources"]})
        case "policy":
            return "<none>" if exposure["policy"] is None else exposure["policy"]["name"]
        case "refused":
            return bool(exposure["refusal"])
        case _:
            return exposure[field]


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _side_by_side(scenario: Scenario, expected: list[str], actual: list[str]) -> str:
    """Only what differs is marked; = stands before lines that agree, - was expected, + was seen."""
    lines = [scenario.title, *(f"  after {each}" for each in scenario.source), ""]
    for line in sorted(dict.fromkeys([*expected, *actual]), key=lambda each: _place(each, expected, actual)):
        mark = "=" if line in expected and line in actual else "-" if line in expected else "+"
        lines.append(f"{mark} {line}")
    return "\n".join([*lines, "", "- expected, not seen    + seen, not expected"])


def _place(line: str, expected: list[str], actual: list[str]) -> tuple[float, int]:
    """Lines stand where they stood, relative to how long each side is, expected ones first."""
    if line in expected:
        return expected.index(line) / len(expected), 0
    return actual.index(line) / len(actual), 1
