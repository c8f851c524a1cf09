"""django-ninja: ``authx.contrib.ninja``, in the API of docs/frameworks.md and in others."""

from datetime import timedelta

import pytest
from asgiref.sync import async_to_sync
from django.test import Client
from django.urls import path
from ninja import Form, NinjaAPI
from ninja.errors import HttpError
from ninja.testing import TestAsyncClient, TestClient

from authx.contrib.ninja import BearerAuth, CookieAuth, add_exception_handlers
from authx.sessions import end_session, open_session
from authx.testing import clock, login_device, token_for
from tests.frameworks.sites import shown, site

pytestmark = pytest.mark.django_db
OPERATIONS = ["/ninja/sync/", "/ninja/async/"]


@pytest.fixture(autouse=True)
def api(settings):
    """The API of the page, with more operations; a name of its own for each, or ninja refuses it."""
    shown_there = shown("# orders/api.py, with django-ninja")
    api = NinjaAPI(auth=[BearerAuth(), CookieAuth()], urls_namespace="more")
    add_exception_handlers(api)

    @api.api_operation(["GET", "POST"], "sync/")
    def sync(request):
        return {"user": request.user.get_username(), "sid": request.auth.sid}

    @api.api_operation(["GET", "POST"], "async/")
    async def asynchronous(request):
        return {"user": (await request.auser()).get_username(), "sid": request.auth.sid}

    @api.post("form/")
    def form(request, color: Form[str]):
        return {"color": color, "user": request.user.get_username()}

    @api.get("bearer/", auth=BearerAuth())
    def bearer(request):
        return {"sid": request.auth.sid}

    @api.get("full/")
    def full(request):
        return {"sid": str(open_session(request.user).session.pk)}

    @api.get("broken/")
    def broken(request):
        raise HttpError(418, "ninja's own")

    settings.ROOT_URLCONF = site(path("ninja/", api.urls), path("shop/", shown_there.api.urls))
    return api


def test_the_api_of_the_page(transport, client, ask, ada, with_token):
    assert ask(client, "/shop/hello/").json() == {"hello": "world"}
    session = login_device(client, ada, transport=transport).session
    known = {"user": "ada", "sid": str(session.pk)}
    assert ask(client, "/shop/orders/").json() == known
    assert ask(client, "/shop/orders/", "post", headers=with_token(client)).json() == known
    end_session(session, "kicked")
    assert ask(client, "/shop/orders/").json()["reason"] == "kicked"


@pytest.mark.parametrize("path", OPERATIONS)
@pytest.mark.parametrize("lag", [0, 60], ids=["by statement", "by copy"])
def test_a_caller_is_known_until_the_kick(lag, path, transport, client, ask, ada, settings):
    settings.AUTHX_REVOCATION_LAG = timedelta(seconds=lag)
    session = login_device(client, ada, transport=transport).session
    for _time in range(2):
        answer = ask(client, path)
        assert (answer.status_code, answer.json()) == (200, {"user": "ada", "sid": str(session.pk)})
    end_session(session, "kicked")
    with clock() as now:
        now.advance(seconds=lag)
        answer = ask(client, path)
    assert (answer.status_code, answer.json()["code"], answer.json()["reason"]) == (
        401,
        "session_ended",
        "kicked",
    )
    assert 'error_description="session_ended kicked"' in answer["WWW-Authenticate"]


@pytest.mark.parametrize("path", OPERATIONS)
def test_a_cookie_needs_the_csrf_token_and_a_bearer_token_does_not(
    path, transport, client, ask, ada, with_token
):
    login_device(client, ada, transport=transport)
    body = {"content_type": "application/json", "data": "{}"}
    bare = ask(client, path, "post", **body)
    assert bare.status_code == (200 if transport == "bearer" else 403)
    if transport == "cookie":
        assert bare.json()["code"] == "permission_denied"
        headers = with_token(client)
        assert ask(client, path, "post", **body).status_code == 403
        assert ask(client, path, "post", headers=headers, **body).status_code == 200


