"""authx.api.bearer: Bearer tokens in plain Django views."""

import asyncio

import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from django.http import JsonResponse
from django.test import AsyncClient, Client
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from rest_framework.exceptions import APIException

from authx.api.bearer import answer_to, bearer_optional, bearer_required, identify
from authx.core.claims import AccessClaims
from authx.sessions import end_session, open_session


@bearer_optional
def graphql(request):
    """As GraphQL's view: anonymous visitors may ask too."""
    sid = getattr(getattr(request, "auth", None), "sid", None)
    return JsonResponse({"user": request.user.get_username(), "sid": sid})


@bearer_optional
async def agraphql(request):
    user = await request.auser()
    return JsonResponse({"user": user.get_username()})


def ninja(request):
    """As django-ninja calls what ``auth`` names, and its exception handlers."""
    try:
        claims = identify(request)
    except APIException as error:
        return answer_to(request, error)
    return JsonResponse({"sid": claims and claims.sid}, status=401 if claims is None else 200)


@bearer_required
def guarded(request, number=0):
    assert isinstance(request.auth, AccessClaims)
    return JsonResponse({"user": request.user.get_username(), "number": number})


@bearer_required
async def aguarded(request):
    user = await request.auser()
    return JsonResponse({"user": user.get_username()})


urlpatterns = [
    path("graphql/", graphql),
    path("agraphql/", agraphql),
    path("ninja/", csrf_exempt(ninja)),
    path("guarded/<int:number>/", guarded),
    path("aguarded/", aguarded),
]


@pytest.fixture(autouse=True)
def _urls(settings):
    settings.ROOT_URLCONF = __name__


@pytest.fixture
def client():
    return Client(enforce_csrf_checks=True)


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def test_a_view_learns_who_asks(client, ada):
    credentials = open_session(ada)
    response = client.post("/graphql/", headers=bearer(credentials.access_token))
    assert response.json() == {"user": ada.get_username(), "sid": str(credentials.session.pk)}


def test_without_a_token_nothing_changes(client, ada):
    assert client.get("/graphql/").json() == {"user": "", "sid": None}


def test_a_bad_token_is_refused_where_anonymous_visitors_are_not(client, ada):
    credentials = open_session(ada)
    end_session(credentials.session, "kicked")
    for url in ("/graphql/", "/agraphql/", "/ninja/"):
        response = client.post(url, headers=bearer(credentials.access_token))
        assert (response.status_code, response.json()["reason"]) == (401, "kicked")
    assert client.get("/graphql/").status_code == 200
    assert client.get("/ninja/").status_code == 401


@pytest.mark.parametrize("url", ["/graphql/", "/agraphql/"])
def test_without_a_token_a_visitor_by_cookie_needs_the_csrf_token(client, ada, password, url):
    browser = Client(enforce_csrf_checks=False)
    assert browser.login(username=ada.get_username(), password=password)
    client.cookies = browser.cookies
    assert client.get(url).json()["user"] == ada.get_username()
    assert client.post(url).status_code == 403
    token = open_session(ada).access_token
    assert client.post(url, headers=bearer(token)).json()["user"] == ada.get_username()


def test_a_guarded_view_takes_its_arguments_and_needs_no_csrf_token(client, ada):
    response = client.post("/guarded/7/", headers=bearer(open_session(ada).access_token))
    assert response.json() == {"user": ada.get_username(), "number": 7}


def test_a_guarded_view_has_a_challenge_for_those_without_a_token(client, db):
    response = client.get("/guarded/7/")
    assert (response.status_code, response.json()["code"]) == (401, "not_authenticated")
    assert response["WWW-Authenticate"] == 'Bearer realm="api"'
    assert response["Cache-Control"] == "no-store"


def test_cookies_are_no_bearer_token(client, ada):
    client.cookies["__Host-authx_access"] = open_session(ada).access_token
    assert client.get("/guarded/7/").status_code == 401


def test_the_end_of_a_session_is_told_as_in_the_api(client, ada):
    credentials = open_session(ada)
    end_session(credentials.session, "kicked")
    response = client.get("/guarded/7/", headers=bearer(credentials.access_token))
    assert (response.status_code, response.json()["reason"]) == (401, "kicked")
    assert 'error="invalid_token"' in response["WWW-Authenticate"]


@pytest.mark.parametrize(
    ("header", "status", "code"),
    [
        ("Bearer", 401, "token_malformed"),
        ("Bearer x", 401, "token_malformed"),
        ("Bearer x, Bearer y", 400, "invalid_request"),
        ("Basic x", 401, "not_authenticated"),
    ],
)
def test_a_bad_header_is_a_clear_error(client, db, header, status, code):
    response = client.get("/guarded/7/", headers={"Authorization": header})
    assert (response.status_code, response.json()["code"]) == (status, code)


def test_an_outage_is_a_503(client, ada, settings):
    token = open_session(ada).access_token
    settings.AUTHX_REVOCATION_STORE = f"{__name__}.Gone"
    response = client.get("/guarded/7/", headers=bearer(token))
    assert (response.status_code, response.json()["code"]) == (503, "store_unavailable")
    assert response["Retry-After"]


class Gone:
    """A store that cannot be asked."""

    def __getattr__(self, name):
        from authx.errors import StoreUnavailable

        raise StoreUnavailable("gone")


@pytest.mark.django_db(transaction=True)
def test_an_async_view_is_guarded_too(ada):
    token = open_session(ada).access_token

    async def ask(**headers):
        try:
            return await AsyncClient().get("/aguarded/", headers=headers)
        finally:
            await sync_to_async(connections.close_all)()

    assert asyncio.run(ask(**bearer(token))).json() == {"user": ada.get_username()}
    assert asyncio.run(ask()).status_code == 401
