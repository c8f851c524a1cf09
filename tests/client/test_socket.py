"""Sockets that renew, and come back: against a door that speaks the codes and frames of authx's."""

import json
import time

import pytest

from authx.models import DeviceSession
from authx.sessions import end_sessions
from tests.client.conftest import DEADLINE, REFRESH, SESSION, eventually

pytestmark = pytest.mark.slow

websockets = pytest.importorskip("websockets", reason="websockets is not installed")

from tests.client.door import Door, Relay  # noqa: E402

OPEN = """
(options) => {
    window.happened = [];
    window.ws = auth.socket("/ws/chat/", options?.protocols ?? [], options ?? {});
    for (const type of ["open", "lost", "close", "message"])
        ws.addEventListener(type, (event) => {
            const { code, reason } = event.detail ?? event;
            const details = { open: [], message: [event.data] }[type] ?? [code, reason];
            happened.push([type, ...details]);
        });
    return null;
}
"""
HIDE = """(state) => {
    Object.defineProperty(document, "visibilityState", { value: state, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
    return null;
}"""


@pytest.fixture
def door(site):
    with Door() as found, Relay(site.port, found.port) as found.relay:
        site.url = f"http://127.0.0.1:{found.relay.port}"
        yield found


@pytest.fixture
def tab(door, open_browser, site, ada, password):
    """A tab in which ada has signed in a while ago, by a clock that is ours."""
    found = open_browser().tab(before=lambda page: page.clock.install())
    found.login("ada", password)
    stop_clock(found)
    site.front.forget()
    return found


def stop_clock(tab):
    """A while later: from then on the time of the tab passes when a test says so, on any machine."""
    tab.page.clock.pause_at(tab.run("Date.now()") / 1000 + 5)


def kinds(tab):
    return [each[0] for each in tab.run("happened")]


def opened(tab, door, options=None):
    count = len(door.handshakes)
    tab.run(OPEN, options)
    tab.wait("happened.length > 0")
    assert tab.run("happened") == [["open"]]
    assert len(door.handshakes) == count + 1
    return tab


def wait_out(tab, ms=31_000):
    """Let so much time pass, by the tab's clock."""
    tab.page.clock.fast_forward(ms)


def passes(tab, found, step=300):
    """Let time pass by the tab's clock, and some of everybody else's, until it is true."""
    end = time.monotonic() + DEADLINE
    while not found():
        assert time.monotonic() < end, tab.run("happened")
        tab.page.clock.run_for(step)
        time.sleep(0.02)


def comes_back(tab, times=1):
    passes(tab, lambda: kinds(tab).count("open") > times)


def away(tab, ms):
    tab.run(HIDE, "hidden")
    wait_out(tab, ms)
    tab.run(HIDE, "visible")


def renewed(tab, door, times=1):
    """Wait until it has renewed so often, and the answer is there: what is sent after it has arrived."""
    eventually(lambda: len(door.renewals) == times, "it renews")
    door.say("after it")
    tab.wait(f"happened.filter(([kind]) => kind === 'message').length === {times}")


# Opening


@pytest.mark.parametrize("protocols", [[], ["chat.v2"], ["chat.v2", "chat.v1"], "chat.v2"], ids=str)
def test_the_token_goes_as_a_subprotocol_and_the_apps_own_is_chosen(tab, door, protocols):
    opened(tab, door, {"protocols": protocols})
    assert door.handshakes == [("bearer", tab.run("auth.token()"))]
    assert tab.run("ws.protocol") == ("chat.v2" if protocols else "")
    assert tab.run("ws.readyState") == 1
    assert "?" not in tab.run("ws.url")


def test_messages_pass_and_frames_of_authx_do_not(tab, door):
    opened(tab, door)
    own = ['{"type":"chat","text":"hello"}', '{"type":"authx.other"}', '{"type":"authx.']
    for text in own:
        door.say(text)
    door.say('{"type":"authx.renewed","expires_in":900}')
    door.say('{"type":"authx.not_renewed","code":"store_unavailable"}')
    tab.run("ws.send('echo')")
    tab.wait("happened.length > 4")
    assert [data for kind, data in tab.run("happened.slice(1)")] == [*own, "echo"]
    tab.run("ws.binaryType = 'arraybuffer'; ws.send(new Uint8Array([1, 2]))")
    eventually(lambda: b"\x01\x02" in door.texts, "bytes arrive")


def test_an_old_token_is_renewed_before_the_handshake(tab, door, site):
    wait_out(tab, 3_600_000)
    opened(tab, door)
    assert site.front.count(REFRESH) == 1
    assert door.handshakes == [("bearer", tab.run("auth.token()"))]


