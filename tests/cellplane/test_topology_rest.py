"""Classify over HTTP: the answers, how long they may be kept, who may ask."""

from __future__ import annotations

import math
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme

from cellplane.settings import Listen, SettingsError, TlsFiles
from cellplane.topology_rest import RestPages, tags_of
from tests.topology.claims.samples import route
from tests.topology.moves.rig import MOVE, wish
from tests.topology.samples import STAMP, cell
from tests.topology.service.stage import Stage, playing
from tests.topology.service.test_claim_service import begin, commit
from topology.codec import encode
from topology.forms import format_utc
from topology.keys import Keyspace
from topology.memory import MemoryStore
from topology.model import Document
from topology.moves import machine
from topology.moves.book import MoveBook
from topology.service import certificate
from topology.service.classify import Lifetimes, Routed
from topology.service.identity import NO_MORE_NAMES, Names, Role
from topology.service.places import NO_LIMIT, CallLimit, Mode
from topology.store import Txn

ANYWHERE = Listen(host="127.0.0.1", port=0)


@dataclass
class Pages:
    stage: Stage
    pages: RestPages
    url: str

    async def ask(self, body: Any, context: ssl.SSLContext | None = None) -> tuple[int, Any, dict[str, str]]:
        how: dict[str, Any] = {"data": body} if isinstance(body, str | bytes) else {"json": body}
        if context is not None:
            how["ssl"] = context
        async with aiohttp.ClientSession() as session, session.post(self.url, **how) as answer:
            headers = {name.lower(): value for name, value in answer.headers.items()}
            return answer.status, await answer.json(), headers


@asynccontextmanager
async def serving(
    files: TlsFiles, follow: bool = True, limit: CallLimit = NO_LIMIT, names: Names = NO_MORE_NAMES
) -> AsyncIterator[Pages]:
    cells = (cell(1), cell(2, addresses={"web": "https://cell-2.example.com"})) if follow else ()
    async with playing(MemoryStore(), Keyspace("/rest"), cells, follow=follow, limit=limit) as stage:
        pages = RestPages(stage.server, names, Lifetimes(found=60, not_found=5, stale=100))
        port = await pages.start(ANYWHERE, files)
        scheme = "https" if files.cert else "http"
        try:
            yield Pages(stage, pages, f"{scheme}://localhost:{port}/v1/classify")
        finally:
            await pages.stop()


@pytest.fixture
async def pages() -> AsyncIterator[Pages]:
    async with serving(TlsFiles()) as pages:
        yield pages


async def test_a_claim_is_routed_and_the_answer_may_be_kept(pages: Pages) -> None:
    await begin(pages.stage.client(), 2, ["acme/x"])
    await pages.stage.caught_up()
    status, body, headers = await pages.ask({"claims": [{"username": "ada"}, {"route": "acme/x"}]})
    assert (status, body) == (200, {"action": "PROXY", "proxy": {"address": "cell-2.example.com"}})
    assert headers["cache-control"] == "max-age=60, stale-if-error=100"
    assert headers["cache-tag"] == "cell-2,ROUTES:acme%2Fx"


async def test_what_operators_override_is_kept_no_longer_than_it_holds(pages: Pages) -> None:
    stage = pages.stage
    await commit(stage.client(), 2, await begin(stage.client(), 2, ["acme"]))
    await stage.caught_up()
    ends = format_utc(datetime.now(UTC) + timedelta(seconds=30))
    for body, expected in (
        ({"action": "pin", "cell": 1}, (200, "max-age=2", "cell-1,ROUTES:acme")),
        ({"action": "block"}, (403, "no-store", None)),
    ):
        key = stage.keyspace.document("overrides", "NAMESPACE/42")
        document = Document(kind="overrides", name="NAMESPACE/42", body={"until": ends, **body}, stamp=STAMP)
        await stage.store.commit(Txn(puts=((key, encode(document)),)))
        await stage.put()
        status, _, headers = await pages.ask({"claims": [{"route": "acme"}]})
        assert (status, headers["cache-control"][:9].rstrip(","), headers.get("cache-tag")) == expected


async def test_old_clients_are_still_understood(pages: Pages) -> None:
    await begin(pages.stage.client(), 2, ["acme"])
    await pages.stage.caught_up()
    assert (await pages.ask({"claim": {"route": "acme"}}))[0] == 200


async def test_types_are_written_as_names(pages: Pages) -> None:
    status, body, headers = await pages.ask({"type": "SESSION_PREFIX", "value": "cell-2"})
    assert (status, body["proxy"]["address"]) == (200, "cell-2.example.com")
    assert headers["cache-tag"] == "cell-2"


