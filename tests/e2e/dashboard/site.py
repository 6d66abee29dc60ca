"""The house on a thread of its own, and a real browser in front of it."""

import asyncio
import re
import shutil
import threading
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from playwright.sync_api import BrowserContext, ConsoleMessage, Dialog, Page, sync_playwright

from tests.e2e.front.house import House, Visitor, open_house

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = "no-sandbox disable-gpu disable-quic no-first-run disable-background-networking disable-component-update"
PATIENCE_MS = 20_000
NOT_THERE = re.compile("status of (404.*/(audit|jobs/%3C)|422.*/schedules)")
"""What a browser says of an answer that the page takes for an answer."""

VIOLATIONS = "addEventListener('securitypolicyviolation', (e) => console.error('violation', e.violatedDirective))"

T = TypeVar("T")


@dataclass
class Site:
    house: House
    loop: asyncio.AbstractEventLoop
    stack: AsyncExitStack
    visitors: dict[str, Visitor] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return self.house.cloud.api_url

    def run(self, story: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(story, self.loop).result(PATIENCE_MS / 1000)

    def visitor(self, tenant_id: str) -> Visitor:
        if tenant_id not in self.visitors:
            self.visitors[tenant_id] = self.run(self.stack.enter_async_context(self.house.visitor(tenant_id)))
        return self.visitors[tenant_id]

    def submit(self, tenant_id: str, operation: str = "count", *, delay_s: float = 0, **fields: object) -> str:
        payload = {"type": "generic", "operation": operation, **fields}
        path = f"/jobs?delay_s={delay_s}" if delay_s else "/jobs"
        status, accepted = self.run(self.visitor(tenant_id).ask("POST", path, payload))
        assert status == 202, accepted
        return str(accepted["job_id"])

    def finished(self, tenant_id: str, *job_ids: str) -> None:
        """Wait until they are over."""
        for job_id in job_ids:
            self.run(self.visitor(tenant_id).until(job_id, "SUCCESS", "FAILED", "CANCELLED"))

    def cancelled_and_told(self, tenant_id: str, job_id: str) -> None:
        """Cancel a job that waits, and return when those who watch have been told."""

        async def story(visitor: Visitor) -> None:
            async with visitor.live() as socket:
                await socket.send_json({"action": "subscribe", "topic": "tenant"})
                await visitor.ask("POST", f"/jobs/{job_id}/cancel")
                while '"event":"cancelled"' not in await socket.receive_str():
                    pass

        self.run(story(self.visitor(tenant_id)))


@contextmanager
def open_site() -> Iterator[Site]:
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        stack = AsyncExitStack()
        house = runner.run(stack.enter_async_context(open_house()))
        thread = threading.Thread(target=loop.run_forever, name="house")
        thread.start()
        try:
            yield Site(house, loop, stack)
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            runner.run(stack.aclose())


@contextmanager
def open_browser() -> Iterator[BrowserContext]:
    """One context for all pages: what one has fetched, the next has; who is signed in, each tab knows for itself."""
    with sync_playwright() as playwright:
        options = [f"--{flag}" for flag in FLAGS.split()]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        context = browser.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
        context.set_default_timeout(PATIENCE_MS)
        context.add_init_script(VIOLATIONS)
        yield context
        browser.close()


@contextmanager
def open_page(browser: BrowserContext) -> Iterator[tuple[Page, list[str]]]:
    """→ a page, and what it complains of."""
    complaints: list[str] = []
    page = browser.new_page()

    def listen(told: ConsoleMessage) -> None:
        text = f"{told.text} {told.location['url']}"
        if told.type in ("error", "warning") and not NOT_THERE.search(text):
            complaints.append(text)

    def dismiss(dialog: Dialog) -> None:
        complaints.append(f"dialog {dialog.message}")
        dialog.dismiss()

    page.on("console", listen)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", dismiss)
    yield page, complaints
    page.close()
