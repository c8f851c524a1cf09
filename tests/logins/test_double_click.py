"""Two requests of one click on "Sign in": one session, whichever of them the server handles first."""

from datetime import timedelta
from functools import partial

import pytest
from django.contrib.auth import get_user_model
from django.contrib.sessions.backends.db import SessionStore
from django.db import connection
from django.db.models import F
from django.http import HttpResponse
from django.test import Client
from django.test.client import MULTIPART_CONTENT
from django.test.utils import CaptureQueriesContext

from authx.conf import conf
from authx.errors import StoreUnavailable
from authx.http.device_cookie import introduce_browser, presented_device
from authx.http.request_state import request_state
from authx.logins.double_click import login_key
from authx.models import DeviceSession, SessionEvent
from authx.sessions import end_session, open_session
from authx.sessions.repeated_login import LoginRepeated, open_once
from authx.signals import device_session_opened
from tests.racing import only, race

pytestmark = pytest.mark.django_db

ACCESS, REFRESH, DEVICE = "__Host-authx_access", "__Host-authx_refresh", "__Host-authx_device"
PAGE, DJANGO, API, WHO = "/account/login/", "/django-login/", "/api/auth/login/", "/whoami/"
#: The doors that take a name and a password and set cookies.
DOORS = {"page": PAGE, "django": DJANGO, "api": API}

each_door = pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)


@pytest.fixture
def jar(ada):
    """The cookies of a browser that has been shown the login page, and nothing else."""
    browser = Client()
    browser.get(PAGE)
    return cookies_of(browser)


def cookies_of(browser):
    return {name: morsel.value for name, morsel in browser.cookies.items() if morsel.value}


def click(jar, door=PAGE, user="ada", **fields):
    """Send the login as a browser with ``jar`` would; return that browser, with the answer's cookies."""
    browser = Client()
    browser.cookies.load(jar)
    name, password = user, "correct-horse-battery-staple"
    if get_user_model().USERNAME_FIELD == "email":
        name = f"{user}@example.com"
    body = {"username": name, "password": password}
    if door == API:
        body |= {"transport": "cookie", **fields}
        response = browser.post(door, body, content_type="application/json")
        assert response.status_code == 200, response.content
    else:
        body |= {"remember": "on", **fields}
        response = browser.post(door, {key: value for key, value in body.items() if value})
        assert response.status_code == 302, response.content
    return browser


def sid(browser):
    return browser.get(WHO).json()["session"]


def live():
    return [str(session.pk) for session in DeviceSession.objects.live()]


def events(kind):
    return SessionEvent.objects.filter(kind=kind)


# One session


@each_door
def test_the_second_is_answered_with_the_session_of_the_first(jar, door):
    first, second = click(jar, door), click(jar, door)
    assert sid(first) == sid(second) == only(live())
    assert events("opened").count() == 1
    assert events("ended").count() == 0


@each_door
def test_over_an_older_login_too(jar, door):
    before = click(jar, door)
    jar = cookies_of(before)
    first, second = click(jar, door), click(jar, door)
    assert sid(first) == sid(second) == only(live())
    assert [event.outcome for event in events("ended")] == ["superseded"]
    assert sid(before) is None


def test_whichever_door_the_second_comes_in_by(jar):
    """The page remembers unless told otherwise, and so does the API."""
    assert sid(click(jar, PAGE)) == sid(click(jar, API, remember=True))


@each_door
def test_both_answers_can_be_kept_and_renewed(jar, door):
    first, second = click(jar, door), click(jar, door)
    assert first.cookies[REFRESH].value != second.cookies[REFRESH].value  # a branch each
    assert first.cookies[DEVICE].value == second.cookies[DEVICE].value
    DeviceSession.objects.update(rotated_at=F("rotated_at") - timedelta(minutes=10))
    for browser in (second, first):
        del browser.cookies[ACCESS]
    assert sid(second) == only(live())
    assert REFRESH in second.cookies


def test_it_is_announced_once(jar, django_capture_on_commit_callbacks):
    heard = []

    def hear(session, **kwargs):
        heard.append(session.pk)

    device_session_opened.connect(hear)
    try:
        with django_capture_on_commit_callbacks(execute=True):
            click(jar)
            click(jar)
    finally:
        device_session_opened.disconnect(hear)
    assert [str(only(heard))] == live()


