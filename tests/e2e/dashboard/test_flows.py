"""A flow in a real browser: its graph, live; its steps' jobs, and the way back."""

import re
from collections.abc import Iterator
from itertools import combinations

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.e2e.dashboard.site import CHROMIUM, PATIENCE_MS, Site, open_browser, open_page, open_site
from tests.e2e.dashboard.test_dashboard import enter

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")

expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with open_site() as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[BrowserContext]:
    with open_browser() as found:
        yield found


@pytest.fixture
def page(browser: BrowserContext) -> Iterator[Page]:
    with open_page(browser) as (found, complaints):
        yield found
        assert complaints == []


def step(name: str, *needs: str, operation: str = "echo", **more: object) -> dict[str, object]:
    parameters = {"to": 600, "every_s": 0.1} if operation == "count" else {}
    job = {"type": "generic", "operation": operation, "parameters": parameters}
    return {"name": name, "needs": needs, "job": job, **more}


def submit(site: Site, tenant_id: str, *steps: dict[str, object]) -> str:
    status, accepted = site.run(site.visitor(tenant_id).ask("POST", "/jobs", {"type": "flow", "steps": steps}))
    assert status == 202, accepted
    return str(accepted["job_id"])


def box(page: Page, name: str) -> Locator:
    return page.locator(".step", has=page.get_by_text(name, exact=True))


def test_a_flow_is_watched_to_its_end_and_leads_to_its_jobs_and_back(site: Site, page: Page) -> None:
    each = step("each", "first", operation="fail", map=[1, 2, 3], on_failure="continue")
    flow = submit(site, "watched", step("first"), each, step("after", "each"), step("last", "first"))
    enter(page, site, "watched", f"#/jobs/{flow}")
    expect(box(page, "each").locator(".badge")).to_have_text("failed")
    expect(box(page, "after").locator(".badge")).to_have_text("blocked")
    expect(box(page, "last").locator(".badge")).to_have_text("succeeded")
    expect(page.locator(".job-head .badge")).to_have_text("partly")
    expect(page.locator(".graph path")).to_have_count(3)
    expect(page.locator(".failure", has_text="item 0: this job was asked to fail")).to_be_visible()

    box(page, "each").get_by_role("link").click()
    expect(page.get_by_role("heading", name="Jobs of each")).to_be_visible()
    expect(page.locator("tbody tr")).to_have_count(3)
    page.get_by_role("link", name="Succeeded").click()
    expect(page.get_by_text("There are no such jobs.")).to_be_visible()
    page.get_by_role("link", name="Failed", exact=True).click()
    expect(page.locator("tbody tr .id")).to_have_text(["#0", "#1", "#2"])
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator(".crumbs")).to_contain_text("#0")
    page.locator(".crumbs").get_by_role("link", name="parent").click()
    expect(page.locator(".job-head h1")).to_contain_text(flow)
    box(page, "first").get_by_role("link").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".crumbs")).to_contain_text("first")


def test_a_flow_that_runs_is_drawn_anew_without_being_asked_and_cancelled_whole(site: Site, page: Page) -> None:
    flow = submit(site, "live", step("slow", operation="count"), step("later", "slow"))
    enter(page, site, "live", f"#/jobs/{flow}")
    expect(box(page, "slow").locator(".badge")).to_have_text("running")
    expect(page.locator(".why")).to_contain_text("the job of 'slow' is not over")
    expect(box(page, "later").locator(".badge")).to_have_text("not begun")
    page.get_by_role("button", name="Cancel").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("All that it has started is cancelled with it.")
    dialog.get_by_role("button", name="Cancel").click()
    expect(page.locator(".job-head .badge")).to_have_text("cancelled")
    expect(box(page, "slow").locator(".badge")).to_have_text("cancelled")
    expect(box(page, "later").locator(".badge")).to_have_text("blocked")
    page.get_by_role("button", name="Run again").click()
    expect(page.get_by_role("dialog")).to_contain_text("just those steps and jobs run again")


def test_fifty_steps_fit_on_a_narrow_screen_none_upon_another(site: Site, browser: BrowserContext) -> None:
    names = [f"step-{number}-of-a-long-name" for number in range(50)]
    steps = [step(name, *{names[number // 3], names[number // 2]} - {name}) for number, name in enumerate(names)]
    flow = submit(site, "narrow", *steps)
    with open_page(browser) as (page, complaints):
        page.set_viewport_size({"width": 360, "height": 740})
        enter(page, site, "narrow", f"#/jobs/{flow}")
        expect(page.locator(".step")).to_have_count(50)
        expect(page.get_by_text("Scroll sideways for more.")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        boxes = [one.bounding_box() for one in page.locator(".step").all()]
        for one, other in combinations([found for found in boxes if found], 2):
            apart_x = abs(one["x"] - other["x"]) >= one["width"]
            assert apart_x or abs(one["y"] - other["y"]) >= one["height"]
        page.locator(".graph").focus()
        expect(page.locator(".graph")).to_have_attribute("aria-label", re.compile("Steps"))
        assert complaints == []
