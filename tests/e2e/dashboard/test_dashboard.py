"""The dashboard in a real browser, on the whole product in the local cloud."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, Route, WebSocketRoute, expect

from shared.payloads import TYPES
from shared.stats import HourStats, Stats, TypeStats
from tests.e2e.dashboard.site import CHROMIUM, PATIENCE_MS, Site, open_browser, open_page, open_site
from tests.recipes import LASAGNE

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")

HOSTILE = "<img src=x onerror=\"alert('owned')\"><script>alert('owned')</script>"

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


def enter(page: Page, site: Site, tenant_id: str, place: str = "#/", role: str = "operator") -> None:
    page.goto(f"{site.url}/#token={site.house.token(tenant_id, role)}&to={place[1:]}")
    expect(state(page)).to_have_attribute("data-state", "live")


def state(page: Page) -> Locator:
    return page.locator(".state")


def row(page: Page, job_id: str) -> Locator:
    return page.locator(f"tr[data-id='{job_id}']")


def test_a_job_is_watched_from_its_submission_to_its_end_without_reload(site: Site, page: Page) -> None:
    enter(page, site, "live")
    expect(page.get_by_text("All is well.")).to_be_visible()
    page.evaluate("window.isSameePage = true")
    job_id = site.submit("live", parameters={"to": 12, "every_s": 0.2})
    expect(row(page, job_id).get_by_role("progressbar")).to_be_visible()
    row(page, job_id).click()
    expect(page.locator(".live-progress")).to_contain_text("counted to")
    expect(page.locator(".job-head .badge")).to_have_text("succeeded")
    expect(page.locator("pre", has_text='"counted": 12')).to_be_visible()
    expect(page.locator(".timeline li")).to_contain_text("succeeded")
    assert page.evaluate("window.isSameePage")


def test_a_job_that_waits_for_others_is_seen_getting_on_line_by_line(site: Site, page: Page, tmp_path: Path) -> None:
    secret = {"Name": "longshore/kitchen/book", "SecretString": f"sqlite:///{tmp_path}/cookbook.db"}
    site.run(site.house.cloud.clients.call("secretsmanager", "create_secret", **secret))
    enter(page, site, "kitchen")
    payload = {"type": "import_note", "html": LASAGNE, "database": "secret://book"}
    _, accepted = site.run(site.visitor("kitchen").ask("POST", "/jobs", payload))
    row(page, accepted["job_id"]).click()
    expect(page.locator(".live-progress")).to_contain_text("ingredients Grandma's Lasagne")
    expect(page.locator(".trail li", has_text=re.compile("[13]/3 instructions")).first).to_have_attribute(
        "style", re.compile("--level: 1")
    )
    expect(page.locator(".job-head .badge")).to_have_text("succeeded")


def test_a_newcomer_finds_a_failed_job_learns_why_and_runs_it_again(site: Site, page: Page) -> None:
    job_id = site.submit("newcomer", "fail")
    site.finished("newcomer", job_id)
    enter(page, site, "newcomer")
    expect(page.get_by_role("heading", level=1)).to_have_text("1 job failed in the last 24 hours")
    page.get_by_role("link", name="this job was asked to fail").click()
    expect(page.locator(".why .first")).to_have_text("asked_to_fail (parameters.attempts): this job was asked to fail")
    page.get_by_role("button", name="Run again").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(job_id)
    dialog.get_by_role("button", name="Run again").click()
    expect(page.get_by_text("1 job will run again.")).to_be_visible()
    redrive = page.locator(".moves tr", has_text="redrive")
    expect(redrive).to_contain_text("operator@newcomer")
    expect(page.locator(".timeline li")).to_have_count(2)


def test_all_of_a_kind_run_again_and_the_dialog_says_how_many(site: Site, page: Page) -> None:
    job_ids = [site.submit("kinds", "fail") for _ in range(3)]
    other = site.submit("kinds", "resize")
    site.finished("kinds", other, *job_ids)
    enter(page, site, "kinds", "#/errors")
    group = page.locator(".group", has_text="this job was asked to fail")
    expect(group.locator(".count")).to_have_text("3")
    group.get_by_role("button", name="All 3").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("3 jobs match now.")
    dialog.get_by_role("button", name="Run again: 3").click()
    expect(page.get_by_text("3 jobs will run again.")).to_be_visible()
    for job_id, expected in [(other, 0), *((job_id, 1) for job_id in job_ids)]:
        _, history = site.run(site.visitor("kinds").ask("GET", f"/jobs/{job_id}/events"))
        assert [move["event"] for move in history["events"]].count("redrive") == expected


def test_a_kind_is_tried_with_care_and_the_job_that_does_it_is_shown(site: Site, page: Page) -> None:
    site.finished("careful", *(site.submit("careful", "fail") for _ in range(3)))
    enter(page, site, "careful", "#/errors")
    page.locator(".group").get_by_role("button", name="Try 1, 10, all").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("stops by itself when the same failure is back")
    dialog.get_by_role("button", name="Try one, then ten, then all").click()
    expect(page).to_have_url(re.compile(r"#/jobs/job_"))
    expect(page.get_by_text("the same failure is back").first).to_be_visible(timeout=30_000)


def test_a_list_is_filtered_and_its_address_says_so(site: Site, page: Page) -> None:
    failed = site.submit("lists", "fail", metadata={"item_id": "invoice-7"})
    waiting = [site.submit("lists", delay_s=3_600) for _ in range(52)]
    site.finished("lists", failed)
    enter(page, site, "lists", "#/jobs")
    expect(page.locator("tbody tr")).to_have_count(50)
    page.get_by_role("link", name="Older").click()
    expect(page.locator("tbody tr")).to_have_count(3)
    page.get_by_role("link", name="Failed").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    assert page.url.endswith("#/jobs?status=FAILED")
    page.get_by_role("searchbox").fill("INVOICE-8")
    page.keyboard.press("Enter")
    expect(page.get_by_text("There are no such jobs.")).to_be_visible()
    page.get_by_role("searchbox").fill("INVOICE-7")
    page.keyboard.press("Enter")
    expect(row(page, failed)).to_be_visible()
    page.reload()
    expect(row(page, failed)).to_be_visible()
    assert "text=INVOICE-7" in page.url
    _cancel_all_that_are_queued(page, len(waiting))


def _cancel_all_that_are_queued(page: Page, count: int) -> None:
    page.goto(page.url.split("#")[0] + "#/jobs?status=QUEUED&type=generic&since=1h")
    expect(page.locator("tbody tr")).to_have_count(50)
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("dialog").get_by_role("button", name=f"Cancel: {count}").click()
    expect(page.get_by_text(f"{count} jobs cancelled.")).to_be_visible()
    expect(page.get_by_text("There are no such jobs.")).to_be_visible()


def test_tenants_are_switched_and_nothing_of_the_other_remains(site: Site, page: Page) -> None:
    mine, theirs = site.submit("here", "echo"), site.submit("there", "echo")
    tokens = [site.house.token(tenant) for tenant in ("here", "there")]
    page.goto(f"{site.url}/#token={tokens[0]}&token={tokens[1]}")
    expect(row(page, mine)).to_be_visible()
    assert "token" not in page.url
    page.get_by_label("Tenant").select_option("there · operator")
    expect(row(page, theirs)).to_be_visible()
    assert mine not in page.content()
    page.reload()
    expect(row(page, theirs)).to_be_visible()


def test_an_expired_token_asks_for_another_and_leaves_nothing_behind(site: Site, page: Page) -> None:
    job_id = site.submit("brief", "echo")
    page.goto(f"{site.url}/#token={site.house.token('brief', life_s=4)}")
    expect(row(page, job_id)).to_be_visible()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert job_id not in page.content()
    assert page.evaluate("JSON.parse(sessionStorage.getItem('longshore.tokens')).tokens") == []
    page.get_by_label("Token").fill("nonsense")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("no token")
    page.get_by_label("Token").fill(f"Bearer {site.house.token('brief')}")
    page.keyboard.press("Enter")
    expect(row(page, job_id)).to_be_visible()


def test_what_a_job_says_is_shown_and_never_executed(site: Site, page: Page) -> None:
    metadata = {"item_id": HOSTILE, "link": "javascript:alert('owned')"}
    job_id = site.submit("hostile", "fail", metadata=metadata, parameters={HOSTILE: HOSTILE, "to": [HOSTILE] * 3})
    done = site.submit("hostile", "echo", metadata=metadata, parameters={"html": HOSTILE})
    site.finished("hostile", job_id, done)
    enter(page, site, "hostile", "#/jobs")
    expect(row(page, done).locator(".what")).to_have_text(HOSTILE)
    for job in (job_id, done):
        page.goto(f"{site.url}/#/jobs/{job}")
        expect(page.locator("pre", has_text="<img src=x").first).to_be_visible()
        expect(page.locator("pre", has_text="javascript:alert").first).to_be_visible()
    assert page.locator("main img, main script, main a[href^=javascript]").count() == 0
    page.goto(f"{site.url}/#/jobs/%3Cimg%20src=x%20onerror=alert(1)%3E")
    expect(page.get_by_role("heading", name="No such job")).to_be_visible()


def test_the_browser_itself_would_refuse_markup_of_text(site: Site, browser: BrowserContext) -> None:
    """The probe of the test above is seen to work."""
    with open_page(browser) as (page, complaints):
        page.goto(site.url)
        refused = "(html) => { try { document.body.innerHTML = html; return 'done' } catch (e) { return e.name } }"
        assert page.evaluate(refused, HOSTILE) == "TypeError"
        page.evaluate("() => { location.href = `javascript:alert('owned')` }")
        expect(page.locator("#bar")).to_be_attached()
        assert any("violation require-trusted-types-for" in complaint for complaint in complaints)
        assert not any(complaint.startswith("dialog") for complaint in complaints)


def test_everything_can_be_done_by_keyboard(site: Site, page: Page) -> None:
    first, second = [site.submit("keys", "fail") for _ in range(2)]
    site.finished("keys", first, second)
    enter(page, site, "keys")
    page.keyboard.press("2")
    expect(page.get_by_role("heading", name="Jobs", level=1)).to_be_visible()  # the overview has rows of its own
    expect(row(page, first)).to_be_visible()
    for key in "jjkj":
        page.keyboard.press(key)
    expect(page.locator("tr:focus-within")).to_contain_text(first[-12:])
    page.keyboard.press("Enter")
    expect(page.locator(".job-head h1")).to_contain_text(first)
    page.keyboard.press("Escape")
    expect(row(page, first)).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.type(second)
    page.keyboard.press("Enter")
    expect(row(page, first)).to_have_count(0)
    expect(row(page, second)).to_be_visible()
    page.keyboard.press("Escape")
    for key in "jxr":
        page.keyboard.press(key)
    expect(page.get_by_role("dialog")).to_contain_text(second)
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()


def test_the_numbers_of_each_type_are_shown(site: Site, page: Page) -> None:
    hours = [HourStats(hour="2026-01-31T11:00:00Z", created=7, succeeded=3, failed=4, cancelled=0)]
    numbers = TypeStats(
        type="generic",
        queued=1_200,
        running=3,
        waiting=0,
        failed_24h=4,
        succeeded_24h=3,
        partial_24h=0,
        cancelled_24h=0,
        rate_per_min=0.5,
        p50_s=0.25,
        p95_s=75,
        cost_usd_24h=1.5,
        hours=hours,
    )
    told = Stats(as_of="2026-01-31T11:59:00Z", types=[numbers]).model_dump_json()
    page.route("**/stats", lambda route: route.fulfill(body=told, content_type="application/json"))
    enter(page, site, "numbers")
    cells = ["1,200", "3", "4", "0.5", "250 ms", "1 min 15 s", "–", "$1.50"]
    expect(page.locator("table.types tbody td.number")).to_have_text(cells)
    expect(page.get_by_role("img", name="generic: 7 jobs in 24 hours, at most 7 an hour")).to_be_visible()
    page.get_by_role("link", name="1,200").click()
    expect(page).to_have_url(re.compile("type=generic&status=QUEUED$"))


def test_the_stacks_own_operator_sees_its_queues(site: Site, page: Page) -> None:
    enter(page, site, "stack", "#/system", role="admin")
    lanes = [f"{name} {lane}" for name in ("generic", "auto_resolve_issue") for lane in ("urgent", "high", "low")]
    queues = page.locator("table.types tbody th")
    expect(queues).to_have_count(len(TYPES) + len(lanes))
    assert sorted(queues.all_inner_texts()) == sorted([*TYPES, *lanes])
    expect(page.get_by_text("Nothing: whatever came could be read.")).to_be_visible()
    page.goto(f"{site.url}/#token={site.house.token('stack', 'viewer')}")
    expect(page.get_by_role("link", name="System")).to_have_count(0)


def test_a_schedule_is_added_with_its_next_times_in_sight_run_paused_and_deleted(site: Site, page: Page) -> None:
    enter(page, site, "plans", "#/schedules")
    expect(page.get_by_role("heading", name="No schedules yet.")).to_be_visible()
    page.get_by_label("Cron line").fill("0 0 31 2 *")
    expect(page.get_by_text("bad day-of-month")).to_be_visible()
    page.get_by_label("Cron line").fill("30 2 * * *")
    page.get_by_label("Time zone").fill("Asia/Kathmandu")
    expect(page.locator(".next li")).to_have_count(10)
    expect(page.locator(".next li").first).to_contain_text("+05:45")
    page.get_by_label("Name", exact=True).fill(HOSTILE)
    page.get_by_label("Job type").select_option("generic")
    page.get_by_label("Fields of the payload").fill('{"operation": 3}')
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_role("alert")).to_contain_text("valid string")
    page.get_by_label("Fields of the payload").fill('{"operation": "echo"}')
    page.get_by_role("button", name="Add").click()
    plan = page.locator("table.schedules tbody tr")
    expect(plan).to_contain_text([HOSTILE])
    expect(plan).to_contain_text(["20:45 UTC"])
    for verb, state_of_it in (("Run now", "active"), ("Pause", "paused"), ("Resume", "active")):
        plan.get_by_role("button", name=verb).click()
        page.get_by_role("dialog").get_by_role("button", name=verb).click()
        expect(plan.locator(".badge")).to_have_text(state_of_it)
    expect(plan.get_by_role("link")).to_be_visible()
    plan.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", name="No schedules yet.")).to_be_visible()


def test_what_is_paused_is_said_above_everything_and_goes_on_by_a_button(site: Site, page: Page) -> None:
    enter(page, site, "paused")
    expect(page.get_by_text("All is well.")).to_be_visible()
    pause = json.dumps({"type": "generic", "reason": "the printer is out of paper"})
    page.request.post(
        f"{site.url}/pauses",
        headers={
            "Authorization": f"Bearer {site.house.token('paused', 'operator')}",
            "Content-Type": "application/json",
        },
        data=pause,
    )
    page.reload()
    banner = page.locator(".paused")
    expect(banner).to_contain_text("generic is paused")
    expect(banner).to_contain_text("the printer is out of paper")
    banner.get_by_role("button", name="Go on").click()
    page.get_by_role("dialog").get_by_role("button", name="Go on").click()
    expect(page.get_by_text("1 pause ended.")).to_be_visible()
    expect(banner).to_have_count(0)


def test_a_viewer_sees_what_may_not_be_done(site: Site, page: Page) -> None:
    site.finished("view", job_id := site.submit("view", "fail"))
    enter(page, site, "view", f"#/jobs/{job_id}", role="viewer")
    button = page.get_by_role("button", name="Run again")
    expect(button).to_be_disabled()
    assert "operator" in str(button.get_attribute("title"))


def test_a_narrow_screen_needs_no_scrolling_sideways(site: Site, browser: BrowserContext) -> None:
    item = "x" * 200
    job_id = site.submit("narrow", "fail", metadata={"item_id": item}, parameters={"text": item})
    site.finished("narrow", job_id)
    with open_page(browser) as (page, complaints):
        page.set_viewport_size({"width": 360, "height": 740})
        page.emulate_media(color_scheme="dark")
        enter(page, site, "narrow")
        for place in ("#/", "#/jobs", "#/errors", f"#/jobs/{job_id}"):
            page.goto(f"{site.url}/{place}")
            expect(page.get_by_text(re.compile("asked to fail")).first).to_be_visible()
            assert page.evaluate("document.documentElement.scrollWidth") == 360, place
        assert complaints == []


def test_what_happened_while_the_connection_was_lost_is_shown_after_it(site: Site, browser: BrowserContext) -> None:
    sockets: list[WebSocketRoute] = []
    with open_page(browser) as (page, complaints):

        def carry(socket: WebSocketRoute) -> None:
            sockets.append(socket)
            socket.connect_to_server()

        page.route_web_socket(re.compile("/live"), carry)
        job_id = site.submit("gaps", delay_s=3_600)
        enter(page, site, "gaps")
        expect(row(page, job_id)).to_contain_text("queued")
        held: list[Route] = []
        page.route("**/tickets", lambda route: held.append(route))  # noqa: PLW0108  # Playwright marks its handlers
        page.route("**/jobs?*", lambda route: route.abort())
        with page.expect_request("**/tickets"):
            sockets[0].close()
        expect(state(page)).to_have_attribute("data-state", "reconnecting")
        site.cancelled_and_told("gaps", job_id)  # what the page is shown after this, it has looked for
        page.unroute("**/jobs?*")
        held[0].continue_()
        expect(state(page)).to_have_attribute("data-state", "live")
        expect(row(page, job_id)).to_contain_text("cancelled")
        expect(page.locator("tbody tr[data-id]")).to_have_count(1)
        assert all("ERR_FAILED" in complaint for complaint in complaints)
