"""Writes what is made from the data: the reference pages, and the CRDs' enum of profiles. `python -m tests.docs`."""

from tests.docs.pages import crds, pages

for path, text in (*pages(), *crds()):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
