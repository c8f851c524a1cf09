"""AUTHX_PASSWORD_LOGIN: who may sign in with name and password alone, on our page and in our API."""

import json
import re
from html import unescape
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth import get_user_model, user_logged_in
from django.contrib.sessions.models import Session
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from django.test import Client
from django.urls import clear_script_prefix, reverse_lazy, set_script_prefix

from authx.checks.password_login import check_password_login
from authx.models import DeviceSession, SessionEvent
from authx.pages.elsewhere import is_our_login_page
from authx.sessions import open_session
from authx.signals import device_session_opened
from tests.site import password_rules

pytestmark = pytest.mark.django_db

PAGE, LOGIN, REAUTHENTICATE = "/account/login/", "/api/auth/login/", "/api/auth/reauthenticate/"
RULES = "tests.site.password_rules"
OURS = {"__Host-authx_access", "__Host-authx_refresh", "__Host-authx_device"}
OTHER_WAY = "This account needs another way to sign in."


@pytest.fixture(autouse=True)
def more_urls(settings):
    settings.ROOT_URLCONF = "tests.password_urls"
    password_rules.asked.clear()


@pytest.fixture
def browser():
    return Client()


def by_page(client, user, password, **more):
    return client.post(PAGE, {"username": user.get_username(), "password": password, **more})


def by_api(client, user, password, **more):
    body = {"username": user.get_username(), "password": password, **more}
    return client.post(LOGIN, json.dumps(body), content_type="application/json")


def by_api_cookie(client, user, password):
    return by_api(client, user, password, transport="cookie")


any_door = pytest.mark.parametrize("login", [by_page, by_api, by_api_cookie])


@pytest.fixture
def heard():
    """What the signals of a login have said."""
    told = []

    def hear(**kwargs):
        told.append(kwargs["signal"])

    signals = user_logged_in, device_session_opened
    for signal in signals:
        signal.connect(hear)
    yield told
    for signal in signals:
        signal.disconnect(hear)


def assert_nothing_opened(response, user, heard=()):
    assert not DeviceSession.objects.exists()
    assert not SessionEvent.objects.exists()
    assert not Session.objects.exists()
    assert not (OURS | {"sessionid"}) & set(response.cookies)
    assert get_user_model()._default_manager.get(pk=user.pk).last_login is None
    assert not heard


def is_let_in(response):
    return response.status_code in {200, 302} and DeviceSession.objects.count() == 1


# A function of the site


@any_door
def test_a_word_refuses_before_anything_opens(login, browser, ada, password, settings, heard):
    settings.AUTHX_PASSWORD_LOGIN = f"{RULES}.second_factor"
    response = login(browser, ada, password)
    assert response.status_code == 401
    assert_nothing_opened(response, ada, heard)


@pytest.mark.parametrize("login", [by_api, by_api_cookie])
def test_the_api_says_the_word(login, browser, ada, password, settings):
    settings.AUTHX_PASSWORD_LOGIN = f"{RULES}.second_factor"
    response = login(browser, ada, password)
    assert response.json() == {"detail": OTHER_WAY, "code": "second_factor_required"}
    assert response["WWW-Authenticate"].startswith("Bearer ")
    assert "no-store" in response["Cache-Control"]


def test_the_page_says_it_in_words_and_keeps_the_word_for_machines(browser, ada, password, settings):
    settings.AUTHX_PASSWORD_LOGIN = f"{RULES}.second_factor"
    text = by_page(browser, ada, password).content.decode()
    assert OTHER_WAY in text
    assert 'data-code="second_factor_required"' in text
    assert "Sign in there" not in text  # LOGIN_URL is this very page


def test_the_page_leads_to_the_one_that_can(browser, ada, password, settings):
    settings.AUTHX_PASSWORD_LOGIN = f"{RULES}.second_factor"
    settings.LOGIN_URL = "/django-login/?hint=a%26b"
    text = by_page(browser, ada, password, next="/private/?a=1&b=2").content.decode()
    link = urlsplit(unescape(re.search(r'<a href="([^"]*)">Sign in there', text)[1]))
    assert link.path == "/django-login/"
    assert parse_qs(link.query) == {"hint": ["a&b"], "next": ["/private/?a=1&b=2"]}


@any_door
def test_none_lets_in(login, browser, ada, password, settings):
    settings.AUTHX_PASSWORD_LOGIN = f"{RULES}.nobody_more"
    assert is_let_in(login(browser, ada, password))


@any_door
def test_the_function_sees_djangos_request_and_whoever_has_proved_the_password(
    login, browser, ada, password, settings
):
    settings.AUTHX_PASSWORD_LOGIN = f"{RULES}.nobody_more"
    login(browser, ada, password)
    ((request, user),) = password_rules.asked
    assert isinstance(request, HttpRequest)
    assert request.path in {PAGE, LOGIN}
    assert user == ada
    assert user.backend == "django.contrib.auth.backends.ModelBackend"


