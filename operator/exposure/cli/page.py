"""The map as one self-contained HTML page: no script, nothing loaded from elsewhere, every text escaped."""

from collections import Counter
from collections.abc import Sequence
from html import escape

from exposure.cli import wording
from exposure.cli.picture import picture
from exposure.cli.terminal import safe
from exposure.model.exposures import BlindSpot, Exposure, Source

# Should the escaping ever miss something, this Content-Security-Policy lets it load and run nothing.
SECURITY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"

STYLE = """
:root { color-scheme: light dark; --ink: #1c2330; --paper: #fff; --line: #c9d1dc; --soft: #f3f5f8; --held: #1a7f4b;
  --open: #b3261e; --blind-spot: #9a5b00; --entry-point: #2456a6 }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaf0; --paper: #12161d; --line: #3a4350; --soft: #1b212b;
  --held: #5fd39a; --open: #ff8a80; --blind-spot: #ffc266; --entry-point: #8ab4f8 } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem auto;
  max-width: 1140px; padding: 0 1rem }
svg { width: 100%; height: auto; font: 12px system-ui, sans-serif }
svg text { fill: var(--ink) } svg .head { font-weight: 600 } svg .blind-spot { fill: var(--blind-spot) }
svg rect { fill: var(--soft); stroke: var(--line) }
svg rect.entry-point { stroke: var(--entry-point); stroke-width: 1.5 }
svg rect.has-blind-spot { stroke: var(--blind-spot) }
svg rect.held { stroke: var(--held) } svg rect.open { stroke: var(--open) }
svg path { fill: none; stroke: var(--line); stroke-width: 1.5 } svg path.held { stroke: var(--held) }
svg path.open { stroke: var(--open); stroke-dasharray: 5 3 } svg a { text-decoration: none }
section { border-top: 1px solid var(--line); margin-top: 1.5rem } h2 { font-size: 1.1rem; overflow-wrap: anywhere }
dl { display: grid; grid-template-columns: 8rem 1fr; gap: .1rem 1rem; margin: 0 } dt { opacity: .7 }
dd { margin: 0; overflow-wrap: anywhere } li { margin: .4rem 0; overflow-wrap: anywhere } small { opacity: .75 }
.blind-spot { color: var(--blind-spot) }
"""


def page(exposures: Sequence[Exposure]) -> str:
    """A complete HTML document."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(SECURITY)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<title>Entry points of the cluster</title>\n"
        f"<style>{STYLE}</style>\n</head>\n<body>\n<h1>Entry points of the cluster</h1>\n<p>{_summary(exposures)}</p>\n"
        f"{picture(exposures) if exposures else ''}{''.join(map(_section, exposures))}</body>\n</html>\n"
    )


def _summary(exposures: Sequence[Exposure]) -> str:
    ungoverned = sum(exposure.policy is None for exposure in exposures)
    namespaces = len({exposure.namespace for exposure in exposures})
    reasons = Counter(spot.reason for exposure in exposures for spot in exposure.blind_spots)
    most_first = sorted(reasons.items(), key=lambda reason_and_count: (-reason_and_count[1], reason_and_count[0]))
    blind_spots = ", ".join(f"{_text(reason)} ({count})" for reason, count in most_first)
    return (
        f"{_many(len(exposures), 'entry point')} in {_many(namespaces, 'namespace')}; {ungoverned} without a policy. "
        f"Blind spots: {blind_spots or 'none known'}. A NetworkPolicy restricts what a green line shows. "
        "Nothing restricts what a dashed red line shows."
    )


def _many(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def _section(exposure: Exposure) -> str:
    name = str(exposure.ref)
    properties = [
        ("type", wording.entry_points(exposure)),
        ("address", wording.addresses(exposure)),
        ("open", wording.ports(exposure)),
        ("from", wording.callers(exposure.sources)),
        ("policy", wording.policy(exposure)),
        ("policies", ", ".join(map(str, exposure.network_policies))),
        ("provider", exposure.profile),
        ("CNI", exposure.cni),
        ("refused", exposure.refusal),
    ]
    shown = "".join(f"<dt>{_text(key)}</dt><dd>{_text(value)}</dd>" for key, value in properties if value)
    return (
        f'<section id="{_text(name)}">\n<h2>{_text(name)}</h2>\n<dl>{shown}</dl>\n'
        f"{_list('Who is admitted', [_source(source) for source in exposure.sources])}"
        f"{_list('Blind spots', [_blind_spot(spot) for spot in exposure.blind_spots])}</section>\n"
    )


def _list(title: str, items: Sequence[str]) -> str:
    return f"<h3>{title}</h3>\n<ul>{''.join(f'<li>{item}</li>' for item in items)}</ul>\n" if items else ""


def _source(source: Source) -> str:
    ports = ", ".join(map(str, source.ports)) or "no port"
    reference = f"<br><small>{_text(source.reference)}</small>" if source.reference else ""
    return (
        f"<b>{_text(source.kind)}</b> {_text(wording.callers([source]))} on {_text(ports)}<br>"
        f"{_text(source.explanation)}<br><small>row: {_text(source.row.id)}</small>{reference}"
    )


def _blind_spot(spot: BlindSpot) -> str:
    cure = f"<br><b>Cure:</b> {_text(spot.cure)}" if spot.cure else ""
    effect = wording.EFFECTS[spot.effect]
    return f'<b class="blind-spot">{_text(spot.reason)}</b> ({_text(effect)})<br>{_text(spot.message)}{cure}'


def _text(text: str) -> str:
    return escape(safe(text))
