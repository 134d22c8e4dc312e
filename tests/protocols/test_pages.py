"""Pages of customers, by host: domains below one name, and customers' own."""

from __future__ import annotations

from pathlib import Path

from aiohttp import web

from tests.protocols.cells import Handler, edge_of, rules


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
