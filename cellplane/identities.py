"""Which group a node belongs to, and whether it is who it says: the rule that the control plane hands to the
xDS server.

With mutual TLS the certificate decides: a SPIFFE id `spiffe://<trust domain>/…/<role>/<node id>` binds role
and node id, and `…/sidecar/cell-<id>/<node id>` the cell too; a common name or DNS name binds the node id.
Without, the node's own word has to do. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import urlsplit

from cellplane.pushes import EDGE
from cellplane.sidecar_groups import PREFIX, group_of
from xds.nodes import Identity, Node, Refusal

GROUPS = {"edge": EDGE}
SIDECAR = "sidecar"
_CELL = re.compile(r"[1-9][0-9]{0,9}\Z")
_HINT = "print a bootstrap with `cellplane bootstrap`"


def classify(node: Node, identity: Identity | None) -> str | Refusal:
    """Name the group of a node, or say why it gets nothing."""
    bound = _bound(node, identity)
    if isinstance(bound, Refusal):
        return bound
    role, cell = bound
    if role == SIDECAR:
        if isinstance(cell, str) and _CELL.match(cell):
            return group_of(cell)
        return Refusal(f"node {node.id!r} is a sidecar of cell {cell!r}, which is no cell id; {_HINT}")
    group = GROUPS.get(role) if isinstance(role, str) else None
    if group is None:
        roles = ", ".join((*GROUPS, SIDECAR))
        return Refusal(f"node {node.id!r} has role {role!r}, and the roles are {roles}; {_HINT}")
    return group


def _bound(node: Node, identity: Identity | None) -> tuple[object, object] | Refusal:
    """Give the role of a node, and the cell of a sidecar; what its certificate says goes before its word."""
    role, cell = node.metadata.get("role", ""), node.metadata.get("cell", "")
    if identity is None:
        return role, cell
    spiffe = [urlsplit(uri) for uri in identity.uris if uri.startswith("spiffe://")]
    if not spiffe:
        if node.id in (identity.common_name, *identity.dns_names):
            return role, cell
        names = ", ".join(filter(None, (identity.common_name, *identity.dns_names)))
        return Refusal(f"the certificate is of {names}, not of node {node.id!r}")
    url, parts = spiffe[0].geturl(), spiffe[0].path.strip("/").split("/")
    if len(parts) < 2 or parts[-1] != node.id or parts[-2] == SIDECAR:
        hint = f"; a sidecar's ends in sidecar/cell-<id>/{node.id}" if SIDECAR in parts else ""
        return Refusal(f"the certificate says {url}, not node {node.id!r}{hint}")
    return (SIDECAR, parts[-2].removeprefix("cell-")) if parts[-3:-2] == [SIDECAR] else (parts[-2], cell)


class Classifier:
    """The rule, but for sidecars while etcd is not followed: what this replica knows may be older than what
    they have, and would let in owners that have left. They go on with what they have.
    """

    def __init__(self, followed: Callable[[], bool]) -> None:
        self._followed = followed

    def __call__(self, node: Node, identity: Identity | None) -> str | Refusal:
        group = classify(node, identity)
        if isinstance(group, str) and group.startswith(PREFIX) and not self._followed():
            return Refusal("etcd is not followed, and sidecars are told nothing that may be out of date")
        return group