def test_a_form_may_carry_it_and_is_read_all_the_same(client, ask, ada, with_token):
    login_device(client, ada, transport="cookie")
    token = with_token(client)["X-CSRFToken"]
    answer = ask(client, "/ninja/form/", "post", {"color": "red", "csrfmiddlewaretoken": token})
    assert (answer.status_code, answer.json()) == (200, {"color": "red", "user": "ada"})
    assert ask(client, "/ninja/form/", "post", {"color": "red"}).status_code == 403


@pytest.mark.parametrize("path", OPERATIONS)
def test_nobody_gets_our_401(path, client, ask):
    answer = ask(client, path)
    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")
    assert answer["WWW-Authenticate"] == 'Bearer realm="api"'


@pytest.mark.parametrize(
    ("header", "status", "code"),
    [
        ("Bearer nonsense", 401, "token_malformed"),
        ("Bearer", 401, "token_malformed"),
        ("Bearer a, Bearer b", 400, "invalid_request"),
        ("Basic YTpi", 401, "not_authenticated"),
    ],
)
@pytest.mark.parametrize("path", [*OPERATIONS, "/ninja/bearer/"])
def test_a_bad_header_is_refused_as_our_api_does(path, header, status, code, client, ask):
    answer = ask(client, path, headers={"Authorization": header})
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_a_bad_token_never_falls_back_to_the_cookie(client, ask, ada):
    login_device(client, ada, transport="cookie")
    answer = ask(client, "/ninja/sync/", headers={"Authorization": "Bearer nonsense"})
    assert answer.status_code == 401


@pytest.mark.parametrize("path", OPERATIONS)
def test_an_old_token_is_told_so(path, client, ask, ada):
    login_device(client, ada, transport="bearer")
    with clock() as now:
        now.advance(minutes=20)
        assert ask(client, path).json()["code"] == "token_expired"


def test_a_cookie_is_none_where_only_tokens_are_taken(ada):
    client = Client()
    session = login_device(client, ada).session
    assert client.get("/ninja/bearer/").status_code == 401
    assert client.get("/ninja/sync/").json()["sid"] == str(session.pk)
    login_device(client, ada, transport="bearer")
    assert client.get("/ninja/bearer/").status_code == 200


def test_errors_of_ours_are_answered_too(ada, settings):
    client = Client(headers={"Authorization": f"Bearer {token_for(ada)}"})
    settings.AUTHX_SESSION_LIMITS = [{"limit": 1, "when_full": "refuse"}]
    answer = client.get("/ninja/full/")
    assert (answer.status_code, answer.json()["code"]) == (409, "session_limit")


def test_errors_of_others_stay_ninjas(ada):
    client = Client(headers={"Authorization": f"Bearer {token_for(ada)}"})
    assert (client.get("/ninja/broken/").status_code, client.get("/ninja/broken/").json()) == (
        418,
        {"detail": "ninja's own"},
    )


@pytest.mark.parametrize(("kind", "path"), [(TestClient, "/sync/"), (TestAsyncClient, "/async/")])
def test_its_own_client_is_signed_in_by_token(kind, path, api, ada):
    client = kind(api)

    async def asked():
        return await client.get(path)

    def ask():
        return async_to_sync(asked)() if kind is TestAsyncClient else client.get(path)

    assert ask().status_code == 401
    session = login_device(client, ada).session
    assert ask().json() == {"user": "ada", "sid": str(session.pk)}
    end_session(session, "kicked")
    assert (ask().status_code, ask().json()["reason"]) == (401, "kicked")


def test_the_schema_knows_both(settings):
    settings.AUTHX_ACCESS_COOKIE = "__Host-shop"
    schemes = Client().get("/ninja/openapi.json").json()["components"]["securitySchemes"]
    assert schemes["BearerAuth"] == {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    assert schemes["CookieAuth"] == {"type": "apiKey", "in": "cookie", "name": "__Host-shop"}
