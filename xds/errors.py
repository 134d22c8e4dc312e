"""The errors that the xds package raises. Expected outcomes (a refused snapshot, a protocol error of a client) are values instead.

XdsError
└── DuplicateResource    two resources of one type and name in one snapshot
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xds.resource import ResourceType


class XdsError(Exception):
    """The root of this package's errors."""


class DuplicateResource(XdsError):
    """Two resources of one type share a name; a client would reject the whole response."""

    def __init__(self, type: "ResourceType", name: str) -> None:
        super().__init__(
            f"{type.name} {name!r} is there twice; give each resource of a type a name of its own"
        )
        self.type = type
        self.name = name
