"""What kinds of clients there are, and the filters beside their list."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from authx.core.oauth_client import NONE
from authx.models import ServiceClient


def kind_of(client: ServiceClient) -> Any:
    """Return what it is called: an app has redirect URIs, and a public one can keep no secret."""
    if not client.redirect_uris:
        return _("Service")
    return _("Public app") if client.auth_method == NONE else _("App")


class KindFilter(admin.SimpleListFilter):
    """Apps that users sign in to, or services."""

    title = _("kind")
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("app", _("Apps")), ("public", _("Public apps")), ("service", _("Services"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        apps = queryset.filter(redirect_uris__isnull=False)
        found = {
            "app": apps,
            "public": apps.filter(auth_method=NONE),
            "service": queryset.filter(redirect_uris__isnull=True),
        }
        return found.get(self.value() or "", queryset)


class StateFilter(admin.SimpleListFilter):
    """Clients that are let in, or those that have been disabled."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("active", _("Active")), ("disabled", _("Disabled"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() == "active":
            return queryset.filter(disabled_at=None)
        return queryset.exclude(disabled_at=None) if self.value() == "disabled" else queryset
