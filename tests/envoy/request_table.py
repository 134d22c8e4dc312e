"""Requests and what shall become of them, written out by hand: for the evaluator, and for a real Envoy.

A row says `rule cell` ("default" has candidates and no cell), or `rule cell quarantined`, or `rejected`; and
which rules were passed over for what. Cookies are unsigned and everything in a request may be forged.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from envoy.edge import INTERNAL_HEADERS
from envoy.rules import Ruleset, parse_ruleset
from tests.envoy.edge_rig import cell, view_of
from topology.model import CellState
from topology.view import View

OPERATOR, STRANGER = "127.0.0.1", "127.0.0.2"
SESSION = "_gitlab_session"

Header = tuple[str, str]


def ruleset() -> Ruleset:
    parsed = parse_ruleset(
        {
            "schema": 1,
            "rules": [
                {
                    "name": "override",
                    "type": "override",
                    "header": "x-cellplane-override",
                    "networks": ["127.0.0.1/32"],
                },
                {
                    "name": "path",
                    "type": "path_prefix",
                    "prefixes": {
                        "/acme": 3,
                        "/acme/sub": 5,
                        "/acme/sub/deep": 1,
                        "/acme/closed": 7,
                        "/acme/closed/open": 11,
                        "/acme/closed/open/shut": 99,
                        "/stopped": 2,
                        "/new": 4,
                        "/gone": 99,
                        "/gone/too": 8,
                        "/caf%C3%A9": 3,
                        "/a.b": 1,
                        "/team+x": 1,
                        "/a%2Fb": 5,
                        "/ACME": 11,
                        "/drains": 6,
                    },
                },
                {"name": "session", "type": "session_cookie", "cookie": SESSION},
                {"name": "default", "type": "default"},
            ],
        }
    )
    assert isinstance(parsed, Ruleset), parsed
    return parsed


def view(ports: dict[int, int] | None = None) -> View:
    """One cell in each state, and some whose ids and prefixes look alike."""
    states = {
        1: CellState.ACTIVE,
        2: CellState.QUARANTINED,
        3: CellState.ACTIVE,
        4: CellState.PROVISIONING,
        5: CellState.CORDONED,
        6: CellState.DRAINING,
        7: CellState.DRAINED,
        8: CellState.DECOMMISSIONED,
        11: CellState.CANARY,
        12: CellState.ACTIVE,
        111: CellState.ACTIVE,
    }
    prefixes = {12: "eu-west"}
    weights = {1: 100, 3: 50, 11: 5, 12: 1, 111: 0}
    return view_of(
        *(
            cell(
                cell_id,
                state,
                ports=((ports or {}).get(cell_id, 80),),
                weight=weights.get(cell_id, 10),
                session_prefix=prefixes.get(cell_id, ""),
            )
            for cell_id, state in states.items()
        )
    )


UNOWNED = {1: 100, 3: 50, 6: 5, 11: 5, 12: 1}
"""Who takes unowned traffic: cell 6 is half-way through its drain, 111 has weight 0."""
SERVERS = (1, 3, 4, 5, 6, 11, 12, 111)
"""Cells that a request may reach."""


@dataclass(frozen=True, slots=True)
class Row:
    expected: str
    path: str = "/"
    headers: tuple[Header, ...] = ()
    peer: str = STRANGER
    skips: tuple[str, ...] = ()

    def __str__(self) -> str:
        sent = " ".join(f"[{name}: {value}]" for name, value in self.headers)
        return f"{self.path} {sent} from {self.peer}"


def rows() -> Iterator[Row]:
    yield from _paths()
    yield from _normalised_paths()
    yield from _sessions()
    yield from _overrides()
    yield from _together()
    yield from _forged()


def _paths() -> Iterator[Row]:
    dead = ("path:unknown",)
    for path, expected, skips in (
        ("/", "default", ()),
        ("/acme", "path 3", ()),
        ("/acme/", "path 3", ()),
        ("/acme/x", "path 3", ()),
        ("/acme?x=1", "path 3", ()),
        ("/acme?", "path 3", ()),
        ("/acme/?x", "path 3", ()),
        ("/acmeville", "default", ()),
        ("/acme-x", "default", ()),
        ("/acme.x", "default", ()),
        ("/acme;x", "default", ()),
        ("/acm", "default", ()),
        ("/Acme", "default", ()),
        ("/ACME", "path 11", ()),
        ("/x/acme", "default", ()),
        ("/?/acme", "default", ()),
        ("/x?y=/acme/", "default", ()),
        ("/acme/sub", "path 5", ()),
        ("/acme/sub/", "path 5", ()),
        ("/acme/sub?x", "path 5", ()),
        ("/acme/subway", "path 3", ()),
        ("/acme/sub/deep", "path 1", ()),
        ("/acme/sub/deep/er", "path 1", ()),
        ("/acme/sub/deeper", "path 5", ()),
        ("/acme/closed", "default", dead),
        ("/acme/closed?x", "default", dead),
        ("/acme/closed/x", "default", dead),
        ("/acme/closedx", "path 3", ()),
        ("/acme/closed/open", "path 11", ()),
        ("/acme/closed/open/x", "path 11", ()),
        ("/acme/closed/openx", "default", dead),
        ("/acme/closed/open/shut", "default", dead),
        ("/acme/closed/open/shut/x", "default", dead),
        ("/acme/closed/open/shutx", "path 11", ()),
        ("/stopped", "path 2 quarantined", ()),
        ("/stopped/x?y", "path 2 quarantined", ()),
        ("/stoppedx", "default", ()),
        ("/new", "default", dead),
        ("/new/x", "default", dead),
        ("/gone", "default", dead),
        ("/gone/x", "default", dead),
        ("/gone/too", "default", dead),
        ("/gone/too/x", "default", dead),
        ("/drains/x", "path 6", ()),
        ("/a.b", "path 1", ()),
        ("/axb", "default", ()),
        ("/team+x", "path 1", ()),
        ("/teamm", "default", ()),
    ):
        yield Row(expected, path, skips=skips)


def _normalised_paths() -> Iterator[Row]:
    for path, expected in (
        ("/%61cme", "path 3"),
        ("/%41CME", "path 11"),
        ("/acme%2Fsub", "default"),
        ("/acme%2fsub", "default"),
        ("/acme/%2Fsub", "path 3"),
        ("/acme%3Fx", "default"),
        ("/acme%00", "rejected"),
        ("/acme%zz", "default"),
        ("/acme/%", "path 3"),
        ("/acme%", "default"),
        ("//acme", "path 3"),
        ("//acme//sub//x", "path 5"),
        ("/./acme", "path 3"),
        ("/x/../acme", "path 3"),
        ("/x/%2e%2e/acme", "path 3"),
        ("/x/%2E./acme", "path 3"),
        ("/acme/../x", "default"),
        ("/acme/..", "default"),
        ("/acme/.", "path 3"),
        ("/acme/...", "path 3"),
        ("/acme/..%2fx", "path 3"),
        ("/acme/..;/x", "default"),
        ("/acme/..;a=b/x", "default"),
        ("/x/.;/..;/acme", "path 3"),
        ("/acme/%2e%2e;/x", "path 3"),
        ("/acme/..%3b/x", "path 3"),
        ("/acme/...;/x", "path 3"),
        ("/acme/sub/../../x", "default"),
        ("/../../acme", "path 3"),
        ("/acme/x/..//sub", "path 5"),
        ("/acme?/../x", "path 3"),
        ("/acme\\sub", "path 5"),
        ("/acme\\..\\x", "default"),
        ("/acme%5csub", "default"),
        ("/caf%C3%A9/x", "path 3"),
        ("/caf%c3%a9/x", "default"),
        ("/a%2Fb/x", "path 5"),
        ("/a%2fb/x", "default"),
        ("/a/b/x", "default"),
        ("/acme#x", "rejected"),
        ("//", "default"),
        ("///", "default"),
        ("//?/acme", "default"),
        ("/acme/" + "x" * 10_000, "path 3"),
        ("/" + "x" * 10_000, "default"),
        ("/%2e%2e%2facme", "default"),
        ("/acme/%2e%2e/%2e%2e/acme", "path 3"),
    ):
        yield Row(expected, path)


def _sessions() -> Iterator[Row]:
    def cookies(*values: str) -> tuple[Header, ...]:
        return tuple(("cookie", value) for value in values)

    unknown, ambiguous = ("session:unknown",), ("session:ambiguous",)
    for values, expected, skips in (
        ((f"{SESSION}=cell-3-0123abcd",), "session 3", ()),
        ((f"{SESSION}=cell-1-0123abcd",), "session 1", ()),
        ((f"{SESSION}=cell-11-0123abcd",), "session 11", ()),
        ((f"{SESSION}=cell-111-0123abcd",), "session 111", ()),
        ((f"{SESSION}=cell-1111-0123abcd",), "default", unknown),
        ((f"{SESSION}=cell-5-x",), "session 5", ()),
        ((f"{SESSION}=cell-6-x",), "session 6", ()),
        ((f"{SESSION}=cell-2-x",), "session 2 quarantined", ()),
        ((f"{SESSION}=cell-4-x",), "default", unknown),
        ((f"{SESSION}=cell-7-x",), "default", unknown),
        ((f"{SESSION}=cell-8-x",), "default", unknown),
        ((f"{SESSION}=cell-9-x",), "default", unknown),
        ((f"{SESSION}=cell-12-x",), "default", unknown),
        ((f"{SESSION}=eu-west-x",), "session 12", ()),
        ((f"{SESSION}=eu-x",), "default", unknown),
        ((f"{SESSION}=eu-west",), "default", unknown),
        ((f"{SESSION}=cell-3",), "default", unknown),
        ((f"{SESSION}=cell-3-",), "session 3", ()),
        ((f"{SESSION}=cell-3_x",), "default", unknown),
        ((f"{SESSION}=cell-0-x",), "default", unknown),
        ((f"{SESSION}=cell-00003-x",), "default", unknown),
        ((f"{SESSION}=cell-+3-x",), "default", unknown),
        ((f"{SESSION}=cell--3-x",), "default", unknown),
        ((f"{SESSION}=cell-99999999999999999999-x",), "default", unknown),
        ((f"{SESSION}=CELL-3-x",), "default", unknown),
        ((f"{SESSION}=cell-3-x-cell-1-y",), "session 3", ()),
        ((f"{SESSION}=xcell-3-x",), "default", unknown),
        ((f'{SESSION}="cell-3-x"',), "default", unknown),
        ((f"{SESSION}= cell-3-x",), "default", unknown),
        ((f"{SESSION}=",), "default", unknown),
        ((f"{SESSION}==cell-3-x",), "default", unknown),
        ((f"{SESSION}=0123456789abcdef",), "default", unknown),
        ((f"{SESSION}=cell%2D3-x",), "default", unknown),
        ((f"{SESSION}",), "default", ()),
        ((f"{SESSION} =cell-3-x",), "default", ()),
        (("_GITLAB_SESSION=cell-3-x",), "default", ()),
        ((f"{SESSION}_2=cell-3-x",), "default", ()),
        ((f"x{SESSION}=cell-3-x",), "default", ()),
        (("other=cell-3-x",), "default", ()),
        ((f"other={SESSION}=cell-3-x",), "default", ()),
        ((f"a=b; {SESSION}=cell-3-x; c=d",), "session 3", ()),
        ((f"a=b;{SESSION}=cell-3-x;c=d",), "session 3", ()),
        ((f"a=b;   {SESSION}=cell-3-x",), "session 3", ()),
        ((f"a=b;\t{SESSION}=cell-3-x",), "session 3", ()),
        ((f"; {SESSION}=cell-3-x",), "session 3", ()),
        ((f"a=b {SESSION}=cell-3-x",), "default", ()),
        ((f"a=b,{SESSION}=cell-3-x",), "session 3", ()),
        ((f"x{SESSION}=cell-1-x; {SESSION}=cell-3-x",), "session 3", ()),
        ((f"{SESSION}=cell-3-x; x{SESSION}=cell-1-x",), "session 3", ()),
        ((f"a=_gitlab_session=cell-1-x; {SESSION}=cell-3-x",), "session 3", ()),
        ((f"x{SESSION}=cell-3-x; {SESSION}=cell-9-x",), "default", unknown),
        (("a=b", f"{SESSION}=cell-3-x", "c=d"), "session 3", ()),
        ((f"{SESSION}=cell-3-x", "c=d"), "session 3", ()),
        (("a=b; c=d", f"e=f; {SESSION}=cell-3-x"), "session 3", ()),
        ((f"{SESSION}=cell-1-x; {SESSION}=cell-3-x",), "default", ambiguous),
        ((f"{SESSION}=cell-3-x; {SESSION}=cell-3-x",), "default", ambiguous),
        ((f"{SESSION}=cell-3-x; {SESSION}=",), "default", ambiguous),
        ((f"{SESSION}=cell-1-x", f"{SESSION}=cell-3-x"), "default", ambiguous),
        ((f"{SESSION}=cell-1-x", f"a=b; {SESSION}=cell-1-x"), "default", ambiguous),
        ((f"{SESSION}=cell-9-x; {SESSION}=cell-3-x",), "default", ambiguous),
        ((f"a=caf\u00e9; {SESSION}=cell-3-x",), "session 3", ()),
        ((f"a=\u00c3\u00a9; {SESSION}=cell-3-x; b=\u00ff",), "session 3", ()),
        ((f"{SESSION}=cell-3-\u00e9",), "session 3", ()),
        (("a=" + "x" * 4000 + f"; {SESSION}=cell-3-x",), "session 3", ()),
        ((f"{SESSION}=cell-3-" + "x" * 4000,), "session 3", ()),
        (("; " * 1000 + f"{SESSION}=cell-11-x",), "session 11", ()),
    ):
        yield Row(expected, headers=cookies(*values), skips=skips)


def _overrides() -> Iterator[Row]:
    unknown, refused = ("override:unknown",), ("override:refused",)
    for value, expected, skips in (
        ("cell-1", "override 1", ()),
        ("cell-3", "override 3", ()),
        ("cell-4", "override 4", ()),
        ("cell-5", "override 5", ()),
        ("cell-6", "override 6", ()),
        ("cell-12", "override 12", ()),
        ("cell-111", "override 111", ()),
        ("cell-2", "override 2 quarantined", ()),
        ("cell-7", "default", unknown),
        ("cell-8", "default", unknown),
        ("cell-9", "default", unknown),
        ("cell-0", "default", unknown),
        ("cell-03", "default", unknown),
        ("cell-99999999999999999999", "default", unknown),
        ("Cell-3", "default", unknown),
        ("3", "default", unknown),
        ("cell-", "default", unknown),
        ("cell-3 x", "default", unknown),
        ("cell-3,cell-1", "default", unknown),
        ("eu-west", "default", unknown),
        ("127.0.0.1", "default", unknown),
        ("255.255.255.255", "default", unknown),
        ("c\u00e9ll", "default", unknown),
        ("", "default", ()),
    ):
        yield Row(expected, headers=(("x-cellplane-override", value),), peer=OPERATOR, skips=skips)
    for value in ("cell-3", "cell-4", "cell-2", "cell-9", "nonsense"):
        yield Row("default", headers=(("x-cellplane-override", value),), skips=refused)
    for forwarded in ("127.0.0.1", "127.0.0.1, 127.0.0.1"):
        for name in ("x-forwarded-for", "x-real-ip", "forwarded", "x-envoy-external-address"):
            headers = ((name, forwarded), ("x-cellplane-override", "cell-4"))
            yield Row("default", headers=headers, skips=refused)
    twice = (("x-cellplane-override", "cell-3"), ("x-cellplane-override", "cell-3"))
    yield Row("default", headers=twice, peer=OPERATOR, skips=unknown)
    yield Row("override 3", headers=(("X-Cellplane-Override", "cell-3"),), peer=OPERATOR)
    yield Row("override 3", headers=(("X-CELLPLANE-OVERRIDE", "  cell-3  "),), peer=OPERATOR)
    yield Row("default", headers=(("x_cellplane_override", "cell-3"),), peer=OPERATOR)
    yield Row("default", "/?x-cellplane-override=cell-3", peer=OPERATOR)


def _together() -> Iterator[Row]:
    override = ("x-cellplane-override", "cell-5")
    session = ("cookie", f"{SESSION}=cell-1-x")
    yield Row("override 5", "/acme", (override, session), OPERATOR)
    yield Row("path 3", "/acme", (override, session), STRANGER, ("override:refused",))
    yield Row("path 3", "/acme", (session,))
    yield Row("path 2 quarantined", "/stopped", (session,))
    yield Row("session 1", "/gone/x", (session,), skips=("path:unknown",))
    yield Row("session 1", "/acme/closed", (session,), skips=("path:unknown",))
    yield Row("session 1", "/acmeville", (session,))
    gone = ("x-cellplane-override", "cell-9")
    yield Row("path 3", "/acme", (gone, session), OPERATOR, ("override:unknown",))
    yield Row("session 1", "/", (gone, session), OPERATOR, ("override:unknown",))
    yield Row(
        "default",
        "/gone",
        (gone, ("cookie", f"{SESSION}=cell-9-x")),
        OPERATOR,
        ("override:unknown", "path:unknown", "session:unknown"),
    )


def _forged() -> Iterator[Row]:
    for name in INTERNAL_HEADERS:
        for spelling in (name, name.title(), name.upper(), name.replace("-", "_"), name.replace("-", "_", 1)):
            yield Row("default", headers=((spelling, "cell-4"),))
    yield Row("default", headers=(("x-cellplane-session", "cell-3-x"),))
    yield Row("session 3", headers=(("x-cellplane-cell", "cell-1"), ("cookie", f"{SESSION}=cell-3-x")))
    yield Row("path 3", "/acme", (("x-cellplane-cell", "cell-1"), ("x-cellplane-cell", "cell-4")))
    yield Row("default", headers=(("x-envoy-original-path", "/acme"),))
    yield Row("default", headers=(("x-original-url", "/acme"), ("x-rewrite-url", "/acme")))
