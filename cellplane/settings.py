"""What the command can be told, as frozen values: filled by the command line, the environment and the config
file.

Only data and checks of form; nothing here opens a socket or reads the topology.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from topology.claims_postgresql.address import Address


class SettingsError(Exception):
    """A setting is missing, malformed or contradicts another; the message names it and the fix."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listen:
    """An address to listen on."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str, option: str = "") -> Listen:
        """Read `host:port` or `[v6]:port`; raise SettingsError with the option and the fix otherwise."""
        host, separator, port = text.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not separator or not host or not port.isdigit() or int(port) > 65535:
            where = f"{option}: " if option else ""
            raise SettingsError(
                f"{where}{text!r} is no listen address; write HOST:PORT, for example 127.0.0.1:18000."
            )
        return cls(host=host, port=int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """Paths of PEM files. `ca` verifies the other side, `cert` and `key` show who we are."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None

    def check(self, prefix: str) -> None:
        """Raise SettingsError for half a key pair or a file that cannot be read."""
        if (self.cert is None) != (self.key is None):
            raise SettingsError(f"--{prefix}-cert and --{prefix}-key go together; give both or neither.")
        for name in ("ca", "cert", "key"):
            path: Path | None = getattr(self, name)
            if path is not None and not path.is_file():
                raise SettingsError(f"--{prefix}-{name}: there is no file {path}.")

    def check_server(self, prefix: str = "--") -> None:
        """Do as `check` for a server's own --cert, --key and --client-ca, however they begin."""
        if (self.cert is None) != (self.key is None):
            raise SettingsError(f"{prefix}cert and {prefix}key go together; give both or neither.")
        if self.ca and not self.cert:
            raise SettingsError(f"{prefix}client-ca needs {prefix}cert and {prefix}key: mTLS is TLS first.")
        for name, path in (("client-ca", self.ca), ("cert", self.cert), ("key", self.key)):
            if path is not None and not path.is_file():
                raise SettingsError(f"{prefix}{name}: there is no file {path}.")

    @property
    def given(self) -> bool:
        """Say whether any file was named."""
        return any((self.ca, self.cert, self.key))


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """From which level on a process logs, and whether for people (`text`) or for machines (`json`)."""

    level: str = "info"
    format: str = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class EtcdSettings:
    """How to reach etcd."""

    endpoints: tuple[str, ...] = ("127.0.0.1:2379",)
    tls: TlsFiles = field(default_factory=TlsFiles)
    user: str = ""
    password: str = field(default="", repr=False)
    prefix: str = "/cellplane/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimStoreSettings:
    """Where the claims are, if not in etcd: a PostgreSQL database, and how many connections to keep to it."""

    address: Address
    connections: int = 10


def read_config_file(path: Path, known: Mapping[str, Any], what: str) -> dict[str, Any]:
    """Return the settings of a TOML file by option name (dashes or underscores); unknown names are errors."""
    try:
        document = tomllib.loads(path.read_text())
    except OSError as error:
        raise SettingsError(f"--config {path}: {error.strerror}.") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"--config {path} is no TOML: {error}.") from error
    settings = {name.replace("-", "_"): value for name, value in document.items()}
    unknown = sorted(set(settings) - set(known))
    if unknown:
        names = ", ".join(sorted(name.replace("_", "-") for name in known))
        raise SettingsError(f"--config {path}: {what} has no setting {', '.join(unknown)}. It has: {names}.")
    return settings
