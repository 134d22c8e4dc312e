"""Which group a node belongs to, and whether it is who it says: the rule that the control plane hands to the
xDS server.

With mutual TLS the certificate decides: a SPIFFE id `spiffe://<trust domain>/…/<role>/<node id>` binds role
and node id, a common name or DNS name binds the node id. Without, the node's own word has to do. Pure.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from cellplane.pushes import EDGE
from xds.nodes import Identity, Node, Refusal

GROUPS = {"edge": EDGE}
_HINT = "print a bootstrap with `cellplane bootstrap`"


def classify(node: Node, identity: Identity | None) -> str | Refusal:
    """Name the group of a node, or say why it gets nothing."""
    role: object = node.metadata.get("role", "")
    if identity is not None:
        spiffe = [urlsplit(uri) for uri in identity.uris if uri.startswith("spiffe://")]
        if spiffe:
            parts = spiffe[0].path.strip("/").split("/")
            if len(parts) < 2 or parts[-1] != node.id:
                return Refusal(f"the certificate says {spiffe[0].geturl()}, not node {node.id!r}")
            role = parts[-2]
        elif node.id not in (identity.common_name, *identity.dns_names):
            names = ", ".join(filter(None, (identity.common_name, *identity.dns_names)))
            return Refusal(f"the certificate is of {names}, not of node {node.id!r}")
    group = GROUPS.get(role) if isinstance(role, str) else None
    if group is None:
        return Refusal(f"node {node.id!r} has role {role!r}, and the roles are {', '.join(GROUPS)}; {_HINT}")
    return group
