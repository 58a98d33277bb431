"""A list in pages, without I/O: which request comes next, and what each answer means for the list.

The rule for a continue token that has expired is that of client-go's pager (`FullListIfExpired`): begin again, and ask
for everything at once. https://pkg.go.dev/k8s.io/client-go/tools/pager#ListPager
"""

from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from exposure.fields import Raw, mapping, objects, text

PAGE_SIZE = 500
T = TypeVar("T")


class NotAList(ValueError):
    """The answer is not a List object, so it does not mean that nothing exists."""


class Pager(Generic[T]):
    """One list of a collection.

    As long as `query` is not None, it is the query of the next request. Pass a page to `add`, and call `expired` where
    the API server answers 410 Gone. In the end `items` holds what `read` made of each object, and `resource_version`
    the version from which a watch goes on.
    """

    def __init__(self, kind: str, read: Callable[[Raw], T]) -> None:
        """`kind` is the kind of the items, such as Service."""
        self.items: list[T] = []
        self.resource_version = ""
        self.query: Mapping[str, str] | None = {"limit": str(PAGE_SIZE)}
        self._kind = kind
        self._read = read

    def add(self, page: Raw) -> None:
        """Takes in one page: a List object of the API. NotAList for any other answer."""
        metadata, version = mapping(page, "metadata"), text(page, "apiVersion")
        resource_version = text(metadata, "resourceVersion")
        items = objects(page, "items")
        whole = page.get("items", 0) is None or items == page.get("items")  # null: an empty list
        if not (whole and resource_version and text(page, "kind").endswith("List")):
            raise NotAList(f"the API server's answer is not a list of {self._kind} objects")
        # Items of a list name neither their kind nor its version.
        self.items += [self._read({"kind": self._kind, "apiVersion": version, **item}) for item in items]
        self.resource_version = resource_version
        token = text(metadata, "continue")
        self.query = {"limit": str(PAGE_SIZE), "continue": token} if token else None

    def expired(self) -> bool:
        """Begins again without pages. False if the list already had no pages: there is no other way to list."""
        if self.query == {}:
            return False
        self.items, self.query = [], {}
        return True
