"""The site that every contestant protects, with that contestant's own login beside it."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.urls import include, path
from rest_framework.authentication import BasicAuthentication
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView


class Hello(APIView):
    def get(self, request: Request) -> Response:
        return Response({"hello": "world"})


class HelloUser(APIView):
    """For those who care what a user that is loaded late costs a view that needs one."""

    def get(self, request: Request) -> Response:
        return Response({"hello": getattr(request.user, "username", "")})


def _simplejwt() -> list[Any]:
    from rest_framework_simplejwt.views import TokenObtainPairView, TokenRefreshView

    return [path("login/", TokenObtainPairView.as_view()), path("refresh/", TokenRefreshView.as_view())]


def _knox() -> list[Any]:
    from knox.views import LoginView

    return [path("login/", LoginView.as_view(authentication_classes=[BasicAuthentication]))]


urlpatterns: list[Any] = [path("hello/", Hello.as_view()), path("hello-user/", HelloUser.as_view())]
if apps.is_installed("authx"):
    urlpatterns += [
        path("auth/", include("authx.api.urls")),
        path("", include("authx.wellknown.urls")),
    ]
if apps.is_installed("rest_framework_simplejwt"):
    urlpatterns += _simplejwt()
if apps.is_installed("knox"):
    urlpatterns += _knox()
if apps.is_installed("oauth2_provider"):
    urlpatterns.append(path("o/", include("oauth2_provider.urls")))
if apps.is_installed("allauth.headless"):
    urlpatterns.append(path("_allauth/", include("allauth.headless.urls")))
