"""authx.http.cookies: what is set, what is taken back, and what neither a cache nor an error report keeps."""

import sys
from uuid import uuid4

import pytest
from django.http import HttpResponse
from django.test import RequestFactory
from django.views.debug import ExceptionReporter

from authx.http.cookies import (
    came_back,
    clear_cookies,
    has_credentials,
    read_cookie,
    set_access_cookie,
    set_cookies,
    set_device_cookie,
)

ACCESS, REFRESH, DEVICE = ("__Host-authx_access", "__Host-authx_refresh", "__Host-authx_device")
LIFETIMES = {"access_expires_in": 900, "refresh_expires_in": 604800}
#: Of every cookie (RFC 6265bis §4.1.3.2: a __Host- name demands Secure, Path=/ and no Domain).
ALWAYS = {"httponly": True, "path": "/", "samesite": "Lax", "secure": True}


@pytest.fixture
def response():
    return HttpResponse()


def attributes(response):
    """The attributes of each cookie that a response sets, without those that it does not give."""
    return {
        name: {key: value for key, value in morsel.items() if value != ""}
        for name, morsel in response.cookies.items()
    }


def values(response):
    return {name: morsel.value for name, morsel in response.cookies.items()}


def sent(name, value):
    """A request that brings this cookie."""
    return RequestFactory().get("/", headers={"Cookie": f"{name}={value}"})


# Attributes


def test_both_tokens_are_set_for_as_long_as_they_live(response):
    set_cookies(response, access_token="an-access", refresh_token="a-refresh", **LIFETIMES)
    assert values(response) == {ACCESS: "an-access", REFRESH: "a-refresh"}
    found = attributes(response)
    assert found[ACCESS].pop("expires")
    assert found[REFRESH].pop("expires")
    assert found == {ACCESS: ALWAYS | {"max-age": 900}, REFRESH: ALWAYS | {"max-age": 604800}}


def test_without_a_lifetime_of_the_refresh_token_both_last_until_the_browser_is_closed(response):
    lifetimes = LIFETIMES | {"refresh_expires_in": None}
    set_cookies(response, access_token="an-access", refresh_token="a-refresh", **lifetimes)
    assert attributes(response) == {ACCESS: ALWAYS, REFRESH: ALWAYS}


def test_without_a_new_refresh_token_the_browser_keeps_the_one_it_has(response):
    set_cookies(response, access_token="an-access", refresh_token=None, **LIFETIMES)
    assert values(response) == {ACCESS: "an-access"}
    assert attributes(response)[ACCESS]["max-age"] == 900


def test_a_fresh_access_token_alone_leaves_the_other_cookie_alone(response):
    set_access_cookie(response, "an-access", 900, persistent=True)
    assert values(response) == {ACCESS: "an-access"}
    assert attributes(response)[ACCESS]["max-age"] == 900


def test_it_too_may_last_until_the_browser_is_closed(response):
    set_access_cookie(response, "an-access", 900, persistent=False)
    assert attributes(response) == {ACCESS: ALWAYS}


def test_both_are_taken_back_at_once_with_the_attributes_that_they_were_set_with(response):
    clear_cookies(response)
    assert values(response) == {ACCESS: "", REFRESH: ""}
    gone = ALWAYS | {"max-age": 0, "expires": "Thu, 01 Jan 1970 00:00:00 GMT"}
    assert attributes(response) == {ACCESS: gone, REFRESH: gone}


def test_one_set_after_it_was_taken_back_is_set(response):
    clear_cookies(response)
    lifetimes = LIFETIMES | {"refresh_expires_in": None}
    set_cookies(response, access_token="an-access", refresh_token="a-refresh", **lifetimes)
    assert attributes(response) == {ACCESS: ALWAYS, REFRESH: ALWAYS}


