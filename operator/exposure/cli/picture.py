"""The picture of the entry points, as SVG: who is admitted, at which entry point, to which pods, and the blind spots.

One row for each entry point, three columns, lines between them. Every text is other people's input, and is escaped.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from exposure.cli import wording
from exposure.cli.terminal import safe
from exposure.model.exposures import Exposure

WIDTH = 1120
COLUMNS = ((10, 320), (400, 320), (790, 320))
LINE, PAD, GAP = 17, 10, 18
#: About so many characters of 12 px in a sans serif face fit in a box of 320 px.
FITS = 44


@dataclass(frozen=True, slots=True)
class Box:
    lines: tuple[str, ...]
    css: str

    @property
    def height(self) -> int:
        return 2 * PAD + LINE * len(self.lines)


def picture(exposures: Sequence[Exposure]) -> str:
    """One `svg` element; its height follows the number of entry points."""
    parts: list[str] = []
    top = 10
    for exposure in exposures:
        row, height = _row(exposure, top)
        parts.append(row)
        top += height + GAP
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" role="img" '
        f'aria-label="Who is admitted, at which entry point, to which pods">\n{"".join(parts)}</svg>\n'
    )


def _row(exposure: Exposure, top: int) -> tuple[str, int]:
    columns = (_sources(exposure), [_entry_point(exposure)], _backends(exposure))
    heights = [sum(box.height for box in boxes) + 6 * (len(boxes) - 1) for boxes in columns]
    height = max(heights)
    placed: list[list[tuple[int, Box]]] = []
    for boxes, own in zip(columns, heights, strict=True):
        y, column = top + (height - own) // 2, []
        for box in boxes:
            column.append((y, box))
            y += box.height + 6
        placed.append(column)
    [(entry_point_y, entry_point)] = placed[1]
    middle = entry_point_y + entry_point.height // 2
    lines = [_line(0, y + box.height // 2, middle, box.css) for y, box in placed[0]]
    lines += [_line(1, middle, y + box.height // 2, "backend") for y, box in placed[2]]
    drawn = [_box(column, y, box) for column, boxes in enumerate(placed) for y, box in boxes]
    anchor = escape(safe(str(exposure.ref)))
    return f'<g><a href="#{anchor}">{"".join(lines)}{"".join(drawn)}</a></g>\n', height


def _sources(exposure: Exposure) -> list[Box]:
    governed = exposure.policy is not None and exposure.mode == "Enforce"
    held = "held" if governed or exposure.default_deny else "open"
    return [
        Box((f"{source.kind}  {wording.callers([source])}", ", ".join(map(str, source.ports))), held)
        for source in exposure.sources
    ] or [Box((wording.NONE,), held)]


def _entry_point(exposure: Exposure) -> Box:
    lines = [
        str(exposure.ref),
        f"{wording.entry_points(exposure)}  {wording.addresses(exposure)}",
        wording.ports(exposure),
        f"policy {wording.policy(exposure)}",
    ]
    blind_spots = dict.fromkeys(f"⚠ {spot.reason} ({spot.effect.lower()})" for spot in exposure.blind_spots)
    return Box((*lines, *blind_spots), "entry-point has-blind-spot" if blind_spots else "entry-point")


def _backends(exposure: Exposure) -> list[Box]:
    return [
        Box(
            (
                f"Service {backend.service}",
                f"pods {backend.selector or wording.NONE}",
                f"{backend.ready} of {backend.total} ready",
            ),
            "backend",
        )
        for backend in exposure.backends
    ] or [Box(("no backend",), "backend")]


def _box(column: int, y: int, box: Box) -> str:
    x, width = COLUMNS[column]
    texts = "".join(
        f'<text x="{x + PAD}" y="{y + PAD + LINE * index + 12}"{_style(index, line)}>{_fitted(line)}</text>'
        for index, line in enumerate(box.lines)
    )
    return f'<rect class="{box.css}" x="{x}" y="{y}" width="{width}" height="{box.height}" rx="6"/>{texts}'


def _style(index: int, line: str) -> str:
    if line.startswith("⚠"):
        return ' class="blind-spot"'
    return ' class="head"' if index == 0 else ""


def _fitted(text: str) -> str:
    whole = safe(text)
    shown = whole if len(whole) <= FITS else whole[: FITS - 1] + "…"
    title = f"<title>{escape(whole)}</title>" if shown != whole else ""
    return f"{title}{escape(shown)}"


def _line(column: int, start: int, end: int, css: str) -> str:
    x, width = COLUMNS[column]
    left, right = x + width, COLUMNS[column + 1][0]
    middle = (left + right) // 2
    return f'<path class="{css}" d="M{left},{start} C{middle},{start} {middle},{end} {right},{end}"/>'
