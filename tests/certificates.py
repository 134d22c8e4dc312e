"""Certificates for tests, as files: an authority of the test's own, and whoever it vouches for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate with its key."""

    cert: Path
    key: Path


class Authority:
    """One certificate authority; `ca` is the file that trusts it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._ca = trustme.CA()
        self.ca = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(str(self.ca))

    def issue(self, file: str, *identities: str, common_name: str | None = None) -> Identity:
        """Vouch for names or addresses: `file.pem` and `file.key`, written anew if they are there."""
        leaf = self._ca.issue_cert(*identities, common_name=common_name)
        issued = Identity(self._folder / f"{file}.pem", self._folder / f"{file}.key")
        issued.cert.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
        leaf.private_key_pem.write_to_path(str(issued.key))
        return issued
