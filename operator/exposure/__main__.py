"""`exposure-operator`, and `python -m exposure`: the operator's process."""

import argparse
import faulthandler
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

DESCRIPTION = """\
Watches the cluster's entry points (load balancers, node ports, ingresses, gateways), closes the rooms behind them, lets
through what ExposurePolicies ask for, and says in Exposures what is open.

Runs in the cluster with its ServiceAccount, or anywhere with a kubeconfig. Several replicas elect a leader; the others
stand by, ready. /healthz, /readyz and /metrics are served on --listen. SIGTERM stops it within 10 seconds.
"""
EPILOG = """\
The configuration file holds what cannot be detected about the cluster. It is read once, at the start:

  network:
    provider: auto            # aws, gce, azure, metallb, k3s, digitalocean, hetzner, oci, alibaba, openstack, ...
    cni: auto                 # calico, calico-ebpf, kube-router, aws-vpc-cni, cilium, ovn-kubernetes, antrea, none, ...
    podCIDRs: []              # wins over what is detected
    nodeCIDRs: []
    nodeAddressLimit: 256
    loadBalancerCIDRs: []
  systemNamespaces: ["kube-*"]
"""


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="exposure-operator",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--config", type=Path, metavar="FILE", help="facts about the cluster, see below")
    made.add_argument(
        "--namespace",
        default=os.environ.get("POD_NAMESPACE", "exposure-system"),
        help="the operator's own namespace, where its Lease is (default: $POD_NAMESPACE, else exposure-system)",
    )
    made.add_argument("--kubeconfig", metavar="FILE", help="default: the pod's ServiceAccount, else $KUBECONFIG")
    made.add_argument("--context", help="context of the kubeconfig")
    made.add_argument(
        "--leader-elect",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="write only while holding the Lease (default); without it there must be one process only",
    )
    made.add_argument("--listen", default=":8080", metavar="[ADDRESS]:PORT", help="probes and metrics (default :8080)")
    made.add_argument("--log-level", default="info", choices=("debug", "info", "warning", "error"))
    made.add_argument("--log-format", default="json", choices=("json", "text"))
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 stopped as asked, 1 failed, 2 wrong use or an unreadable configuration."""
    said = parser().parse_args(arguments)
    # After the arguments, so that --help answers at once.
    import yaml

    from exposure.controller import logs
    from exposure.fields import BadField
    from exposure.parse.config import config

    # For whoever wonders what a silent process is doing: SIGUSR1 writes the stack of every thread to standard error.
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    logs.configure(said.log_level, said.log_format)
    try:
        raw = yaml.safe_load(said.config.read_text()) if said.config else None
        settings = config(raw if raw is not None else {}, said.namespace)
    except (OSError, yaml.YAMLError, BadField) as error:
        print(f"exposure-operator: {said.config}: {error}", file=sys.stderr)
        return 2

    from exposure.controller.data_path import DataPath
    from exposure.controller.operator import Options

    data = DataPath(Options(settings, said.kubeconfig, said.context, said.listen, said.leader_elect))
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: data.stop())
    data.start()
    # Kopf takes a third of a second to import: meanwhile the data path is reading.
    from exposure.controller.host import run

    return run(data)


if __name__ == "__main__":
    sys.exit(main())
