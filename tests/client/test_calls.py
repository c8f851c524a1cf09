"""Calls with ``fetch``: the token is good, and goes to nobody else; nobody is signed out by an outage."""

import json
import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from authx.models import DeviceSession
from authx.sessions import end_session, end_sessions
from tests.client.conftest import REFRESH, SESSION, WHOAMI

pytestmark = pytest.mark.slow

INVALID = 'Bearer realm="api", error="invalid_token", error_description="{}"'
ACCESS, REFRESH_COOKIE = "__Host-authx_access", "__Host-authx_refresh"


def refuse(front, path, code="token_expired", times=1):
    front.answer(path, 401, json.dumps({"code": code}), times, WWW_Authenticate=INVALID.format(code))


def hour_passes(tab):
    """By the tab's clock, which measures: every token is too old."""
    tab.page.clock.fast_forward("01:00:00")


@pytest.fixture
def clocked(browser, ada, password):
    """A tab in which ada has signed in, whose clock is ours; it runs."""
    found = browser.tab(before=lambda page: page.clock.install())
    found.login("ada", password)
    browser.site.front.forget()
    return found


def test_a_call_carries_the_token_of_the_login(tab, site, ada):
    assert tab.call() == 200
    assert site.front.last(WHOAMI).bearer == tab.run("auth.token()")
    assert site.front.count(REFRESH) == 0
    assert tab.session == {"sessionId": str(DeviceSession.objects.get().pk), "userId": str(ada.pk)}


def test_the_token_is_in_the_closure_alone(tab):
    """Whoever walks through everything that can be reached from the page finds no token."""
    found = tab.run(
        """async () => {
            const token = await auth.token();
            const seen = new Set();
            const holds = (value, depth) => {
                if (value === token) return true;
                if (Object(value) !== value || seen.has(value) || depth > 8) return false;
                seen.add(value);
                for (const key of Reflect.ownKeys(value)) {
                    let inner;
                    try { inner = value[key]; } catch { continue; }
                    if (holds(inner, depth + 1)) return true;
                }
                return false;
            };
            const named = Object.getOwnPropertyNames(window).filter((name) => name !== "window");
            const isLoose = (name) => { try { return window[name] === token; } catch { return false; } };
            const stored = JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie]);
            return { held: named.some(isLoose) || holds([auth, module, endings, begin], 0),
                     stored: token.split(".").filter((part) => stored.includes(part)) };
        }"""
    )
    assert found["held"] is False
    assert found["stored"] == []


def test_many_calls_and_a_timer_refresh_once(signed_in, site):
    tab = signed_in.tab()
    statuses = tab.run(
        f"""() => Promise.all([...Array(20).keys()].map(async (number) => {{
            if (number % 2) await new Promise((done) => setTimeout(done, number));
            return (await auth.fetch("{WHOAMI}")).status;
        }}))"""
    )
    assert statuses == [200] * 20
    assert site.front.count(REFRESH) == 1


def test_a_401_and_an_old_token_refresh_once(clocked, site):
    refuse(site.front, WHOAMI)
    hour_passes(clocked)
    statuses = clocked.run(
        f"""() => {{
            window.dispatchEvent(new Event("online"));
            return Promise.all([1, 2, 3].map(() => auth.fetch("{WHOAMI}").then(({{ status }}) => status)));
        }}"""
    )
    assert sorted(statuses) in ([200, 200, 200], [200, 200, 401])  # one was refused with a token just sent
    assert site.front.count(REFRESH) == 1


def test_refused_at_once_all_calls_refresh_once(tab, site):
    """A kid that was withdrawn, say: every call in flight comes back with a 401."""
    tab.run(
        "new Promise((done) => setTimeout(done, 3100))"
    )  # older than a token that a refresh has just sent
    refuse(site.front, WHOAMI, "key_unknown", times=10)
    statuses = tab.run(
        f"""() => Promise.all([...Array(10)].map(() =>
            auth.fetch("{WHOAMI}").then(({{ status }}) => status)))"""
    )
    assert statuses == [200] * 10
    assert site.front.count(REFRESH) == 1


