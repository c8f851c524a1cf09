"""authx.api.foreign_tokens: Bearer tokens of others, beside ours in one view."""

import base64
import json
from typing import Any, ClassVar

import jwt
import pytest
from django.urls import path
from rest_framework import authentication
from rest_framework.authentication import (
    BaseAuthentication,
    BasicAuthentication,
    SessionAuthentication,
    TokenAuthentication,
    get_authorization_header,
)
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.response import Response
from rest_framework.test import APIClient
from rest_framework.views import APIView

from authx.api.authentication import BearerAuthentication, CookieAuthentication
from authx.sessions import end_session, open_session

OTHERS = "opaque-token-of-another-package"
JWT = jwt.encode({"user_id": 1}, "k" * 32, algorithm="HS256")


class Somebody:
    is_authenticated = True
    pk = None

    def __init__(self, name):
        self.name = name

    def get_username(self):
        return self.name


class Announcing(BaseAuthentication):
    """As simplejwt's: its challenge names the scheme; how it reads the header cannot be seen."""

    def authenticate(self, request):
        sent = bytes(get_authorization_header(request)).decode().removeprefix("Bearer ")
        if sent not in {OTHERS, JWT}:
            raise AuthenticationFailed("not one of theirs")
        return Somebody("announced"), None

    def authenticate_header(self, request):
        return 'bearer realm="other"'


class ByMeta(BaseAuthentication):
    """Without a challenge, as many sites write their own."""

    def authenticate(self, request):
        return (Somebody("meta"), None) if OTHERS in request.META["HTTP_AUTHORIZATION"] else None


class ByHeaders(BaseAuthentication):
    def authenticate(self, request):
        return self.find(request)

    def find(self, request):
        return (Somebody("headers"), None) if OTHERS in request.headers["Authorization"] else None


class ByFunction(BaseAuthentication):
    def authenticate(self, request):
        return (Somebody("function"), None) if OTHERS.encode() in get_authorization_header(request) else None


class Inherited(ByMeta):
    pass


class WithoutABase:
    """DRF asks for no more, of a class that is not the first."""

    def authenticate(self, request):
        return (Somebody("bare"), None) if OTHERS in request.META["HTTP_AUTHORIZATION"] else None


class ByAttribute(BaseAuthentication):
    header = "HTTP_AUTHORIZATION"

    def authenticate(self, request):
        return (Somebody("attribute"), None) if OTHERS in request.META[self.header] else None


HEADER = "HTTP_AUTHORIZATION"


class ByConstant(BaseAuthentication):
    def authenticate(self, request):
        return (Somebody("constant"), None) if OTHERS in request.META[HEADER] else None


def sent_token(request):
    return request.META[HEADER]


class ByHelper(BaseAuthentication):
    def authenticate(self, request):
        return (Somebody("helper"), None) if OTHERS in sent_token(request) else None


class ByModule(BaseAuthentication):
    def authenticate(self, request):
        found = authentication.get_authorization_header(request).decode()
        return (Somebody("module"), None) if OTHERS in found else None


class ByClassMethod(BaseAuthentication):
    @classmethod
    def sent(cls, request):
        return request.headers["Authorization"]

    def authenticate(self, request):
        return (Somebody("class method"), None) if OTHERS in self.sent(request) else None


class ByProperty(BaseAuthentication):
    @property
    def header(self):
        return "HTTP_AUTHORIZATION"

    def authenticate(self, request):
        return (Somebody("property"), None) if OTHERS in request.META[self.header] else None


class SeveralSchemes(ByMeta):
    def authenticate_header(self, request):
        return 'Basic realm="x", Bearer realm="y"'


class FailingChallenge(ByMeta):
    def authenticate_header(self, request):
        raise RuntimeError("it was never asked before")


class Keyword(TokenAuthentication):
    """DRF's own tokens under the Bearer scheme."""

    keyword = "Bearer"

    def authenticate_credentials(self, key):
        if key != OTHERS:
            raise AuthenticationFailed("Invalid token.")
        return Somebody("keyword"), key


class ApiKey(BaseAuthentication):
    def authenticate(self, request):
        return (Somebody("key"), None) if request.META.get("HTTP_X_API_KEY") else None


class ByCookie(BaseAuthentication):
    def authenticate(self, request):
        return (Somebody("cookie"), None) if request.COOKIES.get("other") else None


class SitesOwn(CookieAuthentication):
    """Ours, as a site has extended it."""


class Whose(APIView):
    permission_classes: ClassVar = [IsAuthenticated]

    def get(self, request):
        return Response({"user": getattr(request.user, "name", None) or request.user.get_username()})


