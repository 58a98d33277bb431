"""Names from the cluster on a terminal: they are shown, and control nothing."""

import html.parser
import json
import os
import pty
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from exposure.cli.terminal import aligned, safe, wrapped
from tests.cli.conftest import REPOSITORY, Run, Write
from tests.cluster.binaries import binaries

HOSTILE = (
    "apiVersion: v1\nkind: Service\nmetadata:\n"
    '  {name: "\\e]0;owned\\a\\e[2J", namespace: "[red]</script><b onload=x>\\"\'"}\n'
    'spec: {type: LoadBalancer, selector: {"a\\u202e": "\\x9b31m"}, ports: [{name: "<svg/onload=1>", port: 80}]}\n'
    "status: {loadBalancer: {ingress: [{hostname: 'javascript:alert(1)'}]}}\n"
)
UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@pytest.mark.parametrize(
    "text, shown",
    [
        pytest.param("shop/web → 80", "shop/web → 80", id="plain-text-passes"),
        pytest.param("\x1b[31mred", "\\x1b[31mred", id="an-escape-sequence"),
        pytest.param("\x9b31m", "\\x9b31m", id="the-eight-bit-form-of-one"),
        pytest.param("a\nb\rc", "a\\x0ab\\x0dc", id="line-breaks"),
        pytest.param("\u202egnp.exe", "\\u202egnp.exe", id="a-bidirectional-override"),
        pytest.param("\U000e0041", "\\U000e0041", id="an-invisible-tag"),
        pytest.param("\ud800", "\\ud800", id="half-a-character"),
    ],
)
def test_control_characters_are_shown_as_code_points(text: str, shown: str) -> None:
    """No character can control a terminal."""
    assert shown == safe(text)


@pytest.mark.parametrize(
    "arguments",
    [["map"], ["map", "-o", "json"], ["map", "-o", "html"], ["plan"], ["plan", "-o", "yaml"], ["plan", "-o", "json"]],
)
def test_hostile_names_reach_no_terminal(run: Run, arguments: list[str]) -> None:
    """Neither output has a control character or a bidirectional override, in any format."""
    policy = "---\n{apiVersion: exposure.dev/v1alpha1, kind: ClusterExposurePolicy, metadata: {name: a}, spec: {}}\n"
    result = run(*arguments, "-f", "-", stdin=HOSTILE + policy)
    assert (0, []) == (result.status, UNPRINTABLE.findall(result.out + result.err))


def test_errors_have_no_control_characters(run: Run) -> None:
    """A field's name can be as hostile as an object's."""
    text = 'apiVersion: exposure.dev/v1alpha1\nkind: ExposurePolicy\nmetadata: {name: "\\e[2J"}\nspec: {"\\e[1m": 1}\n'
    result = run("plan", "-f", "-", stdin=text)
    assert (2, []) == (result.status, UNPRINTABLE.findall(result.err))