# Before it expires, and after a sleep


def test_a_token_is_renewed_before_it_expires(clocked, site):
    clocked.page.clock.fast_forward(13 * 60 * 1000)
    assert clocked.call() == 200
    assert site.front.count(REFRESH) == 0
    clocked.page.clock.fast_forward(61 * 1000)  # a minute is left of fifteen
    assert clocked.call() == 200
    assert site.front.count(REFRESH) == 1
    assert all(seen.bearer for seen in site.front.seen if seen.path == WHOAMI)


def test_after_a_sleep_the_first_call_renews_though_no_timer_ran(clocked, site):
    hour_passes(clocked)
    assert clocked.call() == 200
    assert [seen.path for seen in site.front.seen] == [REFRESH, WHOAMI]


def test_after_a_sleep_in_which_the_clock_stood_still_the_401_renews(tab, site, settings):
    """The monotonic clock of some systems does not count sleep: the token seems good, and is not."""
    tab.run("new Promise((done) => setTimeout(done, 3100))")
    settings.AUTHX_ACCESS_TOKEN_LIFETIME = timedelta(
        minutes=5
    )  # tokens that claim to live longer are refused
    assert tab.call() == 200
    assert [seen.path for seen in site.front.seen] == [WHOAMI, REFRESH, WHOAMI]
    assert tab.endings == []


def test_after_a_sleep_in_which_one_clock_stood_still_the_other_tells(clocked, site):
    clocked.run("() => { const at = performance.now(); performance.now = () => at; return null; }")
    hour_passes(clocked)
    assert clocked.call() == 200
    assert [seen.path for seen in site.front.seen] == [REFRESH, WHOAMI]


@pytest.mark.parametrize("event", ["visible", "online", "resume"])
def test_a_page_that_is_back_renews_what_is_old(clocked, site, event):
    clocked.run(
        """(event) => {
            window.show = () => {
                const target = event === "online" ? window : document;
                const state = (value) => Object.defineProperty(
                    document, "visibilityState", { value, configurable: true });
                if (event === "visible") {
                    state("hidden");
                    document.dispatchEvent(new Event("visibilitychange"));
                    state("visible");
                }
                target.dispatchEvent(new Event(event === "visible" ? "visibilitychange" : event));
            };
            return null;
        }""",
        event,
    )
    clocked.run("show()")
    hour_passes(clocked)
    clocked.run("show()")
    clocked.wait(f"auth.session !== null && {json.dumps(event)}.length > 0")
    end = [seen.path for seen in site.front.seen]
    for _ in range(500):
        if REFRESH in end:
            break
        clocked.run("new Promise((done) => setTimeout(done, 10))")
        end = [seen.path for seen in site.front.seen]
    assert end == [REFRESH]


def test_a_page_that_was_away_asks_whether_it_is_over(clocked, site):
    """Nobody has to touch it: whoever comes back to the tab is told."""
    hide = """(state) => {
        Object.defineProperty(document, "visibilityState", { value: state, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
        return null;
    }"""
    end_sessions(DeviceSession.objects.all(), "kicked")
    clocked.run(hide, "hidden")
    clocked.page.clock.fast_forward(20 * 1000)
    clocked.run(hide, "visible")
    clocked.run("new Promise((done) => setTimeout(done, 100))")
    assert site.front.seen == [], "a short look elsewhere asks nothing"
    clocked.run(hide, "hidden")
    clocked.page.clock.fast_forward(31 * 1000)
    clocked.run(hide, "visible")
    clocked.wait("endings.length > 0")
    assert clocked.endings == ["kicked"]
    assert site.front.seen[0].path == SESSION


# A wrong clock


