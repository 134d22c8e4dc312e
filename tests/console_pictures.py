"""Take the console's pictures for the docs: `make pictures`. Real control plane, etcd, Envoys and browser."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from playwright.async_api import Browser

from cellplane.cell_input import seconds
from cellplane.demo.changes import moved, weighed
from cellplane.demo.ports import Ports
from cellplane.demo.stage import Stage
from cellplane.pushes import EVERYTHING, FROZEN
from envoy.bootstrap import bootstrap
from pb.cellplane.topology.v1 import documents_pb2
from tests.browser import chromium
from tests.changes_under_traffic import begin_topology
from tests.envoy_process import EnvoyProcess
from topology.model import CellState

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "images"
DESKTOP, PHONE = {"width": 1440, "height": 960}, {"width": 390, "height": 1250}
EDGES = tuple(f"edge-{region}-{number}" for region in ("eu", "us") for number in (1, 2, 3))


async def main() -> None:
    """Set the stage, let some things happen, and take the pictures."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stage = await stack.enter_async_context(Stage(folder, Ports()))
        await begin_topology(stage, "--console-operator=*", "--console-proxy=127.0.0.1", "--replica=cp-1")
        for name in EDGES:
            edge = EnvoyProcess(_bootstrap(stage, name), folder / name)
            stack.push_async_callback(edge.stop)
            # All want the edge's one port: the first has it, which is nothing to the others' answers.
            await edge.start(wait_ready=False)
        await _happen(stage)
        browser = await stack.enter_async_context(chromium())
        await _picture(browser, stage, "console-light", DESKTOP, "light")
        await stage.commit(
            documents_pb2.PutDocumentRequest(
                kind=FROZEN,
                name=EVERYTHING,
                body="{}",
                reason="INC-512: edges in us restart, looking into it",
            )
        )
        await stage.commit(weighed(1, 80))
        await _picture(browser, stage, "console-dark", DESKTOP, "dark")
        await _picture(browser, stage, "console-phone", PHONE, "light")


async def _happen(stage: Stage) -> None:
    await stage.change(weighed(1, 60))
    await stage.change(weighed(2, 30))
    await stage.change(moved(3, CellState.QUARANTINED, "INC-511: disk errors"))
    await stage.change(moved(3, CellState.ACTIVE, "INC-511: disk replaced"))
    await stage.change(moved(2, CellState.DRAINING, "move to new hardware", seconds("10m")))
    await stage.fleet(settled=1)


async def _picture(browser: Browser, stage: Stage, name: str, size: Any, scheme: Any) -> None:
    context = await browser.new_context(
        viewport=size, color_scheme=scheme, extra_http_headers={"x-forwarded-user": "ada@example.com"}
    )
    page = await context.new_page()
    await page.goto(stage.status_url)
    await page.wait_for_selector("body[data-revision] #cells-rows tr")
    await page.wait_for_function("document.getElementById('live-text').textContent === 'Live'")
    if name == "console-dark":
        await page.wait_for_selector('[data-kind="frozen"] details')
    await page.get_by_label("URL or path").fill("https://gitlab.example/acme/web")
    await page.get_by_role("button", name="Explain").click()
    await page.wait_for_selector(".answer")
    await page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    await page.screenshot(path=FOLDER / f"{name}.png", animations="disabled")
    await context.close()


def _bootstrap(stage: Stage, name: str) -> Any:
    return bootstrap(
        role="edge",
        node_id=name,
        xds_addresses=(f"127.0.0.1:{stage.ports.xds}",),
        admin_port=0,
    )


if __name__ == "__main__":
    asyncio.run(main())