async def test_nobody_is_an_answer_that_may_be_kept_for_a_moment(pages: Pages) -> None:
    status, body, headers = await pages.ask({"claims": [{"route": "nobody"}]})
    assert (status, body["code"], body["message"]) == (404, 5, "nobody claims it")
    assert body["details"][0]["reason"] == "NOT_FOUND"
    assert headers["cache-control"] == "max-age=5, stale-if-error=100"
    assert "cache-tag" not in headers


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, 'invalid type: "UNSPECIFIED"'),
        ({"claims": [{}]}, "claims[0]: is empty"),
        ({"colour": "red"}, "the request is no ClassifyRequest in JSON"),
        ("nonsense", "the request is no ClassifyRequest in JSON"),
        (b"\xff", "the request is no ClassifyRequest in JSON"),
        ("[1]", "the request is no ClassifyRequest in JSON"),
        ("[" * 100_000, "the request is no ClassifyRequest in JSON"),
    ],
)
async def test_nonsense_is_refused_and_never_kept(pages: Pages, body: Any, words: str) -> None:
    status, answer, headers = await pages.ask(body)
    assert (status, answer["code"]) == (400, 3)
    assert answer["message"].startswith(words)
    assert headers["cache-control"] == "no-store"


async def test_before_all_is_read_it_says_try_again() -> None:
    async with serving(TlsFiles(), follow=False) as pages:
        status, answer, headers = await pages.ask({"type": "FIRST_CELL"})
    assert (status, answer["code"], headers["cache-control"]) == (503, 14, "no-store")


def tls_of(authority: trustme.CA, folder: Path) -> TlsFiles:
    """Write a server's own certificate, and whom it trusts."""
    files = TlsFiles(ca=folder / "ca.pem", cert=folder / "own.pem", key=folder / "own.key")
    authority.cert_pem.write_to_path(str(files.ca))
    own = authority.issue_cert("localhost")
    own.cert_chain_pems[0].write_to_path(str(files.cert))
    own.private_key_pem.write_to_path(str(files.key))
    return files


async def test_under_mtls_rules_are_applied(tmp_path: Path) -> None:
    authority = trustme.CA()
    files = tls_of(authority, tmp_path)
    async with serving(files) as pages:
        for name, status in (("ROUTER-eu", 200), ("CELL-1", 200), ("ADMIN", 200), ("eve", 403)):
            context = ssl.create_default_context(cafile=str(files.ca))
            authority.issue_cert("client.test", common_name=name).configure_cert(context)
            assert (await pages.ask({"type": "FIRST_CELL"}, context))[0] == status, name
        context = ssl.create_default_context(cafile=str(files.ca))
        with pytest.raises(aiohttp.ClientError):
            await pages.ask({"type": "FIRST_CELL"}, context)


