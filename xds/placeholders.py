"""What is sent in the place of a resource: that there is nothing, or nothing new.

Streams put them into their responses (`Snapshot -> Response`), each in the form that frees the client which
waits. They have no content of their own; snapshots never hold one.
"""

from dataclasses import replace

from xds.encoding import duration_field, field, text_field
from xds.resource import Resource, ResourceType


def empty(kind: ResourceType, name: str) -> Resource:
    """Make the resource that says "there is nothing": its name alone, field 1 of every type that needs it."""
    return Resource.of(kind, name, field(1, name.encode()))


def bodiless(kind: ResourceType, name: str) -> Resource:
    """Make what says that there is nothing under an alias: a `Resource` of that name, without a body."""
    label = text_field(3, name) + text_field(4, name)
    return replace(empty(kind, name), delta_field=field(2, label))


def heartbeat(resource: Resource) -> Resource:
    """Make what says that a resource lives on: its name, version and time to live, without a body."""
    label = text_field(3, resource.name) + text_field(1, resource.version)
    return replace(resource, delta_field=field(2, label + duration_field(6, resource.ttl_seconds)))
