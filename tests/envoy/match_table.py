"""Rules of type match, and requests with what shall become of them: for the evaluator and for a real Envoy.

The ruleset uses every part, transform, key, action and policy. Rows say what `request_table`'s do; besides,
`rule status 403` for an answer of a rule's own and `rule fixed-site` for a cluster of the ruleset's.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from envoy.rules import Ruleset, parse_ruleset
from tests.envoy.token_samples import basic, jwt, payload, sealed, token

Header = tuple[str, str]
GITLAB = "gitlab.test"

LOCAL_TOKEN = [{"type": "cell_id", "value": "${token.c}"}]
RESERVED = ["-", "api", "users", "groups", "help", "robots.txt", "v2", "jwt"]


RUNNER = r"^glrtr?-(?<payload>[0-9A-Za-z_-]{27,300})\.01\.(?<length>[0-9a-z]{2})[0-9a-z]{7}$"


def document(site_port: int = 80) -> dict[str, Any]:
    def read(name: str, header: str) -> dict[str, Any]:
        return {
            "name": name,
            "type": "match",
            "match": [{"type": "header", "name": header, "as": "value"}],
            "transform": [{"type": "routable-token", "input": "${value}", "output": "token"}],
            "validate": {"exist": ["${token.c}"]},
            "action": {"classify": LOCAL_TOKEN},
        }

    rules: list[Mapping[str, Any]] = [
        {
            "name": "override",
            "type": "override",
            "header": "x-cellplane-override",
            "networks": ["127.0.0.1/32"],
        },
        {
            "name": "trace",
            "type": "match",
            "match": [{"type": "method", "values": ["TRACE", "PROPFIND"]}],
            "action": {"reject": {"status": 405, "body": "not here\n"}},
        },
        {
            "name": "site",
            "type": "match",
            "match": [
                {"type": "host", "values": ["about.gitlab.test", "*.docs.gitlab.test"]},
                {"type": "path", "prefix": "/site"},
            ],
            "action": {"cluster": "site"},
        },
        {
            "name": "old-api",
            "type": "match",
            "match": [{"type": "path", "regex": r"^/api/v[1-3](?:/.*)?$"}],
            "action": {"reject": {"status": 410}},
        },
        {
            "name": "admin",
            "type": "match",
            "match": [
                {"type": "path", "template": "/-/admin/:page/*"},
                {"type": "header", "name": "x-admin"},
            ],
            "action": {"cell": 1},
        },
        {
            "name": "closed",
            "type": "match",
            "match": [{"type": "path", "prefix": "/closed"}],
            "action": {"cell": 7},
            "otherwise": {"unknown": 421},
        },
        {
            "name": "shut",
            "type": "match",
            "match": [{"type": "path", "prefix": "/shut"}, {"type": "query", "name": "q"}],
            "action": {"cell": 2},
        },
        {
            "name": "runner",
            "type": "match",
            "match": [
                {
                    "type": "header",
                    "name": "Runner-Token",
                    "regex": RUNNER,
                }
            ],
            "transform": [
                {"type": "routable-token-payload", "input": ["${payload}", "${length}"], "output": "token"}
            ],
            "validate": {"exist": ["${token.c}"]},
            "action": {"classify": LOCAL_TOKEN},
            "otherwise": {"malformed": 400, "unknown": "default"},
        },
        read("private", "private-token"),
        {
            **read("job", "job-token"),
            "match": [
                {"type": "header", "name": "job-token", "as": "value"},
                {"type": "method", "values": ["POST"]},
            ],
        },
        {
            "name": "bearer",
            "type": "match",
            "match": [{"type": "header", "name": "authorization", "regex": "^[Bb]earer +(?P<value>[!-~]+)$"}],
            "transform": [{"type": "routable-token", "input": "${value}", "output": "token"}],
            "action": {
                "classify": [
                    {"type": "cell_id", "value": "${token.c}"},
                    {"type": "organization_id", "value": "${token.o}"},
                ]
            },
        },
        {
            "name": "job-jwt",
            "type": "match",
            "match": [{"type": "header", "name": "authorization", "regex": "^(?P<value>[Bb]asic .+)$"}],
            "transform": [
                {"type": "basic-auth", "input": "${value}", "output": "login"},
                {
                    "type": "match",
                    "input": "${login.password}",
                    "regex": "^glcbt-(?P<jwt>[A-Za-z0-9._-]+)$",
                    "output": "found",
                },
                {"type": "jwt-claims", "input": "${found.jwt}", "output": "claims"},
            ],
            "validate": {"exist": ["${claims.cell_prefix}"]},
            "action": {"classify": [{"type": "session_prefix", "value": "${claims.cell_prefix}"}]},
        },
        {
            "name": "basic",
            "type": "match",
            "match": [{"type": "header", "name": "authorization", "regex": "^(?P<value>[Bb]asic .+)$"}],
            "transform": [
                {"type": "basic-auth", "input": "${value}", "output": "login"},
                {"type": "routable-token", "input": "${login.password}", "output": "token"},
            ],
            "action": {"classify": LOCAL_TOKEN},
        },
        {
            "name": "json",
            "type": "match",
            "match": [{"type": "cookie", "name": "pin", "regex": "^v1[.](?P<body>[A-Za-z0-9_-]+)$"}],
            "transform": [
                {"type": "base64url", "input": "${body}", "output": "text"},
                {"type": "json", "input": "${text}", "output": "pin"},
            ],
            "action": {
                "classify": [
                    {"type": "cell_id", "value": "${pin.cell}"},
                    {"type": "session_prefix", "value": "cell-${pin.number}"},
                ]
            },
            "otherwise": {"ambiguous": 400},
        },
        {
            "name": "pages",
            "type": "match",
            "match": [{"type": "host", "values": ["*.pages.test"], "as": "host"}],
            "action": {"classify": [{"type": "pages_unique_domain", "value": "${host}"}]},
        },
        {
            "name": "own",
            "type": "match",
            "match": [
                {"type": "host", "except": [GITLAB, "*.gitlab.test", "edge.test"], "as": "host"},
                {"type": "path", "prefix": "/own"},
            ],
            "action": {"classify": [{"type": "pages_domain", "value": "${host}"}]},
            "otherwise": {"not_found": 404},
        },
        {
            "name": "scopes",
            "type": "match",
            "match": [
                {"type": "path", "prefix": "/jwt/auth"},
                {"type": "query", "name": "scope", "every": True, "as": "scopes"},
            ],
            "transform": [{"type": "registry-scopes", "input": "${scopes}", "output": "registry"}],
            "action": {"classify": [{"type": "route", "value": "${registry.namespaces}", "many": True}]},
            "otherwise": {"malformed": {"status": 400, "body": "no scope\n"}, "ambiguous": 422},
        },
        {
            "name": "query",
            "type": "match",
            "match": [
                {"type": "query", "name": "cell", "regex": "^(?P<cell>[0-9]+)$"},
                {"type": "path", "prefix": "/jwt"},
            ],
            "action": {"classify": [{"type": "cell_id", "value": "${cell}"}]},
        },
        {
            "name": "prefix",
            "type": "match",
            "match": [
                {"type": "cookie", "name": "_gitlab_session", "regex": "^(?P<prefix>[a-z]+(?:-[a-z0-9]+)*)-"}
            ],
            "action": {"classify": [{"type": "session_prefix", "value": "${prefix}"}]},
        },
        {
            "name": "first",
            "type": "match",
            "match": [{"type": "path", "prefix": "/help"}, {"type": "host", "values": [GITLAB]}],
            "action": {"classify": [{"type": "first_cell"}]},
        },
        {
            "name": "first-of",
            "type": "match",
            "match": [{"type": "query", "name": "first"}],
            "action": {"classify": [{"type": "first_cell"}]},
        },
        {
            "name": "namespace",
            "type": "match",
            "match": [{"type": "path", "template": "/:namespace/*"}, {"type": "method", "values": ["GET"]}],
            "action": {
                "classify": [
                    {"type": "route", "value": "${namespace}"},
                    {"type": "redirect_route", "value": "${namespace}"},
                ]
            },
        },
        {"name": "session", "type": "session_cookie", "cookie": "_gitlab_session"},
        {"name": "default", "type": "default"},
    ]
    return {
        "schema": 2,
        "reserved": RESERVED,
        "clusters": {"site": {"endpoints": [{"host": "127.0.0.1", "port": site_port}]}},
        "rules": rules,
    }


def ruleset(site_port: int = 80) -> Ruleset:
    parsed = parse_ruleset(document(site_port))
    assert isinstance(parsed, Ruleset), parsed
    return parsed


@dataclass(frozen=True, slots=True)
class Asked:
    """A request with what shall become of it."""

    expected: str
    path: str = "/-/x"
    headers: tuple[Header, ...] = ()
    method: str = "GET"
    authority: str = "edge.test"
    skips: tuple[str, ...] = ()
    peer: str = "127.0.0.2"

    def __str__(self) -> str:
        sent = " ".join(f"[{name}: {value}]" for name, value in self.headers)
        return f"{self.method} {self.authority}{self.path} {sent}"


def rows() -> Iterator[Asked]:
    yield from _native()
    yield from _tokens()
    yield from _authorization()
    yield from _cookies_and_queries()
    yield from _scopes()
    yield from _together()


def claims() -> Iterator[Asked]:
    """Give requests that name claims of `owned.OWNED`, and what becomes of them where these are looked up."""
    unknown, nobody = ("namespace:unknown",), ("namespace:not_found",)
    for path, expected, skips in (
        ("/acme", "namespace 3", ()),
        ("/acme/web?x", "namespace 3", ()),
        ("/sub", "namespace 2 quarantined", ()),
        ("/deep/x", "namespace 5", ()),
        ("/ACME", "default", unknown),
        ("/v3", "default", unknown),
        ("/caf%C3%A9", "namespace 111", ()),
        ("/site", "namespace 12", ()),
        ("/a.b", "namespace 1", ()),
        ("/nobody", "default", nobody),
        ("/users/acme", "default", ()),
    ):
        yield Asked(expected, path, skips=skips)
    cookie = ("cookie", "_gitlab_session=cell-1-0123")
    yield Asked("prefix 1", "/nobody", (cookie,))
    yield Asked("prefix 1", "/acme", (cookie,), method="POST")
    for routing, expected, skips in (
        ("o:1", "bearer 3", ()),
        ("o:2", "default", ("bearer:unknown",)),
        ("o:10", "bearer 2 quarantined", ()),
        ("o:9", "default", ("bearer:not_found",)),
        ("c:9\no:1", "bearer 3", ()),
        ("c:9\no:9", "default", ("bearer:unknown",)),
        ("c:b\no:1", "bearer 11", ()),
    ):
        yield Asked(expected, headers=(("authorization", f"Bearer {token(routing)}"),), skips=skips)
    for host, path, expected, skips in (
        ("acme.pages.test", "/-/x", "pages 3", ()),
        ("ACME.Pages.test:8080", "/-/x", "pages 3", ()),
        ("acme.pages.test.", "/-/x", "pages 3", ()),  # its whole name
        ("Acme.pages.test.:80", "/-/x", "pages 3", ()),
        ("acme.pages.test..", "/-/x", "default", ()),
        ("clerk@acme.pages.test", "/-/x", "default", ("pages:not_found",)),
        ("nobody.pages.test", "/-/x", "default", ("pages:not_found",)),
        ("pages.test", "/-/x", "default", ()),
        ("www.Customer.test:", "/own/x", "own 1", ()),
        ("www.customer.test", "/-/x", "default", ()),
        ("other.test", "/own", "own status 404", ("own:not_found",)),
        ("www.customer.test.:443", "/own", "own 1", ()),
        ("www.gitlab.TEST.", "/own", "default", ("namespace:not_found",)),
        ("www.gitlab.TEST:80", "/own", "default", ("namespace:not_found",)),
    ):
        yield Asked(expected, path, authority=host, skips=skips)
    for names, expected, skips in (
        (("acme",), "scopes 3", ()),
        (("acme", "acme"), "scopes 3", ()),
        (("acme", "nobody"), "scopes 3", ()),
        (("sub",), "scopes 2 quarantined", ()),
        (("acme", "a.b"), "scopes status 422", ("scopes:ambiguous",)),
        (("nobody", "v3", "acme"), "scopes status 422", ("scopes:ambiguous",)),
        (("v3",), "default", ("scopes:unknown",)),
        (("nobody", "none"), "default", ("scopes:not_found",)),
    ):
        query = "&".join(f"scope=repository:{name}/x:pull" for name in names)
        yield Asked(expected, f"/jwt/auth?{query}", skips=skips)


def _scopes() -> Iterator[Asked]:
    undecided, web = ("scopes:undecided",), "scope=repository:acme/web:pull"
    for query, skips in (
        (web, undecided),
        (f"{web}&{web}", undecided),
        (f"{web}&scope=repository%3Aglobex%2Fx%3Apull%2Cpush&service=r", undecided),
        ("scope=registry:catalog:*", ()),
        ("scope=", ()),
        ("Scope=x", ()),
    ):
        yield Asked("default", f"/jwt/auth?{query}", skips=skips)
    for text in (
        "acme",
        "repository:acme",
        "repository:%zz/x:pull",
        "repository:a%20b:pull",
        "repository::pull",
    ):
        yield Asked("scopes status 400", f"/jwt/auth?scope={text}&{web}", skips=("scopes:malformed",))
    many = "+".join(f"repository:n{at}/x:pull" for at in range(11))
    yield Asked("scopes status 422", f"/jwt/auth?scope={many}", skips=("scopes:ambiguous",))
    yield Asked("default", f"/jwt/auth?scope={many}+repository:n1:push", skips=undecided)


def _native() -> Iterator[Asked]:
    yield Asked("trace status 405", method="PROPFIND")
    yield Asked("default", method="PROPPATCH")
    for host, expected in (
        ("about.gitlab.test", "site fixed-site"),
        ("ABOUT.gitlab.TEST:8080", "site fixed-site"),
        ("about.gitlab.test:", "site fixed-site"),
        ("a.b.docs.gitlab.test", "site fixed-site"),
        ("docs.gitlab.test", "other"),
        ("xabout.gitlab.test", "other"),
        ("about.gitlab.test.evil", "other"),
        ("about.gitlab.test:80x", "other"),
        (".docs.gitlab.test", "other"),
    ):
        undecided = ("namespace:undecided",) if expected == "other" else ()
        yield Asked("default" if expected == "other" else expected, "/site", authority=host, skips=undecided)
    yield Asked("site fixed-site", "/site/x?y=/z", authority="about.gitlab.test")
    yield Asked("default", "/sitex", authority="about.gitlab.test", skips=("namespace:undecided",))
    yield Asked("old-api status 410", "/api/v1")
    yield Asked("old-api status 410", "/api/v3/x")
    yield Asked("old-api status 410", "/api/v3?x")
    yield Asked("old-api status 410", "/api/./v3/x")
    yield Asked("default", "/api/v4/x")
    yield Asked("default", "/api/v30")
    yield Asked("default", "/x?/api/v3/", skips=("namespace:undecided",))
    yield Asked("admin 1", "/-/admin/users", (("x-admin", "1"),))
    yield Asked("admin 1", "/-/admin/users/3?x", (("X-Admin", "\xff"),))
    yield Asked("default", "/-/admin/users", (("x-admin", ""),))
    yield Asked("default", "/-/admin/users")
    yield Asked("default", "/-/admin", (("x-admin", "1"),))
    yield Asked("default", "/-/admin//", (("x-admin", "1"),))
    yield Asked("closed status 421", "/closed/x", skips=("closed:unknown",))
    yield Asked("shut 2 quarantined", "/shut?q=1")
    yield Asked("default", "/shut?q", skips=("namespace:undecided",))
    yield Asked("default", "/shut?x=q=1", skips=("namespace:undecided",))
    yield Asked("default", "/shut?q=1&q=2", skips=("shut:ambiguous", "namespace:undecided"))
    yield Asked("first 1", "/help", authority=GITLAB)
    yield Asked("first-of 1", "/?first=1")
    yield Asked("default", "/?x&first")
    yield Asked("first-of 1", "/?x&first=0&y")
    yield Asked("default", "/?xfirst=1")
    for path in ("/acme", "/acme/", "/acme/web?x", "/Users", "/userss", "/users.old/x", "/caf%C3%A9", "/a.b"):
        yield Asked("default", path, skips=("namespace:undecided",))
    for path in (
        "/users",
        "/users/",
        "/users?x",
        "/users.json",
        "/users.json/",
        "/users.json/?x",
        "/users/acme",
        "/%75sers",
        "/-/acme",
        "/v2/x",
    ):
        yield Asked("default", path)
    yield Asked("default", "/robots.txt")
    yield Asked("default", "/robots.txt.gz")
    yield Asked("default", "/robots", skips=("namespace:undecided",))
    yield Asked("default", "/users.json.gz", skips=("namespace:undecided",))
    yield Asked("default", "/")
    yield Asked("default", "//")
    yield Asked("default", "/acme", method="POST")
    yield Asked("rejected", "/acme%00")


def _tokens() -> Iterator[Asked]:
    good = token("c:3\no:1", "glrt-")
    malformed = ("private:malformed",)
    for value, expected, skips in (
        (token("c:3\no:1"), "private 3", ()),
        (token("c:1"), "private 1", ()),
        (token("c:33\np:zz\nu:1"), "private 111", ()),
        (token("c:b"), "private 11", ()),
        (token("c:2\no:1"), "private 2 quarantined", ()),
        (token("c:4\no:1"), "default", ("private:unknown",)),
        (token("c:7\no:1"), "default", ("private:unknown",)),
        (token("c:9\no:1"), "default", ("private:unknown",)),
        (token("c:0\no:1"), "default", ("private:unknown",)),
        (token("c:03\no:1"), "private 3", ()),
        (token("c:2gosa7pa2gv"), "default", ("private:unknown",)),
        (token("o:1"), "default", ()),
        (token("c:3", "x" * 20), "private 3", ()),
        (token("c:3", ""), "private 3", ()),
        (token("c:3\no:1")[:-1] + "0", "default", malformed),
        (token("c:3\no:1") + "x", "default", malformed),
        (token("c:3\no:1").upper(), "default", malformed),
        (sealed(payload("c:3"), version="02"), "default", malformed),
        (sealed(payload("c:3\nc:4")), "default", malformed),
        (sealed(payload("c:3"), length=29), "default", malformed),
        ("glpat-0123456789abcdefghij", "default", malformed),
        ("x" * 5000, "default", malformed),
        ("x" * 4096, "default", malformed),
        ("\xff" * 40, "default", malformed),
        ("", "default", ()),
    ):
        yield Asked(expected, headers=(("private-token", value),), skips=skips)
    twice = (("private-token", token("c:3")), ("Private-Token", token("c:3")))
    yield Asked("default", headers=twice, skips=malformed)
    beside = (("private-token", ""), *twice[:1], ("private-token", " "))
    yield Asked("private 3", headers=beside)  # Envoy makes one line of these
    yield Asked("job 3", headers=(("JOB-TOKEN", token("c:3")),), method="POST")
    yield Asked("default", headers=(("job-token", token("c:3")),), method="PUT")
    yield Asked("default", headers=(("job_token", token("c:3")),), method="POST")
    yield Asked("runner 3", headers=(("runner-token", good),))
    yield Asked("runner 3", headers=(("runner-token", token("c:3", "glrtr-")),))
    yield Asked("runner 3", headers=(("runner-token", good[:-1] + "0"),))  # GitLab's rule sees no checksum
    yield Asked("default", headers=(("runner-token", token("c:9", "glrt-")),), skips=("runner:unknown",))
    yield Asked("default", headers=(("runner-token", token("o:9", "glrt-")),))
    yield Asked("runner 3", headers=(("runner-token", f" {good} "),))
    yield Asked("default", headers=(("runner-token", token("c:3", "glrts-")),))
    yield Asked(
        "default", headers=(("runner-token", f"glrt-{'x' * 4096}"),)
    )  # a pattern, and too long to be read
    yield Asked("default", headers=(("runner-token", "x" * 4097),))
    inside = payload("c:3")
    broken = sealed(f"glrt-{inside}", length=len(inside) + 1)
    yield Asked("runner status 400", headers=(("runner-token", broken),), skips=("runner:malformed",))
    odd = f"glrt-{'A' * 28}.01.0s0000000"
    yield Asked("runner status 400", headers=(("runner-token", odd),), skips=("runner:malformed",))


def _authorization() -> Iterator[Asked]:
    def asked(expected: str, value: str, *skips: str) -> Asked:
        return Asked(expected, headers=(("authorization", value),), skips=skips)

    yield asked("bearer 3", f"Bearer {token('c:3')}")
    yield asked("bearer 3", f"bearer  {token('c:3')}")
    yield asked("default", f"BEARER {token('c:3')}")
    yield asked("default", f"Bearer {token('c:9')}", "bearer:unknown")
    yield asked("default", f"Bearer {token('o:9')}", "bearer:undecided")
    both = token("c:9\no:1")
    yield asked("default", f"Bearer {both}", "bearer:undecided")
    yield asked("default", f"Bearer {token('p:9')}")
    yield asked("default", "Bearer gho_0123456789", "bearer:malformed")
    yield asked("default", f"Bearer {token('c:3')},x", "bearer:malformed")
    yield asked("default", "Bearer")
    claims = jwt('{"cell_prefix":"cell-3","iat":1700000000}')
    broken = ("job-jwt:malformed",)
    yield asked("job-jwt 3", basic("gitlab-ci-token", f"glcbt-{claims}"))
    west = jwt('{"cell_prefix":"eu-west"}')
    yield asked("job-jwt 12", basic("", f"glcbt-{west}"))
    for inner in ('{"cell_prefix":"cell-4"}', '{"cell_prefix":"cell-99"}', '{"cell_prefix":"cell-3-"}'):
        yield asked("default", basic("x", f"glcbt-{jwt(inner)}"), "job-jwt:unknown", "basic:malformed")
    for inner in ('{"cell_prefix":""}', '{"cell_prefix":null}', "{}"):
        yield asked("default", basic("x", f"glcbt-{jwt(inner)}"), "basic:malformed")
    for inner in ("", "[]", '{"cell_prefix":"cell-3","cell_prefix":"cell-1"}', '{"cell_prefix":"cell-3"'):
        yield asked("default", basic("x", f"glcbt-{jwt(inner)}"), *broken, "basic:malformed")
    yield asked("default", basic("x", "glcbt-a.b"), *broken, "basic:malformed")
    yield asked("basic 3", basic("git", token("c:3")), *broken)
    yield asked("basic 1", basic("", token("c:1")), *broken)
    yield asked("default", basic("git", "password"), *broken, "basic:malformed")
    yield asked("default", "Basic !!", *broken, "basic:malformed")
    yield asked("default", "Basic Z2l0", *broken, "basic:malformed")
    yield asked("default", "Basic ")
    yield asked("default", "Digest x")
    yield asked("default", basic("\xe9\x00\xff", "\x80" * 100), *broken, "basic:malformed")


def _cookies_and_queries() -> Iterator[Asked]:
    def pin(text: str) -> str:
        return "v1." + base64.urlsafe_b64encode(text.encode("latin-1")).rstrip(b"=").decode()

    def cookie(expected: str, *values: str, skips: tuple[str, ...] = ()) -> Asked:
        return Asked(expected, headers=tuple(("cookie", value) for value in values), skips=skips)

    good, number = pin('{"cell":3}'), pin('{"cell":99,"number":"11"}')
    yield cookie("json 3", f"a=b; pin={good}; c=d")
    yield cookie("json 3", "a=b", f"pin={good}")
    yield cookie("json 11", f"pin={number}")
    yield cookie("json 1", "pin=" + pin('{"number":1}'))
    yield cookie("default", "pin=" + pin('{"cell":true}'))
    yield cookie("default", "pin=" + pin('{"cell":99}'), skips=("json:unknown",))
    yield cookie("default", "pin=v1.e", skips=("json:malformed",))
    yield cookie("default", f"pin={pin('[]')}", skips=("json:malformed",))
    yield cookie("default", "pin=v2.e30")
    yield cookie("default", "pin=v1.")
    yield cookie("default", "pin=")
    yield cookie("default", "pin")
    yield cookie("json status 400", f"pin={good}; pin={good}", skips=("json:ambiguous",))
    yield cookie("json status 400", "pin=x", "pin=y", skips=("json:ambiguous",))
    yield cookie("default", f"xpin={good}")
    yield cookie("default", f"pin ={good}")
    yield cookie("prefix 3", "_gitlab_session=cell-3-0123")
    yield cookie("prefix 12", "_gitlab_session=eu-west-0123")
    yield cookie("default", "_gitlab_session=cell-3", skips=("prefix:unknown", "session:unknown"))
    yield cookie("session 3", "_gitlab_session=cell-3-x-y", skips=("prefix:unknown",))
    yield cookie("default", "_gitlab_session=0", skips=("session:unknown",))
    both = ("prefix:ambiguous", "session:ambiguous")
    yield cookie("default", "_gitlab_session=cell-3-x; _gitlab_session=cell-3-x", skips=both)
    yield Asked("query 3", "/jwt/auth?cell=3")
    yield Asked("query 3", "/jwt/auth?x=y&cell=3&z")
    yield Asked("query 2 quarantined", "/jwt/auth?cell=2")
    yield Asked("default", "/jwt/auth?cell=03", skips=("query:unknown",))
    yield Asked("default", "/jwt/auth?cell=4", skips=("query:unknown",))
    yield Asked("default", "/jwt/auth?cell=%33")
    yield Asked("default", "/jwt/auth?cell=")
    yield Asked("default", "/jwt/auth?cells=3")
    yield Asked("default", "/jwt/auth?cell=3&cell=3", skips=("query:ambiguous",))
    yield Asked("default", "/api/auth?cell=3&cell=3")
    yield Asked("default", "/jwt/auth?cell=3?cell=1")
    yield Asked("default", "/api/auth?cell=3")


def _together() -> Iterator[Asked]:
    session = ("cookie", "_gitlab_session=cell-1-x")
    private = ("private-token", token("c:3"))
    yield Asked("private 3", "/acme", (private, session))
    yield Asked("prefix 1", "/acme", (("private-token", "x"), session), skips=("private:malformed",))
    yield Asked("prefix 1", "/acme", (session,))
    yield Asked("old-api status 410", "/api/v1", (private, session))
    yield Asked("override 5", "/", (("x-cellplane-override", "cell-5"), private), peer="127.0.0.1")
    yield Asked("private 3", "/", (("x-cellplane-override", "cell-5"), private), skips=("override:refused",))
    forged = tuple(
        (f"x-cellplane-{name}", "cell-4") for name in ("cell", "rule", "session", "identity", "key")
    )
    yield Asked("private 3", "/acme", (*forged, private))
    for name in ("cellplane.keys", "cellplane.key.private", "cellplane.key.private.1"):
        yield Asked("default", headers=((name, "1"),))
