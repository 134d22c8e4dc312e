"""Pages of customers, by host: domains below one name, and customers' own."""

from __future__ import annotations

from pathlib import Path

from aiohttp import web

from tests.envoy.edge_rig import send
from tests.envoy.owners_rig import asking_edge, said
from tests.protocols.cells import Handler, edge_of, rules
from tests.topology.claims.samples import metadata, record
from topology.claims.model import BucketType
from topology.claims.store import Changes


def page_of(name: str) -> Handler:
    async def serve(request: web.Request) -> web.Response:
        return web.Response(text=f"{name} {request.host}")

    return serve


def site(name: str, cell: int, *hosts: str) -> dict[str, object]:
    return {
        "name": name,
        "type": "match",
        "match": [{"type": "host", "values": list(hosts)}],
        "action": {"cell": cell},
    }


async def test_a_domain_leads_to_its_cell_whatever_the_cookie_says(tmp_path: Path) -> None:
    ruleset = rules(
        site("own", 2, "www.customer.test"),
        site("acme", 1, "acme.pages.test"),
        site("pages", 2, "*.pages.test"),
        {"name": "session", "type": "session_cookie", "cookie": "_gitlab_session"},
        {
            "name": "rest",
            "type": "match",
            "match": [{"type": "method", "values": ["GET"]}],
            "action": {"cell": 1},
        },
    )
    async with edge_of(tmp_path, page_of("one"), page_of("two"), ruleset=ruleset) as (_, client):
        found = {}
        for host in (
            "www.customer.test",
            "WWW.Customer.Test:80",
            "acme.pages.test",
            "a.b.pages.test",
            "pages.test",
        ):
            async with client.get(
                "/x", headers={"host": host, "cookie": "_gitlab_session=cell-9-x"}
            ) as answer:
                found[host] = f"{answer.headers['x-cellplane-rule']}: {await answer.text()}"
        assert found == {
            "www.customer.test": "own: two www.customer.test",
            "WWW.Customer.Test:80": "own: two WWW.Customer.Test:80",
            "acme.pages.test": "acme: one acme.pages.test",
            "a.b.pages.test": "pages: two a.b.pages.test",
            "pages.test": "rest: one pages.test",
        }


async def test_a_domain_is_looked_up_and_remembered(tmp_path: Path) -> None:
    """A customer's own domain may be any but ours, so rules for it except ours."""
    ruleset = rules(
        {
            "name": "path",
            "type": "match",
            "match": [{"type": "host", "except": ["gitlab.test", "edge.test"], "as": "host"}],
            "action": {"classify": [{"type": "pages_domain", "value": "${host}"}]},
            "otherwise": {"not_found": 404},
        }
    )
    async with asking_edge(tmp_path, ruleset) as asking:
        name = "www.customer.test"
        owned = record(name, 3)._replace(metadata=metadata(name, kind=BucketType.PAGES_DOMAINS))
        asking.owners.follower.index.apply(Changes(101, (owned,)))
        found = [
            said(await send(asking.edge.port, "/x", authority=host))
            for host in ("www.customer.test", "WWW.Customer.Test:80", "other.test", "gitlab.test")
        ]
        assert found == ["path 3", "path 3", "path status 404", "default 1"]
        assert asking.owners.asked == 2
