from collections.abc import Iterator

import pytest

from tests.oracle.analyzer import Nca


@pytest.fixture(scope="session")
def nca() -> Iterator[Nca]:
    oracle = Nca()
    yield oracle
    oracle.close()
