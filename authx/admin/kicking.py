"""Kicking out, in two steps: a page that asks, then the sessions end, with events and admin log entries."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.models import CHANGE, LogEntry
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from authx.admin.kick_form import Chosen, KickForm
from authx.admin.recent import ask_again
from authx.core.reasons import EndReason
from authx.http.actor import actor_of
from authx.http.words import together
from authx.models import DeviceSession, DeviceSessionQuerySet
from authx.sessions import end_sessions, end_user_sessions
from authx.sessions.kick_announcing import announced_together
from authx.store.database import alias, chunks

#: Rows listed on a confirmation page; the rest are counted.
MAX_LISTED = 100

TITLES = {"kick": _("Kick out"), "kick_everywhere": _("Kick out everywhere")}


def kick_or_ask(
    model_admin: Any, request: HttpRequest, targets: DeviceSessionQuerySet, *, action: str
) -> HttpResponse | None:
    """Return the page that asks, or a redirect if the login is too old; None once the sessions have ended."""
    if refusal := ask_again(model_admin, request):
        return refusal
    form = KickForm(request.POST if "post" in request.POST else None)
    is_filled = form.is_valid()
    include_own = form.is_bound and form.cleaned_data["include_own"]
    chosen = Chosen.of(request, targets, include_own=include_own)
    if is_filled and form.agrees_with(chosen):
        note, everywhere = form.cleaned_data["reason"], action == "kick_everywhere"
        with announced_together():
            _kick(model_admin, request, chosen, note, everywhere=everywhere)
        _report_left_out(model_admin, request, chosen, include_own=include_own)
        return None
    form.ask_for(chosen)
    listed = list(chosen.sessions.select_related("user").order_by("-last_seen_at", "pk")[:MAX_LISTED])
    users = sorted({str(session.user or session.subject) for session in listed})
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
        "chosen": chosen,
        "users": users,
        "more_users": chosen.users - len(users),
        "form": form,
    }
    return TemplateResponse(request, "admin/authx/devicesession/kick_confirm.html", context)


def _kick(model_admin: Any, request: HttpRequest, chosen: Chosen, note: str, *, everywhere: bool) -> None:
    """End them, a few hundred at a time, those of one user after one another; and say how many."""
    actor, count, done = actor_of(request, request.user), 0, set[Any]()
    keys = list(chosen.sessions.order_by("user_id", "pk").values_list("pk", flat=True))
    message = together(_("Kicked out."), note)
    rows = DeviceSession.objects.using(alias())  # where they were chosen: a replica may not have them yet
    for chunk in chunks(keys):
        affected = list(rows.filter(pk__in=chunk).select_related("user").order_by("pk"))
        users = {session.user_id: session.user for session in affected if everywhere and session.user}
        count += sum(
            end_user_sessions(user, EndReason.KICKED, by=actor, note=note)
            for key, user in users.items()
            if key not in done
        )
        done |= users.keys()
        singly = [session.pk for session in affected if session.user_id not in users]
        if singly:
            count += end_sessions(rows.filter(pk__in=singly), EndReason.KICKED, by=actor, note=note)
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
