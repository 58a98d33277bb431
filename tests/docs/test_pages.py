"""The reference pages say what the data says."""

from pathlib import Path

import pytest

from tests.docs.pages import REPOSITORY, ROOT, manifests, pages


@pytest.mark.parametrize(("path", "text"), [pytest.param(p, t, id=str(p.relative_to(ROOT))) for p, t in pages()])
def test_a_page_is_what_the_data_makes_of_it(path: Path, text: str) -> None:
    """A changed row changes its page: run `python -m tests.docs` and read what it did."""
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("path", "text"), [pytest.param(p, t, id=str(p.relative_to(REPOSITORY))) for p, t in manifests()]
)
def test_manifests_name_every_row(path: Path, text: str) -> None:
    """A profile that the data has and the CRD refuses could not be chosen: run `python -m tests.docs`."""
    assert text == path.read_text(encoding="utf-8")


def test_no_page_outlives_its_provider() -> None:
    """A provider that is gone takes its page along."""
    made = {path for path, _ in pages()}
    assert set((ROOT / "providers").iterdir()) <= made