@pytest.mark.parametrize("hours", [-1, 1, 24 * 365 * 20], ids=["slow", "fast", "far-ahead"])
def test_a_clock_that_is_wrong_changes_nothing(browser, site, ada, password, hours):
    from django.utils import timezone

    wrong = timezone.now() + timedelta(hours=hours)
    tab = browser.tab(before=lambda page: page.clock.install(time=wrong))
    tab.login("ada", password)
    other = browser.tab(before=lambda page: page.clock.install(time=wrong))
    site.front.forget()
    for _ in range(3):
        assert (tab.call(), other.call()) == (200, 200)
    assert site.front.count(REFRESH) == 1  # of the other tab, which is new
    hour_passes(tab)
    assert tab.call() == 200
    assert site.front.count(REFRESH) == 2
    tab.run("(password) => auth.reauthenticate(password)", password)
    assert (tab.call(), other.call()) == (200, 200)
    tab.run("auth.logout()")
    other.wait("endings.length > 0")
    assert (tab.endings, other.endings) == (["logout"], ["logout"])


def test_a_clock_that_is_set_back_meanwhile_keeps_no_old_token(browser, site, ada, password):
    tab = browser.tab(before=lambda page: page.clock.install())
    tab.login("ada", password)
    site.front.forget()
    hour_passes(tab)
    tab.page.clock.set_system_time(0)
    assert tab.call() == 200
    assert site.front.count(REFRESH) == 1


# 401s


@pytest.mark.parametrize("code", ["token_expired", "token_malformed", "token_not_for_us", "key_unknown"])
def test_a_401_is_cured_by_one_refresh(clocked, site, code):
    clocked.page.clock.fast_forward(5000)
    refuse(site.front, WHOAMI, code)
    assert clocked.call() == 200
    assert [seen.path for seen in site.front.seen] == [WHOAMI, REFRESH, WHOAMI]


def test_a_401_that_no_refresh_cures_is_handed_over(clocked, site):
    clocked.page.clock.fast_forward(5000)
    refuse(site.front, WHOAMI, times=100)
    assert clocked.call() == 401
    assert [seen.path for seen in site.front.seen] == [WHOAMI, REFRESH, WHOAMI]
    assert clocked.call() == 401
    assert site.front.count(REFRESH) == 1, "the token was handed out a moment ago"
    assert clocked.endings == []


#: Every answer takes ten seconds, by the page's clock.
SLOW = """() => {
    const [genuine, now] = [window.fetch, performance.now.bind(performance)];
    let extra = 0;
    performance.now = () => now() + extra;
    window.slowly = () => (extra += 10_000);
    window.fetch = async (...rest) => {
        const answer = await genuine(...rest);
        slowly();
        return answer;
    };
    return null;
}"""


def test_a_slow_server_that_refuses_everything_is_asked_twice(clocked, site):
    clocked.page.clock.fast_forward(5000)
    clocked.run(SLOW)
    refuse(site.front, WHOAMI, times=100)
    assert clocked.call() == 401
    assert [seen.path for seen in site.front.seen] == [WHOAMI, REFRESH, WHOAMI]


@pytest.mark.parametrize(
    "challenge",
    [
        'Bearer realm="api", error="insufficient_user_authentication", max_age="300"',
        'Bearer realm="api"',
        INVALID.format("invalid_credentials"),
        'Custom realm="site"',
        "",
    ],
)
def test_a_401_of_another_kind_is_handed_over_at_once(clocked, site, challenge):
    clocked.page.clock.fast_forward(5000)
    headers = {"WWW_Authenticate": challenge} if challenge else {}
    site.front.answer(WHOAMI, 401, "{}", **headers)
    assert clocked.call() == 401
    assert [seen.path for seen in site.front.seen] == [WHOAMI]