@any_door
@pytest.mark.parametrize("how", ["wrong", "unknown", "inactive"])
def test_it_is_not_asked_before_the_password_was_right(how, login, browser, ada, password, settings):
    settings.AUTHX_PASSWORD_LOGIN = f"{RULES}.second_factor"
    if how == "inactive":
        get_user_model()._default_manager.filter(pk=ada.pk).update(is_active=False)
    if how == "unknown":
        ada.delete()
    response = login(browser, ada, "wrong" if how == "wrong" else password)
    assert password_rules.asked == []
    assert "second_factor_required" not in response.content.decode()
    assert not DeviceSession.objects.exists()


def test_a_refusal_may_look_like_a_wrong_password(browser, ada, password, settings):
    settings.AUTHX_PASSWORD_LOGIN = f"{RULES}.disguised"
    refused, wrong = by_api(browser, ada, password), by_api(browser, ada, "wrong")
    assert refused.content == wrong.content
    assert refused.headers == wrong.headers


@any_door
@pytest.mark.parametrize(
    "rule", ["yes", "no", "nothing_much", "sentence", "long_word", "later", "later_object"]
)
def test_any_other_answer_lets_nobody_in_and_is_loud(rule, login, browser, ada, password, settings, heard):
    settings.AUTHX_PASSWORD_LOGIN = f"{RULES}.{rule}"
    with pytest.raises(ImproperlyConfigured, match=rf"{RULES}.{rule}"):
        login(browser, ada, password)
    browser.raise_request_exception = False
    response = login(browser, ada, password)
    assert response.status_code == 500
    assert_nothing_opened(response, ada, heard)


@any_door
def test_a_function_that_fails_lets_nobody_in(login, browser, ada, password, settings, heard):
    settings.AUTHX_PASSWORD_LOGIN = f"{RULES}.broken"
    browser.raise_request_exception = False
    response = login(browser, ada, password)
    assert response.status_code == 500
    assert_nothing_opened(response, ada, heard)


@any_door
def test_a_function_may_refuse_in_djangos_way(login, browser, ada, password, settings, heard):
    settings.AUTHX_PASSWORD_LOGIN = f"{RULES}.forbidden"
    response = login(browser, ada, password)
    assert response.status_code == 403
    assert_nothing_opened(response, ada, heard)


@any_door
@pytest.mark.parametrize("wrong", [None, 0, "", (), 1, object()])
def test_a_setting_of_the_wrong_type_lets_nobody_in(wrong, login, browser, ada, password, settings):
    settings.AUTHX_PASSWORD_LOGIN = wrong
    browser.raise_request_exception = False
    response = login(browser, ada, password)
    assert response.status_code in {404, 500}
    assert_nothing_opened(response, ada)


def test_a_step_up_by_password_of_a_session_that_is_there_stays(browser, ada, password, settings):
    token = open_session(ada).access_token
    for settings.AUTHX_PASSWORD_LOGIN in (False, f"{RULES}.second_factor"):
        response = browser.post(
            REAUTHENTICATE,
            json.dumps({"password": password}),
            content_type="application/json",
            headers={"Authorization": f"Bearer {token}"},
        )
        assert response.status_code == 200
        token = response.json()["access_token"]


@pytest.mark.parametrize("setting", [False, f"{RULES}.second_factor"])
@pytest.mark.parametrize("path", ["/django-login/", "/admin/login/"])
def test_the_sites_own_doors_are_its_own(path, setting, browser, admin, password, settings):
    settings.AUTHX_PASSWORD_LOGIN = setting
    settings.LOGIN_URL = "/django-login/"
    browser.post(path, {"username": admin.get_username(), "password": password})
    assert DeviceSession.objects.count() == 1


# False


@pytest.mark.parametrize("login", [by_api, by_api_cookie])
def test_switched_off_the_apis_route_is_not_there(login, browser, ada, password, settings):
    settings.AUTHX_PASSWORD_LOGIN = False
    response = login(browser, ada, password)
    assert response.status_code == 404
    assert response.json()["code"] == "not_found"
    assert_nothing_opened(response, ada)


@pytest.mark.parametrize("body", ["", "{", "[]", '{"username": 7}'])
def test_it_is_not_there_whatever_is_sent(body, browser, settings):
    settings.AUTHX_PASSWORD_LOGIN = False
    assert browser.post(LOGIN, body, content_type="application/json").status_code == 404


@pytest.mark.parametrize("setting", [True, False, f"{RULES}.second_factor"])
def test_the_csrf_cookie_is_still_handed_out(setting, browser, settings):
    settings.AUTHX_PASSWORD_LOGIN = setting
    response = browser.get(LOGIN)
    assert response.status_code == 204
    assert "csrftoken" in response.cookies


@pytest.fixture
def switched_off(settings):
    settings.AUTHX_PASSWORD_LOGIN = False
    settings.LOGIN_URL = "/django-login/"
    return settings


@pytest.mark.parametrize("url", ["/django-login/", "django-login", reverse_lazy("django-login")], ids=str)
def test_switched_off_our_page_leads_to_login_url(url, browser, switched_off):
    switched_off.LOGIN_URL = url
    response = browser.get(PAGE)
    assert (response.status_code, response["Location"]) == (302, "/django-login/")
    assert "no-store" in response["Cache-Control"]