def test_a_browser_is_recognized_for_as_long_as_browsers_keep_a_cookie(response):
    set_device_cookie(response, "a-device")
    assert values(response) == {DEVICE: "a-device"}
    assert attributes(response)[DEVICE]["max-age"] == 400 * 24 * 60 * 60
    assert ALWAYS.items() <= attributes(response)[DEVICE].items()


def test_the_settings_name_the_cookies_and_say_how_they_are_sent(response, settings):
    settings.AUTHX_ACCESS_COOKIE, settings.AUTHX_REFRESH_COOKIE = "access", "refresh"
    settings.AUTHX_DEVICE_COOKIE = "device"
    settings.AUTHX_COOKIE_SECURE, settings.AUTHX_COOKIE_SAMESITE = False, "Strict"
    clear_cookies(response)
    set_device_cookie(response, "a-device")
    assert response.cookies.keys() == {"access", "refresh", "device"}
    for morsel in response.cookies.values():
        assert (morsel["secure"], morsel["httponly"]) == ("", True)
    assert [response.cookies[name]["samesite"] for name in ("access", "refresh")] == ["Strict", "Strict"]


@pytest.mark.parametrize(("setting", "sent"), [("Lax", "Lax"), ("Strict", "Lax"), ("None", "None")])
def test_the_device_cookie_comes_with_a_link_from_another_site(setting, sent, response, settings):
    """It is no credential, and a login page that does not see it would give the browser another one."""
    settings.AUTHX_COOKIE_SAMESITE = setting
    set_device_cookie(response, "a-device")
    assert response.cookies[DEVICE]["samesite"] == sent


# Caches


def test_no_cache_keeps_an_answer_with_our_cookies_whatever_the_view_has_said(response):
    response["Cache-Control"], response["Vary"] = "public, max-age=3600", "Accept-Language"
    set_access_cookie(response, "an-access", 900, persistent=True)
    assert response["Cache-Control"] == "private, no-store"
    assert response["Vary"] == "Accept-Language, Cookie"


@pytest.mark.parametrize("change", [clear_cookies, lambda answer: set_device_cookie(answer, "a-device")])
def test_nor_does_one_keep_any_other_cookie_of_ours(change, response):
    change(response)
    assert (response["Cache-Control"], response["Vary"]) == ("private, no-store", "Cookie")


# Size


@pytest.fixture
def warnings_of(response, caplog, settings):
    """What the log says when an access cookie of so many octets, its name included, is set."""
    settings.AUTHX_ACCESS_COOKIE = name = f"access-{uuid4()}"  # each is logged once per process

    def warnings(octets):
        caplog.clear()
        set_access_cookie(response, "a" * (octets - len(name)), 900, persistent=True)
        assert len(name) + len(response.cookies[name].value) == octets
        return [(each.name, each.levelname, name in each.getMessage()) for each in caplog.records]

    return warnings


def test_a_cookie_that_browsers_drop_is_set_all_the_same_and_logged_once(warnings_of):
    assert warnings_of(100) == warnings_of(4096) == []
    assert warnings_of(4097) == [("authx", "WARNING", True)]
    assert warnings_of(4097) == []


def test_each_cookie_is_logged_for_itself(warnings_of, response, caplog, settings):
    settings.AUTHX_DEVICE_COOKIE = f"device-{uuid4()}"
    warnings_of(4097)
    caplog.clear()
    set_device_cookie(response, "a" * 4097)
    assert settings.AUTHX_DEVICE_COOKIE in caplog.text


# Encryption


@pytest.fixture
def encrypted(settings, response):
    """A value of the access cookie, encrypted."""
    settings.AUTHX_COOKIE_ENCRYPTION = True
    set_access_cookie(response, "an-access", 900, persistent=True)
    return response.cookies[ACCESS].value


def test_an_encrypted_value_is_read_and_shows_nothing(encrypted):
    assert "an-access" not in encrypted
    assert read_cookie(sent(ACCESS, encrypted), ACCESS) == "an-access"