def test_after_the_end_no_call_reaches_the_server(tab, site):
    """Its cookies may be somebody else's by now."""
    end_session(DeviceSession.objects.get(), "kicked")
    assert tab.call() == 401
    site.front.forget()
    assert tab.call() == "session_ended"
    assert tab.run("auth.token().catch(({ code, reason }) => [code, reason])") == ["session_ended", "kicked"]
    assert site.front.seen == []
    assert tab.endings == ["kicked"]


def test_visitors_ask_once_and_are_nobody(browser, site):
    tab = browser.tab()
    site.front.forget()
    assert [tab.call("/api/public/") for _ in range(3)] == [200] * 3
    assert tab.call() == 401
    assert site.front.count(REFRESH) == 1
    assert not any(seen.bearer for seen in site.front.seen)
    assert (tab.session, tab.endings) == (None, [])


def test_after_the_end_the_app_may_begin_anew(tab, browser, password):
    end_session(DeviceSession.objects.get(), "kicked")
    assert tab.call() == 401
    assert tab.run("auth.check()") is None
    assert tab.endings == ["kicked"]
    browser.tab().login("ada", password)
    assert tab.call() == "session_ended"
    assert tab.run("auth.check()") == tab.session
    assert tab.call() == 200
    assert tab.run("auth.ended") is None


# What is sent again


BODIES = {
    "json": '[path, { method: "POST", headers: { "Content-Type": "application/json" }, body: \'{"a": 1}\' }]',
    "form": '[path, { method: "POST", body: (() => { const data = new FormData(); data.append("a", "1");'
    ' data.append("file", new Blob(["content"]), "file.txt"); return data; })() }]',
    "params": '[path, { method: "POST", body: new URLSearchParams({ a: "1" }) }]',
    "blob": '[path, { method: "POST", body: new Blob(["content"]) }]',
    "buffer": '[path, { method: "POST", body: new TextEncoder().encode("content") }]',
    "request": '[new Request(path, { method: "POST", body: "content", headers: { "X-CSRFToken": "mine" } })]',
    "request-and-body": '[new Request(path, { method: "POST", body: "old" }), { body: "content" }]',
    "request-form": '[new Request(path, { method: "POST", body: (() => { const data = new FormData();'
    ' data.append("file", new Blob(["content"]), "file.txt"); return data; })() })]',
}


@pytest.mark.parametrize("kind", BODIES)
def test_a_body_survives_being_sent_again(clocked, site, kind):
    clocked.page.clock.fast_forward(5000)
    refuse(site.front, WHOAMI)
    status = clocked.run(f"async (path) => (await auth.fetch(...{BODIES[kind]})).status", WHOAMI)
    first, second = [seen for seen in site.front.seen if seen.path == WHOAMI]
    assert status in {200, 415}  # the view reads JSON and forms
    assert (first.method, second.method) == ("POST", "POST")
    assert len(second.body) == len(first.body) > 0
    assert first.bearer != second.bearer
    if kind == "request":
        assert second.headers["X_CSRFTOKEN"] == "mine"
    if b"boundary" not in first.body and not first.body.startswith(b"------"):
        assert first.body == second.body


def test_a_stream_is_not_sent_again(clocked, site):
    """Browsers send streams over HTTP/2 alone, so their ``fetch`` answers here."""
    clocked.page.clock.fast_forward(5000)
    outcome = clocked.run(
        """async (challenge) => {
            const genuine = window.fetch;
            let sent = 0;
            window.fetch = (url, init) => {
                if (!(init?.body instanceof ReadableStream)) return genuine(url, init);
                sent += 1;
                const headers = { "WWW-Authenticate": challenge };
                const answer = new Response("{}", { status: 401, headers });
                return Promise.resolve(answer);
            };
            const body = new Blob(["content"]).stream();
            const { status } = await auth.fetch("/api/whoami/", { method: "POST", body, duplex: "half" });
            window.fetch = genuine;
            return [status, sent];
        }""",
        INVALID.format("token_expired"),
    )
    assert outcome == [401, 1]
    assert clocked.call() == 200
    assert site.front.count(REFRESH) == 1, "but the next call has a good token"


