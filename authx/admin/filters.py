"""Filters beside the list of device sessions; none of them reads the table for its choices."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from authx.conf import conf


class StatusFilter(admin.SimpleListFilter):
    """Live, ended, or expired but not yet marked as ended."""

    title = _("status")
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("live", _("Live")), ("ended", _("Ended")), ("expired", _("Expired"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() == "live":
            return queryset.live()
        if self.value() == "ended":
            return queryset.ended()
        if self.value() == "expired":
            return queryset.expired()
        return queryset


class HolderFilter(admin.SimpleListFilter):
    """Whose session it is: a person's on a device, that of an app for a person, or a service's own."""

    title = _("held by")
    parameter_name = "held_by"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("logins", _("Logins")), ("apps", _("Connected apps")), ("services", _("Services"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() == "logins":
            return queryset.first_party()
        if self.value() == "apps":
            return queryset.of_apps()
        if self.value() == "services":
            return queryset.of_services()
        return queryset


class DeviceTypeFilter(admin.SimpleListFilter):
    """Offers the types that may log in today. Django's own filter reads all rows to find types."""

    title = _("device type")
    parameter_name = "device_type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(name, name) for name in conf.DEVICE_TYPES]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Filter by type; types that are not offered any more can still be given in the URL."""
        wanted = self.value()
        if wanted is None:
            return queryset
        return queryset.none() if "\x00" in wanted else queryset.filter(device_type=wanted)