CHAINS: dict[str, list[Any]] = {
    "announcing": [BearerAuthentication, Announcing],
    "meta": [BearerAuthentication, CookieAuthentication, ByMeta],
    "headers": [CookieAuthentication, BearerAuthentication, SessionAuthentication, ByHeaders],
    "function": [BearerAuthentication, ApiKey, ByFunction],
    "inherited": [BearerAuthentication, Inherited],
    "bare": [BearerAuthentication, WithoutABase],
    "attribute": [BearerAuthentication, ByAttribute],
    "constant": [BearerAuthentication, ByConstant],
    "helper": [BearerAuthentication, ByHelper],
    "module": [BearerAuthentication, ByModule],
    "class method": [BearerAuthentication, ByClassMethod],
    "property": [BearerAuthentication, ByProperty],
    "several": [BearerAuthentication, SeveralSchemes],
    "failing": [BearerAuthentication, FailingChallenge],
    "keyword": [BearerAuthentication, Keyword],
    "alone": [BearerAuthentication],
    "ours": [BearerAuthentication, CookieAuthentication],
    "extended": [BearerAuthentication, SitesOwn],
    "session": [BearerAuthentication, SessionAuthentication],
    "basic": [BearerAuthentication, BasicAuthentication],
    "token": [BearerAuthentication, TokenAuthentication],
    "api key": [BearerAuthentication, ApiKey],
    "cookie": [BearerAuthentication, ByCookie],
    "before": [ApiKey, ByCookie, BearerAuthentication],
}
TAKERS = {
    "announcing": "announced",
    "meta": "meta",
    "headers": "headers",
    "function": "function",
    "inherited": "meta",
    "keyword": "keyword",
    **{
        name: name
        for name in ("bare", "attribute", "constant", "helper", "module", "class method", "property")
    },
    "several": "meta",
    "failing": "meta",
}
LONERS = [name for name in CHAINS if name not in TAKERS]


def views(permission):
    return [
        path(
            f"{'open' if permission is AllowAny else 'closed'}/{name.replace(' ', '-')}/",
            Whose.as_view(authentication_classes=chain, permission_classes=[permission]),
        )
        for name, chain in CHAINS.items()
    ]


urlpatterns = [*views(AllowAny), *views(IsAuthenticated)]


@pytest.fixture(autouse=True)
def _urls(settings):
    settings.ROOT_URLCONF = __name__


def get(kind, name, token, **headers):
    client = APIClient()
    client.cookies["other"] = "theirs"
    headers = {"Authorization": f"Bearer {token}", "X-Api-Key": "theirs", **headers}
    return client.get(f"/{kind}/{name.replace(' ', '-')}/", headers=headers)


@pytest.mark.parametrize("kind", ["open", "closed"])
@pytest.mark.parametrize("name", TAKERS)
def test_anothers_token_is_left_to_who_takes_it(db, kind, name):
    assert get(kind, name, OTHERS, **{"X-Api-Key": ""}).json() == {"user": TAKERS[name]}


@pytest.mark.parametrize("kind", ["open", "closed"])
def test_a_jwt_of_another_type_is_anothers(db, kind):
    assert get(kind, "announcing", JWT).json() == {"user": "announced"}


@pytest.mark.parametrize("kind", ["open", "closed"])
@pytest.mark.parametrize("token", [OTHERS, JWT], ids=["opaque", "jwt"])
@pytest.mark.parametrize("name", LONERS)
def test_where_nobody_takes_it_it_is_refused(db, kind, name, token):
    response = get(kind, name, token)
    if name == "before":  # who stands before ours has let it in by its own credential
        assert response.json() == {"user": "key"}
        return
    assert response.status_code == 401
    assert response.json()["code"] == "token_malformed"


@pytest.mark.parametrize("name", list(CHAINS))
def test_our_own_token_is_ours_everywhere(ada, name):
    if name == "before":
        return
    response = get("closed", name, open_session(ada).access_token)
    assert response.json() == {"user": ada.get_username()}


@pytest.mark.parametrize("name", [name for name in CHAINS if name != "before"])
@pytest.mark.parametrize("kind", ["open", "closed"])
def test_our_own_bad_token_is_nobody_elses(ada, kind, name):
    credentials = open_session(ada)
    end_session(credentials.session, "kicked")
    header, rest = credentials.access_token.split(".", 1)
    for token, code in [
        (credentials.access_token, "session_ended"),
        (credentials.access_token[:-4] + "AAAA", "token_malformed"),
        (f"{header}.e30.AAAA", "token_malformed"),
    ]:
        response = get(kind, name, token)
        assert (response.status_code, response.json()["code"]) == (401, code), token
    assert rest


def spelled(**header):
    part = base64.urlsafe_b64encode(json.dumps(header).encode()).decode().rstrip("=")
    return f"{part}.e30.AAAA"


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt"])
def test_what_says_it_is_an_access_token_is_ours_to_refuse(db, typ):
    response = get("open", "announcing", spelled(typ=typ, alg="none"))
    assert (response.status_code, response.json()["code"]) == (401, "token_malformed")


@pytest.mark.parametrize("typ", ["JWT", "at", "at+jwt2", None, 7, ["at+jwt"]], ids=str)
def test_what_says_something_else_is_not(db, typ):
    response = get("open", "announcing", spelled(typ=typ, alg="none"))
    assert response.json()["detail"] == "not one of theirs"


def test_two_headers_and_an_empty_token_are_refused_before_anybody_looks(db):
    two = get("open", "announcing", f"{OTHERS}, Bearer {OTHERS}")
    assert (two.status_code, two.json()["code"]) == (400, "invalid_request")
    none = get("open", "announcing", "")
    assert (none.status_code, none.json()["code"]) == (401, "token_malformed")