def test_a_call_can_be_given_up_while_a_refresh_goes_on(signed_in, site):
    tab = signed_in.tab()
    gate = site.front.hold(REFRESH)
    tab.start(f'() => auth.fetch("{WHOAMI}", {{ signal: AbortSignal.timeout(100) }})')
    assert gate.arrived.wait(30)
    assert tab.outcome()["error"]["name"] == "TimeoutError"
    site.front.let_go(REFRESH)
    assert tab.call() == 200
    assert site.front.count(WHOAMI) == 1
    assert tab.run(
        f'auth.fetch("{WHOAMI}", {{ signal: AbortSignal.abort() }}).catch(({{ name }}) => name)'
    ) == ("AbortError")


# Outages


def down(front, kind, path=REFRESH, times=20):
    """Let the API's refresh fail, as it does in an outage."""
    match kind:
        case "503":
            front.answer(path, 503, '{"code": "store_unavailable"}', times, Retry_After="1")
        case "500" | "502":
            front.answer(path, int(kind), "<h1>Sorry</h1>", times)
        case "429":
            front.answer(path, 429, '{"code": "throttled"}', times, Retry_After="1")
        case "rubbish":
            front.answer(path, 200, "<h1>Welcome to the train's network</h1>", times)
        case "portal":
            front.answer(path, 200, '{"access_token": "a.b.c", "expires_in": 900}', times)
        case "403":
            front.answer(path, 403, '{"code": "permission_denied"}', times)
        case "409":
            front.answer(path, 409, '{"code": "refresh_conflict"}', times)


OUTAGES = ["503", "500", "502", "429", "403", "409", "rubbish", "portal"]


@pytest.mark.parametrize("kind", OUTAGES)
def test_an_outage_signs_nobody_out(clocked, site, kind):
    hour_passes(clocked)
    down(site.front, kind)
    outcome = clocked.call()
    assert outcome == {
        "503": "store_unavailable",
        "429": "throttled",
        "403": "permission_denied",
        "409": "refresh_conflict",
    }.get(kind, "unavailable")
    assert site.front.count(WHOAMI) == 0
    assert (clocked.endings, clocked.session is None) == ([], False)
    site.front.answers.clear()
    clocked.page.clock.fast_forward(31 * 1000)
    assert clocked.call() == 200
    assert clocked.endings == []


@pytest.mark.parametrize("kind", [kind for kind in OUTAGES if kind != "409"])
def test_in_an_outage_a_token_is_used_to_its_end(clocked, site, kind):
    clocked.page.clock.fast_forward(14 * 60 * 1000 + 5000)  # less than a minute is left
    down(site.front, kind)
    assert clocked.call() == 200
    assert clocked.endings == []


def test_a_server_that_asks_for_rest_is_left_alone(clocked, site):
    hour_passes(clocked)
    site.front.answer(REFRESH, 429, '{"code": "throttled"}', 1, Retry_After="10")
    assert [clocked.call() for _ in range(5)] == ["throttled"] * 5
    assert site.front.count(REFRESH) == 1
    clocked.page.clock.fast_forward(11 * 1000)
    assert clocked.call() == 200


def test_without_a_network_nobody_is_signed_out(clocked, browser, site):
    hour_passes(clocked)
    browser.context.set_offline(True)
    assert clocked.call() == "TypeError"
    assert (clocked.endings, clocked.session is None) == ([], False)
    browser.context.set_offline(False)
    assert clocked.call() == 200
    assert clocked.endings == []


def test_a_401_without_a_way_to_refresh_is_no_401(clocked, site):
    """An app that leads to its login page at a 401 would sign somebody out in an outage."""
    clocked.page.clock.fast_forward(5000)
    refuse(site.front, WHOAMI)
    down(site.front, "503")
    assert clocked.call() == "store_unavailable"
    assert clocked.endings == []


