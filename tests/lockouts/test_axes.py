"""django-axes beside authx: whose lockout is told how, and what a right password resets."""

import re
from datetime import timedelta

import pytest
from axes.handlers.proxy import AxesProxyHandler
from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from axes.signals import user_locked_out
from django.contrib.sessions.models import Session
from django.http import HttpResponse
from django.test import Client
from rest_framework.test import APIClient

from authx.models import DeviceSession, SessionEvent
from authx.sessions import open_session

pytestmark = pytest.mark.django_db

LOGIN, PAGE, CONFIRM = "/api/auth/login/", "/account/login/", "/account/confirm/"
WRONG = "wrong-horse"
LIMIT = 3

STANDALONE = ["authx.backends.LoginLimitBackend", "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend"]  # fmt: skip
COMPLETE = [STANDALONE[0], "axes.backends.AxesBackend", STANDALONE[2]]
AXES_FIRST = [STANDALONE[1], STANDALONE[0], STANDALONE[2]]


@pytest.fixture(params=[STANDALONE, COMPLETE, AXES_FIRST], ids=["standalone", "complete", "axes first"])
def backends(request, settings):
    settings.AUTHENTICATION_BACKENDS = request.param
    return request.param


@pytest.fixture(params=["database", "cache"])
def handler(request, settings):
    name = {"database": "AxesDatabaseHandler", "cache": "AxesCacheHandler"}[request.param]
    settings.AXES_HANDLER = f"axes.handlers.{request.param}.{name}"
    assert type(AxesProxyHandler.get_implementation()).__name__ == name


def by_api(name="ada", password=WRONG, client=None, kind="json", **more):
    client = client or APIClient()
    return client.post(LOGIN, {"username": name, "password": password, **more}, format=kind)


def by_page(name="ada", password=WRONG, client=None):
    return (client or Client()).post(PAGE, {"username": name, "password": password})


def fail(times, name="ada", door=by_api):
    return [door(name) for _time in range(times)]


def failures(name="ada"):
    return sum(AccessAttempt.objects.filter(username=name).values_list("failures_since_start", flat=True))


def events():
    found = SessionEvent.objects.filter(kind__in=["login_failed", "login_limited"]).order_by("pk")
    return list(found.values_list("kind", "outcome"))


def test_the_api_says_429_whatever_axes_counts_in(backends, handler, ada, password):
    answers = [answer.status_code for answer in fail(LIMIT)]
    assert answers == [401, 401, 429]
    answer = by_api(password=password)
    assert (answer.status_code, answer["Content-Type"]) == (429, "application/json")
    assert answer.json()["code"] == "throttled"
    assert "Retry-After" not in answer, "nobody knows when"
    assert not DeviceSession.objects.exists()


def test_and_for_how_long_where_axes_cools_off(backends, ada, password, settings):
    settings.AXES_COOLOFF_TIME = timedelta(minutes=20)
    fail(LIMIT)
    answer = by_api(password=password)
    assert (answer.status_code, answer["Retry-After"]) == (429, "1200")
    page = by_page(password=password)
    assert (page.status_code, page["Retry-After"]) == (429, "1200")


def test_the_login_page_says_so_in_its_form(backends, handler, ada, password):
    pages = fail(LIMIT, door=by_page)
    assert [page.status_code for page in pages] == [200, 200, 429]
    page = by_page(password=password)
    assert page.status_code == 429
    assert "Signing in is locked until somebody who runs this site unlocks it." in page.content.decode()
    assert 'name="password"' in page.content.decode()


def test_the_page_asks_to_wait_where_axes_cools_off(ada, settings):
    settings.AXES_COOLOFF_TIME = timedelta(minutes=20)
    page = fail(LIMIT, door=by_page)[-1]
    assert "Too many attempts. Please try again in 20 minutes." in page.content.decode()


@pytest.mark.parametrize("extends", [True, False])
@pytest.mark.parametrize("kind", ["json", "multipart", "form"])
def test_no_answer_of_the_api_is_axes_own(extends, kind, ada, settings, password):
    settings.AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = extends
    settings.AXES_LOCKOUT_URL = "/locked/"
    settings.AXES_HTTP_RESPONSE_CODE = 403
    client = APIClient(headers={"X-Requested-With": "XMLHttpRequest"})
    if kind == "form":
        body = f"username=ada&password={WRONG}"
        answers = [
            client.generic("POST", LOGIN, body, content_type="application/x-www-form-urlencoded")
            for _time in range(LIMIT + 2)
        ]
    else:
        answers = [by_api(client=client, kind=kind) for _time in range(LIMIT + 2)]
    expected = [415] * 5 if kind == "multipart" else [401, 401, 429, 429, 429]
    assert [answer.status_code for answer in answers] == expected
    assert all(answer["Content-Type"] == "application/json" for answer in answers)
    kept = "".join(AccessAttempt.objects.values_list("post_data", flat=True))
    assert WRONG not in kept


