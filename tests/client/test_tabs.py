"""Tabs of one browser: one refresh for all of them, and all are told when it is over."""

import base64
import json
import socket
from pathlib import Path

import pytest

from authx.models import DeviceSession, EndReason
from authx.sessions import end_session, end_sessions
from tests.client.conftest import REFRESH, WHOAMI

pytestmark = pytest.mark.slow

CLIENT = Path(__file__).parents[2] / "authx/static/authx/client.js"
TABS = 10


def channel(tab, message, *more):
    """Say something on the channel of the tabs, as any script of the origin could."""
    tab.run(
        "async (messages) => { const channel = new BroadcastChannel(`authx:${location.origin}/api/auth/`);"
        "for (const message of messages) channel.postMessage(message);"
        "await new Promise((done) => setTimeout(done, 50)); channel.close(); }",
        [message, *more],
    )


def start_at_once(tabs, script):
    """Let all tabs begin in the same moment."""
    at = tabs[0].run("Date.now()") + 500
    for each in tabs:
        each.start(
            f"async () => {{"
            f"await new Promise((go) => setTimeout(go, {at} - Date.now())); return ({script})(); }}"
        )
    return [each.outcome() for each in tabs]


FIVE_CALLS = (
    f"""() => Promise.all([1, 2, 3, 4, 5].map(() => auth.fetch("{WHOAMI}").then(({{ status }}) => status)))"""
)


def test_ten_tabs_refresh_once(signed_in, site):
    tabs = signed_in.tabs(TABS)
    assert start_at_once(tabs, FIVE_CALLS) == [{"value": [200] * 5}] * TABS
    assert site.front.count(REFRESH) == 1
    assert [each.endings for each in tabs] == [[]] * TABS
    assert len({seen.bearer for seen in site.front.seen if seen.path == WHOAMI}) == 1
    assert DeviceSession.objects.live().count() == 1
    for each in tabs:
        assert each.call() == 200
    assert site.front.count(REFRESH) == 1


def test_tabs_that_need_a_token_later_take_the_one_they_heard_of(signed_in, site):
    first, second, third = signed_in.tabs(3)
    assert first.call() == 200
    second.wait("auth !== undefined")
    assert (second.session, third.session) == (None, None), "nobody has asked there yet"
    assert (second.call(), third.call()) == (200, 200)
    assert site.front.count(REFRESH) == 1
    assert second.session == third.session == first.session


def test_a_token_that_was_heard_of_and_has_ended_since_is_not_used(signed_in, site):
    first, second = signed_in.tabs(2)
    assert first.call() == 200
    first.run("auth.logout()")
    first.wait("endings.length > 0")
    site.front.forget()
    assert second.call() == 401
    assert [seen.path for seen in site.front.seen] == [REFRESH, WHOAMI]
    assert not site.front.last(WHOAMI).bearer
    assert second.endings == []


def test_a_frozen_tab_keeps_nobody_waiting(signed_in, site):
    """It has the lock in its hands, and its answer has come: it does not get to read it."""
    frozen, *others = signed_in.tabs(3)
    gate = site.front.hold(REFRESH)
    frozen.start("() => auth.token()")
    assert gate.arrived.wait(30)
    # A page that can be seen is never frozen; stopped at its next statement, it does as little.
    devtools = signed_in.context.new_cdp_session(frozen.page)
    devtools.send("Debugger.enable")
    devtools.send("Debugger.pause")
    site.front.let_go(REFRESH)
    timed = f"""async () => {{
        const began = performance.now();
        const {{ status }} = await auth.fetch("{WHOAMI}");
        return [status, performance.now() - began];
    }}"""
    for outcome in start_at_once(others, timed):
        status, waited = outcome["value"]
        assert status == 200
        assert 2900 < waited < 4000
    devtools.send("Debugger.disable")
    assert "value" in frozen.outcome()
    assert frozen.call() == 200
    assert [each.endings for each in (frozen, *others)] == [[], [], []]


def test_the_lock_is_never_stolen_and_nothing_is_stored():
    code = CLIENT.read_text()
    for word in ("steal", "localStorage", "sessionStorage", "indexedDB", "cookieStore"):
        assert word not in code


