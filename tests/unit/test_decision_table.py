"""The decision table, typed by hand from what the documentation of load balancers, kube-proxy and CNIs says.

C clients, L the load balancer, H health checks, N nodes after SNAT, E everyone of the Service's families.
"""

import pytest

from exposure.facts.decision import ROWS, decide

TABLE = """
delivery  kept  policy   position        from
pod       yes   Local    pre             C H
pod       yes   Local    post            C H
pod       yes   Local    preserving      C H
pod       yes   Local    unknown         C H
pod       yes   Local    identity-snat   C H
pod       yes   Local    identity-dsr    C H
pod       yes   Cluster  pre             C H
pod       yes   Cluster  post            C H
pod       yes   Cluster  preserving      C H
pod       yes   Cluster  unknown         C H
pod       yes   Cluster  identity-snat   C H
pod       yes   Cluster  identity-dsr    C H
pod       no    Local    pre             L H
pod       no    Local    post            L H
pod       no    Local    preserving      L H
pod       no    Local    unknown         L H
pod       no    Local    identity-snat   L H
pod       no    Local    identity-dsr    L H
pod       no    Cluster  pre             L H
pod       no    Cluster  post            L H
pod       no    Cluster  preserving      L H
pod       no    Cluster  unknown         L H
pod       no    Cluster  identity-snat   L H
pod       no    Cluster  identity-dsr    L H
node      yes   Local    pre             C H
node      yes   Local    post            C H
node      yes   Local    preserving      C H
node      yes   Local    unknown         C H
node      yes   Local    identity-snat   C H
node      yes   Local    identity-dsr    C H
node      no    Local    pre             L H
node      no    Local    post            L H
node      no    Local    preserving      L H
node      no    Local    unknown         L H
node      no    Local    identity-snat   L H
node      no    Local    identity-dsr    L H
node      yes   Cluster  pre             N C H
node      yes   Cluster  post            N
node      yes   Cluster  preserving      C H
node      yes   Cluster  unknown         N C H
node      yes   Cluster  identity-snat   E
node      yes   Cluster  identity-dsr    C H
node      no    Cluster  pre             N L H
node      no    Cluster  post            N
node      no    Cluster  preserving      L H
node      no    Cluster  unknown         N L H
node      no    Cluster  identity-snat   E
node      no    Cluster  identity-dsr    L H
node      yes   Later    pre             N C H
node      no    Later    post            N
"""
CELLS = [pytest.param(*line.split(maxsplit=4), id="-".join(line.split()[:4])) for line in TABLE.split("\n")[2:-1]]


@pytest.mark.parametrize("delivery, kept, policy, position, letters", CELLS)
def test_every_cell(delivery: str, kept: str, policy: str, position: str, letters: str) -> None:
    """Which sources a backend sees. An externalTrafficPolicy that nobody knows yet is read as Cluster, with N."""
    row = decide(delivery, kept == "yes", policy, position)  # type: ignore[arg-type]
    assert letters.split() == list(row.sources)


def test_no_row_hides_another() -> None:
    """Each cell fits one row, so the order of the rows decides nothing, and each row is reached."""
    fitting = [
        [row.id for row in ROWS if row.fits(delivery, kept == "yes", policy, position)]  # type: ignore[arg-type]
        for delivery, kept, policy, position, _ in (case.values for case in CELLS)
        if policy != "Later"
    ]
    assert all(len(each) == 1 for each in fitting)
    assert {row.id for row in ROWS} == {each for (each,) in fitting}
