"""The client's sockets at the socket door itself, in uvicorn and in daphne."""

import json
from contextlib import ExitStack, contextmanager
from datetime import timedelta

import pytest
from django.urls import reverse

from authx.models import DeviceSession
from authx.sessions import end_session, end_sessions
from tests import served
from tests.client.conftest import REFRESH, eventually
from tests.client.door import Relay
from tests.client.test_socket import OPEN, away, comes_back, kinds, passes, stop_clock, wait_out
from tests.clients import create_service

pytestmark = pytest.mark.slow

FEED = "/api/auth/revocations/"

#: How many connections are made, and what passes on them, our own frames included.
RECORD = """
window.frames_seen = [];
window.made = 0;
const Genuine = window.WebSocket;
window.WebSocket = class extends Genuine {
    constructor(...rest) {
        super(...rest);
        made += 1;
        this.addEventListener("message", ({ data }) => frames_seen.push(data));
    }
};
"""


@contextmanager
def opening(site, *arguments, **options):
    """A door in a server's process, and the site, by one address."""
    with served.serving(*arguments, **options) as found, Relay(site.port, found.port) as relay:
        site.url = f"http://127.0.0.1:{relay.port}"
        found.relay = relay
        yield found


@pytest.fixture(params=["uvicorn", "daphne"])
def server(request):
    return request.param


@pytest.fixture
def door(server, site, tmp_path):
    with opening(site, server, tmp_path, **served.database_here()) as found:
        yield found


@pytest.fixture
def hasty(server, site, tmp_path, settings):
    """A site whose access tokens are good for three seconds."""
    settings.AUTHX_ACCESS_TOKEN_LIFETIME, settings.AUTHX_CLOCK_LEEWAY = timedelta(seconds=3), timedelta(0)
    environment = {**served.database_here(), **served.settings_in(tmp_path, served.HASTY)}
    with opening(site, server, tmp_path, **environment) as found:
        yield found


@contextmanager
def verifying(site, server, folder, *, blind):
    """The door of a service that asks the site what has ended, and may be blind for so many seconds."""
    service, secret = create_service("sockets")
    at = f"http://127.0.0.1:{site.port}"
    issuer = {
        "AUTHX_JWKS_URL": at + reverse("authx-wellknown:jwks"),
        "AUTHX_REVOCATIONS_URL": at + FEED,
        "AUTHX_SERVICE_CREDENTIALS": [service.client_id, secret],
        "AUTHX_REVOCATION_LAG": 1,
        "AUTHX_SOCKET_BLIND": blind,
    }
    environment = {"AUTHX_TEST_SERVICE": json.dumps(issuer), "DJANGO_SETTINGS_MODULE": ""}
    with opening(site, server, folder, app="tests.verify_only_asgi:application", **environment) as found:
        yield found


def goes_away(site):
    """The site says to its services that it cannot say; browsers are answered."""
    site.front.answer(FEED, 503, '{"code": "store_unavailable"}', times=10_000)


def is_back(site):
    site.front.answers.pop(FEED)


@pytest.fixture
def recorded(open_browser):
    """Open a browser whose sockets are recorded."""

    def recorded(**options):
        found = open_browser(**options)
        found.context.add_init_script(RECORD)
        return found

    return recorded


@pytest.fixture
def enter(site, recorded, ada, password):
    """Open a browser with a tab in which ada has signed in a while ago, by a clock that is ours."""

    def enter(browser=None):
        found = (browser or recorded()).tab(before=lambda page: page.clock.install())
        found.login("ada", password)
        stop_clock(found)
        site.front.forget()
        return found

    return enter


@pytest.fixture
def browser(door, recorded):
    return recorded()


@pytest.fixture
def tab(browser, enter):
    return enter(browser)


def begins(tab, path="/bare/", options=None):
    tab.run(OPEN.replace("/ws/chat/", path), options)


def opened(tab, options=None, *, path="/bare/", hello="ada"):
    begins(tab, path, options)
    tab.wait("happened.length > 1")
    assert tab.run("happened") == [["open"], ["message", hello]]
    return tab


@pytest.mark.parametrize("options", [{}, {"ticket": True}, {"protocols": ["chat.v2"]}], ids=str)
def test_it_lets_the_client_in(tab, options):
    opened(tab, options)
    assert tab.run("ws.protocol") == "", "the app behind it chooses none, and authx's is not the app's"
    tab.run("ws.send('hello')")
    tab.wait("happened.length > 2")
    assert tab.run("happened.at(-1)") == ["message", "hello"]


