"""Kicking out, in two steps: a page that asks, then the sessions end, with events and admin log entries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.models import CHANGE, LogEntry
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from authx.admin.recent import ask_again
from authx.core.reasons import EndReason
from authx.http.actor import actor_of
from authx.models import DeviceSession, DeviceSessionQuerySet
from authx.sessions import end_sessions, end_user_sessions
from authx.sessions.kicking import may_kick_superusers, of_superusers
from authx.sessions.queries import live_or_continued

#: Rows listed on a confirmation page; the rest are counted.
LISTED = 100

TITLES = {"kick": _("Kick out"), "kick_everywhere": _("Kick out everywhere")}


class KickForm(forms.Form):
    """The reason, for the audit trail; and whether to kick out one's own sessions too."""

    reason = forms.CharField(
        label=_("Reason"),
        required=False,
        max_length=200,
        help_text=_("Kept in the session's history; its user does not see it."),
    )
    include_own = forms.BooleanField(label=_("Include my own sessions"), required=False)


@dataclass(frozen=True, slots=True)
class Chosen:
    """The sessions of a selection that are to end, and how many are left out."""

    sessions: DeviceSessionQuerySet
    #: How many live sessions are the staff user's own; left out unless they choose otherwise.
    own: int
    #: How many live sessions are of superusers whom they may not kick out; left out.
    superusers: int

    @classmethod
    def of(cls, request: HttpRequest, targets: DeviceSessionQuerySet, *, include_own: bool) -> Chosen:
        """Choose among the live ones, as the rows are now in the database that will be written."""
        live = live_or_continued(targets)
        sessions, superusers = live, 0
        if not may_kick_superusers(request.user):
            theirs = of_superusers(live)
            sessions, superusers = live.exclude(theirs), live.filter(theirs).count()
        mine = Q(user=request.user.pk)
        own = sessions.filter(mine).count()
        return cls(sessions if include_own else sessions.exclude(mine), own, superusers)


def kick_or_ask(
    model_admin: Any, request: HttpRequest, targets: DeviceSessionQuerySet, *, action: str
) -> HttpResponse | None:
    """Return the page that asks, or a redirect if the login is too old; None once the sessions have ended."""
    if refusal := ask_again(model_admin, request):
        return refusal
    form = KickForm(request.POST if "post" in request.POST else None)
    is_confirmed = form.is_valid()
    include_own = form.is_bound and form.cleaned_data["include_own"]
    chosen = Chosen.of(request, targets, include_own=include_own)
    if is_confirmed:
        end = _end_users if action == "kick_everywhere" else _end_rows
        _kick(model_admin, request, chosen.sessions, form.cleaned_data["reason"], end)
        _report_left_out(model_admin, request, chosen, include_own=include_own)
        return None
    listed = list(chosen.sessions.select_related("user")[:LISTED])
    context = {
        **model_admin.admin_site.each_context(request),
        "title": TITLES[action],
        "opts": model_admin.opts,
        "media": model_admin.media,
        "action": action,
        "action_checkbox_name": ACTION_CHECKBOX_NAME,
        "selected": request.POST.getlist(ACTION_CHECKBOX_NAME),
        "select_across": request.POST.get("select_across", "0"),
        "sessions": listed,
        "total": chosen.sessions.count(),
        "chosen": chosen,
        "users": sorted({str(session.user or session.subject) for session in listed}),
        "form": form,
    }
    return TemplateResponse(request, "admin/authx/devicesession/kick_confirm.html", context)


def _end_rows(sessions: list[DeviceSession], **details: Any) -> int:
    rows = DeviceSession.objects.filter(pk__in=[session.pk for session in sessions])
    return end_sessions(rows, EndReason.KICKED, **details)


def _end_users(sessions: list[DeviceSession], **details: Any) -> int:
    """End all sessions of these users, including a login under way."""
    users = {session.user_id: session.user for session in sessions if session.user is not None}
    ownerless = [session for session in sessions if session.user is None]
    ended = sum(end_user_sessions(user, EndReason.KICKED, **details) for user in users.values())
    return ended + _end_rows(ownerless, **details)


def _kick(
    model_admin: Any,
    request: HttpRequest,
    targets: DeviceSessionQuerySet,
    note: str,
    end: Callable[..., int],
) -> None:
    affected = list(targets.select_related("user").order_by("pk"))
    count = end(affected, by=actor_of(request, request.user), note=note)
    if affected:
        message = f"{_('Kicked out.')} {note}".strip()
        LogEntry.objects.log_actions(str(request.user.pk), affected, CHANGE, message)
    text = ngettext("%d session was ended.", "%d sessions were ended.", count) % count
    model_admin.message_user(request, text, messages.SUCCESS if count else messages.WARNING)


def _report_left_out(model_admin: Any, request: HttpRequest, chosen: Chosen, *, include_own: bool) -> None:
    if chosen.superusers:
        text = ngettext(
            "%d session of a superuser was left out: you may not kick superusers out.",
            "%d sessions of superusers were left out: you may not kick superusers out.",
            chosen.superusers,
        )
        model_admin.message_user(request, text % chosen.superusers, messages.WARNING)
    if chosen.own and not include_own:
        text = ngettext(
            "%d session of your own was left out.", "%d sessions of your own were left out.", chosen.own
        )
        model_admin.message_user(request, text % chosen.own, messages.WARNING)
