"""authx.http.ended_cookie: why the last session ended, kept for an hour."""

import json
from datetime import UTC, datetime

import pytest
from django.http import HttpResponse
from django.test import RequestFactory
from itsdangerous import base64_encode

from authx import clocks
from authx.core.ended import Ended
from authx.http.cookies import ENDED_SECONDS, ended_cookie
from authx.http.ended_cookie import _signer, forget, keep, kept
from authx.testing import clock

AT = datetime(2026, 3, 1, 14, 2, tzinfo=UTC)
KICKED = Ended("kicked", AT)


def cookie_of(ended):
    response = HttpResponse()
    keep(response, ended)
    return response.cookies[ended_cookie()]


def request_with(value):
    return RequestFactory().get("/", headers={"Cookie": f"{ended_cookie()}={value}"})


@pytest.mark.parametrize(
    "ended",
    [
        KICKED,
        Ended("idle"),
        Ended("replaced", AT, 'télé; "x", y'),
        Ended("reused", AT, "", True),
    ],
    ids=["kicked", "no-time", "replaced", "lost"],
)
@pytest.mark.parametrize("is_encrypted", [False, True], ids=["signed", "encrypted"])
def test_what_is_kept_comes_back(ended, is_encrypted, settings):
    settings.AUTHX_COOKIE_ENCRYPTION = is_encrypted
    assert kept(request_with(cookie_of(ended).value)) == ended


def test_it_is_a_cookie_like_ours_and_lasts_an_hour():
    cookie = cookie_of(KICKED)
    assert cookie.key == "__Host-authx_refresh_ended"
    assert (cookie["httponly"], cookie["secure"], cookie["path"], cookie["domain"]) == (True, True, "/", "")
    assert (cookie["samesite"], cookie["max-age"]) == ("Lax", 3600)


def test_it_follows_the_name_of_the_refresh_cookie(settings):
    settings.AUTHX_REFRESH_COOKIE = "shop_refresh"
    assert cookie_of(KICKED).key == "shop_refresh_ended"


def test_it_is_kept_from_no_page_that_a_link_leads_to(settings):
    settings.AUTHX_COOKIE_SAMESITE = "Strict"
    assert cookie_of(KICKED)["samesite"] == "Lax"


def test_it_says_nothing_after_an_hour():
    value = cookie_of(KICKED).value
    with clock() as moving:
        moving.advance(seconds=ENDED_SECONDS - 5)
        assert kept(request_with(value)) == KICKED
        moving.advance(seconds=10)
        assert kept(request_with(value)) is None


def signed(content):
    return _signer().sign(base64_encode(json.dumps(content).encode())).decode()


@pytest.mark.parametrize(
    "value",
    [
        "",
        "x",
        "a.b",
        "é",
        '"',
        cookie_of(KICKED).value[:-1],
        "x" + cookie_of(KICKED).value,
        signed([0, "kicked", 0, "", 0, 0]),
    ],
    ids=["empty", "short", "dotted", "accent", "quote", "cut", "lengthened", "old"],
)
def test_what_we_did_not_sign_or_long_ago_says_nothing(value):
    assert kept(request_with(value)) is None


def test_one_sent_twice_says_nothing():
    value = cookie_of(KICKED).value
    assert kept(request_with(f"{value}; {ended_cookie()}={value}")) is None


def test_it_is_deleted_only_where_it_was_sent():
    response = HttpResponse()
    forget(RequestFactory().get("/"), response)
    assert not response.cookies
    forget(request_with("x"), response)
    assert response.cookies[ended_cookie()]["max-age"] == 0


def test_a_key_that_was_put_among_the_fallbacks_is_still_good(settings):
    value = cookie_of(KICKED).value
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "another " * 8
    assert kept(request_with(value)) == KICKED


@pytest.mark.parametrize(
    "content",
    [
        [1, "kicked"],
        [1, "kicked", None, "", False, False, "more"],
        7,
        None,
        {"reason": "kicked"},
        ["now", "kicked", None, "", False, False],
        [None, "kicked", None, "", False, False],
        ["NOW", "unheard_of", None, "", False, False],
        ["NOW", ["kicked"], None, "", False, False],
        ["NOW", "kicked", "2026-03-01T14:02:00Z", "", False, False],
        ["NOW", "kicked", 1e300, "", False, False],
        ["NOW", "kicked", 1 << 60, "", False, False],
    ],
    ids=str,
)
def test_one_of_another_version_says_nothing_and_fails_no_page(content):
    """While a new version of the site starts, its workers read one another's cookies."""
    if isinstance(content, list):
        content = [int(clocks.time()) if member == "NOW" else member for member in content]
    assert kept(request_with(signed(content))) is None