def test_a_conflict_is_tried_again(clocked, site):
    hour_passes(clocked)
    down(site.front, "409", times=1)
    clocked.start("() => auth.token()")
    for _ in range(100):
        if site.front.count(REFRESH):
            break
        clocked.run("0")
    clocked.page.clock.run_for(5000)
    assert "value" in clocked.outcome()
    assert site.front.count(REFRESH) == 2


def test_a_step_up_of_another_tab_whose_cookie_is_on_its_way_ends_nothing(clocked, site):
    hour_passes(clocked)
    site.front.answer(REFRESH, 401, '{"code": "session_ended", "reason": "superseded"}')
    clocked.start("() => auth.token()")
    for _ in range(100):
        if site.front.count(REFRESH):
            break
        clocked.run("0")
    clocked.page.clock.run_for(2000)
    assert "value" in clocked.outcome()
    assert site.front.count(REFRESH) == 2
    assert clocked.endings == []


@pytest.mark.parametrize(
    ("code", "reason", "told"),
    [
        ("session_ended", "kicked", "kicked"),
        ("session_ended", "idle", "idle"),
        ("refresh_reused", "", "reused"),
        ("refresh_malformed", "", ""),
        ("not_authenticated", "", ""),
    ],
)
def test_what_ends_is_the_servers_word(clocked, site, code, reason, told):
    hour_passes(clocked)
    site.front.answer(REFRESH, 401, json.dumps({"code": code, "reason": reason}))
    assert clocked.call() == "session_ended"
    assert clocked.run("endings.map(({ reason, code }) => [reason, code])") == [[told, code]]
    assert clocked.run("endings[0].message").endswith(".")


def test_cookies_that_are_gone_end_it_when_the_token_does(clocked, browser, site):
    browser.context.clear_cookies()
    assert clocked.call() == 200, "the token is good"
    hour_passes(clocked)
    assert clocked.call() == "session_ended"
    assert clocked.endings == [""]


def test_cookies_that_are_gone_too_hide_no_reason(tab, browser):
    """As after a logout on a page without the client, which deletes them."""
    end_sessions(DeviceSession.objects.all(), "logout")
    browser.context.clear_cookies()
    assert tab.call() == 401
    assert tab.endings == ["logout"]


# Nobody else is given the token


@pytest.fixture
def elsewhere():
    """Another site, which lets every page read it and keeps what it is sent."""
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append(dict(self.headers))
            self.send_response(401 if self.path == "/401" else 200)
            origin = self.headers.get("Origin", "*")
            self.send_header("Access-Control-Allow-Origin", "*" if origin == "null" else origin)
            self.send_header("Access-Control-Allow-Headers", "Authorization")
            self.send_header("Access-Control-Expose-Headers", "X-Access-Token, WWW-Authenticate")
            self.send_header("X-Access-Token", self.server.token)
            self.send_header("WWW-Authenticate", INVALID.format("token_expired"))
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_OPTIONS = do_GET  # noqa: N815

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.token, server.seen = "", seen
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def stranger(clocked, site, elsewhere, browser):
    """The tab, on a page that may talk with that other site."""
    site.front.sources = f"'self' {elsewhere.url}"
    clocked.page.goto("/app/?again")
    clocked.wait("window.auth !== undefined")
    assert clocked.call() == 200
    clocked.page.clock.fast_forward(5000)
    elsewhere.token = clocked.run("auth.token()")
    site.front.forget()
    return clocked


@pytest.mark.parametrize(
    "spelled", ["{}/x", "{}/401", "//{host}/x"], ids=["other-port", "its-401", "without-scheme"]
)
def test_another_origin_gets_no_token(stranger, elsewhere, site, spelled):
    url = spelled.format(elsewhere.url, host=elsewhere.url.partition("//")[2])
    assert stranger.call(url) in {200, 401}
    assert elsewhere.seen
    assert not any("Authorization" in headers for headers in elsewhere.seen)
    assert site.front.seen == [], "nor is anything renewed for it"


