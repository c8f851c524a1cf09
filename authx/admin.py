"""The door of staff: looks and ends, never edits."""

from __future__ import annotations

from contextlib import suppress
from ipaddress import ip_address
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth import get_user_model
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from authx.conf import conf
from authx.models import DeviceSession, DeviceSessionQuerySet, EndReason
from authx.sessions import end_sessions
from authx.sessions.proving import is_recent

#: Rows listed on a confirmation page; the rest are counted.
LISTED = 100


class KickForm(forms.Form):
    """Why, for the audit trail."""

    reason = forms.CharField(
        label=_("Reason"),
        required=False,
        max_length=200,
        help_text=_("Kept in the session's history; its user does not see it."),
    )


class StatusFilter(admin.SimpleListFilter):
    """Live, ended, or expired without anybody having said so yet."""

    title = _("status")
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("live", _("Live")), ("ended", _("Ended")), ("expired", _("Expired"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() == "live":
            return queryset.live()
        if self.value() == "ended":
            return queryset.exclude(ended_at=None)
        if self.value() == "expired":
            return queryset.filter(ended_at=None, idle_expires_at__lte=timezone.now())
        return queryset


@admin.register(DeviceSession)
class DeviceSessionAdmin(admin.ModelAdmin):
    """Who is signed in where; kicking them out; what happened to a session."""

    list_display = ["user", "device", "status", "ip", "created_at", "last_seen_at", "why"]
    list_display_links = ["user", "device"]
    list_filter = [StatusFilter, "device_type", "end_reason", "created_at"]
    list_select_related = ["user"]
    list_per_page = 50
    show_full_result_count = False
    date_hierarchy = None
    ordering = ["-created_at"]
    actions = ["kick", "kick_everywhere"]
    fieldsets = [
        (None, {"fields": ["user", "subject", "status", "why", "ended_at", "ended_by"]}),
        (
            _("Device"),
            {
                "fields": [
                    "device_label",
                    "device_name",
                    "device_type",
                    "device_id",
                    "user_agent",
                    "ip",
                    "country",
                ]
            },
        ),
        (
            _("Sign-in"),
            {
                "fields": [
                    "id",
                    "created_at",
                    "auth_time",
                    "amr",
                    "persistent",
                    "last_seen_at",
                    "rotated_at",
                    "generation",
                    "confirmed_generation",
                    "idle_expires_at",
                    "expires_at",
                ]
            },
        ),
    ]

    search_help_text = _("User name, device, an IP address or a session id.")

    def get_search_fields(self, request: HttpRequest) -> list[str]:
        username = get_user_model().USERNAME_FIELD
        return [f"user__{username}", "device_name", "device_label"]

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        """Find an address or an id as the value it is: as text they match nothing on PostgreSQL."""
        with suppress(ValueError):
            return queryset.filter(pk=UUID(search_term.strip())), False
        with suppress(ValueError):
            return queryset.filter(ip=str(ip_address(search_term.strip()))), False
        return super().get_search_results(request, queryset, search_term)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return [str(name) for _title, options in self.fieldsets for name in options["fields"]]

    @admin.display(description=_("device"))
    def device(self, session: DeviceSession) -> str:
        return str(session)

    @admin.display(description=_("status"))
    def status(self, session: DeviceSession) -> str:
        reason = session.ended_reason()
        if reason is None:
            return str(_("Live"))
        return str(_("Ended")) if session.ended_at else str(_("Expired"))

    @admin.display(description=_("reason"))
    def why(self, session: DeviceSession) -> str:
        reason = session.ended_reason()
        return format_html("<code>{}</code>", reason) if reason else "-"

    # Permissions: to kick is to see; nobody adds, edits or deletes.

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return (
            super().has_view_permission(request, obj)
            or self.has_kick_permission(request)
            or self.has_kick_everywhere_permission(request)
        )

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_kick_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("authx.kick_devicesession"))

    def has_kick_everywhere_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("authx.kick_everywhere_devicesession"))

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        session = self.get_object(request, object_id)
        events = session.events.all() if session is not None else []
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), "events": events})

    # Actions: a page that asks, then one ending with its events and log entries.

    @admin.action(description=_("Kick out selected sessions"), permissions=["kick"])
    def kick(self, request: HttpRequest, queryset: DeviceSessionQuerySet) -> HttpResponse | None:
        return self._confirm_or_end(request, queryset, queryset, action="kick")

    @admin.action(
        description=_("Kick out everywhere (all sessions of these users)"),
        permissions=["kick_everywhere"],
    )
    def kick_everywhere(self, request: HttpRequest, queryset: DeviceSessionQuerySet) -> HttpResponse | None:
        subjects = queryset.order_by().values("subject")
        everywhere = DeviceSession.objects.filter(subject__in=subjects)
        return self._confirm_or_end(request, queryset, everywhere, action="kick_everywhere")

    def _confirm_or_end(
        self, request: HttpRequest, selected: Any, targets: Any, *, action: str
    ) -> HttpResponse | None:
        if not is_recent(getattr(request, "device_session", None), conf.STAFF_MAX_AUTH_AGE):
            text = _("Your own sign-in is too long ago for this: sign out, sign in and try again.")
            self.message_user(request, text, messages.ERROR)
            return None
        form = KickForm(request.POST if "post" in request.POST else None)
        if form.is_valid():
            self._end(request, targets.live(), form.cleaned_data["reason"])
            return None
        live = targets.live().select_related("user")
        context = {
            **self.admin_site.each_context(request),
            "title": _("Kick out everywhere") if action == "kick_everywhere" else _("Kick out"),
            "opts": self.opts,
            "media": self.media,
            "action": action,
            "action_checkbox_name": ACTION_CHECKBOX_NAME,
            "selected": request.POST.getlist(ACTION_CHECKBOX_NAME),
            "select_across": request.POST.get("select_across", "0"),
            "sessions": live[:LISTED],
            "total": live.count(),
            "users": sorted({str(session.user) for session in live[:LISTED]}),
            "form": form,
        }
        template = "admin/authx/devicesession/kick_confirm.html"
        return TemplateResponse(request, template, context)

    def _end(self, request: HttpRequest, targets: Any, note: str) -> None:
        affected = list(targets.order_by("pk"))
        count = end_sessions(
            DeviceSession.objects.filter(pk__in=[session.pk for session in affected]),
            EndReason.KICKED,
            by=request.user,
            request=request,
            note=note,
        )
        if affected:
            message = f"{_('Kicked out.')} {note}".strip()
            LogEntry.objects.log_actions(str(request.user.pk), affected, CHANGE, message)
        text = ngettext("%d session was ended.", "%d sessions were ended.", count) % count
        self.message_user(request, text, messages.SUCCESS if count else messages.WARNING)