def test_it_takes_no_password_either(browser, ada, password, switched_off):
    response = by_page(browser, ada, password, next="/private/")
    assert (response.status_code, response["Location"]) == (302, "/django-login/?next=/private/")
    assert_nothing_opened(response, ada)


def test_it_keeps_where_the_visitor_was_going(browser, switched_off):
    switched_off.LOGIN_URL = "/django-login/?a=b"
    response = browser.get(PAGE, {"next": "/private/?x=1&y=%2F"})
    query = parse_qs(urlsplit(response["Location"]).query)
    assert query == {"a": ["b"], "next": ["/private/?x=1&y=%2F"]}


@pytest.mark.parametrize(
    "wanted",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "javascript:alert(1)",
        PAGE,
        f"{PAGE}?next={PAGE}",
        "/branded/",
        "",
    ],
)
def test_it_leads_neither_astray_nor_back(wanted, browser, switched_off):
    assert browser.get(PAGE, {"next": wanted})["Location"] == "/django-login/"


def test_another_host_is_told_the_whole_way_back(browser, switched_off):
    switched_off.LOGIN_URL = "https://id.example/account/login/"
    found = urlsplit(browser.get(PAGE, {"next": "/private/"})["Location"])
    assert found.netloc == "id.example"
    assert parse_qs(found.query) == {"next": ["http://testserver/private/"]}


LOOPS = [
    "authx:login",
    reverse_lazy("authx:login"),
    PAGE,
    "/account/login",  # APPEND_SLASH leads to it
    "/account/%6cogin/",
    f"{PAGE}?a=b",
    f"http://testserver{PAGE}",
    f"//testserver{PAGE}",
    f"https://TESTSERVER:443{PAGE}",
    "branded",
    "/branded/",
    "old-login",
    "/older-login/",
    "/round/",
    "/en/i18n/login/",
    "/de/i18n/login/",
    "/i18n/login/",  # LocaleMiddleware leads to it
]
ELSEWHERE = [
    "/django-login/",
    "django-login",
    "away",
    "/nowhere/",
    "/not-there/",
    "/accounts/login/",
    "https://id.example/account/login/",
    "/account/devices/",
]


@pytest.mark.parametrize("url", LOOPS, ids=str)
def test_e022_nobody_is_led_in_circles(url, browser, switched_off):
    switched_off.LOGIN_URL = url
    assert browser.get(PAGE, {"next": "/private/"}).status_code == 404
    (message,) = check_password_login()
    assert message.id == "authx.E022"
    assert message.hint


@pytest.mark.parametrize("url", ELSEWHERE, ids=str)
def test_other_pages_are_fine(url, browser, switched_off):
    switched_off.LOGIN_URL = url
    assert check_password_login() == []
    assert browser.get(PAGE).status_code == 302


@pytest.fixture
def prefix():
    """What the server puts before all our paths; Django's test client never sets it."""
    set_script_prefix("/site/")
    yield
    clear_script_prefix()


def test_under_a_prefix_it_is_the_same_page(browser, switched_off, prefix):
    switched_off.LOGIN_URL = f"/site{PAGE}"
    assert browser.get(PAGE).status_code == 404
    switched_off.LOGIN_URL = PAGE  # which is not Django's to answer
    assert browser.get(PAGE).status_code == 302


def test_any_host_is_no_host_of_ours(switched_off):
    switched_off.ALLOWED_HOSTS = ["*"]
    assert not is_our_login_page(f"https://id.example{PAGE}")
    switched_off.ALLOWED_HOSTS = [".example"]
    assert is_our_login_page(f"https://id.example{PAGE}")


@pytest.mark.parametrize("setting", [True, f"{RULES}.second_factor"])
def test_where_our_page_asks_for_passwords_it_may_be_login_url(setting, settings):
    settings.AUTHX_PASSWORD_LOGIN = setting
    assert settings.LOGIN_URL == "authx:login"
    assert check_password_login() == []


def test_e022_a_login_url_that_is_no_url(browser, ada, password, switched_off):
    switched_off.LOGIN_URL = "no-such-name"
    assert browser.get(PAGE).status_code == 404
    (message,) = check_password_login()
    assert message.id == "authx.E022"
    switched_off.AUTHX_PASSWORD_LOGIN = f"{RULES}.second_factor"
    assert by_page(browser, ada, password).status_code == 401


def test_a_urlconf_that_is_not_there_is_djangos_to_complain_of(switched_off):
    switched_off.LOGIN_URL, switched_off.ROOT_URLCONF = PAGE, "no.such.module"
    assert check_password_login() == []


@pytest.mark.parametrize("name", ["later", "later_object", "asked"])
def test_e022_what_cannot_be_asked(name, settings):
    settings.AUTHX_PASSWORD_LOGIN = f"{RULES}.{name}"
    (message,) = check_password_login()
    assert message.id == "authx.E022"


def test_a_wrong_value_and_a_missing_function_are_said_elsewhere(settings):
    for settings.AUTHX_PASSWORD_LOGIN in ("yes", None, "nowhere.to.be.found"):
        assert check_password_login() == []
