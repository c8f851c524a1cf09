"""The page of the overview."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from django.core.exceptions import BadRequest, PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from authx.admin.overview.alarms import newest_alarms
from authx.admin.overview.charts import Line, chart_of, grouped, lines_of
from authx.admin.overview.periods import Per, slots_until
from authx.admin.overview.totals import Totals, totals_of
from authx.admin.words import ENDED
from authx.conf import conf
from authx.core.reasons import EndReason
from authx.http.words import device_type

#: What the links and the heading of the chart say.
_PERIODS = {
    Per.HOUR: (_("24 hours"), _("Sign-ins and endings per hour")),
    Per.DAY: (_("30 days"), _("Sign-ins and endings per day")),
    Per.WEEK: (_("12 weeks"), _("Sign-ins and endings per week")),
}


def overview_page(model_admin: Any, request: HttpRequest) -> HttpResponse:
    """Show how many sessions began, ended and raised alarms.

    Raises:
        PermissionDenied: they may not see the sessions.
        BadRequest: ``per`` in the URL is no period.
    """
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    try:
        per = Per(request.GET.get("per", Per.HOUR))
    except ValueError:
        raise BadRequest(f"per must be one of {', '.join(Per)}") from None
    moment = timezone.now()
    slots = slots_until(moment, per)
    totals = totals_of(slots, moment)
    list_url = reverse(f"{model_admin.admin_site.name}:authx_devicesession_changelist")
    forgotten = moment - conf.RETENTION
    context = {
        **model_admin.admin_site.each_context(request),
        "title": _("Overview"),
        "opts": model_admin.opts,
        "list_url": list_url,
        "since": urlencode({"since": slots[0].since.isoformat()}).removeprefix("since="),
        "periods": [(one.value, name, one is per) for one, (name, _heading) in _PERIODS.items()],
        "heading": _PERIODS[per][1],
        "as_of": datetime.fromtimestamp(totals.as_of, tz=UTC),
        "zone": timezone.get_current_timezone_name(),
        "forgotten": forgotten if forgotten > slots[0].since else None,
        "chart": chart_of(slots, totals, per),
        **_numbers(totals),
        **_bars(totals, list_url, slots[0].since.isoformat()),
        "alarms": newest_alarms(model_admin, slots[0].since),
    }
    return TemplateResponse(request, "admin/authx/devicesession/overview.html", context)


def _numbers(totals: Totals) -> dict[str, Any]:
    """Return the numbers of the tiles, and how each is shown."""
    numbers = {
        "live": sum(totals.live.values()),
        "users": totals.users,
        "opened": sum(totals.opened),
        "ended": sum(totals.reasons.values()),
        "alarmed": sum(totals.alarmed.values()),
        "copied": totals.reasons.get(EndReason.REUSED, 0),
    }
    shown = {name: grouped(number) for name, number in numbers.items()}
    return {**{f"number_{name}": number for name, number in numbers.items()}, "shown": shown}


def _bars(totals: Totals, list_url: str, since: str) -> dict[str, list[Line]]:
    """Return the rows of the smaller charts, with links to the sessions that they count."""

    def link(**query: str) -> str:
        return f"{list_url}?{urlencode(query)}"

    live = {word: link(status="live", device_type=word) for word in totals.live}
    reasons = {word: link(end_reason__exact=word, ended_since=since) for word in totals.reasons}
    over = {word: {"end_reason__exact": word} if word else {"status": "live"} for word in totals.alarmed}
    fates = {word: link(**query, alarm_at__gte=since) for word, query in over.items()}
    return {
        "live": lines_of(totals.live, device_type, live),
        "reasons": lines_of(totals.reasons, _reason, reasons),
        "fates": lines_of(totals.alarmed, _fate, fates),
    }


def _reason(word: str) -> Any:
    return ENDED.get(word, word)


def _fate(word: str) -> Any:
    return ENDED.get(word, word) if word else _("Still live")
