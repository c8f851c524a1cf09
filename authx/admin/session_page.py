"""The page of one device session: what it is, and what happened to it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from authx.admin.columns import SessionColumns
from authx.admin.history import MAX_EVENTS, alarms_of, history_of, newest_events
from authx.admin.read_only import ReadOnlyAdmin
from authx.http.direction import isolated
from authx.http.places import place_of
from authx.http.words import device_type, methods
from authx.models import DeviceSession
from authx.sessions.connected_apps import names_of_clients

#: What is shown of a client's session, and of no other.
_CLIENT = (_("Client"), {"fields": ["client", "scope", "resources"]})


class SessionPage(SessionColumns, ReadOnlyAdmin):
    """Shows one session with its events."""

    #: Folded: what staff need stands above them.
    fieldsets = [
        (
            _("State"),
            {
                "classes": ["collapse"],
                "fields": ["user", "subject", "status", "why", "ended_at", "ended_by", "continued_as"],
            },
        ),
        (
            _("Device"),
            {
                "classes": ["collapse"],
                "fields": [
                    *("label", "device_name", "type", "device_id"),
                    *("user_agent", "ip", "country"),
                ],
            },
        ),
        (
            _("Sign-in"),
            {
                "classes": ["collapse"],
                "fields": [
                    *("sid", "created_at", "authenticated_at", "proofs", "persistent", "last_seen_at"),
                    "is_unconfirmed",
                    *("rotated_at", "generation", "confirmed_generation", "idle_expires_at", "expires_at"),
                ],
            },
        ),
    ]

    # Permissions: whoever may kick may also view.

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return (
            super().has_view_permission(request, obj)
            or self.has_kick_permission(request)
            or self.has_kick_everywhere_permission(request)
        )

    def has_export_permission(self, request: HttpRequest) -> bool:
        """Return whether they may take the list away as a file, for which seeing it is not enough."""
        may_export = bool(request.user.has_perm("authx.export_devicesession"))
        return may_export and self.has_view_permission(request)

    def has_kick_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("authx.kick_devicesession"))

    def has_kick_everywhere_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("authx.kick_everywhere_devicesession"))

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        return [*self.fieldsets, _CLIENT] if obj is not None and obj.client_id else self.fieldsets

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        shown = self.get_fieldsets(request, obj)
        return [str(name) for _title, options in shown for name in options["fields"]]

    @admin.display(description=_("device"))
    def label(self, session: DeviceSession) -> str:
        return session.label

    @admin.display(description=_("device type"))
    def type(self, session: DeviceSession) -> str:
        return format_html("{} <code>{}</code>", device_type(session.device_type), session.device_type)

    @admin.display(description=_("session id"))
    def sid(self, session: DeviceSession) -> str:
        return str(session.pk)

    @admin.display(description=_("authentication methods"))
    def proofs(self, session: DeviceSession) -> str:
        return format_html("{} <code>{}</code>", methods(session.amr), " ".join(session.amr))

    @admin.display(description=_("client"))
    def client(self, session: DeviceSession) -> str:
        name = names_of_clients([session]).get(session.client_id, "")
        return format_html("{} <code>{}</code>", name, session.client_id)

    @admin.display(description=_("resources"))
    def resources(self, session: DeviceSession) -> str:
        return " ".join(session.audience or ()) or "-"

    @admin.display(description=_("continued as"))
    def continued_as(self, session: DeviceSession) -> str:
        """Return a link to the session that continues it; ``-`` where there is none."""
        if session.successor in {None, session.pk}:
            return "-"
        name = f"{self.admin_site.name}:authx_devicesession_change"
        return format_html('<a href="{}">{}</a>', reverse(name, args=[session.successor]), session.successor)

    @admin.display(description=_("authenticated at"))
    def authenticated_at(self, session: DeviceSession) -> Any:
        return session.known_auth_time or _("unknown")

    @admin.display(description=_("status"))
    def status(self, session: DeviceSession) -> str:
        reason = session.ended_reason()
        if reason is None:
            return str(_("Live"))
        return str(_("Ended")) if session.recorded_end() else str(_("Expired"))

    @admin.display(description=_("reason"))
    def why(self, session: DeviceSession) -> str:
        reason = session.ended_reason()
        if reason and session.answers_lost:
            return format_html("<code>{}</code> ({})", reason, _("answers kept getting lost"))
        return format_html("<code>{}</code>", reason) if reason else "-"

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        session = self.get_object(request, object_id)
        context = {} if session is None else self._about(request, session)
        return super().change_view(request, object_id, form_url, {**context, **(extra_context or {})})

    def _about(self, request: HttpRequest, session: DeviceSession) -> dict[str, Any]:
        """Return what stands above the columns: a session's history, and how many more its user has."""
        events = newest_events(session)
        history = history_of(session, events)
        of_user = DeviceSession.objects.filter(user=session.user_id) if session.user_id else None
        return {
            "session": session,
            "events": events[::-1],
            "are_all": len(events) < MAX_EVENTS,
            "history": history,
            "alarms": alarms_of(history),
            "badge": self.state(session),
            "methods": methods(session.amr),
            "where": place_of(session),
            "who": isolated(session.user),
            "live": session.ended_reason() is None,
            "may_kick": self.has_kick_permission(request),
            "may_kick_everywhere": self.has_kick_everywhere_permission(request),
            "live_of_user": of_user.live().count() if of_user is not None else 0,
        }
