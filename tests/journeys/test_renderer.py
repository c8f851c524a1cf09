"""A site whose pages another server renders: docs/renderers.md, with its own example and with worse ones."""

import json
import re
import shutil
import subprocess
from datetime import timedelta
from http.client import HTTPConnection
from pathlib import Path

import pytest
from django.db.models import F
from django.test import Client, RequestFactory
from rest_framework.test import APIClient

from authx.models import DeviceSession, SessionEvent
from authx.sessions import open_session

# What was used is written at a commit, as in a live site.
pytestmark = pytest.mark.django_db(transaction=True)

ACCESS, REFRESH = "__Host-authx_access", "__Host-authx_refresh"
LOGIN, REFRESHING, SESSION = "/api/auth/login/", "/api/auth/refresh/", "/api/auth/session/"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
FRIEND = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
PAGE = Path(__file__).parents[2] / "docs" / "renderers.md"


def pass_time(**duration):
    """The last rotation, and the strike if there was one, were so much longer ago."""
    earlier = timedelta(**duration)
    DeviceSession.objects.update(rotated_at=F("rotated_at") - earlier, strike_at=F("strike_at") - earlier)


def outcomes(kind):
    return list(SessionEvent.objects.filter(kind=kind).order_by("pk").values_list("outcome", flat=True))


# The page's own example, run by Node


class Browser:
    """One jar, and what a browser says of itself; it asks the renderer alone."""

    def __init__(self, port, cookies):
        self.port, self.cookies = port, dict(cookies)
        self.set = []

    def ask(self, method="GET", path="/", **headers):
        sent = {"User-Agent": FIREFOX, "X-Forwarded-For": "203.0.113.7", **FRIEND, **headers}
        sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request(method, path, headers=sent)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        self.set = answer.headers.get_all("Set-Cookie") or []
        for line in self.set:
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value
            if "max-age=0" in line.lower():
                del self.cookies[name]
        return answer, json.loads(body) if body else None


