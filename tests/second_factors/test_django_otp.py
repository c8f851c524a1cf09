"""Logins with django-otp: its device counts when it was asked for, at the login or after it."""

import re
from contextlib import contextmanager
from html import unescape

import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice

from authx.gate import verify_access_token
from authx.models import DeviceSession, SessionEvent
from authx.sessions import end_session, open_session

pytestmark = pytest.mark.django_db

OTP_LOGIN, PLAIN = "/otp-login/", "/django-login/"


@pytest.fixture
def device(ada):
    made = StaticDevice.objects.create(user=ada, name="paper")
    for number in range(5):
        made.token_set.create(token=f"code{number}")
    return made


@pytest.fixture
def browser():
    return Client()


@pytest.fixture
def sign_in(browser, ada, password):
    """Sign ada in with her password, and whatever else is typed."""

    def post(path=PLAIN, **more):
        return browser.post(path, {"username": ada.get_username(), "password": password, **more})

    return post


def only_live():
    (session,) = DeviceSession.objects.live()
    return session


def claimed(browser):
    return verify_access_token(browser.cookies["__Host-authx_access"].value).amr


def prove(browser, device, **more):
    return browser.get("/prove/", {"device": device.persistent_id, **more})


def test_password_and_token_in_one_form(browser, sign_in, device):
    sign_in(OTP_LOGIN, otp_device=device.persistent_id, otp_token="code1")
    assert only_live().amr == ["pwd", "otp", "mfa"]
    assert claimed(browser) == ("pwd", "otp", "mfa")


def test_a_token_asked_for_later_by_django_otps_own_page(browser, sign_in, device):
    sign_in()
    browser.post(OTP_LOGIN, {"otp_device": device.persistent_id, "otp_token": "code1"})
    assert only_live().amr == ["pwd", "otp", "mfa"]


@pytest.mark.parametrize("whose", ["another's API login", "another's page"])
def test_its_device_stays_proved_where_what_another_user_kept_is_flushed(
    whose, browser, sign_in, bob, password, device
):
    body = {"username": bob.get_username(), "password": password, "transport": "cookie"}
    if whose == "another's page":
        browser.post(PLAIN, {"username": bob.get_username(), "password": password})
    else:
        browser.post("/api/auth/login/", body, content_type="application/json")
    prove(browser, StaticDevice.objects.create(user=bob))  # written to the Django session of both
    if whose != "another's page":
        for name in ("__Host-authx_access", "__Host-authx_refresh"):  # they ran out, or the browser lost them
            del browser.cookies[name]
    query = {"otp_device": device.persistent_id, "otp_token": "code1"}
    sign_in(OTP_LOGIN, **query)
    assert DeviceSession.objects.live().get(user=device.user).amr == ["pwd", "otp", "mfa"]
    assert browser.session["otp_device_id"] == device.persistent_id


def test_a_full_limit_asks_and_keeps_what_was_proved(browser, sign_in, ada, device, settings):
    settings.AUTHX_SESSION_LIMITS = [{"limit": 1, "when_full": "refuse", "choose": True}]
    settings.AUTHX_PASSWORD_LOGIN = "tests.site.password_rules.second_factor"  # asks of passwords alone
    old = open_session(ada).session
    asked = sign_in(OTP_LOGIN, otp_device=device.persistent_id, otp_token="code1")
    assert asked.status_code == 409
    proof = unescape(re.search('name="proof" value="([^"]+)"', asked.content.decode())[1])
    browser.post("/account/login/", {"proof": proof, "end": str(old.pk)})
    assert only_live().amr == ["pwd", "otp", "mfa"]
    assert claimed(browser) == ("pwd", "otp", "mfa")


def test_that_page_claims_no_password_of_a_login_without_one(browser, ada, device):
    browser.get("/sign-in-by-code/", {"username": ada.get_username()})
    assert only_live().amr == []
    browser.post(OTP_LOGIN, {"otp_device": device.persistent_id, "otp_token": "code1"})
    assert only_live().amr == ["otp"]


