"""The reference pages and the product's data."""

from pathlib import Path

import pytest

from tests.docs.pages import REPOSITORY, ROOT, manifests, pages


@pytest.mark.parametrize(("path", "text"), [pytest.param(p, t, id=str(p.relative_to(ROOT))) for p, t in pages()])
def test_a_page_is_up_to_date(path: Path, text: str) -> None:
    """A changed row changes its page: run `python -m tests.docs` and read the change."""
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("path", "text"), [pytest.param(p, t, id=str(p.relative_to(REPOSITORY))) for p, t in manifests()]
)
def test_crds_and_configuration_name_every_row(path: Path, text: str) -> None:
    """A profile that the data has and the CRD refuses could not be chosen: run `python -m tests.docs`."""
    assert text == path.read_text(encoding="utf-8")


def test_every_provider_page_has_its_provider() -> None:
    """With a row its page is deleted."""
    made = {path for path, _ in pages()}
    assert set((ROOT / "providers").iterdir()) <= made
