"""Writes what is made from the catalog: reference pages, the CRDs' enum, names in the configuration. `make docs`."""

from tests.docs.pages import described_crds, manifests, pages

# The page about the CRDs comes last, because it is made from the CRDs that were just written.
for made in (pages, manifests, described_crds):
    for path, text in made():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
