"""authx.checks.authentication: who reads a Bearer token before ours does."""

import sys
from types import ModuleType

import pytest
from django.urls import include, path
from rest_framework.authentication import BaseAuthentication, TokenAuthentication
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView
from rest_framework_simplejwt.authentication import JWTAuthentication

from authx.api.authentication import BearerAuthentication
from authx.checks.authentication import check_bearer_order
from authx.sessions import open_session

HERE = "tests.checks.test_checks_authentication"
OURS = "authx.api.authentication.BearerAuthentication"
COOKIE = "authx.api.authentication.CookieAuthentication"
CLIENTS = "authx.api.authentication.DelegatedAuthentication"
JWT = "rest_framework_simplejwt.authentication.JWTAuthentication"
KNOX = "knox.auth.TokenAuthentication"
DJANGOS = "rest_framework.authentication.SessionAuthentication"
BASIC = "rest_framework.authentication.BasicAuthentication"


class BearerTokens(TokenAuthentication):
    """DRF's own tokens, with the keyword that clients expect."""

    keyword = "Bearer"


class Silent(BaseAuthentication):
    """It reads the header, and has no challenge."""

    def authenticate(self, request):
        return request.META.get("HTTP_AUTHORIZATION") and None


class NeedsMore(BaseAuthentication):
    def __init__(self, issuer):
        self.issuer = issuer


class OurOwn(BearerAuthentication):
    pass


def found(settings, *classes):
    settings.REST_FRAMEWORK = {"DEFAULT_AUTHENTICATION_CLASSES": list(classes)}
    return [(message.id, message.msg.partition(" ")[0]) for message in check_bearer_order()]


@pytest.mark.parametrize("other", [JWT, f"{HERE}.BearerTokens", f"{HERE}.Silent"])
@pytest.mark.parametrize("ours", [OURS, CLIENTS, f"{HERE}.OurOwn"])
def test_w057_another_reader_of_bearer_tokens_before_ours(ours, other, settings):
    assert found(settings, other, ours) == [("authx.W057", other)]
    assert found(settings, COOKIE, other, DJANGOS, ours) == [("authx.W057", other)]
    assert found(settings, ours, other) == []


@pytest.mark.parametrize("other", [KNOX, DJANGOS, BASIC, COOKIE, f"{HERE}.NeedsMore", "no.such.class", 5])
def test_others_may_stand_where_they_like(other, settings):
    assert found(settings, other, OURS) == []


@pytest.mark.parametrize("classes", [[JWT], [JWT, COOKIE], []])
def test_without_ours_there_is_nothing_to_say(classes, settings):
    assert found(settings, *classes) == []


def test_a_class_itself_in_place_of_its_name(settings):
    assert found(settings, BearerTokens, BearerAuthentication) != []


@pytest.mark.parametrize("settings_value", [None, {}])
def test_a_site_without_settings_of_drf(settings_value, settings):
    settings.REST_FRAMEWORK = settings_value
    assert check_bearer_order() == []


class Who(APIView):
    permission_classes = [IsAuthenticated]

    def get(self, request):
        return Response({"user": str(request.user)})


class JwtFirst(Who):
    authentication_classes = [JWTAuthentication, BearerAuthentication]


class OursFirst(Who):
    authentication_classes = (BearerAuthentication, JWTAuthentication)


class Computed(Who):
    authentication_classes = property(lambda view: [])


def a_plain_view(request):
    return None


@pytest.mark.parametrize(
    ("view", "warns"),
    [
        (JwtFirst.as_view(), True),
        (Who.as_view(authentication_classes=[JWTAuthentication, BearerAuthentication]), True),
        (JwtFirst.as_view(authentication_classes=[BearerAuthentication]), False),
        (OursFirst.as_view(), False),
        (Computed.as_view(), False),
        (a_plain_view, False),
    ],
)
def test_w057_of_a_view_with_classes_of_its_own(view, warns, settings, monkeypatch):
    urls = ModuleType("urls_of_this_test")
    urls.urlpatterns = [path("a/", view), path("b/", include([path("c/", view)]))]
    monkeypatch.setitem(sys.modules, urls.__name__, urls)
    settings.ROOT_URLCONF = urls.__name__
    assert [message.id for message in check_bearer_order()] == ["authx.W057"] * warns


@pytest.mark.parametrize("is_first", [False, True])
def test_w057_is_about_our_tokens_that_another_class_refuses(is_first, ada):
    order = [BearerAuthentication, JWTAuthentication]
    view = Who.as_view(authentication_classes=order if is_first else order[::-1])
    token = open_session(ada).access_token
    answer = view(APIRequestFactory().get("/", headers={"Authorization": f"Bearer {token}"}))
    assert answer.status_code == (200 if is_first else 401)
