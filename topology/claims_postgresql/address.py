"""Where a PostgreSQL database is: a URL as libpq knows it, which is never shown with its password.

The command line makes it, connections are opened with it. It connects to nothing. Third road: where it leads.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, urlsplit

_SCHEMES: Final = ("postgresql", "postgres")
_SSL_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_FILES: Final = ("sslrootcert", "sslcert", "sslkey", "sslcrl", "passfile")


@dataclass(frozen=True, slots=True)
class Address:
    """Where the claims are: a URL as libpq knows it. Its text and its repr hide the password."""

    url: str = field(repr=False)
    password: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
        except ValueError:  # whose words may hold the password
            raise ValueError("can't be read: check its brackets and unusual characters") from None
        if parts.scheme not in _SCHEMES or not parts.path.strip("/"):
            raise ValueError("is no URL of a PostgreSQL database: write postgresql://USER@HOST:PORT/DATABASE")
        for host in parts.netloc.rpartition("@")[2].split(","):
            _, colon, port = host.rpartition("]")[2].partition(":")
            if colon and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
                raise ValueError(f"has {port!r} for a port: write a number from 1 to 65535")
        mode = self._query.get("sslmode", "prefer")
        if mode not in _SSL_MODES:
            raise ValueError(f"has sslmode={mode}: write one of {', '.join(_SSL_MODES)}")

    @property
    def files(self) -> dict[str, str]:
        """Give the files that the URL names, by parameter."""
        return {name: path for name, path in self._query.items() if name in _FILES}

    @property
    def _query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.url).query))

    @property
    def has_password(self) -> bool:
        """Tell whether the URL itself carries a password."""
        parts = urlsplit(self.url)
        return ":" in parts.netloc.rpartition("@")[0] or "password=" in parts.query

    def __str__(self) -> str:
        parts = urlsplit(self.url)
        user, at, hosts = parts.netloc.rpartition("@")
        return f"postgresql://{user.partition(':')[0]}{at}{hosts}{parts.path}"