def test_no_value_ends_in_what_other_software_may_strip_or_quote(response, settings):
    settings.AUTHX_COOKIE_ENCRYPTION = True
    for length in [*range(1, 64), *range(33, 48)] + 600 * [40]:  # 40 need no "=", and end in any character
        set_access_cookie(response, length * "a", 900, persistent=True)
        value = response.cookies[ACCESS].value
        assert not value.endswith("=")
        assert read_cookie(sent(ACCESS, value), ACCESS) == length * "a"


def test_an_empty_value_is_not_encrypted_lest_it_be_no_deletion(response, settings):
    settings.AUTHX_COOKIE_ENCRYPTION = True
    clear_cookies(response)
    assert values(response) == {ACCESS: "", REFRESH: ""}


def test_encryption_may_be_switched_on_and_off_while_people_are_signed_in(encrypted, settings):
    assert read_cookie(sent(ACCESS, "set-before-it-was-on"), ACCESS) == "set-before-it-was-on"
    settings.AUTHX_COOKIE_ENCRYPTION = False
    assert read_cookie(sent(ACCESS, encrypted), ACCESS) == "an-access"


def test_what_a_fallback_secret_encrypted_is_read_and_what_no_secret_did_is_not(encrypted, settings):
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another-secret" * 4, [settings.SECRET_KEY]
    assert read_cookie(sent(ACCESS, encrypted), ACCESS) == "an-access"
    settings.SECRET_KEY_FALLBACKS = []
    assert read_cookie(sent(ACCESS, encrypted), ACCESS) == encrypted


# What came back


@pytest.mark.parametrize("name", [ACCESS, REFRESH])
def test_one_of_the_two_is_a_credential_and_can_be_taken_back(name):
    assert has_credentials(sent(name, "anything"))
    assert came_back(sent(name, "anything"))


@pytest.mark.parametrize("value", ["", '""'])
def test_an_empty_one_can_be_taken_back(value):
    assert came_back(sent(ACCESS, value))
    assert came_back(sent(REFRESH, value))


def test_the_device_cookie_is_neither():
    assert not has_credentials(sent(DEVICE, "anything"))
    assert not came_back(sent(DEVICE, "anything"))


def test_without_any_cookie_nothing_came_back():
    request = RequestFactory().get("/")
    assert (has_credentials(request), came_back(request), read_cookie(request, ACCESS)) == (
        False,
        False,
        None,
    )


# Error reports

CANARY = "canary-token-tweet"


def breaking_scope():
    """A request from a server that breaks the rules of ASGI: a failure while cookies are read."""
    request = sent(ACCESS, CANARY)
    request.scope = {"headers": [(b"cookie", CANARY.encode()), (b"cookie", None)]}
    return request


def reported(fail):
    """The page that Django's error report makes of this failure."""
    try:
        fail()
    except Exception:
        report = ExceptionReporter(None, *sys.exc_info()).get_traceback_html()
        assert "authx/http/cookies.py" in report
        return report
    raise AssertionError("it did not fail")


@pytest.mark.parametrize("ask", [has_credentials, came_back, lambda request: read_cookie(request, ACCESS)])
def test_no_error_report_shows_a_cookie_that_was_being_read(ask):
    assert CANARY not in reported(lambda: ask(breaking_scope()))


def test_nor_one_that_was_being_decrypted(encrypted, settings):
    request = sent(ACCESS, encrypted)
    settings.SECRET_KEY_FALLBACKS = [object()]  # no secret
    assert encrypted not in reported(lambda: read_cookie(request, ACCESS))


def test_nor_one_that_was_being_set(response, settings):
    settings.AUTHX_COOKIE_ENCRYPTION = True
    settings.SECRET_KEY_FALLBACKS = [object()]  # no secret
    for fail in (
        lambda: set_access_cookie(response, CANARY, 900, persistent=True),
        lambda: set_cookies(response, access_token=CANARY, refresh_token="a-refresh", **LIFETIMES),
    ):
        assert CANARY not in reported(fail)
