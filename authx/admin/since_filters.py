"""Filters that show which sessions the overview has counted, as its links ask."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.http import HttpRequest
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.formats import localize
from django.utils.translation import gettext_lazy as _

from authx.sessions.turnover import begun_since, ended_since


class SinceFilter(admin.SimpleListFilter):
    """Those since some time; shown where a link has asked for it, and no other time is offered."""

    parameter_name: str

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        wanted = self.used_parameters.get(self.parameter_name)
        since = None if wanted is None else _moment(str(wanted))
        return [] if since is None else [(str(wanted), localize(timezone.localtime(since)))]

    def has_output(self) -> bool:
        return self.value() is not None

    def chosen(self, queryset: Any, counted: Callable[[Any, datetime], Any]) -> Any:
        """Return the rows that ``counted`` leaves since the moment that was asked for; all if none was."""
        wanted = self.value()
        if wanted is None:
            return queryset
        if (since := _moment(wanted)) is None:
            raise IncorrectLookupParameters(wanted)
        return counted(queryset, since)


class BegunFilter(SinceFilter):
    """Sign-ins."""

    title = _("signed in since")
    parameter_name = "begun_since"

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return self.chosen(queryset, begun_since)


class EndedFilter(SinceFilter):
    """Logins that have ended, also those that a time limit has ended and no row says so yet."""

    title = _("ended since")
    parameter_name = "ended_since"

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return self.chosen(queryset, ended_since)


def _moment(text: str) -> datetime | None:
    """Return the moment that a link names; None if it is none."""
    try:
        found = parse_datetime(text)
    except ValueError:
        return None
    return found if found is not None and timezone.is_aware(found) else None
