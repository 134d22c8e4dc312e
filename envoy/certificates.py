"""Which certificate files the edge shows: those of the settings, or those that a document in the store names.

A document names paths on the Envoys' hosts, never a key itself. `translate` asks for each View, the command
writes it. `View -> Snapshot`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from envoy.edge import EdgeTls
from topology.model import Problem
from topology.view import View

KIND: Final = "certificates"
NAME: Final = "edge"
_FILES: Final = ("certificate", "key", "client_ca")
_MAX_PATH: Final = 4096


def parse_certificates(body: Any) -> EdgeTls | tuple[Problem, ...]:
    """Read a document; what is wrong comes back as problems, all of them at once."""
    if not isinstance(body, Mapping):
        return (Problem(field="", message="is no object: write schema, certificate and key"),)
    found = []
    if body.get("schema") != 1 or isinstance(body["schema"], bool):
        found.append(Problem(field="schema", message=f"{body.get('schema')!r} is not known here: write 1"))
    found += (
        Problem(field=str(name), message=f"is unknown: there is {', '.join(_FILES)}")
        for name in body.keys() - {"schema", *_FILES}
    )
    for name in _FILES:
        path = body.get(name, "" if name == "client_ca" else None)
        if name == "client_ca" and path == "":
            continue
        if not isinstance(path, str) or not path.startswith("/") or len(path) > _MAX_PATH or "\0" in path:
            message = (
                f"{path!r} is no file: write its path on the Envoys' hosts, such as /etc/cellplane/edge.pem"
            )
            found.append(Problem(field=name, message=message))
    return tuple(found) or EdgeTls(**{name: body[name] for name in _FILES if name in body})


def files_in_force(view: View, tls: EdgeTls) -> EdgeTls:
    """Give the files for this View. A document that can't be read leaves those of the settings.

    Whether clients are asked for a certificate is the listener's, and so the settings' to say.
    """
    document = view.documents.get((KIND, NAME))
    found = parse_certificates(document.body) if document is not None else ()
    if not isinstance(found, EdgeTls):
        return tls
    client_ca = (found.client_ca or tls.client_ca) if tls.client_ca else ""
    return replace(tls, certificate=found.certificate, key=found.key, client_ca=client_ca)
