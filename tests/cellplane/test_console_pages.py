"""The console over HTTP: who is let in, what is done, what nobody can make somebody else's browser do."""

from __future__ import annotations

import re
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from cellplane.console_access import ConsoleSettings, networks
from cellplane.console_pages import FILES, ConsolePages, Shown
from cellplane.operations import Operations
from cellplane.pages import PLAIN
from cellplane.publisher import Publisher
from cellplane.push_diff import CAUSES
from cellplane.push_tracker import PushTracker
from cellplane.settings import Listen, TlsFiles
from cellplane.status import StatusServer
from envoy.edge import EdgeSettings
from tests.cellplane.test_publisher import Wishes
from tests.cellplane.views import cell
from tests.certificates import Authority
from topology.apply import read_view
from topology.codec import encode
from topology.keys import Keyspace
from topology.memory import MemoryStore
from topology.model import CellState
from topology.service.changer import Changer
from topology.store import Txn
from topology.watcher import WatcherState
from xds.cache import Cache
from xds.hold_book import HoldBook
from xds.status import Fleet

PROXIED = ConsoleSettings(operators=frozenset({"ada"}), proxies=networks(("127.0.0.1",)))
AS_THE_PAGE = {"x-forwarded-user": "ada", "x-cellplane-console": "1"}
CORDON = {"cell": 1, "state": "CORDONED", "reason": "disk"}


@dataclass
class Rig:
    url: str
    store: MemoryStore
    keyspace: Keyspace
    tls: ssl.SSLContext | None = None

    async def get(self, path: str, **headers: str) -> tuple[int, Any]:
        async with (
            aiohttp.ClientSession() as session,
            session.get(self.url + path, headers=headers, ssl=self.tls or True) as response,
        ):
            return response.status, await response.json()

    async def act(
        self, name: str, body: Any, headers: dict[str, str] | None = None, **more: Any
    ) -> tuple[int, Any]:
        how = {"headers": AS_THE_PAGE if headers is None else headers, "ssl": self.tls or True, **more}
        if "data" not in how:
            how["json"] = body
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self.url}/v1/actions/{name}", **how) as response,
        ):
            return response.status, await response.json()

    async def state(self) -> CellState:
        return (await read_view(self.store, self.keyspace)).cells[1].state


async def started(stack: AsyncExitStack, settings: ConsoleSettings, files: TlsFiles = PLAIN) -> Rig:
    """Serve the console of two cells in a store in memory."""
    store, keyspace, fleet, holds = MemoryStore(), Keyspace(), Fleet(), HoldBook()
    puts = tuple((keyspace.cell(each), encode(cell(each))) for each in (1, 2))
    await store.commit(Txn(puts=puts))
    view = await read_view(store, keyspace)
    tracker = PushTracker(fleet)
    publisher = Publisher(Cache(), EdgeSettings(), Wishes(), tell=tracker.published)
    watcher = WatcherState(connected=True)
    status = StatusServer(fleet, publisher.state, watcher, CollectorRegistry(), holds=holds, replica="a")
    operations = Operations(store, keyspace, fleet, holds, tracker, publisher, status, "a")
    shown = Shown(
        view=lambda: view,
        readiness=status.readiness,
        fleet=operations.fleet,
        history=operations.history,
        lookup=lambda: None,
    )
    ConsolePages(status.pages, shown, Changer(store, keyspace), settings)
    port = await status.start(Listen(host="127.0.0.1", port=0), files)
    stack.push_async_callback(status.stop)
    return Rig(f"{'https' if files.cert else 'http'}://127.0.0.1:{port}", store, keyspace)


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with AsyncExitStack() as stack:
        yield await started(stack, PROXIED)


async def test_the_page_and_its_parts_let_nothing_foreign_in(rig: Rig) -> None:
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{rig.url}/") as response:
            assert str(response.url) == f"{rig.url}/console/"
        for name, kind in FILES.items():
            path = "" if name == "console.html" else name
            async with session.get(f"{rig.url}/console/{path}") as response:
                assert response.status == 200
                assert response.content_type == kind
                policy = response.headers["content-security-policy"]
                assert "default-src 'none'" in policy
                assert "frame-ancestors 'none'" in policy
                assert "unsafe" not in policy
                tag = response.headers["etag"]
            async with session.get(f"{rig.url}/console/{path}", headers={"if-none-match": tag}) as response:
                assert response.status == 304


def test_pushes_can_be_chosen_by_every_cause() -> None:
    page = (files("cellplane") / "console" / "console.html").read_text(encoding="utf-8")
    options = re.search(r'<select id="cause">(.*?)</select>', page)
    assert options is not None
    assert re.findall(r"<option>(.*?)</option>", options[1]) == list(CAUSES)


async def test_everybody_may_read(rig: Rig) -> None:
    status, document = await rig.get("/v1/console")
    assert status == 200
    assert [each["id"] for each in document["cells"]] == [1, 2]
    assert document["you"]["name"] == ""
    assert "x-forwarded-user is not there once" in document["you"]["why_not"]
    status, document = await rig.get("/v1/console", **{"x-forwarded-user": "ada"})
    assert document["you"] == {"name": "ada", "why_not": ""}