def lan_address():
    """An address of this machine that is not a loopback: no network is touched for that."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        return probe.getsockname()[0]


def test_plain_http_on_a_lan_works_without_web_locks(open_browser, site, settings, ada, password):
    settings.AUTHX_COOKIE_SECURE = False
    for name in ("ACCESS", "REFRESH", "DEVICE"):
        setattr(settings, f"AUTHX_{name}_COOKIE", f"authx_{name.lower()}")
    if (address := lan_address()) is None or address.startswith("127."):
        pytest.skip("this machine has no address but the loopback")
    lan = open_browser(base_url=f"http://{address}:{site.port}")
    lan.context.add_init_script("delete window.BroadcastChannel")
    first = lan.tab()
    assert first.run("[window.isSecureContext, 'locks' in navigator]") == [False, False]
    first.login("ada", password)
    site.front.forget()
    tabs = lan.tabs(5)
    assert start_at_once(tabs, FIVE_CALLS) == [{"value": [200] * 5}] * 5
    assert site.front.count(REFRESH) == 5
    assert DeviceSession.objects.get().generation == 1
    assert [each.endings for each in tabs] == [[]] * 5


@pytest.mark.parametrize("missing", ["locks", "BroadcastChannel", "both", "refused"])
def test_what_a_browser_does_not_have_is_not_needed(signed_in, site, missing):
    if missing in {"locks", "both"}:
        signed_in.context.add_init_script(
            "Object.defineProperty(Navigator.prototype, 'locks', { value: undefined })"
        )
    if missing in {"BroadcastChannel", "both"}:
        signed_in.context.add_init_script(
            "window.BroadcastChannel = class { constructor() { throw Error('no') } }"
        )
    if missing == "refused":  # as in a sandboxed frame
        signed_in.context.add_init_script(
            "if (window.LockManager) LockManager.prototype.request ="
            " () => Promise.reject(new DOMException('no', 'SecurityError'))"
        )
    tabs = signed_in.tabs(3)
    assert start_at_once(tabs, FIVE_CALLS) == [{"value": [200] * 5}] * 3
    assert 1 <= site.front.count(REFRESH) <= 3
    assert [each.endings for each in tabs] == [[]] * 3


def test_storage_that_throws_is_not_noticed(open_browser, ada, password):
    browser = open_browser()
    browser.context.add_init_script(
        "for (const name of ['localStorage', 'sessionStorage', 'indexedDB'])"
        "Object.defineProperty(window, name, { get() { throw new DOMException('no', 'SecurityError'); } })"
    )
    tab = browser.tab()
    tab.login("ada", password)
    assert tab.call() == 200
    other = browser.tab()
    assert other.call() == 200


# Everybody is told


@pytest.fixture
def ten(signed_in, site):
    tabs = signed_in.tabs(TABS)
    assert start_at_once(tabs, FIVE_CALLS) == [{"value": [200] * 5}] * TABS
    site.front.forget()
    return tabs


def all_told(tabs, reason):
    for each in tabs:
        each.wait("endings.length > 0")
    assert [each.endings for each in tabs] == [[reason]] * len(tabs)
    assert [each.session for each in tabs] == [None] * len(tabs)


def test_a_logout_is_told_in_every_tab(ten):
    ten[3].run("auth.logout()")
    all_told(ten, "logout")
    assert ten[5].run("endings[0].message") == EndReason.LOGOUT.label
    assert ten[5].call() == "session_ended"
    all_told(ten, "logout")


def test_a_kick_that_one_tab_notices_is_told_in_every_tab(ten, site):
    end_sessions(DeviceSession.objects.all(), "kicked")
    assert ten[7].call() == 401
    all_told(ten, "kicked")
    assert ten[0].run("endings[0].message") == EndReason.KICKED.label
    assert site.front.count(WHOAMI) == 1


def test_a_kick_that_every_tab_notices_is_told_once(ten):
    end_sessions(DeviceSession.objects.all(), "kicked")
    start_at_once(ten, FIVE_CALLS)
    all_told(ten, "kicked")


def test_a_login_as_somebody_else_is_told_in_every_other_tab(ten, signed_in, bob, password):
    new = signed_in.tab()
    new.login("bob", password)
    all_told(ten, "superseded")
    assert new.endings == []
    assert new.call() == 200


def test_a_login_as_somebody_else_on_a_page_without_the_client_is_found_at_the_next_call(
    ten, signed_in, bob, password
):
    page = signed_in.context.new_page()
    page.goto("/account/login/")
    page.get_by_label("Username").fill("bob")
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/whoami/")
    assert ten[0].call() == 401
    all_told(ten, "superseded")


def test_a_step_up_in_one_tab_ends_nothing_in_the_others(ten, password):
    before = ten[0].session
    after = ten[0].run("(password) => auth.reauthenticate(password)", password)
    assert after["sessionId"] != before["sessionId"]
    for each in ten:
        assert each.call() == 200
        assert each.session == after
    assert [each.endings for each in ten] == [[]] * TABS


def test_a_step_up_that_a_tab_has_not_heard_of_is_taken_up_after_its_401(signed_in, site, password):
    signed_in.context.add_init_script("delete window.BroadcastChannel")
    one, two = signed_in.tabs(2)
    assert (one.call(), two.call()) == (200, 200)
    one.run("(password) => auth.reauthenticate(password)", password)
    site.front.forget()
    assert two.call() == 200
    assert site.front.count(WHOAMI) == 2
    assert two.session == one.session
    assert two.endings == []


# What stands on the channel is somebody's word


def forged(tab, **claims):
    """What another tab would say, with a token that nobody has signed."""
    payload = json.dumps({"iat": 9999999999, **claims}).encode()
    text = f"x.{base64.urlsafe_b64encode(payload).decode().rstrip('=')}.x"
    return {"type": "token", "token": text, "sid": claims["sid"], "left": 900000, "at": tab.run("Date.now()")}


def test_a_bogus_token_poisons_no_tab(ten, site):
    session = ten[0].session
    bogus = forged(ten[0], sid=session["sessionId"], sub=session["userId"])
    channel(ten[0], bogus)
    assert ten[1].run("auth.token()") == bogus["token"], "or this proves nothing"
    for each in ten:
        assert each.call() == 200
    assert [each.endings for each in ten] == [[]] * TABS
    assert [each.session for each in ten] == [session] * TABS


def test_two_bogus_tokens_one_after_the_other_poison_no_tab(ten):
    session = ten[0].session
    bogus = forged(ten[0], sid=session["sessionId"], sub=session["userId"])
    channel(ten[0], bogus)
    ten[1].run(
        """(bogus) => {
            const channel = new BroadcastChannel(`authx:${location.origin}/api/auth/`);
            window.timer = setInterval(() => channel.postMessage(
                { ...bogus, token: bogus.token + Math.random().toString(36).slice(2) }), 5);
            return null;
        }""",
        bogus,
    )
    assert [ten[2].call() for _ in range(5)] == [200] * 5
    ten[1].run("clearInterval(timer)")
    assert ten[2].endings == []


def test_a_bogus_token_of_another_user_signs_nobody_out(ten, site, bob):
    channel(ten[0], forged(ten[0], sid="0" * 8, sub=str(bob.pk)))
    for each in ten[1:]:
        assert each.call() == 200
    assert [each.endings for each in ten] == [[]] * TABS
    assert site.front.count(REFRESH) > 0, "somebody has asked the server"


def test_a_bogus_token_tells_a_fresh_tab_nothing(signed_in, ada, bob):
    one, other = signed_in.tabs(2)
    channel(other, forged(other, sid="0" * 8, sub=str(bob.pk)))
    assert one.session is None
    assert one.call() == 200
    assert one.session["userId"] == str(ada.pk)
    assert one.endings == []


def test_a_tab_that_waits_for_a_bogus_token_finds_out_who_it_is(signed_in, site, ada, bob):
    one, other = signed_in.tabs(2)
    gate = site.front.hold(REFRESH)
    other.start("() => auth.token()")
    assert gate.arrived.wait(30)
    one.start(f'() => auth.fetch("{WHOAMI}").then(({{ status }}) => status)')
    channel(other, forged(other, sid="0" * 8, sub=str(bob.pk)))
    site.front.let_go(REFRESH)
    assert one.outcome() == {"value": 200}
    assert one.session["userId"] == str(ada.pk)
    assert one.endings == []


@pytest.mark.parametrize(
    "message",
    [
        None,
        "token",
        7,
        [],
        {},
        {"type": "token"},
        {"type": "token", "token": 7, "sid": "x", "left": 1, "at": 1},
        {"type": "token", "token": "a.b.c", "sid": "x", "left": 1000, "at": 0},
        {"type": "token", "token": "x.e30.x", "left": 1000, "at": 0},
        {"type": "ended"},
        {"type": "ended", "sid": "right", "reason": 7, "code": "session_ended"},
        {"type": "ended", "sid": "right"},
        {"type": "ended", "sid": None, "reason": "kicked", "code": "session_ended"},
        {"type": "ended", "sid": "another", "reason": "kicked", "code": "session_ended"},
        {"type": "unknown", "sid": "x"},
        {"type": "constructor"},
    ],
    ids=repr,
)
def test_rubbish_on_the_channel_is_nothing(browser, site, ada, password, message):
    one, other = browser.tab(), browser.tab()
    one.login("ada", password)
    assert one.call() == 200
    token = one.run("auth.token()")
    if isinstance(message, dict) and message.get("sid") == "right":
        message = {**message, "sid": one.session["sessionId"]}
    channel(other, message)
    assert one.run("auth.token()") == token
    assert (one.call(), one.endings) == (200, [])


def test_a_token_of_another_session_than_it_says_is_not_taken(tab, browser):
    other, session = browser.tab(), tab.session
    token = tab.run("auth.token()")
    bogus = forged(other, sid="another", sub=session["userId"])
    channel(other, {**bogus, "sid": session["sessionId"]})
    assert tab.run("auth.token()") == token


def test_an_older_token_that_comes_late_is_not_taken(tab, browser):
    other, session = browser.tab(), tab.session
    token = tab.run("auth.token()")
    channel(other, forged(other, sid=session["sessionId"], sub=session["userId"], iat=1))
    assert tab.run("auth.token()") == token


def test_what_ends_one_session_leaves_another_browser_alone(signed_in, open_browser, ada, password):
    elsewhere = open_browser()
    there = elsewhere.tab()
    there.login("ada", password)
    here = signed_in.tab()
    assert here.call() == 200
    end_session(DeviceSession.objects.get(pk=here.session["sessionId"]), "kicked")
    assert here.call() == 401
    assert here.endings == ["kicked"]
    assert (there.call(), there.endings) == (200, [])
