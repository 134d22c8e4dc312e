"""The errors that the xds package raises; expected outcomes are values instead.

XdsError
└── DuplicateResourceError    two resources of one type and name in one snapshot

They stand at the edge `View -> Snapshot`: only the maker of a snapshot meets them, never a stream.
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