class Page(html.parser.HTMLParser):
    """Elements, attributes, and whether anything is loaded from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.attributes: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]


def test_the_page_loads_nothing(run: Run) -> None:
    """No script, nothing loaded, no link but to its own sections, whatever the objects are called."""
    page = Page()
    page.feed(run("map", "-o", "html", "-f", "-", stdin=HOSTILE).out)
    assert [] == [tag for tag in page.elements if tag in ("script", "img", "link", "iframe", "object", "b onload=x")]
    assert [] == [name for name, _ in page.attributes if name.startswith("on") or name == "src"]
    assert {True} == {value.startswith("#") for name, value in page.attributes if name == "href"}
    assert "url(" not in run("map", "-o", "html", "-f", "-", stdin=HOSTILE).out


def test_the_picture_has_every_box_inside_its_frame(run: Run) -> None:
    """It is well-formed SVG with sources, entry point, pods and a blind spot."""
    out = run("map", "-o", "html", "-f", str(REPOSITORY / "examples")).out
    picture = re.search(r"<svg.*</svg>", out, re.DOTALL)
    assert picture
    svg = ElementTree.fromstring(picture[0])
    _, _, width, height = map(float, svg.attrib["viewBox"].split())
    boxes = [box.attrib for box in svg.iter("{http://www.w3.org/2000/svg}rect")]
    outside = [
        box
        for box in boxes
        if float(box["x"]) + float(box["width"]) > width or float(box["y"]) + float(box["height"]) > height
    ]
    words = "".join(svg.itertext())
    assert [] == outside
    assert {"held", "entry-point", "backend"} <= {css for box in boxes for css in box["class"].split()}
    assert all(text in words for text in ("shop/service-web", "203.0.113.0/24", "Service shop/web"))


def test_a_table_is_aligned_and_not_cut() -> None:
    """However long a cell is."""
    assert f"A{' ' * 299}  B\n{'x' * 300}  y\n" == aligned(["A", "B"], [["x" * 300, "y"]])


def test_a_long_word_stays_whole() -> None:
    """A URL that is broken in two cannot be followed."""
    assert "see\nhttps://example.com/" + "x" * 90 == wrapped("see https://example.com/" + "x" * 90)


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "import sys; from exposure.cli import main; sys.exit(main())", *arguments]


def _environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(REPOSITORY / "operator"), **more}


def test_a_closed_pipe_is_no_error(tmp_path: Path) -> None:
    """`… | head -1` prints no error."""
    many = "---\n".join(
        f"{{apiVersion: v1, kind: Service, metadata: {{name: s{number}}}, spec: {{type: LoadBalancer}}}}\n"
        for number in range(3000)
    )
    file = tmp_path / "many.yaml"
    file.write_text(many)
    started = subprocess.Popen(
        _command("map", "-f", str(file)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=_environment()
    )
    assert started.stdout
    assert started.stderr
    started.stdout.readline()
    started.stdout.close()
    errors = started.stderr.read()
    assert (0, b"") == (started.wait(timeout=60), errors)


def test_a_full_disk_is_an_error() -> None:
    """Exit status 2. 1 would mean that the plan has changes."""
    example = str(REPOSITORY / "examples" / "quick-start.yaml")
    with open("/dev/full", "w") as full:
        ran = subprocess.run(
            _command("map", "-f", example),
            stdout=full,
            stderr=subprocess.PIPE,
            env=_environment(),
            timeout=60,
            check=False,
        )
    assert (2, b"kubectl exposure: The output cannot be written: No space left on device.\n") == (
        ran.returncode,
        ran.stderr,
    )


def test_on_a_terminal_the_table_has_rules(write: Write, tmp_path: Path) -> None:
    """rich draws it. A name in square brackets is not read as markup."""
    file = tmp_path / write("hostile.yaml", HOSTILE)
    reader, terminal = pty.openpty()
    started = subprocess.Popen(
        _command("map", "-f", str(file)),
        stdout=terminal,
        stderr=terminal,
        env=_environment(TERM="xterm", COLUMNS="200"),
    )
    os.close(terminal)
    output = b""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            part = os.read(reader, 65536)
        except OSError:  # EIO: the other end is closed
            break
        if not part:
            break
        output += part
    os.close(reader)
    text = output.decode()
    assert 0 == started.wait(timeout=30)
    assert "[red]" in text
    assert "─" in text
    assert "\x1b]0;" not in text


SERVICE = """\
apiVersion: v1
kind: Service
metadata: {{name: s{0}, namespace: n{1}}}
spec:
  type: LoadBalancer
  ports:
  - {{name: http, port: 80, targetPort: 8080}}
  selector: {{app: s{0}}}
"""


def test_kubectl_runs_the_plugin(tmp_path: Path) -> None:
    """The real kubectl runs the executable kubectl-exposure on PATH."""
    plugin = tmp_path / "kubectl-exposure"
    plugin.write_text(f"#!{sys.executable}\nimport sys\nfrom exposure.cli import main\nsys.exit(main())\n")
    plugin.chmod(0o755)
    environment = _environment(PATH=f"{tmp_path}:{os.environ['PATH']}")
    example = str(REPOSITORY / "examples" / "quick-start.yaml")
    command = [str(binaries() / "kubectl"), "exposure", "plan", "-f", example, "--exit-code"]
    ran = subprocess.run(command, capture_output=True, env=environment, timeout=60, check=False)
    assert (1, b"", True) == (ran.returncode, ran.stderr, ran.stdout.startswith(b"create shop/exposure-to-web "))


def test_large_input_is_read_in_seconds(tmp_path: Path) -> None:
    """5,000 Services as YAML: a bound wide enough for a slow machine, and far below what a quadratic reader takes."""
    file = tmp_path / "many.yaml"
    file.write_text("---\n".join(SERVICE.format(number, number % 100) for number in range(5000)))
    command = _command("map", "-f", str(file), "-o", "json")
    ran = subprocess.run(command, capture_output=True, env=_environment(), timeout=60, check=False)
    assert (0, b"", 5000) == (ran.returncode, ran.stderr, len(json.loads(ran.stdout)))
