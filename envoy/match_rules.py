"""Rules that match on parts of a request and make keys of them: their values, as `match_parser` reads them.

The evaluator runs them, `match_branches` and `lua_program` make of them what Envoy runs. They hold no cell.
`Request -> ClassificationKey -> Decision`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from envoy.classification import BUCKETS, KeyType
from envoy.regex import Regex, sure_names


class Part(StrEnum):
    """What of a request a condition looks at."""

    METHOD = "method"
    HOST = "host"
    PATH = "path"
    HEADER = "header"
    COOKIE = "cookie"
    QUERY = "query"


NAMED: Final = frozenset({Part.HEADER, Part.COOKIE, Part.QUERY})
"""Parts of which there are many, each with its name."""
ONCE: Final = frozenset({Part.COOKIE, Part.QUERY})
"""Parts that may come twice: then nobody can say which one the application reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One thing that a request must have. Without a regex the part only has to be there, and not empty.

    `unreserved`: the path's first segment must be none of the ruleset's reserved words. `kept_as` names the
    variable that holds the whole value; the regex's groups are variables too. `label` is what was written.
    With `inverse` the regex must not match. With `every` a parameter may come more than once: its values are
    one, with `&` between.
    """

    part: Part
    label: str
    name: str = ""
    regex: Regex | None = field(default=None, hash=False)
    unreserved: bool = False
    inverse: bool = False
    every: bool = False
    kept_as: str = ""

    @property
    def is_by_name(self) -> bool:
        """Tell whether matchers find it by its name alone: whatever its value is, Lua gets to read it."""
        return self.regex is None or self.part in ONCE

    @property
    def variables(self) -> tuple[str, ...]:
        """Name what the condition gives to transforms and keys."""
        own = (self.kept_as,) if self.kept_as else ()
        return own + (self.regex.names if self.regex else ())


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable in a template: `${token}`, or a field of one, `${decoded.c}`."""

    name: str


@dataclass(frozen=True, slots=True)
class Template:
    """Text with variables. Where one is missing, the whole is."""

    parts: tuple[str | Variable, ...]

    @property
    def variables(self) -> tuple[str, ...]:
        """Name the variables."""
        return tuple(part.name for part in self.parts if isinstance(part, Variable))


class TransformType(StrEnum):
    """How a text is read. Each but base64 and base64url gives fields."""

    ROUTABLE_TOKEN = "routable-token"  # noqa: S105
    ROUTABLE_TOKEN_PAYLOAD = "routable-token-payload"  # noqa: S105
    BASIC_AUTH = "basic-auth"
    JWT_CLAIMS = "jwt-claims"
    JSON = "json"
    BASE64 = "base64"
    BASE64URL = "base64url"
    REGISTRY_SCOPES = "registry-scopes"
    MATCH = "match"


TEXTS: Final = frozenset({TransformType.BASE64, TransformType.BASE64URL})
"""Transforms that give one text and no fields."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transform:
    """One step of reading; `regex` is that of a `match`. What can't be read is malformed: the rule ends."""

    type: TransformType
    inputs: tuple[Template, ...]
    output: str
    label: str = ""
    regex: Regex | None = field(default=None, hash=False)


@dataclass(frozen=True, slots=True)
class KeyTemplate:
    """How a key is made; `first_cell` has no value. `many`: several values, with spaces between."""

    type: KeyType
    value: Template
    many: bool = False


@dataclass(frozen=True, slots=True)
class Classify:
    """Ask for the owner: the first key that leads to a cell decides."""

    keys: tuple[KeyTemplate, ...]

    @property
    def local(self) -> tuple[KeyTemplate, ...]:
        """Give the keys before the first claim: those that the View alone answers."""
        found: list[KeyTemplate] = []
        for key in self.keys:
            if key.type in BUCKETS:
                break
            found.append(key)
        return tuple(found)

    @property
    def asks(self) -> bool:
        """Tell whether a claim is in the chain."""
        return len(self.local) < len(self.keys)


@dataclass(frozen=True, slots=True)
class ToCell:
    """Always this cell, as if it owned the request."""

    cell_id: int


@dataclass(frozen=True, slots=True)
class ToCluster:
    """Always this cluster of the ruleset's own, which is no cell."""

    name: str


@dataclass(frozen=True, slots=True)
class Reject:
    """An answer of the edge's own."""

    status: int
    body: str


Action = Classify | ToCell | ToCluster | Reject


class Skip(StrEnum):
    """Why a rule that had something to say was passed over. Envoy counts each by rule."""

    UNKNOWN = "unknown"
    """It names no cell that serves."""
    AMBIGUOUS = "ambiguous"
    """What it looks at came more than once: which of them the application would read is not ours to say."""
    REFUSED = "refused"
    """An override by somebody who may not."""
    MALFORMED = "malformed"
    """What it looks at can't be read: a wrong checksum, a token cut short."""
    UNDECIDED = "undecided"
    """It asks for the owner of a claim, and nobody is there to say."""
    NOT_FOUND = "not_found"
    """Nobody owns what it asks for."""


POLICY_SKIPS: Final = (Skip.UNKNOWN, Skip.AMBIGUOUS, Skip.MALFORMED, Skip.UNDECIDED, Skip.NOT_FOUND)


class Otherwise(StrEnum):
    """What follows where a rule matched and led to no cell; or else a status is given, or a whole answer."""

    NEXT = "next"
    DEFAULT = "default"


Policy = Otherwise | int | Reject


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchRule:
    """All conditions must hold, in their order; then texts are read, and the action is taken."""

    name: str
    conditions: tuple[Condition, ...]
    action: Action
    transforms: tuple[Transform, ...] = ()
    exist: tuple[str, ...] = ()
    otherwise: tuple[tuple[Skip, Policy], ...] = ()

    def policy(self, skip: Skip) -> Policy:
        """Say what follows an outcome that is no cell: the next rule, unless another is named."""
        return dict(self.otherwise).get(skip, Otherwise.NEXT)

    @property
    def is_native(self) -> bool:
        """Tell whether Envoy's matchers decide it without Lua: nothing is taken out of the request."""
        asks = isinstance(self.action, Classify) and self.action.asks
        return self.is_sure and not asks

    @property
    def is_sure(self) -> bool:
        """Tell whether its conditions alone say that its action is taken."""
        if self.transforms or self.exist or any(each.part in ONCE for each in self.conditions):
            return False
        if not isinstance(self.action, Classify):
            return True
        sure = {name for each in self.conditions for name in _sure(each)}
        local = any(key.value.variables for key in self.action.local)
        return not local and all(sure.issuperset(key.value.variables) for key in self.action.keys)


def _sure(condition: Condition) -> tuple[str, ...]:
    own = (condition.kept_as,) if condition.kept_as else ()
    return own + (sure_names(condition.regex.node) if condition.regex else ())
