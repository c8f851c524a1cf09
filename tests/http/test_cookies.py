"""authx.http.cookies: which of the cookies that a browser sends are ours."""

import pytest
from asgiref.sync import async_to_sync
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, AsyncRequestFactory, Client, RequestFactory

from authx.http.cookies import has_credentials, read_cookie, set_access_cookie
from authx.http.device_cookie import browser_device
from authx.http.request_state import request_state
from authx.models import DeviceSession
from authx.sessions import open_session
from tests.signing_in import NAVIGATION

ACCESS, REFRESH, DEVICE = OURS = ("__Host-authx_access", "__Host-authx_refresh", "__Host-authx_device")
NOBODY = {"user": None, "session": None}

#: All that Python calls white space but space and tab, in UTF-8; two of them as single octets; and the like.
ODD = [character.encode() for character in map(chr, range(0x110000)) if character.isspace()]
ODD = [odd for odd in ODD if odd not in b" \t"] + [b"\x85", b"\xa0"]
ODD += [b"\x00", b"\x7f", b'"', "\u200b".encode(), "\u2060".encode(), "\ufeff".encode()]


def beside(name, odd):
    """The name with this company before it, behind it, and further away from it."""
    name = name.encode()
    return [odd + name, name + odd, odd + name + odd, b" \t" + odd + b" " + name, name + b"\t" + odd + b" "]


def wsgi(header):
    """A request as a WSGI server hands it over: octets as Latin-1."""
    return RequestFactory().get("/", HTTP_COOKIE=header.decode("latin-1"))


def asgi(*headers):
    """A request as an ASGI server hands it over: HTTP/2 may send several Cookie headers (RFC 9113 §8.2.3)."""
    request = AsyncRequestFactory().get("/")
    scope = request.scope | {"headers": [(b"cookie", header) for header in headers]}
    return type(request)(scope, request._stream)


either = pytest.mark.parametrize("made", [wsgi, asgi])
any_of_ours = pytest.mark.parametrize("name", OURS)


# Names are exact octets


@either
@any_of_ours
def test_a_name_in_company_of_anything_but_space_and_tab_is_not_ours(name, made):
    for odd in ODD:
        for planted in beside(name, odd):
            request = made(planted + b"=planted")
            assert read_cookie(request, name) is None, planted
            assert not has_credentials(request), planted


@either
@any_of_ours
def test_nor_does_it_double_ours(name, made):
    for odd in ODD:
        for planted in beside(name, odd):
            ours, theirs = name.encode() + b"=ours", planted + b"=planted"
            assert read_cookie(made(ours + b"; " + theirs), name) == "ours", planted
            assert read_cookie(made(theirs + b"; " + ours), name) == "ours", planted


@either
@any_of_ours
@pytest.mark.parametrize("space", [b"", b" ", b"\t", b" \t  \t"], ids=repr)
def test_space_and_tab_around_a_name_and_its_value_are_nothing(space, name, made):
    spelled = space.join([b"", name.encode(), b"=", b"ours", b""])
    assert read_cookie(made(spelled), name) == "ours"
    assert read_cookie(made(b"a=b;" + spelled + b";c=d"), name) == "ours"
    assert read_cookie(made(spelled + b";" + name.encode() + b"=planted"), name) is None


@either
@any_of_ours
def test_no_octet_before_or_behind_a_name_is_nothing(name, made):
    for octet in (bytes([number]) for number in range(256)):
        if octet not in b" \t;=":
            for planted in (octet + name.encode(), name.encode() + octet):
                assert read_cookie(made(planted + b"=planted"), name) is None, planted


OTHERS = [
    b"__HOST-authx_access",
    b"__host-authx_access",
    b"__Host-authx_Access",
    b"authx_access",
    b"__Secure-authx_access",
    b"__Host-authx_access2",
    b"%5F_Host-authx_access",
    b"__Host-authx_access%20",
    b'"__Host-authx_access"',
    b"$__Host-authx_access",
    b"$Version=1, __Host-authx_access",
    b"=__Host-authx_access",
    b"a=__Host-authx_access",
    b"a=1,__Host-authx_access",
    b"a=1, __Host-authx_access",
    b"a=1&__Host-authx_access",
]


@either
@pytest.mark.parametrize("other", OTHERS)
def test_a_cookie_of_another_name_is_not_ours(other, made):
    assert read_cookie(made(other + b"=planted"), ACCESS) is None
    assert not has_credentials(made(other + b"=planted"))
    assert read_cookie(made(other + b"=planted; __Host-authx_access=ours"), ACCESS) == "ours"
    assert read_cookie(made(b"__Host-authx_access=ours; " + other + b"=planted"), ACCESS) == "ours"