async def test_a_bug_of_ours_is_told_in_our_words(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> object:
        raise ZeroDivisionError

    monkeypatch.setattr(pages.stage.server.classify, "decide", broken)
    status, body, headers = await pages.ask({"type": "FIRST_CELL"})
    assert (status, body["code"], headers["cache-control"]) == (500, 13, "no-store")
    assert body["message"] == f"an error of ours; it is logged with request {headers['x-request-id']}"


async def test_an_expired_certificate_is_refused_on_an_open_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    files = tls_of(authority, tmp_path)
    async with serving(files) as pages:
        context = ssl.create_default_context(cafile=str(files.ca))
        authority.issue_cert("client.test", common_name="ROUTER-eu").configure_cert(context)
        monkeypatch.setattr(certificate, "_now", lambda: math.inf)
        status, body, _ = await pages.ask({"type": "FIRST_CELL"}, context)
        assert (status, body["details"][0]["reason"]) == (401, "CERTIFICATE_EXPIRED")


async def test_a_caller_that_asks_too_much_at_once_is_told_to_wait(tmp_path: Path) -> None:
    async with serving(TlsFiles(), limit=CallLimit(1, Mode.ENFORCE)) as pages:
        host = "http:127.0.0.1"
        pages.stage.server.places.take(host, Role.UNVERIFIED)  # one call of theirs is being answered
        status, answer, headers = await pages.ask({"type": "FIRST_CELL"})
        assert (status, answer["code"], answer["details"][0]["reason"]) == (429, 8, "TOO_MANY_CALLS")
        assert (headers["retry-after"], headers["cache-control"]) == ("1", "no-store")
        pages.stage.server.places.free(host)
        assert (await pages.ask({"type": "FIRST_CELL"}))[0] == 200
        assert pages.stage.server.places.beyond == {"unverified": 1}


async def test_calls_are_counted_as_those_over_grpc(pages: Pages) -> None:
    for body in ({"type": "FIRST_CELL"}, {"claims": [{"route": "nobody"}]}, {"claims": [{"wiki": "x"}]}):
        await pages.ask(body)
    method = "/gitlab.cells.topology_service.ClassifyService/Classify"
    counts = pages.stage.server.counts
    assert {code: counts.calls[method, code] for code in ("OK", "NOT_FOUND", "INVALID_ARGUMENT")} == {
        "OK": 1,
        "NOT_FOUND": 1,
        "INVALID_ARGUMENT": 1,
    }
    assert pages.stage.server.classify.decisions["UNKNOWN", "invalid"] == 1


async def test_what_no_page_answers_is_said_as_pages_say_it(pages: Pages) -> None:
    root = pages.url.removesuffix("/v1/classify")
    async with aiohttp.ClientSession() as session:
        too_large = "Maximum request body size 262144 exceeded"
        for verb, path, body, status, code, reason, words in (
            ("GET", "/v1/nowhere", "", 404, 5, "NO_SUCH_PATH", "404: Not Found"),
            ("DELETE", "/v1/cells", "", 405, 12, "NO_SUCH_METHOD", "405: Method Not Allowed"),
            ("POST", "/v1/classify", " " * 300_000, 413, 3, "TOO_LARGE", too_large),
        ):
            named = {"x-request-id": f"asked-{status}"}
            async with session.request(verb, f"{root}{path}", data=body, headers=named) as answer:
                found = await answer.json()
                assert (answer.status, found["code"]) == (status, code)
                assert [each["reason"] for each in found["details"]] == [reason]
                assert found["message"].startswith(words)
                assert answer.headers["x-request-id"] == f"asked-{status}"
                assert answer.headers["cache-control"] == "no-store"
                assert ("allow" in answer.headers) is (status == 405)
    method = next(each for each in pages.stage.server.counts.calls if each[0].endswith("/Classify"))
    assert method[1] == "INVALID_ARGUMENT", "it was the client, and no fault of the service"


async def test_head_is_answered_as_get_without_the_body() -> None:
    async with serving(TlsFiles()) as pages, aiohttp.ClientSession() as session:
        root = pages.url.removesuffix("/v1/classify")
        for path, status in (("/v1/cells/2", 200), ("/v1/cells/9", 404), ("/openapi.json", 200)):
            async with session.get(f"{root}{path}") as whole, session.head(f"{root}{path}") as head:
                assert (head.status, await head.read()) == (status, b"")
                for name in ("content-length", "content-type"):
                    assert head.headers[name] == whole.headers[name]
        async with session.head(pages.url) as answer:
            assert (answer.status, answer.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("body", ["[]", "[1]", "null", "1", '"claims"'])
async def test_a_body_that_is_no_object_is_told_so(body: str) -> None:
    async with serving(TlsFiles()) as pages:
        status, answer, _ = await pages.ask(body)
        assert (status, answer["code"]) == (400, 3)
        assert "send an object" in answer["message"]


async def test_a_header_says_who_calls_only_behind_a_trusted_proxy(tmp_path: Path) -> None:
    authority = trustme.CA()
    said = {"x-forwarded-client-cert": 'Subject="CN=ADMIN-eve"'}
    proxy = Names(proxies=frozenset({"edge-proxy"}))
    async with serving(tls_of(authority, tmp_path), names=proxy) as pages:
        url = pages.url.replace("classify", "claims?bucketType=ROUTES&value=x")
        for name, headers, status in (
            ("CELL-1", said, 403),  # its certificate counts, whatever it says
            ("edge-proxy", said, 404),  # an admin may ask, and nobody claims it
            ("edge-proxy", {}, 403),
        ):
            context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
            authority.issue_cert("client.test", common_name=name).configure_cert(context)
            async with (
                aiohttp.ClientSession() as session,
                session.get(url, headers=headers, ssl=context) as answer,
            ):
                assert answer.status == status, (name, headers, await answer.text())


async def test_moves_are_told_of(pages: Pages) -> None:
    stage = pages.stage
    book = MoveBook(stage.store, stage.keyspace)
    await book.begin(machine.begun(wish(), datetime.now(UTC)))
    root = pages.url.removesuffix("/classify")
    async with aiohttp.ClientSession() as session:
        for path, key in (("/moves?owner=ORGANIZATION/42", "moves"), (f"/moves/{MOVE[:8]}", "move")):
            async with session.get(f"{root}{path}") as answer:
                found = (await answer.json())[key]
                move = found[0] if isinstance(found, list) else found
                assert (move["id"], move["step"], move["toCell"]) == (MOVE, "MOVE_STEP_PREPARE", "2")
        async with session.get(f"{root}/moves/ffff") as answer:
            assert answer.status == 404


async def test_an_address_that_is_taken_is_named(pages: Pages) -> None:
    port = int(pages.url.split(":")[2].split("/")[0])
    another = RestPages(pages.stage.server, NO_MORE_NAMES, Lifetimes())
    with pytest.raises(SettingsError, match=f"--rest-listen 127.0.0.1:{port}"):
        await another.start(Listen(host="127.0.0.1", port=port), TlsFiles())
    await another.stop()


def test_tags_name_what_an_answer_depends_on() -> None:
    assert tags_of(Routed(cell(2))) == ("cell-2",)
    assert tags_of(Routed(cell(2), route("a,b"))) == ("cell-2", "ROUTES:a%2Cb")