def test_a_redirect_to_another_origin_carries_no_token(stranger, elsewhere, site):
    for path in ("/x", "/401"):
        site.front.answer("/away/", 302, "", Location=elsewhere.url + path)
        stranger.call("/away/")
        assert site.front.last("/away/").bearer
    assert len(elsewhere.seen) >= 2
    assert not any("Authorization" in headers for headers in elsewhere.seen)
    assert site.front.count(REFRESH) == 0, "a 401 of others is none of ours"


def test_a_redirected_login_takes_no_password_elsewhere(stranger, elsewhere, site):
    for path in ("login", "reauthenticate", "refresh", "logout"):
        site.front.answer(f"/api/auth/{path}/", 307, "", 2, Location=elsewhere.url + "/x")
    calls = ["login({ username: 'ada', password: 'secret' })", "reauthenticate('secret')", "logout()"]
    for call in calls:
        assert stranger.run(f"auth.{call}.then(() => 'let in', ({{ name }}) => name)") == "TypeError"
    hour_passes(stranger)
    assert stranger.run("auth.token().catch(({ name }) => name)") == "TypeError"
    assert elsewhere.seen == []
    assert stranger.endings == []


def test_a_base_of_the_page_leads_no_password_elsewhere(browser, site, elsewhere, ada, password):
    """Whoever can add one element to a page could otherwise choose where the API is."""
    site.front.sources, site.front.bases = f"'self' {elsewhere.url}", "*"
    site.front.files["/app/"] = (
        "text/html",
        f"""<!doctype html><base href="{elsewhere.url}/"><title>App</title>
        <script type="module" src="{site.url}/app/app.js"></script>""".encode(),
    )
    tab = browser.tab()
    assert tab.run("document.baseURI") == f"{elsewhere.url}/"
    tab.login("ada", password)
    assert elsewhere.seen == []
    assert tab.call("api/whoami/") == 200, "the browser's fetch takes the base, and so it is another origin"
    assert [("Authorization" in headers, headers["Host"]) for headers in elsewhere.seen] == [
        (False, elsewhere.url.partition("//")[2])
    ]
    assert tab.call(f"{site.url}{WHOAMI}") == 200


def test_a_redirect_at_home_keeps_the_token(clocked, site):
    site.front.answer("/moved/", 302, "", Location=WHOAMI)
    assert clocked.call("/moved/") == 200
    assert site.front.last(WHOAMI).bearer


def test_a_token_that_another_origin_sends_is_not_taken(stranger, elsewhere, site):
    before = stranger.run("auth.token()")
    elsewhere.token = "x.eyJzaWQiOiAieCIsICJzdWIiOiAieCIsICJpYXQiOiAxLCAiZXhwIjogMn0.x"
    assert stranger.call(elsewhere.url + "/x") == 200
    site.front.answer("/away/", 302, "", Location=elsewhere.url + "/x")
    assert stranger.call("/away/") == 200
    assert stranger.run("auth.token()") == before
    assert stranger.endings == []


def test_a_header_of_the_apps_own_stays_as_it_is(tab, site):
    tab.run(f'auth.fetch("{WHOAMI}", {{ headers: {{ Authorization: "Bearer mine" }} }})')
    assert site.front.last(WHOAMI).bearer == "mine"
    assert site.front.count(REFRESH) == 0


def test_nothing_that_is_shared_is_changed(tab):
    assert tab.run(
        "[window.fetch, XMLHttpRequest.prototype.open, XMLHttpRequest.prototype.send].every("
        "(each) => String(each).includes('[native code]'))"
    )


# A silent renewal


