"""A real headless browser for tests: Debian's Chromium, driven by playwright, in a profile of its own.

It asks nobody for anything but the pages that a test opens.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from playwright.async_api import Browser, async_playwright

FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE_MS: Final = 20_000


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Start the browser, and end it. Playwright gives it an empty profile and takes that away again."""
    path = shutil.which("chromium")
    if path is None:
        raise AssertionError("no chromium: a test that needs it says @pytest.mark.tools('chromium')")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, headless=True, args=list(FLAGS))
        try:
            yield browser
        finally:
            await browser.close()