def test_a_device_proved_after_the_login_is_added(browser, sign_in, device):
    sign_in()
    before = only_live()
    assert claimed(browser) == ("pwd",)
    prove(browser, device)
    after = only_live()
    before.refresh_from_db()
    assert (before.end_reason, before.successor) == ("superseded", after.pk)
    assert after.amr == ["pwd", "otp", "mfa"]
    assert after.auth_time > before.auth_time
    assert browser.session["otp_device_id"] == device.persistent_id
    assert browser.get("/whoami/").json()["session"] == str(after.pk)
    assert claimed(browser) == ("pwd", "otp", "mfa")
    assert SessionEvent.objects.filter(session=after, kind="reauthenticated", note="otp mfa").count() == 1


def test_login_and_device_in_one_request(browser, ada, password, device):
    query = {"username": ada.get_username(), "password": password, "device": device.persistent_id}
    browser.get("/sign-in-and-prove/", query)
    assert only_live().amr == ["pwd", "otp", "mfa"]
    assert claimed(browser) == ("pwd", "otp", "mfa")


def test_a_login_by_our_api_can_be_stepped_up_on_a_page(browser, ada, password, device):
    body = {"username": ada.get_username(), "password": password, "transport": "cookie"}
    for times in range(2):
        assert browser.post("/api/auth/login/", body, content_type="application/json").status_code == 200
        assert only_live().amr == ["pwd"], times  # the second one proves nothing by what the first one did
        prove(browser, device if not times else TOTPDevice.objects.create(user=ada))
        assert only_live().amr == ["pwd", "otp", "mfa"]


def test_every_copy_from_before_the_proof_ends_with_it(browser, sign_in, device):
    sign_in()
    browser.get("/whoami/")
    thief = Client()
    for name, cookie in browser.cookies.items():
        thief.cookies[name] = cookie.value
    prove(browser, device)
    assert thief.get("/whoami/").json()["user"] is None
    assert browser.get("/whoami/").json()["session"] == str(only_live().pk)


def test_a_session_that_ends_in_the_same_request_is_not_continued(browser, sign_in, device):
    sign_in()
    browser.get("/whoami/")
    prove(browser, device, end="kicked")
    assert DeviceSession.objects.get().end_reason == "kicked"
    assert browser.get("/whoami/").json()["user"] is None


def test_it_is_added_once(browser, sign_in, device):
    sign_in()
    for _again in range(3):
        prove(browser, device)
    assert SessionEvent.objects.filter(kind="reauthenticated").count() == 1


def test_two_devices_of_one_kind_are_one_method(browser, sign_in, device, ada):
    sign_in()
    prove(browser, device)
    prove(browser, TOTPDevice.objects.create(user=ada))
    assert only_live().amr == ["pwd", "otp", "mfa"]
    notes = SessionEvent.objects.filter(kind="reauthenticated").order_by("pk").values_list("note", flat=True)
    assert list(notes) == ["otp mfa", ""]


def test_a_page_that_failed_has_proved_nothing(browser, sign_in, device):
    sign_in()
    prove(browser, device, status=500)
    assert only_live().amr == ["pwd"]
    prove(browser, device)
    assert only_live().amr == ["pwd", "otp", "mfa"]


@contextmanager
def failing(which):
    """The database fails where a device is looked up once more, or where the session is to be continued."""
    looked_up = []

    def fail(execute, sql, params, many, context):
        if sql.startswith("SELECT") and 'FROM "otp_static_staticdevice"' in sql:
            looked_up.append(sql)
            fails = which == "device" and len(looked_up) > 1
        else:
            fails = which == "session" and sql.startswith("INSERT") and "authx_devicesession" in sql
        if fails:
            raise OperationalError("server has gone away")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(fail):
        yield


