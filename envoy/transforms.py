"""The transforms of rules, run in Python: a text in, a text or fields out, or nothing where it can't be read.

`extraction` runs them in a rule's order; `decide.lua` has the same ones. They never raise, whatever a client
sends. `Request -> ClassificationKey -> Decision`: how a key is read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from envoy.credentials import basic_fields, jwt_fields
from envoy.encodings import from_base64, from_base64url
from envoy.flat_json import json_fields
from envoy.match_rules import Transform, TransformType
from envoy.regex import Regex
from envoy.regex_compiler import compile_regex
from envoy.regex_program import Program, run
from envoy.scopes import registry_scopes
from envoy.tokens import Fault, RoutableToken, parse_payload, parse_token

Read = str | Mapping[str, str]


def apply_transform(transform: Transform, inputs: tuple[str, ...]) -> Read | None:
    """Read the inputs; None where they are malformed."""
    if transform.type is TransformType.MATCH:
        return match_text(transform.regex, inputs[0])
    return _READERS[transform.type](*inputs)


def match_text(regex: Regex | None, text: str) -> Mapping[str, str] | None:
    """Match a text and give the groups; without a regex any text will do that is not empty."""
    if regex is None:
        return {} if text else None
    program = compile_regex(regex)
    if not isinstance(program, Program):
        raise AssertionError(f"a ruleset holds no regex that can't be run: {program}")  # noqa: TRY004
    return run(program, text)


def _token(text: str) -> Read | None:
    found = parse_token(text)
    return found.fields if isinstance(found, RoutableToken) else None


def _payload(payload: str, length: str) -> Read | None:
    found = parse_payload(payload, length)
    return None if isinstance(found, Fault) else found


_READERS: Final[Mapping[TransformType, Callable[..., Read | None]]] = {
    TransformType.ROUTABLE_TOKEN: _token,
    TransformType.ROUTABLE_TOKEN_PAYLOAD: _payload,
    TransformType.BASIC_AUTH: basic_fields,
    TransformType.JWT_CLAIMS: jwt_fields,
    TransformType.JSON: json_fields,
    TransformType.BASE64: from_base64,
    TransformType.BASE64URL: from_base64url,
    TransformType.REGISTRY_SCOPES: registry_scopes,
}
