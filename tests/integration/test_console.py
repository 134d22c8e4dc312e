"""The console in a real browser, before a real control plane, etcd and Envoy: what is seen and done."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect

from cellplane.demo.changes import moved, weighed
from cellplane.demo.ports import Ports
from cellplane.demo.stage import Stage
from tests.browser import PATIENCE_MS, chromium
from tests.changes_under_traffic import begin_topology
from tests.processes import eventually
from topology.model import CellState

pytestmark = [pytest.mark.tools("chromium"), pytest.mark.asyncio(loop_scope="module")]
expect.set_options(timeout=PATIENCE_MS)
OPERATOR = {"x-forwarded-user": "ada@example.com"}


ACTING = ("--console-operator=*", "--console-proxy=127.0.0.1")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with Stage(tmp_path_factory.mktemp("console"), Ports()) as stage:
        revision = await begin_topology(stage, *ACTING)
        await stage.start_envoy()
        await stage.fleet(settled=revision)
        yield stage


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


async def accessible(page: Page) -> None:
    """Fail with what axe finds: roles, names, contrast, order of headings, and the like."""
    found = await Axe().run(page, options={"resultTypes": ["violations"]})
    told = [
        (each["id"], [node["html"][:160] for node in each["nodes"]]) for each in found.response["violations"]
    ]
    assert not told, told


async def fits(page: Page) -> None:
    """Fail where the page is wider than the window: a phone would scroll sideways."""
    wide = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0, f"{wide} pixels too wide"


async def shown(page: Page, stage: Stage) -> list[str]:
    """Open the console; give the list in which what the page complains of is put."""
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console",
        lambda said: complaints.append(said.text) if said.type in {"error", "warning"} else None,
    )
    page.on(
        "request",
        lambda asked: (
            complaints.append(asked.url) if not asked.url.startswith((stage.status_url, "data:")) else None
        ),
    )
    await page.goto(stage.status_url)
    await expect(page.locator("#live")).to_have_text("Live")
    await expect(page.locator("#cells-rows tr")).to_have_count(3)
    return complaints


async def test_a_visitor_on_a_phone_reads_and_asks(stage: Stage, browser: Browser) -> None:
    context = await browser.new_context(viewport={"width": 360, "height": 740}, has_touch=True)
    page = await context.new_page()
    complaints = await shown(page, stage)
    assert await page.locator("#main button.small").count() == 0
    await expect(page.locator("#freeze")).to_be_hidden()
    await expect(page.locator("#who")).to_have_text("read-only")
    await fits(page)
    await accessible(page)

    await page.get_by_label("URL or path").fill("https://gitlab.example/acme/web")
    await page.get_by_role("button", name="Explain").click()
    await expect(page.locator(".verdict")).to_have_text("Cell 3")
    await page.get_by_label("URL or path").fill("https://gitlab.example/")
    await page.get_by_label("Headers").fill("cookie: _gitlab_session=cell-2-abc")
    await page.get_by_role("button", name="Explain").click()
    await expect(page.locator(".verdict")).to_have_text("Cell 2")
    await page.get_by_label("URL or path").fill("acme")
    await page.get_by_role("button", name="Explain").click()
    await expect(page.locator("#explain-error")).to_contain_text("is no URL")
    await fits(page)

    await page.get_by_role("button", name="Theme: auto").click()
    assert await page.evaluate("document.documentElement.dataset.theme") == "light"
    await page.get_by_role("searchbox", name="Node").fill("nobody")
    await expect(page.locator("#fleet-rows tr")).to_have_count(0)
    # The explain box was wrong once, on purpose.
    assert [each for each in complaints if "400" not in each] == []

    # A control plane that dies is said to be gone, and back when it is.
    await stage.kill("control-plane")
    await expect(page.locator("#live")).to_have_class("live off")
    await stage.start_control_plane(*ACTING)
    await expect(page.locator("#live")).to_have_text("Live")

    async def read_anew() -> Any:
        return await page.evaluate("document.body.dataset.revision") != ""

    await eventually(read_anew, "the state read anew")
    assert (await stage.fleet(settled=1))["nodes"], "the Envoy is back for the next test"


async def test_an_operator_watches_freezes_and_resumes(stage: Stage, browser: Browser) -> None:
    context = await browser.new_context(extra_http_headers=OPERATOR, color_scheme="light")
    page = await context.new_page()
    complaints = await shown(page, stage)
    await expect(page.locator("#fleet-rows")).to_contain_text("demo-edge-1")

    # A push comes in by itself.
    await stage.change(weighed(2, 50))
    newest = page.locator("#pushes-list > li").first
    await expect(newest).to_contain_text("cell 2: weight: 100 → 50")
    await expect(newest).to_contain_text("reached 1")
    await accessible(page)

    # By keyboard alone: freeze, with what will be done shown first.
    await page.locator("#freeze").focus()
    await page.keyboard.press("Enter")
    await page.keyboard.press("Enter")
    await expect(page.locator("#act-error")).to_contain_text("Say why")
    await page.keyboard.type("a <b>test</b>")
    await page.keyboard.press("Enter")
    await expect(page.locator("#act-summary")).to_contain_text("FREEZE: nothing goes out")
    await accessible(page)
    await page.keyboard.press("Enter")
    banner = page.locator('[data-kind="frozen"]')
    await expect(banner).to_contain_text("by ada@example.com")
    await expect(banner).to_contain_text("a <b>test</b>")
    await expect(page).to_have_title("FROZEN · Cellplane")

    # What is changed meanwhile waits, and is shown to wait.
    await stage.commit(moved(3, CellState.CORDONED, "disk"))
    await banner.locator("summary").click()
    await expect(banner.locator("details")).to_contain_text("cell 3: state: ACTIVE → CORDONED")
    await page.emulate_media(color_scheme="dark")
    await accessible(page)

    await banner.get_by_role("button", name="Resume pushes").click()
    await page.get_by_label("Reason").fill("over")
    await page.keyboard.press("Enter")
    await page.get_by_role("button", name="Do it").click()
    await expect(banner).to_have_count(0)
    await expect(newest).to_contain_text("cell 3: state: ACTIVE → CORDONED")

    assert complaints == []


async def test_an_operator_reads_a_push_and_takes_it_back(stage: Stage, browser: Browser) -> None:
    context = await browser.new_context(extra_http_headers=OPERATOR, color_scheme="dark")
    page = await context.new_page()
    complaints = await shown(page, stage)
    await stage.change(moved(1, CellState.CORDONED, "disk"))
    newest = page.locator("#pushes-list > li").first
    await expect(newest).to_contain_text("cell 1: state: ACTIVE → CORDONED")
    await newest.get_by_role("button").click()
    await expect(page.locator("#push-body del")).to_have_text("ACTIVE")
    await expect(page.locator("#push-body ins")).to_have_text("CORDONED")
    await accessible(page)
    await page.get_by_role("button", name="Roll back").click()
    await page.get_by_label("Reason").fill("not yet")
    await page.keyboard.press("Enter")
    await page.get_by_role("button", name="Do it").click()
    await expect(page.locator("#cells-rows tr").first).to_contain_text("ACTIVE")

    async def taken_back() -> bool:
        newest, *_ = (await stage.json(f"{stage.status_url}/v1/pushes"))["pushes"]
        return newest["authors"] == ["ada@example.com"] and "not yet" in newest["reasons"][0]

    await eventually(taken_back, "the push that takes it back, in the history")

    await page.get_by_role("button", name="Quarantine").first.click()
    await page.get_by_label("Reason").fill("it burns")
    await page.keyboard.press("Enter")
    await page.get_by_role("button", name="Do it").click()
    await expect(page.locator("#cells-rows tr").first).to_contain_text("QUARANTINED")
    assert complaints == []