@pytest.fixture
def renderer(live_server, tmp_path):
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no node on PATH (Debian: apt-get install nodejs)")
    for text in re.findall(r"^```js\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL):
        (tmp_path / re.match(r"// ([a-z]+\.mjs)", text)[1]).write_text(text)
    command = [node, str(tmp_path / "server.mjs"), live_server.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield int(process.stdout.readline())
        process.terminate()


@pytest.fixture
def browser(renderer, settings, ada):
    """Signed in an hour ago, with an access cookie that is long gone."""
    settings.AUTHX_TRUSTED_PROXIES = 1
    came_by = RequestFactory(headers={"User-Agent": FIREFOX, "X-Forwarded-For": "203.0.113.7"}).get("/")
    opened = open_session(ada, came_by)
    pass_time(hours=1)
    return Browser(renderer, {REFRESH: opened.refresh_token})


def test_a_page_renews_the_session_and_hands_the_cookies_on(browser):
    answer, page = browser.ask()
    row = DeviceSession.objects.get()
    assert page["statuses"] == [200, 200], "they used the cookies that the first call was given"
    assert (page["session"]["id"], page["session"]["current"]) == (str(row.pk), True)
    assert (row.generation, row.confirmed_generation) == (2, 2)
    assert {line.partition("=")[0] for line in browser.set} >= {ACCESS, REFRESH}
    assert all("HttpOnly" in line and "Secure" in line for line in browser.set if "__Host-" in line)
    assert answer.headers["Cache-Control"] == "private, no-store"
    _answer, page = browser.ask()
    assert (page["statuses"], browser.set) == ([200, 200], [])


def test_it_goes_on_so_and_nothing_is_flagged(browser):
    for number in range(2, 9):
        browser.cookies.pop(ACCESS, None)
        pass_time(hours=1)
        assert browser.ask()[1]["statuses"] == [200, 200]
        assert DeviceSession.objects.get().generation == number
    assert outcomes("flagged") == []


def test_the_session_is_the_browsers_and_not_the_renderers(browser):
    browser.ask()
    used = SessionEvent.objects.filter(kind="refreshed").latest("pk")
    assert (used.ip, used.user_agent) == ("203.0.113.7", FIREFOX)


def test_signing_out_by_the_renderer_takes_the_cookies_back(browser):
    browser.ask()
    browser.cookies["csrftoken"] = "a" * 32
    refused, _none = browser.ask("POST", "/sign-out")
    assert refused.status == 403, "the CSRF check is of the browser's token"
    answer, _none = browser.ask("POST", "/sign-out", **{"X-CSRFToken": "a" * 32})
    assert answer.status == 204
    assert not {ACCESS, REFRESH} & browser.cookies.keys()
    assert DeviceSession.objects.get().end_reason == "logout"


def test_a_prefetch_renews_nothing(browser):
    _answer, page = browser.ask(**{"Sec-Purpose": "prefetch"})
    assert (page["statuses"], browser.set) == ([401, 401], [])
    assert DeviceSession.objects.get().generation == 1


# What the page says of renderers that do otherwise


@pytest.fixture
def jar(ada):
    """The cookies of a session whose access token is gone, and whose refresh is due."""
    refresh = open_session(ada).refresh_token
    pass_time(hours=1)
    return {REFRESH: refresh}


def render(cookies, *calls, **headers):
    """Make the calls of one page; what they set, and the last answer."""
    client = Client(headers=headers)
    client.cookies.load(cookies)
    answers = [client.get(call) for call in calls or (SESSION,)]
    return {name: cookie.value for name, cookie in client.cookies.items()}, answers[-1]


def test_a_renderer_that_keeps_set_cookie_to_itself_signs_its_visitors_out(jar):
    assert render(jar, SESSION, SESSION)[1].status_code == 200
    pass_time(hours=1)
    late = render(jar)[1]
    assert (late.status_code, late.json()["code"]) == (409, "refresh_conflict")
    pass_time(hours=1)
    assert render(jar)[1].json()["code"] in {"refresh_reused", "session_ended"}
    assert DeviceSession.objects.get().end_reason == "reused"


def test_calls_that_start_at_once_do_no_harm_as_long_as_one_jar_is_kept(jar):
    for _page in range(6):
        old = {REFRESH: jar[REFRESH]}
        answers = [render(old) for _call in range(3)]
        assert {answer.status_code for _set, answer in answers} == {200}
        jar = answers[-1][0]
        pass_time(hours=1)
    assert outcomes("flagged") == []
    assert DeviceSession.objects.get().ended_at is None


def test_the_renderers_own_user_agent_flags_the_session(jar):
    DeviceSession.objects.update(user_agent=FIREFOX, device_label="Firefox on Linux")
    render(jar, **{"User-Agent": FIREFOX.replace("X11; Linux x86_64", "Windows NT 10.0; Win64; x64")})
    assert outcomes("flagged") == ["split_context"]


def test_half_of_the_fetch_metadata_hides_a_visitor_who_came_by_a_link(jar):
    halves = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}
    assert render(jar, **halves)[1].status_code == 401
    assert render(jar, **{"Sec-Fetch-Mode": "cors"})[1].status_code == 200


def test_without_the_visitors_addresses_all_share_one_limit(ada, bob, settings, password):
    settings.AUTHX_ADDRESS_RATE, settings.AUTHX_TRUSTED_PROXIES = "3/min", 1

    def fail(name, address):
        client = APIClient(REMOTE_ADDR="10.0.0.5", headers={"X-Forwarded-For": address})
        return client.post(LOGIN, {"username": name, "password": "wrong"}).status_code

    assert [fail(f"nobody{number}", f"203.0.113.{number}") for number in range(5)] == [401] * 5
    assert [fail(f"nobody{number}", "203.0.113.99") for number in range(5)] == [401] * 3 + [429] * 2


# A jar of its own


@pytest.fixture
def store(ada):
    """The one refresh token that a renderer keeps."""
    token = open_session(ada).refresh_token
    pass_time(hours=1)
    return token


def refresh(token):
    answer = APIClient().post(REFRESHING, {"refresh_token": token})
    return answer.json().get("refresh_token") or answer.json()["code"]


def test_two_refreshes_at_once_are_both_answered_and_either_will_do(store):
    for number in range(2, 9):
        first, second = refresh(store), refresh(store)
        assert first != second
        assert DeviceSession.objects.get().generation == number
        store = (first, second)[number % 2]
        pass_time(hours=1)
    assert outcomes("flagged") == []


def test_within_the_grace_the_token_stays_as_it_is(store):
    newest = refresh(store)
    assert [refresh(newest) for _time in range(3)] == [newest] * 3
    assert DeviceSession.objects.get().generation == 2


def test_two_workers_with_a_token_each_are_two_holders(store):
    mine, yours = refresh(store), refresh(store)
    pass_time(hours=1)
    mine, yours = refresh(mine), refresh(yours)
    assert outcomes("flagged") == ["copied"]
    pass_time(hours=1)
    mine, yours = refresh(mine), refresh(yours)
    assert yours in {"refresh_reused", "session_ended"}
    assert DeviceSession.objects.get().end_reason == "reused"


def test_a_lost_answer_is_made_again(store):
    refresh(store)
    pass_time(minutes=5)
    again = refresh(store)
    pass_time(minutes=5)
    assert refresh(again) not in {"refresh_conflict", "refresh_reused", "session_ended"}
    assert DeviceSession.objects.get().ended_at is None