@either
@pytest.mark.parametrize("nameless", [b"__Host-authx_access", b"", b"=", b"=__Host-authx_access", b";;"])
def test_a_cookie_without_a_name_is_not_ours(nameless, made):
    assert not has_credentials(made(nameless))
    assert read_cookie(made(nameless + b"; __Host-authx_access=ours"), ACCESS) == "ours"
    assert read_cookie(made(b"__Host-authx_access=ours; " + nameless), ACCESS) == "ours"


@either
@any_of_ours
@pytest.mark.parametrize("planted", [b"planted", b"ours", b"", b'"', b"a=b"], ids=repr)
def test_of_two_of_one_name_neither_is_believed(planted, name, made):
    ours, theirs = name.encode() + b"=ours", name.encode() + b"=" + planted
    for header in (ours + b"; " + theirs, theirs + b";" + ours, theirs + b"; a=b; " + ours):
        assert read_cookie(made(header), name) is None
        assert has_credentials(made(header)) is (name != DEVICE)


# A value has one spelling


@either
@pytest.mark.parametrize(
    "value", [b'"ours"', b'"ours', b"\xc2\xa0ours", b"ours\x85", b"\x0bours\x1f", b"o=u==", b"our\\163"]
)
def test_a_value_is_what_was_sent(value, made):
    assert read_cookie(made(b"__Host-authx_access=" + value), ACCESS) == value.decode("latin-1")


@either
@pytest.mark.parametrize("spelling", ['"{}"', '{}"', "{}=", "{}==", "%{}", "{}%20", "{}\xa0", "{}!"])
def test_nor_is_an_encrypted_value_believed_in_another_spelling(spelling, made, settings):
    settings.AUTHX_COOKIE_ENCRYPTION = True
    response = HttpResponse()
    set_access_cookie(response, "a-token", 60, persistent=False)
    value = response.cookies[ACCESS].value
    assert read_cookie(made(f"{ACCESS}={value}".encode()), ACCESS) == "a-token"
    other = spelling.format(value)
    assert read_cookie(made(f"{ACCESS}={other}".encode("latin-1")), ACCESS) == other


@either
@pytest.mark.parametrize("ignored", ["!", "=", "\u00ff"])
def test_nor_with_what_base64_ignores_in_its_midst(ignored, made, settings):
    settings.AUTHX_COOKIE_ENCRYPTION = True
    response = HttpResponse()
    set_access_cookie(response, "a-token", 60, persistent=False)
    value = response.cookies[ACCESS].value
    for place in range(len(value) + 1):
        other = value[:place] + ignored + value[place:]
        assert read_cookie(made(f"{ACCESS}={other}".encode("latin-1")), ACCESS) == other


@either
@pytest.mark.parametrize("value", [b"", b" ", b"\t"], ids=repr)
def test_an_empty_one_is_none_and_was_sent_all_the_same(value, made):
    request = made(b"__Host-authx_access=" + value)
    assert read_cookie(request, ACCESS) is None
    assert has_credentials(request)


@either
def test_one_that_was_taken_back_from_a_test_client_is_no_credential(made):
    back = b'__Host-authx_access=""; __Host-authx_refresh=""'
    assert not has_credentials(made(back))
    assert read_cookie(made(b"__Host-authx_access=ours; " + back), ACCESS) is None
    assert has_credentials(made(b"__Host-authx_access=ours; " + back))


# Several headers


def test_several_cookie_headers_are_one_under_asgi():
    request = asgi(b"a=b", b"__Host-authx_access=ours", b"__Host-authx_refresh=too; c=d", b"")
    assert (read_cookie(request, ACCESS), read_cookie(request, REFRESH)) == ("ours", "too")


def test_other_headers_beside_them_change_nothing():
    request = asgi(b"a=b", b"__Host-authx_access=ours")
    others = [(b"accept", b"*/*"), (b"cookie2", b"a=b"), (b"COOKIE", b"c=d"), (b"x-more", b"a=b")]
    scope = request.scope | {"headers": [*others[:2], *request.scope["headers"], *others[2:]]}
    assert read_cookie(type(request)(scope, request._stream), ACCESS) == "ours"


@pytest.mark.parametrize("first", [b"__Host-authx_access=planted", b"__Host-authx_access=planted; a=b"])
def test_ours_is_doubled_in_several_cookie_headers_too(first):
    for headers in ([first, b"__Host-authx_access=ours"], [b"__Host-authx_access=ours; c=d", first]):
        request = asgi(*headers)
        assert read_cookie(request, ACCESS) is None
        assert has_credentials(request)


# What a request is asked


@either
def test_a_request_is_parsed_once(made):
    request = made(b"__Host-authx_access=ours")
    assert (read_cookie(request, ACCESS), read_cookie(request, REFRESH)) == ("ours", None)
    parsed = request_state(request).cookies
    assert has_credentials(request)
    assert request_state(request).cookies is parsed
    assert "ours" not in repr(request_state(request))


