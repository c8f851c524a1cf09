"""What stands in the cells of the list of device sessions."""

from __future__ import annotations

from typing import Any, Final

from django.contrib import admin
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from authx.admin.words import ENDED
from authx.core.reasons import EndReason
from authx.http.direction import isolated
from authx.http.places import place_of
from authx.models import DeviceSession

#: The name of the buttons that kick out one row.
KICK_ROW = "kick_row"
#: How the badge of a reason looks; the others are quiet.
_LOOKS: Final[dict[str, str]] = {EndReason.REUSED: "alarm", EndReason.KICKED: "warning"}


class SessionColumns:
    """Cells of one session each; none of them costs a statement."""

    @admin.display(description=_("user"), ordering="user")
    def person(self, session: DeviceSession) -> Any:
        """Return who it is, and the address by which staff may know them."""
        user: Any = session.user
        if user is None:
            return SafeString("-") + _beneath(format_html("<bdi>{}</bdi>", session.subject))
        mail = getattr(user, user.get_email_field_name(), "") if hasattr(user, "get_email_field_name") else ""
        mail = "" if mail == str(user) else mail
        address = format_html('<bdi dir="ltr">{}</bdi>', mail) if mail else ""
        return format_html("<bdi>{}</bdi>", user) + _beneath(address)

    @admin.display(description=_("device"))
    def device(self, session: DeviceSession) -> Any:
        """Return its name, and beneath what it is; beside that of an app or a service its client id."""
        icon = render_to_string("authx/_icon.html", {"type": session.form})
        label = format_html("<bdi>{}</bdi>", session.label) if session.device_name else ""
        client = format_html(' <code dir="ltr">{}</code>', session.client_id) if session.client_id else ""
        name = format_html("<bdi>{}</bdi>{}", str(session), client)
        return format_html(
            '<span class="authx-device">{}<span>{}</span></span>', icon, name + _beneath(label)
        )

    @admin.display(description=_("status"))
    def state(self, session: DeviceSession) -> Any:
        """Return a badge that says whether it is live, or why not; beneath, who ended it, and its alarms."""
        badge = self.outcome(session)
        return format_html("{} {}", badge, _badge("alarm", _("Alarm"))) if session.alarm_at else badge

    def outcome(self, session: DeviceSession) -> Any:
        """Return the same without its alarms."""
        reason = session.ended_reason()
        if reason is None:
            badge = _badge("live", _("Live"))
        else:
            badge = _badge(_LOOKS.get(reason, "quiet"), ENDED.get(reason, reason))
        if reason and session.answers_lost:
            badge += _beneath(_("answers kept getting lost"))
        elif session.ended_by is not None and session.ended_by_id != session.user_id:
            badge += _beneath(_("by %(name)s") % {"name": isolated(session.ended_by)})
        return badge

    @admin.display(description=_("place"), ordering="ip")
    def place(self, session: DeviceSession) -> Any:
        """Return the country, where it is known, what AUTHX_PLACE adds to it, and the address."""
        address = format_html('<bdi dir="ltr">{}</bdi>', session.ip) if session.ip else ""
        if not (where := place_of(session)):
            return address or "-"
        return format_html("<bdi>{}</bdi>", where) + _beneath(address)

    @admin.display(description=_("Kick out"), empty_value="")
    def act(self, session: DeviceSession) -> Any:
        """Return the button that kicks it out; nothing for one that is over."""
        if session.ended_reason() is not None:
            return ""
        label = _("Kick out %(device)s of %(user)s") % {
            "device": isolated(session),
            "user": isolated(session.user or session.subject),
        }
        return format_html(
            '<button class="button authx-kick" name="{}" value="{}" aria-label="{}">{}</button>',
            KICK_ROW,
            session.pk,
            label,
            _("Kick out…"),
        )


def kicked_row(request: HttpRequest) -> str | None:
    """Return the id of the row whose button was pressed; None if it was none."""
    return request.POST.get(KICK_ROW) if request.method == "POST" else None


def _badge(look: str, text: Any) -> SafeString:
    return format_html('<span class="authx-badge authx-badge-{}">{}</span>', look, text)


def _beneath(text: Any) -> SafeString:
    return format_html('<small class="authx-quiet">{}</small>', text) if text else SafeString("")
