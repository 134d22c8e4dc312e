"""A request written by a person, and what the evaluator said about it as JSON: for the command and the
console.

Neither looks at an Envoy: both hand the request to the reference evaluator. Pure: text in, values out
(`Request -> ClassificationKey -> Decision`, told).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any, Final

from cellplane.cell_input import InputError
from envoy.classification import BUCKETS
from envoy.decision import Decision, Explanation, Outcome
from envoy.rules import Request, Ruleset

_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+\Z")
_HOST: Final = re.compile(r"[A-Za-z0-9!$%&'()*+,.:;=@_~\[\]-]*\Z")
"""What Envoy takes for one; it answers any other with 400, before any rule."""
_NO_PATH: Final = re.compile(r"[\x00-\x20\x7f]")
_NO_VALUE: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def request_of(
    method: str, url: str, headers: Sequence[str], peer: str = "", identities: Sequence[str] = ()
) -> Request:
    """Read a request as it is typed: a URL or a path, headers as `name: value`. Raise InputError with the
    fix.
    """
    authority, path = "", url
    if "://" in url:
        authority, slash, rest = url.partition("://")[2].partition("/")
        authority, mark, query = authority.partition("?")
        path = f"/{'?' + query if mark else rest}" if mark or slash else "/"
        if "@" in authority:
            raise InputError(f"{url!r} has a user in it: give -H 'authorization: Basic …' as clients do.")
    if not path.startswith("/"):
        raise InputError(f"{url!r} is no URL: write https://host/path, or /path.")
    if not _TOKEN.match(method):
        raise InputError(f"{method!r} is no method: write one, such as GET.")
    if _NO_PATH.search(path.partition("#")[0]):
        raise InputError(f"{path!r} is no path: write a space as %20, and no control character.")
    pairs = []
    for header in headers:
        name, colon, value = header.partition(":")
        if not colon or not _TOKEN.match(name.strip()) or _NO_VALUE.search(value.strip()):
            raise InputError(f"{header!r} is no header: write 'name: value'.")
        if name.strip().lower() == "host":
            authority = value.strip()
        else:
            pairs.append((name.strip(), _bytes(value.strip())))
    if not _HOST.match(authority):
        raise InputError(
            f"{authority!r} is no host: write it as browsers send it, such as xn--bcher-kva.example."
        )
    if peer:
        try:
            ip_address(peer)
        except ValueError:
            raise InputError(f"--peer: {peer!r} is no IP address.") from None
    return Request(
        method=method,
        path=_bytes(path.partition("#")[0]),
        authority=authority,
        headers=tuple(pairs),
        peer=peer,
        identities=tuple(identities),
    )


def status_of(decision: Decision) -> int:
    """Give the status that Envoy answers with itself; 0 where it hands the request on."""
    match decision.outcome:
        case Outcome.QUARANTINED | Outcome.NO_CELL:
            return 503
        case Outcome.BAD_PATH:
            return 400
        case _:
            return decision.status


def decided_by(found: Explanation, ruleset: Ruleset) -> str:
    """Say who decides such a request at an edge: Envoy by its matchers, Envoy by what Lua reads, or Python,
    which Envoy asks over ext_proc for the owner of a name until it remembers it.
    """
    decision = found.decision
    if decision.key is not None and decision.key.type in BUCKETS:
        return "python"
    rule = next((each for each in ruleset.matches if each.name == decision.rule), None)
    return "envoy" if rule is None or rule.is_native else "envoy, by Lua"


def explanation_json(found: Explanation, ruleset: Ruleset) -> dict[str, Any]:
    """Return a decision with what each rule had to say."""
    decision = found.decision
    return {
        "outcome": decision.outcome.value,
        "path": found.path,
        "rule": decision.rule,
        "key": str(decision.key) if decision.key else None,
        "cell": decision.cell,
        "candidates": {str(cell): weight for cell, weight in decision.candidates},
        "cluster": decision.cluster or None,
        "status": status_of(decision) or None,
        "decided_by": decided_by(found, ruleset),
        "steps": [
            {
                "rule": step.rule,
                "decides": step.decision is not None,
                "skip": step.skip.value if step.skip else None,
                "why": step.why or None,
                "keys": [{"type": key.type.value, "value": key.value} for key in step.keys],
            }
            for step in found.steps
        ],
    }


def _bytes(text: str) -> str:
    """Give a text as its bytes on the wire, one character each."""
    return text.encode("utf-8", "surrogateescape").decode("latin-1")