@pytest.mark.parametrize("when_full", ["refuse", "end_least_recent", "end_oldest"])
@each_door
def test_it_counts_once(jar, settings, door, when_full):
    settings.AUTHX_SESSION_LIMITS = [{"types": ["other", "web"], "limit": 1, "when_full": when_full}]
    assert sid(click(jar, door)) == sid(click(jar, door)) == only(live())


def test_the_login_page_introduces_a_browser_that_it_sees_for_the_first_time(db, settings):
    settings.ROOT_URLCONF = "tests.more_urls"
    for page in (PAGE, DJANGO, "/admin/login/"):
        assert Client().get(page).cookies[DEVICE].value, page
    for page in (WHO, "/untouched/"):
        assert DEVICE not in Client().get(page).cookies, page
    settings.LOGIN_URL = "/own-login-page/"
    assert Client().get("/own-login-page/").cookies[DEVICE].value


def test_a_browser_that_is_known_keeps_its_cookie(jar):
    browser = Client()
    browser.cookies.load(jar)
    assert DEVICE not in browser.get(PAGE).cookies


# What is no double click


@each_door
def test_a_login_after_the_grace_is_another_one(jar, door):
    first = click(jar, door)
    back = conf.REFRESH_GRACE
    DeviceSession.objects.update(created_at=F("created_at") - back, rotated_at=F("rotated_at") - back)
    second, third = click(jar, door), click(jar, door)
    assert sid(second) == sid(third) == only(live())  # and that one can be doubled again
    assert sid(first) is None
    assert [event.outcome for event in events("ended")] == ["replaced"]


@each_door
def test_a_session_that_has_ended_meanwhile_is_no_answer(jar, door):
    first = click(jar, door)
    end_session(DeviceSession.objects.get(), "kicked")
    second = click(jar, door)
    assert sid(second) == only(live())
    assert sid(first) is None


@each_door
def test_another_user(jar, bob, door):
    assert sid(click(jar, door)) != sid(click(jar, door, user="bob"))
    assert len(live()) == 2


@pytest.mark.parametrize(
    ("door", "other"),
    [(PAGE, {"remember": ""}), (API, {"remember": False})],
    ids=["page", "api"],
)
def test_another_choice_of_keep_me_signed_in(jar, door, other):
    first, second = click(jar, door), click(jar, door, **other)
    assert sid(second) == only(live())
    assert sid(first) is None
    assert DeviceSession.objects.live().get().persistent is False


@each_door
def test_another_browser(jar, door):
    stranger = Client()
    stranger.get(PAGE)
    assert sid(click(jar, door)) != sid(click(cookies_of(stranger), door))


@pytest.mark.parametrize(
    "planted", ["", "A" * 22, "A" * 22 + "." + "A" * 43], ids=["none", "bare", "unsigned"]
)
@each_door
def test_without_a_device_cookie_that_we_have_signed(ada, door, planted):
    """Nothing that somebody else can make up says that two logins are one."""
    jar = {DEVICE: planted} if planted else {}
    assert sid(click(jar, door)) != sid(click(jar, door))
    assert len(live()) == 2


@each_door
def test_two_device_cookies_say_nothing(jar, door):
    """A sibling domain has planted one beside ours, where the name does not forbid that."""
    header = f"{DEVICE}={jar[DEVICE]}; {DEVICE}={jar[DEVICE]}"
    name = get_user_model()._default_manager.get().get_username()
    body = {"username": name, "password": "correct-horse-battery-staple", "transport": "cookie"}
    form = "application/json" if door == API else MULTIPART_CONTENT
    for _ in range(2):
        assert Client().post(door, body, content_type=form, HTTP_COOKIE=header).status_code in {200, 302}
    assert len(live()) == 2


@pytest.mark.parametrize("is_read_before", [True, False])
def test_a_login_in_a_swapped_session(ada, jar, rf, is_read_before):
    """It is an app's, whatever the browser sends along; and the browser stays known for what comes after."""
    request = rf.get("/", headers={"cookie": f"{DEVICE}={jar[DEVICE]}"})
    own = request.session = request_state(request).django_session = SessionStore()
    before = presented_device(request) if is_read_before else None
    request.session = SessionStore()
    assert login_key(request, ada, amr=["pwd"], persistent=True, came_with=None) is None
    request.session = own
    assert presented_device(request) is not None
    assert before in {None, presented_device(request)}


