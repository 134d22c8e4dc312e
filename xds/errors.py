"""The errors that the xds package raises; expected outcomes are values instead.

XdsError
├── DuplicateResourceError    two resources of one type and name in one snapshot
├── ResourceError             a resource is to be what its type cannot be
├── ListenError               the server cannot listen where it was told to
└── CertificateError          a certificate, key or CA file cannot be read

They are met by who makes a snapshot (`View -> Snapshot`) and by who starts the server, never by a stream.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xds.resource import ResourceType


class XdsError(Exception):
    """The root of this package's errors."""


class DuplicateResourceError(XdsError):
    """Two resources of one type share a name; a client would reject the whole response."""

    def __init__(self, kind: "ResourceType", name: str) -> None:
        super().__init__(f"{kind.name} {name!r} is there twice; give each resource of a type its own name")
        self.type = kind
        self.name = name


class ResourceError(XdsError):
    """A resource is to be lazy, or to expire, and resources of its type cannot."""

    def __init__(self, kind: "ResourceType", name: str, field: str, fix: str) -> None:
        super().__init__(f"{kind.name} {name!r}, {field}: {fix}")
        self.type = kind
        self.name = name
        self.field = field


class ListenError(XdsError):
    """The address is taken, or is none."""


class CertificateError(XdsError):
    """A certificate, key or CA file can't be read."""
