"""The list as a file of comma-separated values, streamed: what the filters leave, newest first."""

from __future__ import annotations

import csv
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, Final

from asgiref.sync import sync_to_async
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ERROR_FLAG
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.core.handlers.asgi import ASGIRequest
from django.db.models import Q
from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _

from authx.http.caching import never_cache
from authx.http.words import together
from authx.models import DeviceSession

#: Rows read in one statement and held in memory.
ROWS_PER_PAGE: Final = 1000
HEADER: Final = (
    *("session", "user", "subject", "device", "device_type", "label", "client", "ip", "country"),
    *("signed_in", "last_seen", "idle_until", "expires", "ended", "reason", "ended_by", "last_alarm"),
)
#: Without it Excel takes UTF-8 for whatever the country's computers used before.
BYTE_ORDER_MARK: Final = "\ufeff"
#: Where a spreadsheet may take text for a formula (OWASP, "CSV Injection"): where a cell begins, and behind
#: whatever it may be set to part cells by, such as the semicolon of many countries. Full-width forms too.
_FORMULA: Final = re.compile(r"""(^|[;|\t\r\n])(?=[\s"']*[-=+@＝＋－＠])""")  # noqa: RUF001


def export_page(model_admin: Any, request: HttpRequest) -> HttpResponseBase:
    """Answer with the file; that it was fetched is an entry of the admin's log.

    Raises:
        PermissionDenied: they lack ``authx.export_devicesession``.
    """
    if not model_admin.has_export_permission(request):
        raise PermissionDenied
    try:
        rows = model_admin.get_changelist_instance(request).get_queryset(request)
    except IncorrectLookupParameters:  # the list says so
        return redirect(f"../?{ERROR_FLAG}=1")
    found = rows.select_related("user", "ended_by").order_by("-created_at", "-pk")
    _log(request)
    lines: Any = _alines(found) if isinstance(request, ASGIRequest) else _lines(found)
    response = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8")
    name = f"device-sessions-{timezone.now():%Y-%m-%d}.csv"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    never_cache(response)
    return response


def _log(request: HttpRequest) -> None:
    about = ContentType.objects.get_for_model(DeviceSession)
    LogEntry.objects.create(
        user_id=str(request.user.pk),
        content_type=about,
        object_repr=str(DeviceSession._meta.verbose_name_plural),
        action_flag=CHANGE,
        # By which filters, and not for whom: the log is erased with nobody.
        change_message=together(_("Exported as CSV."), ", ".join(sorted(request.GET)))[:200],
    )


def _lines(found: Any) -> Iterator[str]:
    yield BYTE_ORDER_MARK + _line(HEADER)
    last = None
    while page := _page(found, last):
        last = page[-1]
        yield "".join(_line(_cells(row)) for row in page)


async def _alines(found: Any) -> AsyncIterator[str]:
    """Yield the same; no thread waits while the client reads."""
    read = sync_to_async(_page)
    yield BYTE_ORDER_MARK + _line(HEADER)
    last = None
    while page := await read(found, last):
        last = page[-1]
        yield "".join(_line(_cells(row)) for row in page)


def _page(found: Any, last: DeviceSession | None) -> list[DeviceSession]:
    """Return the rows after ``last``: no cursor is held open while a client reads slowly."""
    if last is not None:
        at = last.created_at
        found = found.filter(Q(created_at__lt=at) | Q(created_at=at, pk__lt=last.pk))
    return list(found[:ROWS_PER_PAGE])


def _cells(row: DeviceSession) -> list[Any]:
    end = row.recorded_end()
    times = [row.created_at, row.last_seen_at, row.idle_expires_at, row.expires_at, end and end.at]
    texts = [row.pk, row.user, row.subject, row.device_name, row.device_type, row.device_label, row.client_id]
    return [
        *(*texts, row.ip, row.country),
        *(at and at.isoformat() for at in times),
        *(row.ended_reason(), row.ended_by, row.alarm_at and row.alarm_at.isoformat()),
    ]


def _line(cells: Sequence[Any]) -> str:
    return _Line().of(["" if cell is None else _harmless(str(cell)) for cell in cells])


def _harmless(text: str) -> str:
    """Return the text as a cell that no spreadsheet runs: an apostrophe before what looks like a formula."""
    return _FORMULA.sub(r"\1'", text)


class _Line:
    """What ``csv`` writes to: one line, handed out as text."""

    def __init__(self) -> None:
        self._text = ""

    def write(self, text: str) -> None:
        self._text += text

    def of(self, cells: list[str]) -> str:
        csv.writer(self, quoting=csv.QUOTE_ALL).writerow(cells)
        return self._text