def test_no_token_goes_to_another_origin(tab, door, site):
    for url in (f"ws://127.0.0.1:{site.port}/ws/", "wss://example.com/ws/", "//example.com/"):
        assert tab.run(
            "(url) => { try { auth.socket(url); } catch (error) { return error.name; } }", url
        ) == ("TypeError")


def test_a_ticket_is_fetched_for_each_connection(tab, door, site):
    for number in range(3):
        body = json.dumps({"ticket": f"ticket-{number}", "expires_in": 30, "token_expires_in": 900})
        site.front.answer("/api/auth/socket-ticket/", 201, body)
    opened(tab, door, {"ticket": True})
    door.relay.cut()
    comes_back(tab)
    wait_out(tab, 14 * 60_000 + 5000)
    eventually(lambda: door.renewals, "it renews")
    assert door.handshakes == [("ticket", "ticket-0"), ("ticket", "ticket-1")]
    assert door.renewals == [{"type": "authx.renew", "ticket": "ticket-2"}]
    assert all(seen.bearer for seen in site.front.seen if seen.path.endswith("ticket/"))


def test_where_nobody_is_signed_in_a_socket_stays_closed_or_opens_as_nobody(door, open_browser):
    tab = open_browser().tab()
    tab.run(OPEN)
    tab.wait("happened.length > 0")
    assert tab.run("happened") == [["close", 4401, "not_authenticated"]]
    assert door.handshakes == []
    opened(tab, door, {"anonymous": True})
    assert door.handshakes == [None]


def test_what_is_no_subprotocol_closes_it(tab, door):
    tab.run("() => { window.reportError = (error) => (window.reported = error.name); return null; }")
    tab.run(OPEN, {"protocols": ["not one"]})
    tab.wait("happened.length > 0")
    assert (tab.run("happened"), tab.run("reported")) == ([["close", 1006, ""]], "SyntaxError")


def test_nothing_is_kept_for_a_later_connection(tab, door):
    early = tab.run(
        """() => {
            window.ws = auth.socket("/ws/");
            const before = [ws.readyState, ws.protocol, ws.bufferedAmount];
            try { ws.send("early"); } catch (error) { return [error.name, ...before]; }
        }"""
    )
    assert early == ["InvalidStateError", 0, "", 0]


# Renewing in band


def test_it_renews_in_band_before_its_token_expires(tab, door, site):
    opened(tab, door)
    first = door.handshakes[0][1]
    wait_out(tab, 14 * 60_000 + 5000)
    renewed(tab, door)
    assert door.renewals == [{"type": "authx.renew", "access_token": tab.run("auth.token()")}]
    assert door.renewals[0]["access_token"] != first
    wait_out(tab, 14 * 60_000 + 5000)
    renewed(tab, door, 2)
    assert site.front.count(REFRESH) == 2
    assert (kinds(tab), len(door.handshakes)) == (["open", "message", "message"], 1)


def test_a_renewal_that_nobody_could_judge_is_sent_again(tab, door):
    opened(tab, door)
    door.answer = "not_renewed"
    wait_out(tab, 14 * 60_000 + 5000)
    renewed(tab, door)
    door.answer = "renewed"
    passes(tab, lambda: len(door.renewals) > 1)
    assert door.renewals[0] == door.renewals[1]
    assert kinds(tab) == ["open", "message"]


def test_while_the_token_cannot_be_renewed_the_socket_stays(tab, door, site):
    opened(tab, door)
    site.front.answer(REFRESH, 503, '{"code": "store_unavailable"}', 1)
    wait_out(tab, 14 * 60_000 + 1000)
    eventually(lambda: site.front.count(REFRESH) == 1, "it tries")
    passes(tab, lambda: door.renewals)
    assert len(door.renewals) == 1
    assert (kinds(tab), tab.endings) == (["open"], [])


def test_without_frames_nothing_is_sent_and_4408_brings_it_back(tab, door):
    opened(tab, door, {"frames": False})
    wait_out(tab, 15 * 60_000)
    tab.page.clock.run_for(5000)
    assert door.renewals == []
    door.close(4408, "token_expired")
    comes_back(tab)
    assert door.handshakes[1] == ("bearer", tab.run("auth.token()"))
    assert door.handshakes[0] != door.handshakes[1]
    door.say('{"type":"authx.renewed","expires_in":1}')
    tab.wait("happened.at(-1)[0] === 'message'")


# Being closed


