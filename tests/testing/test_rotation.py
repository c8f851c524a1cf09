"""The race kit: what an honest client lives through, and by what a careless one is found out."""

import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

import httpx
import pytest

from authx.models import DeviceSession
from authx.sessions import end_session, open_session
from authx.testing.faults import FaultyNetwork
from authx.testing.rotation import rotation_site
from tests.documented import documented
from tests.racing import race

pytestmark = pytest.mark.django_db(transaction=True)
REFRESH, OWN = "/api/auth/refresh/", "/api/auth/session/"

native = ModuleType("device_tokens")
exec(documented("native-clients.md", "python", "# device_tokens.py"), native.__dict__)


class Store:
    """Where a client keeps its refresh token."""

    def __init__(self, token):
        self.token = token

    def read(self):
        return self.token

    def write(self, token):
        self.token = token


class Client:
    """The client of docs/native-clients.md, which tries again."""

    def __init__(self, site, store):
        self.site, self.tokens = site, native.Tokens(f"{site.url}/api/auth/", store)

    def refresh(self):
        for _try in range(9):
            try:
                return self.tokens.access_token(refused=self.tokens.access)
            except native.TryAgain:
                pass
        raise AssertionError("it never came through")

    def ask(self):
        token = self.tokens.access or self.refresh()
        answer = httpx.get(f"{self.site.url}{OWN}", headers={"Authorization": f"Bearer {token}"})
        return answer.json().get("code", answer.status_code)


@pytest.fixture
def site():
    with rotation_site() as served:
        yield served


@pytest.fixture
def store(ada):
    return Store(open_session(ada).refresh_token)


@pytest.fixture
def client(site, store):
    return Client(site, store)


def faults(site):
    return [exchange.fault for exchange in site.network.exchanges if exchange.fault]


@pytest.mark.parametrize(
    ("fault", "name", "count"),
    [
        ("lose_answers", "lost answer", 3),
        pytest.param("lose_requests", "lost request", 3, marks=pytest.mark.slow),
        pytest.param("be_unavailable", "unavailable", 3, marks=pytest.mark.slow),
    ],
)
def test_an_honest_client_lives_through_a_bad_network(fault, name, count, site, client):
    for _round in range(2):
        getattr(site.network, fault)(count)
        client.refresh()
        assert client.ask() == 200
        site.expire_access_tokens()
        assert client.ask() == "token_expired"
    assert faults(site) == [name] * count * 2
    asked = [exchange for exchange in site.network.exchanges if exchange.fault]
    assert {exchange.status for exchange in asked} == {200 if fault == "lose_answers" else 0} or (
        fault == "be_unavailable" and {exchange.code for exchange in asked} == {"store_unavailable"}
    )
    site.assert_nobody_was_logged_out()
    assert site.copies() == 0


def test_a_lost_answer_was_carried_out_and_a_lost_request_was_not(site, store):
    session = DeviceSession.objects.get()
    site.expire_access_tokens()
    for lose, generation in ((site.network.lose_requests, 1), (site.network.lose_answers, 2)):
        lose()
        with pytest.raises(httpx.TransportError):
            httpx.post(f"{site.url}{REFRESH}", json={"refresh_token": store.token})
        session.refresh_from_db()
        assert session.generation == generation


@pytest.mark.parametrize(("count", "within"), [(2, 5), (3, 0.05)], ids=["both", "a third that never comes"])
def test_two_tabs_at_once(count, within, site, store):
    clients = [Client(site, store), Client(site, store)]
    for _round in range(2):
        site.expire_access_tokens()
        site.network.answer_together(count, within=within)
        race(*[client.refresh for client in clients])
        assert [client.ask() for client in clients] == [200, 200]
        site.network.forget()
    assert len({exchange.fault for exchange in site.network.exchanges}) == 2
    site.assert_nobody_was_logged_out()


def test_an_answer_that_newer_ones_have_overtaken(site, store):
    first, second = Client(site, store), Client(site, store)
    for _round in range(2):
        site.expire_access_tokens()
        with ThreadPoolExecutor(1) as pool:
            with site.network.holding_answers() as made:
                late = pool.submit(first.refresh)
                assert made.wait(10)
                second.refresh()
            assert late.result(10)
        assert [first.ask(), second.ask()] == [200, 200]
    assert faults(site) == ["held"] * 2
    site.assert_nobody_was_logged_out()


def test_two_stores_of_one_session_are_found_out(site, store):
    one, other = Client(site, store), Client(site, Store(store.token))
    for _round in range(4):
        site.expire_access_tokens()
        for client in (one, other):
            try:
                client.refresh()
            except native.SignedOut:
                break
    with pytest.raises(AssertionError, match=r"\(reused\); copies noticed: [12]\n.*refresh"):
        site.assert_nobody_was_logged_out()