async def test_explain_says_where_a_request_goes(rig: Rig) -> None:
    status, found = await rig.get("/v1/explain?url=https://gitlab.example/acme")
    assert status == 200
    assert found["candidates"] == {"1": 100, "2": 100}
    assert found["claims"] is False
    status, found = await rig.get("/v1/explain?url=acme")
    assert (status, found["reason"]) == (400, "INVALID")
    assert "is no URL" in found["error"]


async def test_an_action_is_shown_and_then_done_in_the_name_of_who_asked(rig: Rig) -> None:
    status, answer = await rig.act("cell", CORDON)
    assert (status, answer["dry_run"]) == (200, True)
    assert await rig.state() is CellState.ACTIVE
    status, answer = await rig.act("cell", {**CORDON, "dry_run": False, "shown": answer["summary"]})
    assert (status, answer["dry_run"]) == (200, False)
    cells = (await read_view(rig.store, rig.keyspace)).cells
    assert (cells[1].state, cells[1].stamp.updated_by, cells[1].stamp.reason) == (
        CellState.CORDONED,
        "ada",
        "disk",
    )


async def test_what_is_not_as_it_was_shown_is_not_done(rig: Rig) -> None:
    _, shown = await rig.act("cell", CORDON)
    _, other = await rig.act("cell", {**CORDON, "state": "QUARANTINED"})
    await rig.act("cell", {**CORDON, "state": "QUARANTINED", "dry_run": False, "shown": other["summary"]})
    status, answer = await rig.act("cell", {**CORDON, "dry_run": False, "shown": shown["summary"]})
    assert status in {400, 409}
    assert answer["error"]
    assert await rig.state() is CellState.QUARANTINED


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({"x-cellplane-console": "1"}, "x-forwarded-user is not there once"),
        ({**AS_THE_PAGE, "x-forwarded-user": "eve"}, "eve is no --console-operator"),
        ({"x-forwarded-user": "ada"}, "x-cellplane-console is missing"),
        ({**AS_THE_PAGE, "sec-fetch-site": "cross-site"}, "another site's page sent it"),
        ({**AS_THE_PAGE, "content-type": "text/plain"}, "application/json"),
    ],
)
async def test_nobody_else_acts(rig: Rig, headers: dict[str, str], words: str) -> None:
    status, answer = await rig.act("cell", {**CORDON, "dry_run": False, "shown": ["x"]}, headers)
    assert (status, answer["reason"]) == (403, "ACCESS_DENIED")
    assert words in answer["error"]
    assert await rig.state() is CellState.ACTIVE


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"{", "is no JSON"),
        (b"[1]", "must be a JSON object"),
        (b'"' + b"x" * 20_000 + b'"', "more than 16384 bytes"),
        (b'{"cell": 1, "state": "CORDONED"}', "reason: is empty"),
        (b'{"cell": 1, "state": "CORDONED", "reason": "r", "dry_run": false}', "shown: is missing"),
    ],
)
async def test_what_is_no_request(rig: Rig, data: bytes, words: str) -> None:
    headers = {**AS_THE_PAGE, "content-type": "application/json"}
    status, answer = await rig.act("cell", None, headers, data=data)
    assert status == 400
    assert words in answer["error"]


async def test_a_get_changes_nothing(rig: Rig) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{rig.url}/v1/actions/freeze", headers=AS_THE_PAGE) as response,
    ):
        assert response.status == 405


async def test_with_certificates_who_shows_none_reads_and_who_shows_a_named_one_acts(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    server = authority.issue("server", "127.0.0.1")
    files = TlsFiles(ca=authority.ca, cert=server.cert, key=server.key)
    settings = ConsoleSettings(operators=frozenset({"ada"}), certificates=True)
    async with AsyncExitStack() as stack:
        rig = await started(stack, settings, files)
        rig.tls = ssl.create_default_context(cafile=str(authority.ca))
        assert (await rig.get("/livez"))[0] == 200
        status, answer = await rig.act("cell", CORDON)
        assert (status, answer["error"]) == (403, "nobody vouches for you: show a client certificate")

        ada = authority.issue("ada", common_name="ada")
        rig.tls.load_cert_chain(ada.cert, ada.key)
        assert (await rig.get("/v1/console"))[1]["you"] == {"name": "ada", "why_not": ""}
        assert (await rig.act("cell", CORDON))[0] == 200

        eve = authority.issue("eve", common_name="eve")
        rig.tls = ssl.create_default_context(cafile=str(authority.ca))
        rig.tls.load_cert_chain(eve.cert, eve.key)
        assert "eve is no --console-operator" in (await rig.act("cell", CORDON))[1]["error"]

        stranger = Authority(tmp_path / "other").issue("ada", common_name="ada")
        rig.tls = ssl.create_default_context(cafile=str(authority.ca))
        rig.tls.load_cert_chain(stranger.cert, stranger.key)
        with pytest.raises((aiohttp.ClientError, ConnectionError)):
            await rig.act("cell", CORDON)
