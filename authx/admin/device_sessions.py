"""Device sessions in the admin: who is signed in where, and what happened to each."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from authx.admin.filters import DeviceTypeFilter, HolderFilter, StatusFilter
from authx.admin.kicking import kick_or_ask
from authx.admin.limits import limits_page
from authx.admin.read_only import ReadOnlyAdmin
from authx.admin.searching import BoundedPaginator, found_by
from authx.models import DeviceSession, DeviceSessionQuerySet
from authx.sessions.connected_apps import names_of_clients

#: The columns that a URL may filter by; the values of the others could be guessed that way.
FILTER_FIELDS = ("status", "held_by", "device_type", "end_reason", "created_at")
#: What is shown of a client's session, and of no other.
_CLIENT = (_("Client"), {"fields": ["client", "scope", "resources"]})


@admin.register(DeviceSession)
class DeviceSessionAdmin(ReadOnlyAdmin):
    """Who is signed in where; kicking them out; what happened to a session."""

    list_display = ["user", "device", "status", "ip", "created_at", "last_seen_at", "why"]
    list_display_links = ["user", "device"]
    list_filter = [StatusFilter, HolderFilter, DeviceTypeFilter, "end_reason", "created_at"]
    list_select_related = ["user"]
    list_per_page = 50
    paginator = BoundedPaginator
    show_full_result_count = False
    date_hierarchy = None
    ordering = ["-created_at"]
    actions = ["kick", "kick_everywhere"]
    fieldsets = [
        (None, {"fields": ["user", "subject", "status", "why", "ended_at", "ended_by", "continued_as"]}),
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
                    "authenticated_at",
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

    search_help_text = _("User name, device, an IP address, a session id or a client id.")

    def get_search_fields(self, request: HttpRequest) -> list[str]:
        username = get_user_model().USERNAME_FIELD
        return [f"user__{username}", "device_name", "device_label"]

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        return found_by(queryset, search_term), False

    def get_queryset(self, request: HttpRequest) -> Any:
        found: Any = super().get_queryset(request)
        return found.with_marks()

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        """Allow only the lookups of the filters beside the list (Django allows every column)."""
        return lookup.partition("__")[0] in FILTER_FIELDS and "\x00" not in str(value)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        return [*self.fieldsets, _CLIENT] if obj is not None and obj.client_id else self.fieldsets

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        shown = self.get_fieldsets(request, obj)
        return [str(name) for _title, options in shown for name in options["fields"]]

    @admin.display(description=_("device"))
    def device(self, session: DeviceSession) -> str:
        """Return its name, and beside that of an app or a service its client id."""
        if not session.client_id:
            return str(session)
        return format_html("{} <code>{}</code>", str(session), session.client_id)

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

    # Permissions: whoever may kick may also view.

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return (
            super().has_view_permission(request, obj)
            or self.has_kick_permission(request)
            or self.has_kick_everywhere_permission(request)
        )

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

    def get_urls(self) -> list[Any]:
        page = self.admin_site.admin_view(partial(limits_page, self))
        return [path("limits/", page, name="authx_devicesession_limits"), *super().get_urls()]

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