@pytest.mark.slow
def test_a_client_that_keeps_its_first_token_is_found_out(site, store):
    codes = []
    for _round in range(4):
        answer = httpx.post(f"{site.url}{REFRESH}", json={"refresh_token": store.token}).json()
        codes.append(answer.get("code"))
        if "access_token" in answer:
            httpx.get(f"{site.url}{OWN}", headers={"Authorization": f"Bearer {answer['access_token']}"})
        site.expire_access_tokens()
    assert codes == [None, None, "refresh_conflict", "refresh_reused"]
    with pytest.raises(AssertionError, match=r"\(reused\)"):
        site.assert_nobody_was_logged_out()


@pytest.mark.slow
def test_so_is_one_that_gives_up(site, store):
    client = Client(site, Store(store.token))
    for _time in range(2):
        site.expire_access_tokens()
        assert client.ask() in {200, "token_expired"}
        client.refresh()
        client.ask()
    client.tokens.store.token = store.token
    with pytest.raises(native.SignedOut):
        client.refresh()
    with pytest.raises(AssertionError, match=r"\((reused|logout)\)"):
        site.assert_nobody_was_logged_out()


def test_a_kick_is_told_and_no_complaint(site, client, ada):
    assert client.ask() == 200
    assert site.end_sessions_of(ada) == 1
    assert client.ask() == "session_ended"
    with pytest.raises(native.SignedOut) as out:
        client.refresh()
    assert out.value.reason == "kicked"
    site.assert_nobody_was_logged_out()
    DeviceSession.objects.update(end_reason="reused")
    site.assert_nobody_was_logged_out()


def test_what_ended_before_is_no_complaint(ada):
    end_session(open_session(ada).session, "reused")
    with rotation_site() as site:
        site.assert_nobody_was_logged_out()
        end_session(open_session(ada).session, "reused")
        with pytest.raises(AssertionError, match="reused"):
            site.assert_nobody_was_logged_out()


NODE_CLIENT = """
const [base, first] = process.argv.slice(1);
let refresh_token = first, failures = 0;
async function refresh() {
  for (;;) {
    try {
      const answer = await fetch(`${base}/api/auth/refresh/`, {
        method: "POST", headers: {"Content-Type": "application/json"},
        body: JSON.stringify({refresh_token}),
      });
      const body = await answer.json();
      if (answer.status === 200) { refresh_token = body.refresh_token; return; }
      if (answer.status !== 503) throw Object.assign(new Error(body.code), {isFinal: true});
    } catch (error) {
      if (error.isFinal) throw error;
      failures += 1;
    }
  }
}
await refresh();
console.log(failures);
"""


@pytest.mark.slow
def test_a_client_in_another_language(site, store):
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node on PATH (Debian: apt-get install nodejs)")
    site.network.lose_answers(2)
    site.network.lose_requests(1)
    site.network.be_unavailable(1)
    command = [node, "--input-type=module", "-e", NODE_CLIENT, "--", site.url, store.token]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.stdout.strip(), done.stderr) == ("3", "")
    assert faults(site) == ["lost answer", "lost answer", "lost request", "unavailable"]
    site.assert_nobody_was_logged_out()


@pytest.mark.slow
def test_a_step_up_logs_nobody_out(site, client, password):
    token = client.refresh()
    headers = {"Authorization": f"Bearer {token}"}
    answer = httpx.post(f"{site.url}/api/auth/reauthenticate/", json={"password": password}, headers=headers)
    assert answer.status_code == 200
    site.assert_nobody_was_logged_out()
    body = {"refresh_token": answer.json()["refresh_token"]}
    httpx.post(f"{site.url}/api/auth/logout/", json=body)
    with pytest.raises(AssertionError, match="logout"):
        site.assert_nobody_was_logged_out()


@pytest.mark.slow
def test_idling_for_too_long_is_one(site, client):
    site.clock.advance(days=8)
    with pytest.raises(native.SignedOut):
        client.refresh()
    with pytest.raises(AssertionError, match="idle"):
        site.assert_nobody_was_logged_out()


@pytest.mark.slow
def test_a_fault_is_for_its_path(site, client):
    site.network.lose_answers(path="whoami/")
    client.refresh()
    assert client.ask() == 200
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{site.url}/whoami/")
    assert httpx.get(f"{site.url}/whoami/").json()["user"] is None


def test_the_network_stands_before_any_wsgi_application():
    closed = []

    class Parts(list):
        def close(self):
            closed.append(True)

    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])(b"written, ")
        return Parts([b"and", b" returned"])

    network = FaultyNetwork(app)
    with httpx.Client(transport=httpx.WSGITransport(app=network), base_url="http://any") as asking:
        assert asking.get("/refresh/").text == "written, and returned"
        network.lose_answers()
        with pytest.raises(ConnectionResetError):
            asking.get("/refresh/")
        assert asking.get("/refresh/").text == "written, and returned"
    assert len(closed) == 3