@pytest.mark.parametrize("ticket", [False, True], ids=["token", "ticket"])
def test_it_renews_the_client_in_band(tab, site, ticket):
    opened(tab, {"ticket": ticket})
    wait_out(tab, 14 * 60_000 + 5000)
    tab.wait("frames_seen.length > 1")
    assert tab.run("frames_seen.at(-1)").startswith('{"type":"authx.renewed","expires_in":')
    assert site.front.count(REFRESH) == 1
    assert kinds(tab) == ["open", "message"]


def test_a_kick_closes_it_and_is_told_in_every_tab(tab, browser, door):
    other = browser.tab()
    assert other.call() == 200
    opened(tab)
    end_session(DeviceSession.objects.get(), "kicked")
    tab.wait("happened.at(-1)[0] === 'close'")
    assert tab.run("happened.at(-1)") == ["close", 4401, "kicked"]
    other.wait("endings.length > 0")
    assert (tab.endings, other.endings) == (["kicked"], ["kicked"])


def test_a_step_up_brings_it_back_as_the_new_session(tab, password):
    opened(tab)
    tab.run("(password) => auth.reauthenticate(password)", password)
    tab.wait("happened.filter(([kind]) => kind === 'open').length === 2")
    tab.wait("happened.at(-1)[0] === 'message'")
    assert kinds(tab) == ["open", "message", "lost", "open", "message"]
    assert tab.endings == []


def test_a_session_that_ended_before_the_handshake_is_told(tab):
    end_sessions(DeviceSession.objects.all(), "password_changed")
    begins(tab)
    tab.wait("happened.length > 0")
    passes(tab, lambda: "close" in kinds(tab))
    assert tab.run("happened.at(-1)") == ["close", 4401, "password_changed"]
    assert tab.endings == ["password_changed"]


def test_a_page_that_was_away_is_answered(tab, door):
    opened(tab)
    away(tab, 31_000)
    tab.wait("frames_seen.length > 1")
    tab.page.clock.run_for(6000)
    assert kinds(tab) == ["open", "message"]


def test_a_connection_that_is_cut_comes_back(tab, door):
    opened(tab)
    door.relay.cut()
    tab.wait("happened.at(-1)[0] === 'lost'")
    comes_back(tab)
    tab.wait("happened.at(-1)[0] === 'message'")
    assert tab.endings == []


def test_no_token_is_in_the_log_of_the_server(tab, door):
    opened(tab)
    token = tab.run("auth.token()")
    eventually(lambda: "/bare/" in door.log.read_text(), "the handshake is logged")
    assert token.rpartition(".")[2] not in door.log.read_text()


# What closes it and is no end


def test_too_many_sockets_make_it_wait_and_sign_nobody_out(tab, door):
    token = tab.run("auth.token()")
    with ExitStack() as others:
        for _ in range(20):
            others.enter_context(door.connect(bearer=token)).recv(timeout=10)
        begins(tab)
        tab.wait("happened.length > 0")
        assert tab.run("happened") == [["lost", 1006, ""]], "which is what browsers make of 429"
        tab.page.clock.run_for(900)
        assert tab.run("made") == 1
        passes(tab, lambda: tab.run("made") > 1)
        passes(tab, lambda: kinds(tab).count("lost") > 1)
    comes_back(tab, 0)
    assert (kinds(tab).count("open"), tab.endings) == (1, [])
    assert tab.call() == 200


def test_a_message_that_is_too_large_costs_the_connection_and_no_more(tab, door):
    opened(tab)
    tab.run("ws.send('x'.repeat(65537))")
    tab.wait("happened.at(-1)[0] !== 'message'")
    code = 1009 if door.server.says_why else 4409
    assert tab.run("happened.at(-1)") == ["lost", code, ""]
    tab.page.clock.run_for(900)
    assert tab.run("made") == 1, "it waits"
    comes_back(tab)
    tab.wait("happened.at(-1)[0] === 'message'")
    tab.run("ws.send('smaller')")
    tab.wait("happened.at(-1)[1] === 'smaller'")
    assert tab.endings == []


def told(tab):
    """What a service says whose client it lets in."""
    return {"user": tab.session["userId"], "roles": [], "sid": tab.session["sessionId"]}