@pytest.mark.databases("sqlite", "postgresql")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("which", ["device", "session"])
def test_a_proof_that_cannot_be_noted_holds_up_neither_page_nor_cookies(which, browser, sign_in, device):
    sign_in()
    del browser.cookies["__Host-authx_access"]
    with failing(which):
        response = prove(browser, device)
    assert response.status_code == 200
    assert "__Host-authx_access" in response.cookies
    assert only_live().amr == ["pwd"]
    kept = browser.session
    kept["more"] = 1
    kept.save()
    prove(browser, device)
    assert only_live().amr == ["pwd", "otp", "mfa"]


def test_another_users_device_proves_nothing(browser, sign_in, bob):
    sign_in()
    prove(browser, StaticDevice.objects.create(user=bob))
    kept = browser.session
    kept["otp_device_id"] = StaticDevice.objects.get().persistent_id
    kept["more"] = 1
    kept.save()
    browser.get("/whoami/")
    assert only_live().amr == ["pwd"]


def test_a_new_login_says_nothing_of_an_older_proof(browser, sign_in, device):
    sign_in(OTP_LOGIN, otp_device=device.persistent_id, otp_token="code1")
    sign_in()
    assert only_live().amr == ["pwd"]
    browser.get("/whoami/")
    assert only_live().amr == ["pwd"]


def test_a_login_without_a_proof_keeps_what_was_proved(browser, sign_in, device):
    sign_in(OTP_LOGIN, otp_device=device.persistent_id, otp_token="code1")
    before = only_live()
    browser.get("/sign-in-again/")
    assert only_live().pk != before.pk
    assert only_live().amr == ["pwd", "otp", "mfa"]


def test_a_login_from_before_authx_stays_unknown(browser, ada, device, settings):
    everything = settings.MIDDLEWARE
    settings.AUTHX_BIND_DJANGO_LOGIN = False
    settings.MIDDLEWARE = [name for name in everything if "authx" not in name]
    browser.force_login(ada)
    prove(browser, device)
    kept = browser.session
    for name in [name for name in dict(kept.items()) if name.startswith("_authx")]:
        del kept[name]
    kept.save()
    settings.MIDDLEWARE, settings.AUTHX_BIND_DJANGO_LOGIN = everything, True
    browser, before = Client(), browser
    browser.cookies["sessionid"] = before.cookies["sessionid"].value
    browser.get("/whoami/")
    browser.get("/whoami/")
    assert only_live().amr == []
    prove(browser, TOTPDevice.objects.create(user=ada))
    assert only_live().amr == ["otp"]


def test_a_session_that_ended_meanwhile_is_left_alone(browser, sign_in, device):
    sign_in()
    end_session(only_live(), "kicked")
    browser.get("/whoami/")
    assert DeviceSession.objects.get().amr == ["pwd"]


def test_the_site_says_what_its_devices_are(browser, sign_in, device, settings):
    settings.AUTHX_AMR = {"django_otp.otp_static": ["kba"]}
    sign_in(OTP_LOGIN, otp_device=device.persistent_id, otp_token="code1")
    assert only_live().amr == ["pwd", "kba"]


def test_a_browser_remembered_by_two_factor_has_proved_nothing_now(browser, sign_in, device, settings):
    settings.TWO_FACTOR_REMEMBER_COOKIE_AGE = 3600
    browser.cookies["remember-cookie_1"] = "x"
    sign_in(OTP_LOGIN, otp_device=device.persistent_id, otp_token="code1")
    assert only_live().amr == ["pwd"]


def test_pages_that_change_nothing_ask_nothing_more(browser, sign_in, device):
    sign_in()
    browser.get("/whoami/")
    with CaptureQueriesContext(connection) as asked:
        browser.get("/untouched/")
    assert len(asked) == 0


def test_the_next_tokens_say_it_too(browser, sign_in, device):
    sign_in()
    prove(browser, device)
    del browser.cookies["__Host-authx_access"]
    browser.get("/whoami/")
    assert claimed(browser) == ("pwd", "otp", "mfa")
