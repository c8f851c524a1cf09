"""authx.checks.other_logins: a second way in, whose tokens our ends do not reach."""

import sys
from types import ModuleType

import pytest
from django.urls import include, path
from rest_framework.authtoken.views import ObtainAuthToken, obtain_auth_token
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.views import TokenObtainPairView, TokenRefreshView

from authx.checks.other_logins import check_other_logins
from authx.sessions import end_user_sessions


class OwnLogin(TokenObtainPairView):
    """A site's own, with more in its answer."""


def named(name):
    """A view that stands for one of a package that is not installed here."""
    module, _, kind = name.rpartition(".")
    return type(kind, (APIView,), {"__module__": module})


@pytest.fixture
def found(settings, monkeypatch):
    def check(*patterns):
        module = ModuleType("urls_of_this_test")
        module.urlpatterns = list(patterns)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        settings.ROOT_URLCONF = module.__name__
        return [message.msg.split()[0] for message in check_other_logins() if message.id == "authx.W058"]

    return check


@pytest.mark.parametrize("view", [TokenObtainPairView, OwnLogin, ObtainAuthToken])
def test_w058_a_login_of_another_package(view, found):
    here = f"{view.__module__}.{view.__qualname__}"
    assert found(path("token/", view.as_view())) == [here]
    assert found(path("api/", include([path("a/", view.as_view()), path("b/", view.as_view())]))) == [here]


def test_w058_a_function_of_a_view(found):
    assert found(path("token/", obtain_auth_token)) == ["rest_framework.authtoken.views.ObtainAuthToken"]


def test_what_logs_nobody_in_is_none(found):
    assert found(path("token/refresh/", TokenRefreshView.as_view())) == []
    assert found(path("api/auth/", include("authx.api.urls"))) == []


@pytest.mark.parametrize(
    ("name", "setting", "chosen", "warns"),
    [
        ("knox.views.LoginView", None, None, True),
        ("dj_rest_auth.views.LoginView", "REST_AUTH", {}, True),
        ("dj_rest_auth.views.LoginView", "REST_AUTH", None, True),
        ("dj_rest_auth.views.LoginView", "REST_AUTH", {"TOKEN_MODEL": None}, False),
        ("dj_rest_auth.views.LoginView", "REST_AUTH", {"TOKEN_MODEL": None, "USE_JWT": True}, True),
        ("djoser.views.TokenCreateView", "DJOSER", {"TOKEN_MODEL": None}, False),
        ("djoser.views.TokenCreateView", "DJOSER", {}, True),
    ],
)
def test_w058_where_the_package_makes_tokens(name, setting, chosen, warns, found, settings):
    if setting is not None:
        setattr(settings, setting, chosen)
    assert found(path("login/", named(name).as_view())) == ([name] if warns else [])


def test_a_urlconf_that_cannot_be_read_is_reported_by_django(settings):
    settings.ROOT_URLCONF = "no.such.urls"
    assert check_other_logins() == []


class Who(APIView):
    authentication_classes = [JWTAuthentication]
    permission_classes = [IsAuthenticated]

    def get(self, request):
        return Response({"user": str(request.user)})


def test_w058_is_about_tokens_that_outlive_everything(ada, password):
    request = APIRequestFactory().post("/", {"username": "ada", "password": password}, format="json")
    token = TokenObtainPairView.as_view()(request).data["access"]
    end_user_sessions(ada, "kicked")
    asked = APIRequestFactory().get("/", headers={"Authorization": f"Bearer {token}"})
    assert Who.as_view()(asked).status_code == 200