def test_the_token_of_a_silent_renewal_is_taken_over(browser, site, settings, ada, password):
    settings.AUTHX_EXPOSE_ACCESS_TOKEN = True
    tab = browser.tab()
    assert tab.call("/whoami/") == 200  # nobody is signed in here
    page = browser.context.new_page()
    page.goto("/account/login/")
    page.get_by_label("Username").fill("ada")
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/whoami/")
    browser.context.clear_cookies(name=ACCESS)  # its Max-Age has passed
    browser.context.clear_cookies(name="sessionid")
    site.front.forget()
    assert tab.call("/whoami/") == 200
    assert tab.session["userId"] == str(ada.pk)
    assert tab.call() == 200
    assert site.front.last(WHOAMI).bearer
    assert site.front.count(REFRESH) == 0


# Signing in and out


def test_a_wrong_password_says_so(browser, ada):
    tab = browser.tab()
    told = tab.run(
        """auth.login({ username: "ada", password: "wrong" }).catch((error) =>
            [error instanceof module.AuthError, error.code, error.status, error.message])"""
    )
    assert told == [True, "invalid_credentials", 401, "Unable to log in with these credentials."]
    assert (tab.session, tab.endings) == (None, [])


def test_logout_deletes_the_cookies_and_ends_the_session(tab, browser):
    tab.run("auth.logout()")
    assert DeviceSession.objects.get().end_reason == "logout"
    assert not {ACCESS, REFRESH_COOKIE} & {cookie["name"] for cookie in browser.context.cookies()}
    assert tab.endings == ["logout"]
    tab.run("auth.logout()")
    assert tab.endings == ["logout"]


def test_logout_before_any_call_works_too(signed_in):
    tab = signed_in.tab()
    tab.run("auth.logout()")
    assert DeviceSession.objects.get().end_reason == "logout"
    assert tab.call() == 401


@pytest.mark.parametrize("kind", ["csrf-in-session", "csrf-httponly", "csrf-other-name"])
def test_csrf_tokens_that_a_script_cannot_read_are_asked_for(browser, settings, ada, password, kind):
    if kind == "csrf-in-session":
        settings.CSRF_USE_SESSIONS = True
    elif kind == "csrf-httponly":
        settings.CSRF_COOKIE_HTTPONLY = True
    else:
        settings.CSRF_COOKIE_NAME = "anothername"
    tab = browser.tab()
    tab.login("ada", password)
    other = browser.tab()
    assert (tab.call(), other.call()) == (200, 200)
    tab.run("(password) => auth.reauthenticate(password)", password)
    other.run("auth.logout()")
    assert DeviceSession.objects.live().count() == 0
    tab.wait("endings.length > 0")


def test_a_logout_that_does_not_arrive_is_no_logout(tab, browser):
    browser.context.set_offline(True)
    assert tab.run("auth.logout().catch(({ name }) => name)") == "TypeError"
    assert tab.endings == []
    browser.context.set_offline(False)
    assert tab.call() == 200


def test_sentences_can_be_the_apps_own(browser, site, ada, password):
    tab = browser.tab()
    tab.run("begin({ messages: { kicked: 'Hinausgeworfen.' } })")
    tab.login("ada", password)
    end_sessions(DeviceSession.objects.all(), "kicked")
    tab.call()
    tab.wait("endings.length > 0")
    assert "Hinausgeworfen." in tab.run("endings.map(({ message }) => message)")


def test_a_listener_that_throws_stops_no_other(tab, browser):
    tab.run(
        "() => { auth.on('ended', () => { throw new Error('of the app'); });"
        "auth.on('ended', () => (window.last = true)); return null; }"
    )
    end_sessions(DeviceSession.objects.all(), "kicked")
    tab.call()
    assert tab.run("window.last") is True
    assert any("of the app" in complaint for complaint in browser.complaints)
    browser.complaints.clear()


def test_who_lets_go_is_told_nothing(tab, browser, password):
    tab.run("auth.close()")
    other = browser.tab()
    assert other.call() == 200
    other.run("auth.logout()")
    assert other.endings == ["logout"]
    assert tab.endings == []