def enters(tab):
    """Open a socket at a service."""
    begins(tab)
    tab.wait("happened.length > 1")
    assert kinds(tab) == ["open", "message"]
    assert json.loads(tab.run("happened[1][1]")) == told(tab)


def test_where_the_store_is_away_for_long_it_backs_off_and_signs_nobody_out(site, server, tmp_path, enter):
    with verifying(site, server, tmp_path, blind=2) as door:
        tab = enter()
        enters(tab)
        goes_away(site)
        tab.wait("happened.length > 2")
        closing = [1013, "store_unavailable"] if door.server.says_why else [4413, ""]
        assert tab.run("happened[2]") == ["lost", *closing]
        passes(tab, lambda: kinds(tab).count("lost") > 2)  # refused meanwhile: 503, or daphne's 403
        assert kinds(tab).count("open") == 1
        assert tab.call() == 200
        is_back(site)
        comes_back(tab)
        tab.wait("happened.at(-1)[0] === 'message'")
        assert json.loads(tab.run("happened.at(-1)[1]")) == told(tab)
        assert tab.endings == []


def test_a_renewal_that_nobody_can_judge_is_sent_again_on_the_same_connection(site, server, tmp_path, enter):
    with verifying(site, server, tmp_path, blind=60):
        tab = enter()
        enters(tab)
        goes_away(site)
        asked = site.front.count(FEED)
        eventually(lambda: site.front.count(FEED) > asked + 1, "the service has noticed")
        wait_out(tab, 14 * 60_000 + 5000)
        tab.wait("frames_seen.length > 1")
        assert tab.run("frames_seen[1]") == '{"type":"authx.not_renewed","code":"store_unavailable"}'
        is_back(site)
        passes(tab, lambda: tab.run("frames_seen.at(-1)").startswith('{"type":"authx.renewed",'))
        assert (kinds(tab), tab.run("made")) == (["open", "message"], 1)
        assert tab.endings == []


# Doors of other kinds


def test_at_a_door_without_frames_another_connection_follows_when_the_token_expires(hasty, enter):
    tab = enter()
    tab.page.clock.resume()  # as the server's does, by which the token expires
    opened(tab, {"frames": False}, path="/frameless/")
    tab.run("""ws.send('{"type":"authx.renew","access_token":"of the app itself"}')""")
    tab.wait("happened.length > 2")
    assert json.loads(tab.run("happened[2][1]"))["access_token"] == "of the app itself"
    tab.wait("happened.filter(([kind]) => kind === 'open').length === 2")
    reason = "token_expired" if hasty.server.says_why else ""
    assert tab.run("happened[3]") == ["lost", 4408, reason]
    assert kinds(tab)[3:5] == ["lost", "open"], "at once"
    assert tab.endings == []


def test_a_public_door_knows_nobody_and_who_has_signed_in(door, recorded, enter):
    nobody = recorded().tab()
    opened(nobody, {"anonymous": True}, path="/public/", hello="nobody")
    nobody.run("ws.send('hello')")
    nobody.wait("happened.length > 2")
    assert nobody.run("happened[2]") == ["message", "hello"]
    tab = enter()
    opened(tab, {"anonymous": True}, path="/public/")
    end_session(DeviceSession.objects.get(), "kicked")
    tab.wait("happened.at(-1)[0] === 'close'")
    assert tab.run("happened.at(-1)") == ["close", 4401, "kicked"]
    assert kinds(nobody) == ["open", "message", "message"]


CONNECT = """
(ticket) => new Promise((done) => {
    const ws = new WebSocket(`ws://${location.host}/bare/`, ["authx", `authx.ticket.${ticket}`]);
    ws.onopen = () => done("open");
    ws.onclose = ({ code }) => done(code);
})
"""


def test_a_ticket_opens_nothing_for_a_page_of_another_origin(tab, door, recorded):
    ticket = tab.run(
        "auth.fetch('/api/auth/socket-ticket/', { method: 'POST' })"
        ".then((answer) => answer.json()).then(({ ticket }) => ticket)"
    )
    other = recorded(base_url=f"http://localhost:{door.relay.port}").tab()
    assert other.run(CONNECT, ticket) == 1006
    assert tab.run(CONNECT, ticket) == "open", "it has not been used up"
    assert tab.run(CONNECT, ticket) == 1006, "now it has"