@each_door
def test_the_same_browser_with_another_session(jar, door):
    """As one who has signed in again: it was sent with what the first login had answered."""
    first = click(jar, door)
    second = click(cookies_of(first), door)
    assert sid(second) == only(live())
    assert [event.outcome for event in events("ended")] == ["superseded"]


def test_another_way_to_sign_in(ada, jar, rf):
    keys = set()
    request = rf.get("/", headers={"cookie": f"{DEVICE}={jar[DEVICE]}"})
    for amr in (["pwd"], ["pwd", "otp"]):
        keys.add(login_key(request, ada, amr=amr, persistent=True, came_with=None))
    assert len(keys) == 2


def test_a_login_by_body_replaces_as_before(jar, ada, api):
    body = {"username": ada.get_username(), "password": "correct-horse-battery-staple"}
    body["device"] = {"id": "phone-1"}
    first, second = (
        api.post(API, body, headers={"cookie": f"{DEVICE}={jar[DEVICE]}"}).json() for _ in range(2)
    )
    assert only(live()) == second["session_id"] != first["session_id"]
    assert [event.outcome for event in events("ended")] == ["replaced"]


def test_a_body_that_names_our_browser_takes_no_part(jar, ada, api):
    cookie_login = click(jar, API)
    device_id = DeviceSession.objects.get().device_id
    body = {"username": ada.get_username(), "password": "correct-horse-battery-staple"}
    by_body = api.post(API, body | {"device": {"id": device_id}}).json()
    assert only(live()) == by_body["session_id"]
    assert sid(cookie_login) is None


# At once


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("limited", [False, True], ids=["no limit", "limited"])
@pytest.mark.parametrize("signed_in", [False, True], ids=["anew", "over another"])
@each_door
def test_truly_at_once_one_session_is_left_and_nobody_signed_out(jar, settings, door, signed_in, limited):
    if limited:
        settings.AUTHX_SESSION_LIMITS = [{"types": ["other", "web"], "limit": 1, "when_full": "refuse"}]
    if signed_in:
        jar = cookies_of(click(jar, door))
    browsers = race(*[partial(click, jar, door)] * 4)
    assert only([sid(browser) for browser in browsers]) == only(live())
    assert events("opened").count() == 1 + signed_in
    assert events("ended").count() == signed_in


@pytest.mark.django_db(transaction=True)
@each_door
def test_at_once_after_the_answer_to_an_earlier_click_was_lost(jar, door):
    click(jar, door)
    back = timedelta(hours=1)
    DeviceSession.objects.update(created_at=F("created_at") - back, rotated_at=F("rotated_at") - back)
    browsers = race(*[partial(click, jar, door)] * 4)
    assert only([sid(browser) for browser in browsers]) == only(live())
    assert events("opened").count() == 2


@pytest.mark.django_db(transaction=True)
def test_in_a_transaction_around_each_view(jar):
    connection.settings_dict["ATOMIC_REQUESTS"] = True
    try:
        browsers = [click(jar, PAGE), click(jar, PAGE)]
    finally:
        connection.settings_dict["ATOMIC_REQUESTS"] = False
    assert only([sid(browser) for browser in browsers]) == only(live())


# The parts


def test_a_login_that_is_sent_once_costs_no_statement_more(ada):
    counts = []
    for key in (None, "a" * 64):
        with CaptureQueriesContext(connection) as asked:
            open_session(ada, login_key=key)
        counts.append(len(asked))
    assert only(counts)


def test_a_key_that_nobody_can_take_is_an_outage_and_no_loop(ada):
    open_session(ada, login_key="a" * 64)
    DeviceSession.objects.update(created_at=F("created_at") - timedelta(hours=1))

    def write(stale):
        raise LoginRepeated("a" * 64)

    with pytest.raises(StoreUnavailable):
        open_once(write, attempts=1, now=None)


def test_the_key_says_nothing_about_the_cookie(ada, rf):
    response = HttpResponse()
    introduce_browser(rf.get("/"), response)
    value = response.cookies[DEVICE].value
    request = rf.get("/", headers={"cookie": f"{DEVICE}={value}"})
    key = login_key(request, ada, amr=["pwd"], persistent=True, came_with=None)
    assert key is not None
    assert len(key) == 64
    assert value.partition(".")[0] not in key
