"""`exposure-operator`, and `python -m exposure`: the operator's process."""

import argparse
import faulthandler
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

#: The exit status for incorrect usage, the same as argparse's.
WRONG_USE = 2
DESCRIPTION = """\
Watches the entry points of a cluster (load balancers, node ports, ingresses, gateways), isolates the namespaces behind
them, admits what ExposurePolicies ask for, and shows in Exposures what is open.

Runs in the cluster with its ServiceAccount, or anywhere with a kubeconfig. Several replicas elect a leader. The others
keep their data current and can take over at once. /healthz, /readyz and /metrics are served on --listen. SIGTERM stops
the process within 10 seconds.
"""
EPILOG = """\
The configuration file holds what cannot be detected about the cluster. It is read once, at the start:

  network:
    provider: auto            # aws, gce, azure, metallb, k3s, digitalocean, hetzner, oci, alibaba, openstack, ...
    cni: auto                 # calico, calico-ebpf, kube-router, aws-vpc-cni, cilium, ovn-kubernetes, antrea, none, ...
    podCIDRs: []              # overrides what is detected
    nodeCIDRs: []
    nodeAddressLimit: 256
    loadBalancerCIDRs: []
  systemNamespaces: ["kube-*"]

exit status: 0 stopped by SIGTERM or SIGINT; 1 failed; 2 incorrect usage, an unreadable configuration file or
kubeconfig, or a --listen address that cannot be used
"""


def parser() -> argparse.ArgumentParser:
    arguments = argparse.ArgumentParser(
        prog="exposure-operator",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    arguments.add_argument("--config", type=Path, metavar="FILE", help="facts about the cluster; see below")
    arguments.add_argument(
        "--namespace",
        default=os.environ.get("POD_NAMESPACE", "exposure-system"),
        help="the operator's own namespace, where it keeps its Lease (default: $POD_NAMESPACE, else exposure-system)",
    )
    arguments.add_argument("--kubeconfig", metavar="FILE", help="default: the pod's ServiceAccount, else $KUBECONFIG")
    arguments.add_argument("--context", help="a context of the kubeconfig")
    arguments.add_argument(
        "--leader-elect",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="write only while holding the Lease (default). If off, run one process only",
    )
    arguments.add_argument(
        "--listen",
        type=listen_address,
        default=":8080",
        metavar="[ADDRESS]:PORT",
        help="probes and metrics (default :8080)",
    )
    arguments.add_argument("--log-level", default="info", choices=("debug", "info", "warning", "error"))
    arguments.add_argument("--log-format", default="json", choices=("json", "text"))
    return arguments


def listen_address(written: str) -> tuple[str | None, int]:
    """[ADDRESS]:PORT as address and port, an IPv6 address in brackets. None: every address of the machine."""
    host, _, port = written.rpartition(":")
    if not (port.isascii() and port.isdigit() and int(port) < 65536):
        raise argparse.ArgumentTypeError(f"{written!r} is not [ADDRESS]:PORT. Use :8080 or 127.0.0.1:8080")
    return host.strip("[]") or None, int(port)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the operator. Returns the exit status; `argv` None: the process's own arguments."""
    arguments = parser().parse_args(argv)
    # Until the operator handles the signals itself. By default, they do not end the first process of a container.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    # SIGUSR1 writes the stack of every thread to standard error, for a process that hangs.
    faulthandler.register(signal.SIGUSR1, all_threads=True)

    # After the arguments, so that --help answers at once.
    import asyncio
    import logging

    import yaml

    from exposure.controller import logs
    from exposure.controller.errors import CannotStart
    from exposure.controller.operator import run
    from exposure.parse.config import config

    logs.configure(arguments.log_level, arguments.log_format)
    try:
        raw = yaml.safe_load(arguments.config.read_text(encoding="utf-8")) if arguments.config else None
        settings = config(raw, arguments.namespace)
    except (OSError, ValueError, yaml.YAMLError) as error:
        return _wrong(f"{arguments.config}: {error}")
    try:
        asyncio.run(run(settings, arguments.kubeconfig, arguments.context, arguments.listen, arguments.leader_elect))
    except CannotStart as error:
        return _wrong(str(error))
    except Exception:
        logging.getLogger(__name__).exception("the operator has failed")
        return 1
    return 0


def _wrong(message: str) -> int:
    # On one line: messages of the YAML parser span several.
    print("exposure-operator:", " ".join(message.split()), file=sys.stderr)
    return WRONG_USE


if __name__ == "__main__":
    sys.exit(main())
