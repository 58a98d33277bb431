"""The decision table, typed by hand from the documentation of load balancers, kube-proxy and CNIs."""

import pytest

from exposure.catalog.decision_table import ROWS, decide

TABLE = """
delivery  kept  policy   position        from
pod       yes   Local    pre             Clients HealthChecks
pod       yes   Local    post            Clients HealthChecks
pod       yes   Local    preserving      Clients HealthChecks
pod       yes   Local    unknown         Clients HealthChecks
pod       yes   Local    identity-snat   Clients HealthChecks
pod       yes   Local    identity-dsr    Clients HealthChecks
pod       yes   Cluster  pre             Clients HealthChecks
pod       yes   Cluster  post            Clients HealthChecks
pod       yes   Cluster  preserving      Clients HealthChecks
pod       yes   Cluster  unknown         Clients HealthChecks
pod       yes   Cluster  identity-snat   Clients HealthChecks
pod       yes   Cluster  identity-dsr    Clients HealthChecks
pod       no    Local    pre             LoadBalancer HealthChecks
pod       no    Local    post            LoadBalancer HealthChecks
pod       no    Local    preserving      LoadBalancer HealthChecks
pod       no    Local    unknown         LoadBalancer HealthChecks
pod       no    Local    identity-snat   LoadBalancer HealthChecks
pod       no    Local    identity-dsr    LoadBalancer HealthChecks
pod       no    Cluster  pre             LoadBalancer HealthChecks
pod       no    Cluster  post            LoadBalancer HealthChecks
pod       no    Cluster  preserving      LoadBalancer HealthChecks
pod       no    Cluster  unknown         LoadBalancer HealthChecks
pod       no    Cluster  identity-snat   LoadBalancer HealthChecks
pod       no    Cluster  identity-dsr    LoadBalancer HealthChecks
node      yes   Local    pre             Clients HealthChecks
node      yes   Local    post            Clients HealthChecks
node      yes   Local    preserving      Clients HealthChecks
node      yes   Local    unknown         Clients HealthChecks
node      yes   Local    identity-snat   Clients HealthChecks
node      yes   Local    identity-dsr    Clients HealthChecks
node      no    Local    pre             LoadBalancer HealthChecks
node      no    Local    post            LoadBalancer HealthChecks
node      no    Local    preserving      LoadBalancer HealthChecks
node      no    Local    unknown         LoadBalancer HealthChecks
node      no    Local    identity-snat   LoadBalancer HealthChecks
node      no    Local    identity-dsr    LoadBalancer HealthChecks
node      yes   Cluster  pre             Nodes Clients HealthChecks
node      yes   Cluster  post            Nodes
node      yes   Cluster  preserving      Clients HealthChecks
node      yes   Cluster  unknown         Nodes Clients HealthChecks
node      yes   Cluster  identity-snat   Outside
node      yes   Cluster  identity-dsr    Clients HealthChecks
node      no    Cluster  pre             Nodes LoadBalancer HealthChecks
node      no    Cluster  post            Nodes
node      no    Cluster  preserving      LoadBalancer HealthChecks
node      no    Cluster  unknown         Nodes LoadBalancer HealthChecks
node      no    Cluster  identity-snat   Outside
node      no    Cluster  identity-dsr    LoadBalancer HealthChecks
node      yes   Later    pre             Nodes Clients HealthChecks
node      no    Later    post            Nodes
"""
CELLS = [pytest.param(*line.split(maxsplit=4), id="-".join(line.split()[:4])) for line in TABLE.split("\n")[2:-1]]


@pytest.mark.parametrize("delivery, kept, policy, position, sources", CELLS)
def test_every_cell_has_its_sources(delivery: str, kept: str, policy: str, position: str, sources: str) -> None:
    """An externalTrafficPolicy of a later Kubernetes is read as Cluster, with Nodes."""
    row = decide(delivery, kept == "yes", policy, position)  # type: ignore[arg-type]
    assert sources.split() == list(row.sources)


def test_no_row_hides_another() -> None:
    """Each cell fits one row, so the order of the rows decides nothing, and each row is reached."""
    fitting = [
        [row.id for row in ROWS if row.fits(delivery, kept == "yes", policy, position)]  # type: ignore[arg-type]
        for delivery, kept, policy, position, _ in (case.values for case in CELLS)
        if policy != "Later"
    ]
    assert all(len(rows) == 1 for rows in fitting)
    assert {row.id for row in ROWS} == {row for (row,) in fitting}