@pytest.mark.parametrize("reason", ["kicked", ""], ids=["told", "dropped-by-the-server"])
def test_4401_of_an_ended_session_closes_it_and_says_why(tab, door, site, reason):
    opened(tab, door)
    end_sessions(DeviceSession.objects.all(), "kicked")
    door.close(4401, reason)
    tab.wait("happened.at(-1)[0] === 'close'")
    assert tab.run("happened.at(-1)") == ["close", 4401, "kicked"]
    assert tab.endings == ["kicked"]
    assert [seen.path for seen in site.front.seen] == [REFRESH]
    wait_out(tab, 60_000)
    tab.page.clock.run_for(1000)
    assert len(door.handshakes) == 1


def test_4401_is_asked_about_though_the_token_was_renewed_meanwhile(tab, door, site):
    """A newer token of the session that has ended is worth as little."""
    opened(tab, door, {"frames": False})
    wait_out(tab, 14 * 60_000 + 5000)
    assert tab.call() == 200
    assert tab.run("auth.token()") != door.handshakes[0][1]
    end_sessions(DeviceSession.objects.all(), "kicked")
    door.close(4401, "kicked")
    tab.wait("happened.at(-1)[0] === 'close'")
    assert tab.run("happened") == [["open"], ["lost", 4401, "kicked"], ["close", 4401, "kicked"]]
    assert len(door.handshakes) == 1


def test_4401_of_a_session_that_another_continues_brings_it_back(tab, door, site, password):
    opened(tab, door)
    tab.run(
        """(password) => fetch("/api/auth/reauthenticate/", { method: "POST",
            headers: { "Content-Type": "application/json",
                       "X-CSRFToken": /csrftoken=(\\w+)/.exec(document.cookie)[1] },
            body: JSON.stringify({ password }) }).then(({ status }) => status)""",
        password,
    )
    before = tab.session["sessionId"]
    door.close(4401, "superseded")
    tab.wait("happened.filter(([kind]) => kind === 'open').length === 2")
    assert tab.session["sessionId"] != before
    assert door.handshakes[1] == ("bearer", tab.run("auth.token()"))
    assert (kinds(tab), tab.endings) == (["open", "lost", "open"], [])


def test_4401_while_nobody_can_say_is_no_end(tab, door, site):
    opened(tab, door)
    site.front.answer(REFRESH, 503, '{"code": "store_unavailable"}', 1)
    door.close(4401, "kicked")
    tab.wait("happened.length > 1")
    assert tab.endings == []
    comes_back(tab)


def test_4408_renews_and_comes_back_at_once_but_once(tab, door, site):
    opened(tab, door)
    door.closings = [(4408, "token_expired")]
    wait_out(tab, 10_000)
    door.close(4408, "token_expired")
    tab.wait("happened.length >= 4")
    assert kinds(tab)[:4] == ["open", "lost", "open", "lost"]
    assert site.front.count(REFRESH) == 1
    tab.page.clock.run_for(900)
    assert len(door.handshakes) == 2, "the second time it waits"
    comes_back(tab, 2)
    assert tab.endings == []


@pytest.mark.parametrize("code", [4429, 1013, 4413, 1009, 4409, 1012, 1001, 1011, None], ids=str)
def test_it_waits_before_it_comes_back_from_an_outage(tab, door, site, code):
    opened(tab, door)
    if code is None:
        door.relay.cut()
    else:
        door.close(code, "store_unavailable")
    tab.wait("happened.length > 1")
    assert tab.run("happened[1][0]") == "lost"
    assert tab.run("[happened[1][1], ws.readyState]") == [code or 1006, 0]
    tab.page.clock.run_for(900)
    assert len(door.handshakes) == 1
    comes_back(tab)
    assert (site.front.count(REFRESH), tab.endings) == (0, [])


def test_the_waits_are_longer_each_time_and_differ(tab, door):
    """Full jitter, from 1 to 30 s: measured on the clock of the page."""
    tab.run(
        """() => {
            window.waits = [];
            const genuine = window.setTimeout;
            window.setTimeout = (then, ms, ...rest) => {
                if (ms > 1000 && ms !== 15000 && ms < 30001) waits.push(ms);
                return genuine(then, ms, ...rest);
            };
            return null;
        }"""
    )
    opened(tab, door)
    door.refusals = [503] * 12
    door.relay.cut()
    for _ in range(12):
        count = len(door.handshakes)
        passes(tab, lambda count=count: len(door.handshakes) > count, 1000)
    waits = tab.run("waits")
    assert len(waits) >= 10
    assert all(1000 <= wait <= 30000 for wait in waits)
    assert waits[0] <= 4000
    assert max(waits[3:]) > 5000
    assert len(set(waits)) == len(waits)


@pytest.mark.parametrize("code", [1000, 1008, 4000, 4123, 4500])
def test_a_code_of_the_app_closes_it_for_good(tab, door, code):
    opened(tab, door)
    door.close(code, "of the app")
    tab.wait("happened.length > 1")
    assert tab.run("[happened[1], ws.readyState]") == [["close", code, "of the app"], 3]
    wait_out(tab, 60_000)
    assert len(door.handshakes) == 1