@either
def test_and_once_more_when_its_header_has_changed(made):
    request = made(b"__Host-authx_access=ours")
    assert read_cookie(request, ACCESS) == "ours"
    request.META["HTTP_COOKIE"] = "__Host-authx_refresh=other"
    assert (read_cookie(request, ACCESS), read_cookie(request, REFRESH)) == (None, "other")
    del request.META["HTTP_COOKIE"]
    assert not has_credentials(request)


def test_what_others_have_made_of_the_cookies_says_nothing():
    request = HttpRequest()
    request.COOKIES = {ACCESS: "planted", REFRESH: "planted"}
    assert (read_cookie(request, ACCESS), has_credentials(request)) == (None, False)


# At the doors


@pytest.fixture(params=["WSGI", "ASGI"])
def whoami(request):
    """What a page says of the visitor who sends this Cookie header."""

    async def ask(header):
        return await AsyncClient().get("/async-whoami/", headers={"cookie": header})

    def send(header):
        if request.param == "ASGI":
            response = async_to_sync(ask)(header)
        else:
            response = Client().get("/whoami/", HTTP_COOKIE=header)
        assert response.status_code == 200, response.content
        assert not {ACCESS, REFRESH} & set(response.cookies)
        return response.json()

    return send


def planted_by(user, odd):
    """Both cookies of a session of this user, under names which are not ours."""
    opened = open_session(user)
    values = {ACCESS: opened.access_token, REFRESH: opened.refresh_token}
    return "; ".join(f"{odd}{name}={value}" for name, value in values.items())


ON_THE_WIRE = [
    odd.decode("latin-1") for odd in ("\u2000".encode(), "\u3000".encode(), b"\xc2\xa0", b"\x85", b"\x1c")
]
with_odd_names = pytest.mark.parametrize("odd", ON_THE_WIRE, ids=ascii)


@pytest.mark.django_db
@with_odd_names
def test_planted_cookies_let_nobody_in(odd, whoami, bob):
    assert whoami(planted_by(bob, odd)) == NOBODY


@pytest.mark.django_db
@with_odd_names
def test_planted_cookies_take_nobodys_place(odd, whoami, ada, bob):
    opened = open_session(ada)
    ours, theirs = f"{ACCESS}={opened.access_token}", planted_by(bob, odd)
    for header in (f"{ours}; {theirs}", f"{theirs}; {ours}"):
        assert whoami(header) == {"user": ada.get_username(), "session": str(opened.session.pk)}


@pytest.mark.django_db
def test_a_quoted_token_is_another_spelling_and_lets_nobody_in(whoami, ada):
    opened = open_session(ada)
    assert whoami(f'{ACCESS}="{opened.access_token}"') == NOBODY
    assert whoami(f'{REFRESH}="{opened.refresh_token}"') == NOBODY


@pytest.mark.django_db
@with_odd_names
def test_beside_planted_cookies_a_new_django_login_counts(odd, ada, bob):
    client = Client()
    client.force_login(ada)
    django = f"sessionid={client.cookies['sessionid'].value}"
    session = DeviceSession.objects.get()
    response = Client().get("/whoami/", HTTP_COOKIE=f"{planted_by(bob, odd)}; {django}")
    assert response.json() == {"user": ada.get_username(), "session": str(session.pk)}


@pytest.mark.django_db
@with_odd_names
@pytest.mark.parametrize("route", ["refresh", "logout"])
def test_planted_cookies_are_no_credential_of_the_api(route, odd, api, bob):
    response = api.post(f"/api/auth/{route}/", HTTP_COOKIE=planted_by(bob, odd))
    assert (response.status_code, response.json()["code"]) == (401, "not_authenticated")
    assert DeviceSession.objects.live().count() == 1


@pytest.mark.django_db
@with_odd_names
def test_a_login_over_planted_cookies_ends_nothing(odd, ada, bob, password):
    theirs = planted_by(bob, odd)
    typed = {"username": ada.get_username(), "password": password}
    assert Client().post("/account/login/", typed, HTTP_COOKIE=theirs).status_code == 302
    assert {session.user for session in DeviceSession.objects.live()} == {ada, bob}


@pytest.mark.django_db
@with_odd_names
def test_the_login_page_has_nothing_to_take_back(odd, bob):
    response = Client().get("/account/login/", HTTP_COOKIE=planted_by(bob, odd), headers=NAVIGATION)
    assert not response.cookies.keys() & {ACCESS, REFRESH}


@pytest.mark.django_db
@with_odd_names
def test_a_planted_device_cookie_makes_nobody_known(odd, ada, password):
    attacker = Client()
    attacker.post("/account/login/", {"username": ada.get_username(), "password": password})
    signed = attacker.cookies[DEVICE].value
    known = DeviceSession.objects.get().device_id
    for name, is_known in ((DEVICE, True), (f"{odd}{DEVICE}", False), (f"{DEVICE}{odd}", False)):
        for request in (
            wsgi(f"{name}={signed}".encode("latin-1")),
            asgi(f"{name}={signed}".encode("latin-1")),
        ):
            assert (browser_device(request).id == known) is is_known
