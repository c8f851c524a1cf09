"""The site of each authorization server: its own endpoints and nothing else."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.urls import include, path

urlpatterns: list[Any] = []
if apps.is_installed("authx"):
    urlpatterns = [path("account/", include("authx.pages.urls")), path("o/", include("authx.oauth.urls"))]
if apps.is_installed("oauth2_provider"):
    urlpatterns = [path("o/", include("oauth2_provider.urls"))]
if apps.is_installed("benchmarks.oauth.authlib_server"):
    from benchmarks.oauth.authlib_server import views

    urlpatterns = [path("o/authorize/", views.authorize), path("o/token/", views.token)]
