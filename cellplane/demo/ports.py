"""Where the demo's programs listen, all on 127.0.0.1, and the addresses that follow."""

from __future__ import annotations

from dataclasses import dataclass, field

from cellplane.demo.free_port import free_port


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """One port each; those that nobody names are free ones."""

    edge: int = field(default_factory=free_port)
    etcd: int = field(default_factory=free_port)
    etcd_peer: int = field(default_factory=free_port)
    xds: int = field(default_factory=free_port)
    topology: int = field(default_factory=free_port)
    status: int = field(default_factory=free_port)
    admin: int = field(default_factory=free_port)
    ext_proc: int = field(default_factory=free_port)
    ext_proc_status: int = field(default_factory=free_port)

    @property
    def edge_url(self) -> str:
        """Where a request goes in."""
        return f"http://127.0.0.1:{self.edge}"

    @property
    def status_url(self) -> str:
        """The control plane's status pages."""
        return f"http://127.0.0.1:{self.status}"

    @property
    def admin_url(self) -> str:
        """Envoy's admin pages."""
        return f"http://127.0.0.1:{self.admin}"

    @property
    def topology_address(self) -> str:
        """What --topology takes."""
        return f"127.0.0.1:{self.topology}"

    @property
    def ext_proc_address(self) -> str:
        """What --ext-proc takes."""
        return f"127.0.0.1:{self.ext_proc}"

    @property
    def ext_proc_url(self) -> str:
        """The ext_proc server's status pages."""
        return f"http://127.0.0.1:{self.ext_proc_status}"

    @property
    def etcd_endpoint(self) -> str:
        """What --etcd takes."""
        return f"127.0.0.1:{self.etcd}"
