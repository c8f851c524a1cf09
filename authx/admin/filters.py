"""Filters beside the list of device sessions; none of them reads the whole table for its choices."""

from __future__ import annotations

from datetime import datetime
from operator import itemgetter
from typing import Any, Final

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from authx.admin.words import ENDED
from authx.conf import conf
from authx.core.reasons import EXPIRIES, EndReason
from authx.http.countries import country_name
from authx.http.direction import isolated
from authx.http.words import device_type
from authx.models import DeviceSession
from authx.sessions.turnover import IS_IDLE

#: Of so many of the newest sessions the countries are offered.
NEWEST: Final = 1000


class StatusFilter(admin.SimpleListFilter):
    """Live, ended, expired but not yet marked as ended; or whatever raised an alarm."""

    title = _("status")
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [
            ("live", _("Live")),
            ("ended", _("Ended")),
            ("expired", _("Expired")),
            ("alarm", _("With alarms")),
        ]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() == "live":
            return queryset.live()
        if self.value() == "ended":
            return queryset.ended()
        if self.value() == "expired":
            return _overdue(queryset)
        if self.value() == "alarm":
            return queryset.exclude(alarm_at=None)
        return queryset


def _overdue(queryset: Any) -> Any:
    """Return the expired sessions, of which there are few: those that wait for ``authx_prune``."""
    if (limits := _bounds()) is None:
        return queryset.none()
    return queryset.expired(limits[1]).filter(idle_expires_at__gte=limits[0], idle_expires_at__lte=limits[1])


def _bounds() -> tuple[datetime, datetime] | None:
    """Return between which times the limits of expired sessions are; None if there is none. One statement.

    They tell the database to use its index. The idle limit is never later than the absolute one.
    """
    limits = DeviceSession.objects.filter(ended_at=None).order_by("idle_expires_at")
    first = limits.values_list("idle_expires_at", flat=True).first()
    return None if first is None else (first, timezone.now())


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


class ColumnFilter(admin.SimpleListFilter):
    """By the value of one column; a value that is not offered can still be given in the URL."""

    column: str

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        wanted = self.value()
        if wanted is None:
            return queryset
        return queryset.none() if "\x00" in wanted else queryset.filter(**{self.column: wanted})


class DeviceTypeFilter(ColumnFilter):
    """Offers the types that may log in today. Django's own filter reads all rows to find types."""

    title = _("device type")
    parameter_name = column = "device_type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(name, device_type(name)) for name in conf.DEVICE_TYPES]


class ReasonFilter(ColumnFilter):
    """Why it ended, in the words of the staff."""

    title = _("reason")
    parameter_name = "end_reason__exact"
    column = "end_reason"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(str(reason), word) for reason, word in ENDED.items()]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Return those whose badge says so, also where a time limit has passed and no row says so yet."""
        wanted, limits = self.value(), _bounds() if self.value() in EXPIRIES else None
        if limits is None:
            return super().queryset(request, queryset)
        overdue = Q(ended_at=None, idle_expires_at__gte=limits[0], idle_expires_at__lte=limits[1])
        is_of_that_limit = IS_IDLE if wanted == EndReason.IDLE else ~IS_IDLE
        return queryset.filter(Q(end_reason=wanted) | (overdue & is_of_that_limit))


class CountryFilter(ColumnFilter):
    """Offers the countries of the newest sessions."""

    title = _("place")
    parameter_name = column = "country"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        newest = DeviceSession.objects.order_by("-created_at").values_list("country", flat=True)[:NEWEST]
        return sorted(((code, country_name(code)) for code in {*newest} - {""}), key=itemgetter(1))


class UserFilter(admin.SimpleListFilter):
    """One user's sessions, as links to them ask; there are too many users to offer them here."""

    title = _("user")
    parameter_name = "user"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        wanted = self.used_parameters.get(self.parameter_name)
        user = None if wanted is None else _find_user(wanted)
        return [] if user is None else [(str(wanted), isolated(user))]

    def has_output(self) -> bool:
        return self.value() is not None

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        wanted = self.value()
        if wanted is None:
            return queryset
        user = _find_user(wanted)
        return queryset.none() if user is None else queryset.filter(user=user)


def _find_user(key: str) -> Any:
    """Return the user with this key, who has or had a session: the names of others are not told here."""
    try:
        user = get_user_model()._default_manager.filter(pk=key).first() if "\x00" not in key else None
    except (ValueError, ValidationError, OverflowError):
        return None
    has_any = user is not None and DeviceSession.objects.filter(user=user).exists()
    return user if has_any else None
