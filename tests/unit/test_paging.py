"""A list in pages: the order of requests, and what is kept of the answers.

Expectations: https://kubernetes.io/docs/reference/using-api/api-concepts/#retrieving-large-results-sets-in-chunks
"""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from exposure.fields import Raw
from exposure.paging import NotAList, Pager

GONE = None


def page(*names: str, token: str = "", version: str = "7") -> dict[str, Any]:
    metadata = {"resourceVersion": version, **({"continue": token} if token else {})}
    return {
        "kind": "HTTPRouteList",
        "apiVersion": "gateway.networking.k8s.io/v1",
        "metadata": metadata,
        "items": [{"metadata": {"name": name}} for name in names],
    }


def listed(answer: Callable[[Mapping[str, str]], Raw | None]) -> tuple[Pager[str], list[Mapping[str, str]]]:
    """A pager at its end, or where it gave up, and the queries that it made."""
    queries = []
    pager = Pager("HTTPRoute", lambda raw: str(raw["metadata"]["name"]))
    while pager.query is not None:
        queries.append(pager.query)
        answered = answer(pager.query)
        if answered is not GONE:
            pager.add(answered)
        elif not pager.expired():
            break
    return pager, queries


def test_a_list_of_one_page_is_one_request() -> None:
    """It has the version from which a watch starts."""
    pager, queries = listed(lambda query: page("a", "b"))
    assert (["a", "b"], "7", [{"limit": "500"}]) == (pager.items, pager.resource_version, queries)


def test_every_page_is_requested_with_the_token_of_the_one_before() -> None:
    """The limit stays the same."""
    pages = {"": page("a", token="t1"), "t1": page("b", token="t2"), "t2": page("c")}
    pager, queries = listed(lambda query: pages[query.get("continue", "")])
    assert ["a", "b", "c"] == pager.items
    assert [None, "t1", "t2"] == [query.get("continue") for query in queries]
    assert {"500"} == {query["limit"] for query in queries}


def test_after_an_expired_token_everything_is_requested_at_once() -> None:
    """What was read before is dropped: it may be older than what follows."""
    pages = {"": page("a", token="t1"), "t1": GONE}
    pager, queries = listed(lambda query: pages[query.get("continue", "")] if query else page("b", "c"))
    assert (["b", "c"], {}) == (pager.items, queries[-1])


def test_a_list_that_expires_as_a_whole_is_given_up() -> None:
    """There is no other way to list."""
    pager, queries = listed(lambda query: GONE)
    assert [{"limit": "500"}, {}] == queries
    assert pager.query is not None


@pytest.mark.parametrize(
    "item, read",
    [
        pytest.param({}, ("HTTPRoute", "gateway.networking.k8s.io/v1"), id="as-every-server-leaves-it-out"),
        pytest.param({"kind": "Route", "apiVersion": "v2"}, ("Route", "v2"), id="unless-it-is-written"),
    ],
)
def test_items_are_read_with_their_kind_and_version(item: Raw, read: tuple[str, str]) -> None:
    """The items of a list have neither."""
    pager = Pager("HTTPRoute", lambda raw: (raw["kind"], raw["apiVersion"]))
    pager.add({**page(), "items": [item]})
    assert [read] == pager.items


@pytest.mark.parametrize("items", [[], None])
def test_a_list_without_objects_is_empty(items: object) -> None:
    """Servers write an empty list as null, too."""
    pager = Pager("HTTPRoute", dict)
    pager.add({**page(), "items": items})
    assert ([], None) == (pager.items, pager.query)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param({}, id="nothing"),
        pytest.param({**page(), "kind": None}, id="no-kind"),
        pytest.param({key: value for key, value in page().items() if key != "items"}, id="no-items"),
        pytest.param({**page(), "items": "a"}, id="items-that-are-a-word"),
        pytest.param({**page(), "items": [1, {}]}, id="items-that-are-no-objects"),
        pytest.param({**page(), "kind": "Status"}, id="a-status"),
        pytest.param({**page(), "metadata": []}, id="no-version"),
        pytest.param({**page(), "metadata": {"resourceVersion": ""}}, id="an-empty-version"),
    ],
)
def test_any_other_answer_is_no_empty_list(answer: Raw) -> None:
    """Read as an empty list, it would delete every policy of the operator."""
    with pytest.raises(NotAList):
        Pager("HTTPRoute", dict).add(answer)
