"""What the package raises says what to do."""

from __future__ import annotations

from xds.errors import DuplicateResourceError, ResourceError, XdsError
from xds.resource import CLUSTER


def test_a_duplicate_is_named() -> None:
    error = DuplicateResourceError(CLUSTER, "a")
    assert isinstance(error, XdsError)
    assert str(error) == "cluster 'a' is there twice; give each resource of a type its own name"
    assert (error.type, error.name) == (CLUSTER, "a")


def test_what_a_resource_cannot_be_is_named_with_the_fix() -> None:
    error = ResourceError(CLUSTER, "a", "ttl_seconds", "leave it out")
    assert isinstance(error, XdsError)
    assert str(error) == "cluster 'a', ttl_seconds: leave it out"
    assert (error.type, error.name, error.field) == (CLUSTER, "a", "ttl_seconds")