def test_the_app_says_which_codes_pass(tab, door):
    tab.run(
        OPEN.replace(
            "options ?? {}", "{ comesBack: ({ code, reason }) => code === 4000 && reason === 'again' }"
        )
    )
    tab.wait("happened.length > 0")
    door.close(4000, "again")
    comes_back(tab)
    door.close(1012, "")
    tab.wait("happened.at(-1)[0] === 'close'")


def test_a_refused_handshake_asks_whether_the_session_is_over(tab, door, site):
    """Browsers call every refusal 1006: 401, 403 and 503 alike."""
    door.refusals = [403, 401]
    tab.run(OPEN)
    tab.wait("happened.length > 0")
    assert tab.run("happened[0]") == ["lost", 1006, ""]
    assert site.front.seen == []
    end_sessions(DeviceSession.objects.all(), "password_changed")
    passes(tab, lambda: "close" in kinds(tab))
    assert tab.run("happened.at(-1)") == ["close", 4401, "password_changed"]
    assert tab.endings == ["password_changed"]
    assert site.front.seen[0].path == SESSION
    assert len(door.handshakes) == 1


def test_a_refused_handshake_of_a_live_session_is_tried_again(tab, door):
    door.refusals = [503, 503]
    tab.run(OPEN)
    comes_back(tab, 0)
    assert kinds(tab) == ["lost", "lost", "open"]
    assert tab.endings == []


def test_a_logout_closes_it(tab, door):
    opened(tab, door)
    tab.run("auth.logout()")
    assert tab.run("happened.at(-1)") == ["close", 4401, "logout"]
    eventually(lambda: door.sockets == 0, "the server sees it")


def test_who_closes_it_hears_of_nothing_more(tab, door):
    opened(tab, door)
    tab.run("ws.close(4000, 'bye')")
    assert tab.run("happened.at(-1)") == ["close", 4000, "bye"]
    eventually(lambda: door.sockets == 0, "the server sees it")
    tab.run("ws.close()")
    wait_out(tab, 60_000)
    assert kinds(tab) == ["open", "close"]


# A connection that is open and dead


def test_a_page_that_was_away_asks_for_an_answer(tab, door):
    opened(tab, door)
    away(tab, 10_000)
    tab.page.wait_for_timeout(50)
    assert door.renewals == []
    away(tab, 31_000)
    renewed(tab, door)
    tab.page.clock.run_for(6000)
    assert (kinds(tab), len(door.handshakes)) == (["open", "message"], 1)


def test_after_a_step_up_a_page_that_was_away_makes_it_anew(tab, door, password):
    """No renewal of another session is let in; one that is not sent costs no 4408."""
    opened(tab, door)
    tab.run("(password) => auth.reauthenticate(password)", password)
    away(tab, 31_000)
    tab.wait("happened.filter(([kind]) => kind === 'open').length === 2")
    assert door.renewals == []
    assert door.handshakes[1] == ("bearer", tab.run("auth.token()"))


def test_a_dead_socket_is_made_anew(tab, door):
    opened(tab, door)
    door.relay.is_dead = True
    away(tab, 31_000)
    tab.page.wait_for_timeout(200)
    tab.page.clock.run_for(4000)
    assert kinds(tab) == ["open"]
    door.relay.is_dead = False
    door.answer = None  # what was sent meanwhile is lost, not late
    comes_back(tab)
    assert kinds(tab) == ["open", "lost", "open"]
    assert len(door.handshakes) == 2


def test_a_socket_that_does_not_get_to_open_is_made_anew(tab, door):
    door.relay.is_dead = True
    tab.run(OPEN)
    tab.page.wait_for_timeout(200)
    away(tab, 1000)
    tab.page.clock.run_for(4000)
    assert kinds(tab) == []
    door.relay.is_dead = False
    tab.page.clock.run_for(1500)
    tab.wait("happened.length > 0", 2)  # five seconds after it was looked at; else it would be fifteen
    comes_back(tab, 0)
    assert kinds(tab) == ["lost", "open"]


def test_a_network_that_is_back_ends_the_wait(tab, door):
    opened(tab, door)
    door.refusals = [503] * 5
    door.relay.cut()
    passes(tab, lambda: len(door.handshakes) == 6, 1000)
    tab.wait("happened.filter(([kind]) => kind === 'lost').length === 6")
    count = len(door.handshakes)
    tab.run("window.dispatchEvent(new Event('online'))")
    eventually(lambda: len(door.handshakes) == count + 1, "it comes back at once")
