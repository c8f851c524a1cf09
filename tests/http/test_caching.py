"""authx.http.caching: what stays of a view's words to caches beside ours, and that none is stronger."""

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import path
from django.utils.cache import add_never_cache_headers, get_max_age

from authx.http.caching import keep_private, never_cache
from authx.sessions import open_session

OURS = "private, no-store"
LONG_AGO = "Thu, 01 Jan 1970 00:00:00 GMT"


def said_with(**headers):
    """What a response with these headers says to caches, once ours are added."""
    response = HttpResponse(headers={name.replace("_", "-"): value for name, value in headers.items()})
    never_cache(response)
    return response


def test_alone_it_says_what_is_ours():
    assert said_with()["Cache-Control"] == OURS
    assert said_with()["Vary"] == "Cookie"
    assert not said_with().has_header("Expires")


@pytest.mark.parametrize(
    ("theirs", "together"),
    [
        ("max-age=0, no-cache, must-revalidate", "max-age=0, no-cache, must-revalidate, private, no-store"),
        ("no-store", "no-store, private"),
        ("NO-STORE,Private , no-transform", "no-store, private, no-transform"),
        ("s-maxage=0, proxy-revalidate", "s-maxage=0, proxy-revalidate, private, no-store"),
        ("no-cache, no-cache, private", "no-cache, private, no-store"),
        ("max-age = 0", "max-age=0, private, no-store"),
    ],
)
def test_what_agrees_stays(theirs, together):
    assert said_with(Cache_Control=theirs)["Cache-Control"] == together


def test_what_djangos_never_cache_says_stays_as_it_is():
    response = HttpResponse()
    add_never_cache_headers(response)
    said = response["Cache-Control"]
    never_cache(response)
    assert response["Cache-Control"] == said
    assert get_max_age(response) == 0


@pytest.mark.parametrize(
    "theirs",
    [
        "public",
        "PUBLIC",
        "max-age=600",
        "max-age=00600",
        "max-age=0600",
        'max-age="600"',
        'max-age="0"',
        "max-age",
        "max-age=",
        "max-age=-1",
        "max-age=0x10",
        "s-maxage=600",
        "immutable",
        "must-understand",
        "stale-while-revalidate=60",
        "stale-if-error=86400",
        'community="UCI"',
        'private="Set-Cookie"',
        'private="no-cache, must-revalidate"',
        'no-cache="Set-Cookie"',
        'no-cache="Set-Cookie, X-Access-Token',
        "=",
        ",,, ,",
        '"',
        "no-store=0",
        "private=1",
    ],
)
def test_what_contradicts_or_is_not_understood_goes(theirs):
    said = set(said_with(Cache_Control=theirs)["Cache-Control"].split(", "))
    assert set(OURS.split(", ")) <= said <= {*OURS.split(", "), "no-cache", "must-revalidate"}


def test_of_several_what_agrees_stays():
    theirs = 'public, max-age=0, must-understand, must-revalidate, max-age=600, community="a, no-cache, b"'
    assert said_with(Cache_Control=theirs)["Cache-Control"] == "max-age=0, must-revalidate, private, no-store"


@pytest.mark.parametrize(
    "name",
    [
        "CDN-Cache-Control",
        "cdn-cache-control",
        "Cloudflare-CDN-Cache-Control",
        "Vercel-CDN-Cache-Control",
        "X-LiteSpeed-Cache-Control",
        "Surrogate-Control",
        "Edge-Control",
        "X-Accel-Expires",
    ],
)
def test_nor_is_there_a_header_that_a_cache_believes_first(name):
    response = said_with(**{name: "max-age=600", "X-Other": "stays"})
    assert not response.has_header(name)
    assert (response["X-Other"], response["Cache-Control"]) == ("stays", OURS)


@pytest.mark.parametrize("theirs", ["Fri, 31 Dec 2100 23:59:59 GMT", "0", "soon"])
def test_nor_a_time_until_which_it_is_good(theirs):
    assert said_with(Expires=theirs)["Expires"] == LONG_AGO


@pytest.mark.parametrize(
    ("theirs", "together"),
    [
        ("Accept-Language", "Accept-Language, Cookie"),
        ("cookie", "cookie"),
        ("Accept-Encoding,COOKIE", "Accept-Encoding,COOKIE"),
        ("*", "*"),
        ("Accept, *", "*"),
        ("Cookie2", "Cookie2, Cookie"),
    ],
)
def test_it_varies_with_the_cookies_and_what_else_the_view_has_named(theirs, together):
    vary = said_with(Vary=theirs)["Vary"]
    assert [each.strip() for each in vary.split(",")] == [each.strip() for each in together.split(",")]


def test_done_twice_it_changes_nothing():
    response = said_with(Cache_Control="max-age=0, public", Vary="Accept")
    before = dict(response.items())
    never_cache(response)
    assert dict(response.items()) == before


# A page about its visitor, without our cookies


@pytest.mark.parametrize(
    ("theirs", "together"),
    [
        ("no-store", "no-store"),
        ("No-Store, max-age=600", "No-Store, max-age=600"),
        ("", "private"),
        ("public, max-age=600", "max-age=600, private"),
        ("no-storer", "no-storer, private"),
        ("no-store, must-understand", "no-store, must-understand, private"),
    ],
)
def test_a_page_about_its_visitor_is_private_at_least(theirs, together):
    response = HttpResponse(headers={"Cache-Control": theirs} if theirs else {})
    keep_private(response)
    assert response["Cache-Control"] == together


def greeting(request):
    headers = {"CDN-Cache-Control": "max-age=600", "Surrogate-Control": "max-age=600"}
    name = request.user.get_username() if "asked" in request.GET else ""
    return HttpResponse(name, headers=headers | {"Cache-Control": "no-store"})


urlpatterns = [path("greeting/", greeting)]


@pytest.mark.django_db
@pytest.mark.urls(__name__)
def test_nor_does_a_cache_near_the_visitor_believe_another_header_first(ada):
    client = Client()
    client.cookies["__Host-authx_access"] = open_session(ada).access_token
    asked, unasked = client.get("/greeting/?asked"), client.get("/greeting/")
    assert asked.content.decode() == ada.get_username()
    assert not asked.has_header("CDN-Cache-Control")
    assert not asked.has_header("Surrogate-Control")
    assert unasked["CDN-Cache-Control"] == "max-age=600", "the same for everybody"
    assert Client().get("/greeting/?asked")["CDN-Cache-Control"] == "max-age=600"