def locked_page(request, *more):
    return HttpResponse("the site's own page", status=423)


@pytest.mark.parametrize("extends", [True, False])
def test_a_page_that_the_site_has_made_for_it_is_shown(extends, ada, settings, password):
    settings.AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = extends
    settings.AXES_LOCKOUT_CALLABLE = locked_page
    pages = [*fail(LIMIT, door=by_page), by_page(password=password)]
    assert [page.status_code for page in pages] == [200, 200, 423, 423]
    assert by_api(password=password).status_code == 429
    settings.AXES_LOCKOUT_CALLABLE = None
    settings.AXES_LOCKOUT_URL = "/locked/"
    assert by_page(password=password)["Location"].startswith("/locked/")


@pytest.mark.parametrize("door", [by_api, by_page])
def test_a_right_password_resets_the_counters(door, backends, handler, ada, password):
    for _round in range(3):
        fail(LIMIT - 1)
        answer = door(password=password)
        assert answer.status_code in {200, 302}
    assert failures() == 0
    assert by_api().status_code == 401


def test_no_login_proof_from_before_a_lockout_resets_them(backends, handler, ada, password, settings):
    settings.AUTHX_SESSION_LIMITS = [{"limit": 1, "when_full": "refuse", "choose": True}]
    end = str(open_session(ada).session.pk)
    proof = by_api(password=password).json()["proof"]
    browser = Client()
    page = by_page(password=password, client=browser).content.decode()
    fields = {"proof": re.search(r'name="proof" value="([^"]+)"', page)[1], "end": end}
    fail(LIMIT)
    answer = APIClient().post(LOGIN, {"proof": proof, "end": end}, format="json")
    assert (answer.status_code, answer["Content-Type"]) == (429, "application/json")
    page = browser.post(PAGE, fields)
    assert (page.status_code, "Signing in is locked" in page.content.decode()) == (429, True)
    assert by_api(password=password).status_code == 429
    assert DeviceSession.objects.live().count() == 1


@pytest.mark.parametrize("door", [by_api, by_page])
def test_unless_the_site_keeps_them(door, ada, password, settings):
    settings.AXES_RESET_ON_SUCCESS = False
    fail(LIMIT - 1)
    assert door(password=password).status_code in {200, 302}
    assert by_api().status_code == 429


def test_a_login_of_the_api_is_in_axes_log_and_makes_no_django_session(ada, password):
    assert by_api(password=password).status_code == 200
    log = AccessLog.objects.get()
    assert (log.username, log.ip_address, log.path_info) == ("ada", "127.0.0.1", LOGIN)
    assert by_api(password=password, transport="cookie").status_code == 200
    assert AccessLog.objects.count() == 2
    assert not Session.objects.exists()


def test_each_door_tells_axes_once(ada, password):
    by_page(password=password)
    assert AccessLog.objects.count() == 1
    by_api(password=password)
    assert AccessLog.objects.count() == 2


@pytest.mark.parametrize(
    ("parameters", "others", "elsewhere"),
    [
        (["ip_address"], 429, 200),
        (["username"], 200, 429),
        (["username", "ip_address"], 429, 429),
        ([["username", "ip_address"]], 200, 200),
    ],
)
def test_whom_a_lockout_is_for_is_what_axes_is_told_to_count_by(
    parameters, others, elsewhere, handler, ada, bob, password, settings
):
    settings.AXES_LOCKOUT_PARAMETERS = parameters
    fail(LIMIT)
    assert by_api("ada", password).status_code == 429
    assert by_api("bob", password).status_code == others
    assert by_api("ada", password, APIClient(REMOTE_ADDR="198.51.100.7")).status_code == elsewhere


def test_axes_may_be_told_the_address_that_we_know(ada, password, settings):
    settings.AXES_CLIENT_IP_CALLABLE = "authx.http.client_address.client_ip"
    settings.AUTHX_TRUSTED_PROXIES = 1

    def by(address, word=WRONG):
        headers = {"X-Forwarded-For": f"192.0.2.1, {address}"}
        return by_api("ada", word, APIClient(REMOTE_ADDR="unix:", headers=headers)).status_code

    assert [by("203.0.113.7") for _time in range(LIMIT)] == [401, 401, 429]
    assert by("203.0.113.7", password) == 429
    assert by("203.0.113.8", password) == 200


