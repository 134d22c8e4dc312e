"""How to reach etcd: patience, identity, certificates.

The composition root fills it in, `etcd_connection` uses it. Secrets stay out of its `repr`.
`etcd Event -> View -> Snapshot -> Response`: below the wire of the Event.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import grpc

from topology.errors import StoreRefused


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long what may take, in seconds.

    `keepalive`: after so much silence a connection is probed; etcd throws out clients that probe more than
    once in five seconds. `keepalive_answer`: how long the probe may take. `progress`: after so much silence
    a watch is asked how far it has come; without an answer for `silence` it is given up.
    """

    connect: float = 2.0
    call: float = 5.0
    keepalive: float = 10.0
    keepalive_answer: float = 3.0
    progress: float = 5.0
    silence: float = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How to get in. Files are read at every new connection, so that renewed certificates are taken up.

    TLS without `ca` trusts the system's authorities. `server_name` is the name in etcd's certificate, where
    it is another than the endpoint's.
    """

    tls: bool = False
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    server_name: str = ""
    username: str = ""
    password: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if (self.cert is None) != (self.key is None):
            raise ValueError("a client certificate and its key go together: give both or neither")
        if (self.ca or self.cert or self.server_name) and not self.tls:
            raise ValueError("certificates are given but TLS is off: turn it on, or leave them out")
        if self.password and not self.username:
            raise ValueError("a password is given without a user name")

    def credentials(self) -> grpc.ChannelCredentials:
        """Read the files as they are now."""
        try:
            ca, key, cert = (path.read_bytes() if path else None for path in (self.ca, self.key, self.cert))
        except OSError as error:
            raise StoreRefused(f"a TLS file for etcd can't be read: {error}") from error
        return grpc.ssl_channel_credentials(root_certificates=ca, private_key=key, certificate_chain=cert)
