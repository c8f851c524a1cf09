"""Device sessions in the admin: who is signed in where, and what happened to each."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.views.main import SEARCH_VAR
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils.translation import gettext_lazy as _

from authx.admin.columns import kicked_row
from authx.admin.exporting import export_page
from authx.admin.filters import (
    CountryFilter,
    DeviceTypeFilter,
    HolderFilter,
    ReasonFilter,
    StatusFilter,
    UserFilter,
)
from authx.admin.kicking import kick_or_ask
from authx.admin.limits import limits_page
from authx.admin.of_user import link_users
from authx.admin.overview.page import overview_page
from authx.admin.searching import BoundedList, BoundedPaginator, FoundPaginator, found_by
from authx.admin.session_page import SessionPage
from authx.admin.since_filters import BegunFilter, EndedFilter
from authx.models import DeviceSession, DeviceSessionQuerySet

#: The columns that a URL may filter by; the values of the others could be guessed that way.
FILTER_FIELDS = (
    *("user", "status", "held_by", "device_type", "end_reason", "country"),
    *("created_at", "ended_at", "alarm_at", "begun_since", "ended_since"),
)


@admin.register(DeviceSession)
class DeviceSessionAdmin(SessionPage):
    """Who is signed in where; kicking them out; what happened to a session."""

    list_display = ["person", "device", "state", "place", "created_at", "last_seen_at", "act"]
    list_display_links = ["person", "device"]
    list_filter = [
        UserFilter,
        BegunFilter,
        EndedFilter,
        StatusFilter,
        HolderFilter,
        DeviceTypeFilter,
        ReasonFilter,
        CountryFilter,
        "created_at",
    ]
    list_select_related = ["user", "ended_by"]
    list_per_page = 50
    show_full_result_count = False
    date_hierarchy = None
    ordering = ["-created_at"]
    actions = ["kick", "kick_everywhere"]
    search_help_text = _(
        "Name or e-mail of a user, a device, an IP address or its beginning (203.0.113.*),"
        " or the id of a session, a device or a client."
        " Devices, by their ids or parts of their names, are looked for in the newest 50,000 sessions."
    )

    def get_search_fields(self, request: HttpRequest) -> list[str]:
        username = get_user_model().USERNAME_FIELD
        return [f"user__{username}", "device_name", "device_label"]

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        return found_by(queryset, search_term), False

    def get_paginator(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        kind = FoundPaginator if request.GET.get(SEARCH_VAR) else BoundedPaginator
        return kind(*args, **kwargs)

    def get_queryset(self, request: HttpRequest) -> Any:
        found: Any = super().get_queryset(request)
        return found.with_marks()

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        """Allow only the lookups of the filters beside the list (Django allows every column).

        Nothing of a user's columns: their values could be guessed.
        """
        column, _separator, rest = lookup.partition("__")
        return column in FILTER_FIELDS and not (column == "user" and rest) and "\x00" not in str(value)

    def get_urls(self) -> list[Any]:
        link_users(self)  # by now every model of the site is registered
        limits = self.admin_site.admin_view(partial(limits_page, self))
        export = self.admin_site.admin_view(partial(export_page, self))
        overview = self.admin_site.admin_view(partial(overview_page, self))
        ours = [
            path("overview/", overview, name="authx_devicesession_overview"),
            path("limits/", limits, name="authx_devicesession_limits"),
            path("export/", export, name="authx_devicesession_export"),
        ]
        return [*ours, *super().get_urls()]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        return BoundedList

    def get_list_display(self, request: HttpRequest) -> Any:
        shown = super().get_list_display(request)
        return shown if self.has_kick_permission(request) else [name for name in shown if name != "act"]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        if (sid := kicked_row(request)) is not None:  # as if it alone had been selected
            chosen: Any = request.POST.copy()
            for name, value in {"action": "kick", "index": "0", "select_across": "0"}.items():
                chosen[name] = value
            chosen[ACTION_CHECKBOX_NAME] = sid
            request.POST = chosen
        may_export = self.has_export_permission(request)
        return super().changelist_view(request, {**(extra_context or {}), "may_export": may_export})

    @admin.action(description=_("Kick out selected sessions"), permissions=["kick"])
    def kick(self, request: HttpRequest, queryset: DeviceSessionQuerySet) -> HttpResponse | None:
        return kick_or_ask(self, request, queryset, action="kick")

    @admin.action(
        description=_("Kick out everywhere (all sessions of these users)"),
        permissions=["kick_everywhere"],
    )
    def kick_everywhere(self, request: HttpRequest, queryset: DeviceSessionQuerySet) -> HttpResponse | None:
        chosen: Any = queryset.order_by()
        # By user, who may have had another subject before; of deleted users only the subject is left.
        deleted = Q(user=None, subject__in=chosen.filter(user=None).values("subject"))
        everywhere: Any = DeviceSession.objects.filter(Q(user__in=chosen.values("user")) | deleted)
        return kick_or_ask(self, request, everywhere, action="kick_everywhere")

    def response_action(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Answer as Django does, also a selection that is not a list of ids, where Django would raise."""
        try:
            return super().response_action(request, *args, **kwargs)
        except ValidationError:
            text = _("Items must be selected in order to perform actions on them.")
            self.message_user(request, text, messages.WARNING)
            return None