def test_axes_hears_of_every_failure_with_its_request(ada):
    locked = []
    user_locked_out.connect(keep := lambda **told: locked.append((told["username"], told["ip_address"])))
    try:
        fail(2)
        by_page()
    finally:
        user_locked_out.disconnect(keep)
    assert locked == [("ada", "127.0.0.1")]
    assert failures() == 3
    attempt = AccessAttempt.objects.first()
    assert (attempt.username, attempt.ip_address) == ("ada", "127.0.0.1")


@pytest.mark.parametrize("extends", [True, False])
def test_a_try_during_a_lockout_extends_it_where_the_site_wants_that(extends, ada, password, settings):
    settings.AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = extends
    settings.AXES_ENABLE_ACCESS_FAILURE_LOG = True
    fail(LIMIT)
    by_api(password=password)
    by_page(password=password)
    assert failures() == (LIMIT + 2 if extends else LIMIT)
    assert AccessFailureLog.objects.filter(locked_out=True).exists()


@pytest.mark.parametrize("door", [by_api, by_page])
def test_what_axes_refuses_is_none_of_our_failures(door, ada, password, settings):
    settings.AUTHX_LOGIN_RATE = f"{LIMIT + 1}/min"
    fail(LIMIT, door=door)
    for _try in range(LIMIT + 5):
        assert door(password=password).status_code == 429
    assert events() == [("login_failed", "")] * LIMIT + [("login_limited", "lockout")] * (LIMIT + 5)
    AccessAttempt.objects.all().delete()  # unlocked by an administrator
    assert door(password=password).status_code in {200, 302}


def test_our_own_limit_holds_beside_it(ada, password, settings):
    settings.AUTHX_LOGIN_RATE = "2/min"
    settings.AXES_FAILURE_LIMIT = 50
    answers = [answer.status_code for answer in fail(3)]
    assert answers == [401, 401, 429]
    answer = by_api(password=password)
    assert (answer.status_code, answer.json()["code"]) == (429, "throttled")
    assert int(answer["Retry-After"]) > 0


def test_another_password_again_is_locked_and_resets_too(ada, password):
    credentials = open_session(ada)
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {credentials.access_token}")
    wrong, right = {"password": WRONG}, {"password": password}
    assert [client.post("/api/auth/reauthenticate/", wrong).status_code for _time in range(2)] == [401, 401]
    answer = client.post("/api/auth/reauthenticate/", right)
    assert (answer.status_code, failures()) == (200, 0)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {answer.json()['access_token']}")
    assert [client.post("/api/auth/reauthenticate/", wrong).status_code for _time in range(3)] == [
        401,
        401,
        429,
    ]
    answer = client.post("/api/auth/reauthenticate/", right)
    assert (answer.status_code, answer.json()["code"]) == (429, "throttled")


def test_so_is_the_confirm_page(ada, password):
    browser = Client()
    by_page(password=password, client=browser)
    browser.get("/whoami/")
    tries = [browser.post(CONFIRM, {"password": WRONG}).status_code for _time in range(2)]
    assert tries == [200, 200]
    assert browser.post(CONFIRM, {"password": password}).status_code == 302
    assert failures() == 0
    tries = [browser.post(CONFIRM, {"password": WRONG}).status_code for _time in range(3)]
    assert tries == [200, 200, 429]
    page = browser.post(CONFIRM, {"password": password})
    assert page.status_code == 429
    assert "Signing in is locked" in page.content.decode()


def test_other_doors_are_answered_by_axes_as_ever(admin, password):
    for _time in range(LIMIT):
        page = Client().post("/admin/login/", {"username": "admin", "password": WRONG})
    assert (page.status_code, b"Account locked" in page.content) == (429, True)
    page = Client().post("/django-login/", {"username": "admin", "password": password})
    assert (page.status_code, b"Account locked" in page.content) == (429, True)
    assert by_api("admin", password).status_code == 429


def test_a_site_without_its_middleware_is_told_the_same(ada, password, settings):
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if "axes" not in name]
    assert [answer.status_code for answer in fail(LIMIT + 1)] == [401, 401, 429, 429]
    assert by_page(password=password).status_code == 429


def test_axes_that_is_switched_off_locks_nobody_out(ada, password, settings):
    settings.AXES_ENABLED = False
    assert {answer.status_code for answer in fail(LIMIT + 2)} == {401}
    assert by_api(password=password).status_code == 200
    assert not AccessLog.objects.exists()


def test_axes_that_fails_on_a_right_password_fails_no_login(ada, password, settings, caplog):
    settings.AXES_CLIENT_STR_CALLABLE = "tests.lockouts.test_axes.broken"
    assert by_api(password=password).status_code == 200
    assert "AxesLockout did not take note of a right password." in caplog.text


def broken(*args):
    raise ValueError("a bug of the site's")
