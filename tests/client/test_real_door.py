"""The client's sockets at the socket door itself, in uvicorn and in daphne."""

import pytest

from authx.models import DeviceSession
from authx.sessions import end_session, end_sessions
from tests import served
from tests.client.conftest import REFRESH, eventually
from tests.client.door import Relay
from tests.client.test_socket import OPEN, away, comes_back, kinds, passes, wait_out

pytestmark = pytest.mark.slow

#: What passes on the connection itself, our own frames included.
RECORD = """
window.frames_seen = [];
const Genuine = window.WebSocket;
window.WebSocket = class extends Genuine {
    constructor(...rest) {
        super(...rest);
        this.addEventListener("message", ({ data }) => frames_seen.push(data));
    }
};
"""


@pytest.fixture(params=["uvicorn", "daphne"])
def door(request, site, tmp_path):
    database = served.database_here()
    with served.serving(request.param, tmp_path, **database) as found, Relay(site.port, found.port) as relay:
        site.url = f"http://127.0.0.1:{relay.port}"
        found.relay = relay
        yield found


@pytest.fixture
def browser(door, open_browser):
    found = open_browser()
    found.context.add_init_script(RECORD)
    return found


@pytest.fixture
def tab(browser, site, ada, password):
    found = browser.tab(before=lambda page: page.clock.install())
    found.login("ada", password)
    found.page.clock.fast_forward(5000)
    site.front.forget()
    return found


def opened(tab, options=None):
    tab.run(OPEN.replace("/ws/chat/", "/bare/"), options)
    tab.wait("happened.length > 1")
    assert tab.run("happened") == [["open"], ["message", "ada"]]
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
    tab.run(OPEN.replace("/ws/chat/", "/bare/"))
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
