"""authx.http.language: programs are answered in the language they ask for, unless one has been chosen."""

import asyncio
import json

import pytest
from django.test import Client, RequestFactory
from django.utils.translation import get_language, override
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request

from authx.api import exception_handler, own_errors_only
from authx.api.authentication import session_of
from authx.errors import ChoiceInvalid, CredentialMissing, DeviceInvalid, SessionEnded, StoreUnavailable
from authx.sessions import Device, open_session
from authx.sockets.refusal import refusal_of, send_refusal
from tests.texts.marks import mark, unmarked_of

pytestmark = pytest.mark.django_db

LOCALE = "django.middleware.locale.LocaleMiddleware"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
GERMAN = {"Accept-Language": "de-AT,de;q=0.9,en;q=0.5"}
BAD = {"Authorization": "Bearer nothing-of-ours"}
OURS, SITES = "/api/auth/session/", "/api/whoami/"


@pytest.fixture(autouse=True)
def _german_in_marks(monkeypatch):
    mark("de", monkeypatch)


@pytest.fixture(params=[False, True], ids=["alone", "with LocaleMiddleware"])
def site(request, settings):
    if request.param:
        at = settings.MIDDLEWARE.index("django.middleware.common.CommonMiddleware")
        settings.MIDDLEWARE = [*settings.MIDDLEWARE[:at], LOCALE, *settings.MIDDLEWARE[at:]]


def languages_of(answer):
    return answer["Content-Language"], "Accept-Language" in answer["Vary"]


@pytest.mark.parametrize("path", [OURS, SITES])
@pytest.mark.parametrize("headers", [{}, BAD], ids=["without a credential", "with a bad one"])
def test_a_refusal_is_in_the_language_that_is_asked_for(site, path, headers):
    answer = Client().get(path, headers={**headers, **GERMAN})
    assert answer.status_code == 401
    assert answer.json()["detail"].startswith("⟦")
    assert languages_of(answer) == ("de", True)
    assert get_language() in {"de", "en-us"}


@pytest.mark.parametrize("path", [OURS, SITES])
def test_and_in_the_sites_own_where_none_is(site, path):
    answer = Client().get(path, headers=BAD)
    assert answer.json() == {"detail": "Invalid token.", "code": "token_malformed"}
    assert languages_of(answer) == ("en", True)


@pytest.mark.parametrize("path", [OURS, SITES])
def test_a_header_that_is_there_twice_is_refused_in_it(site, path):
    answer = Client().get(path, headers={"Authorization": "Bearer a, Bearer b", **GERMAN})
    assert (answer.status_code, unmarked_of(answer.json()["detail"])) == (400, [])
    assert languages_of(answer) == ("de", True)


def asked_in_german():
    return Request(RequestFactory().get("/", headers=GERMAN))


@pytest.mark.parametrize("handler", [exception_handler, own_errors_only])
@pytest.mark.parametrize("part", [{"type": "tv"}, {"id": "\n"}, {"name": 7}], ids=["type", "id", "name"])
def test_a_device_that_a_view_of_the_site_gets_wrong_is_refused_in_it(handler, part):
    with pytest.raises(DeviceInvalid) as raised:
        Device(**part)
    answer = handler(raised.value, {"request": asked_in_german(), "view": None})
    (detail,) = answer.data["device"]
    assert detail.startswith("⟦")
    assert languages_of(answer) == ("de", True)
    assert "device" in str(raised.value)
    assert "⟦" not in str(raised.value)


@pytest.mark.parametrize("handler", [exception_handler, own_errors_only])
@pytest.mark.parametrize(
    "error", [ChoiceInvalid(), StoreUnavailable(), SessionEnded("kicked")], ids=["choice", "outage", "ended"]
)
def test_both_handlers_answer_in_it(handler, error):
    answer = handler(error, {"request": asked_in_german(), "view": None})
    assert unmarked_of(" ".join(answer.data.get("end", [answer.data.get("detail")]))) == []
    assert languages_of(answer) == ("de", True)


def test_a_request_without_a_device_session_is_told_so_in_it():
    with pytest.raises(PermissionDenied) as raised:
        session_of(asked_in_german())
    assert unmarked_of(str(raised.value.detail)) == []


def test_a_refusal_by_the_middleware_is_in_it_too(site):
    form = "application/x-www-form-urlencoded; charset=punycode"
    answer = Client().post(SITES, "a=b", form, headers=GERMAN)
    assert (answer.status_code, unmarked_of(answer.json()["detail"])) == (400, [])
    assert languages_of(answer) == ("de", True)


def test_nothing_is_left_of_it_for_the_next_request():
    Client().get(OURS, headers=GERMAN)
    assert get_language() == "en-us"


def test_an_ended_session_says_why_in_that_language(ada, site):
    credentials = open_session(ada)
    credentials.session.delete()
    bearer = {"Authorization": f"Bearer {credentials.access_token}"}
    for path in (OURS, SITES):
        assert unmarked_of(Client().get(path, headers={**bearer, **GERMAN}).json()["detail"]) == []


def test_what_the_serializers_say_is_in_it_too(site):
    answer = Client().post(
        "/api/auth/login/", {"username": "", "password": ""}, "application/json", headers=GERMAN
    )
    assert answer.status_code == 400
    assert all(unmarked_of(" ".join(texts)) == [] for texts in answer.json().values())
    assert languages_of(answer) == ("de", True)


def test_labels_of_devices_are_in_it(ada, password, site):
    browser = Client(headers={"User-Agent": FIREFOX})
    browser.post("/account/login/", {"username": ada.get_username(), "password": password})
    for headers, label in ((GERMAN, "⟦Firefox on Linux⟧"), ({}, "Firefox on Linux")):
        (session,) = browser.get("/api/auth/sessions/", headers=headers).json()
        assert session["device"]["label"] == label


def test_a_language_that_the_site_has_activated_stays(settings):
    with override("fr"):
        answer = Client().get(OURS, headers={**BAD, **GERMAN})
    assert "⟦" not in answer.json()["detail"]
    assert "Content-Language" not in answer


@pytest.mark.parametrize(
    "off", [{"LANGUAGES": [("en-us", "English")]}, {"USE_I18N": False}], ids=["one", "none"]
)
def test_a_site_of_one_language_answers_in_that(settings, off):
    for name, value in off.items():
        setattr(settings, name, value)
    assert Client().get(OURS, headers={**BAD, **GERMAN}).json()["detail"] == "Invalid token."


@pytest.mark.parametrize("language", ["", "de;q=abc", "x" * 5000, "*", "de-\xe9"], ids=range(5))
def test_whatever_is_asked_for_is_answered(language):
    assert Client().get(OURS, headers={**BAD, "Accept-Language": language}).status_code == 401


def handshake_refused(error, accepted):
    sent = []

    async def send(message):
        sent.append(message)

    scope = {
        "type": "websocket",
        "headers": [(b"accept-language", accepted)],
        "extensions": {"websocket.http.response": {}},
    }
    asyncio.run(send_refusal(scope, send, refusal_of(error)))
    start, body = sent
    return json.loads(body["body"])["detail"], dict(start["headers"])[b"content-language"]


@pytest.mark.parametrize(
    "error", [SessionEnded("kicked"), CredentialMissing(in_query=True)], ids=["ended", "query"]
)
def test_a_refused_handshake_too(error):
    detail, language = handshake_refused(error, b"de")
    assert (unmarked_of(detail), language) == ([], b"de")
    assert handshake_refused(error, b"")[1] == b"en"
