"""What a login page says of how the visitor's last session ended: the sentence, its time, a title."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import formats, timezone
from django.utils.dateformat import format as format_date
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from authx.core.ended import Ended
from authx.core.reasons import EndReason
from authx.http.ended_cookie import kept
from authx.identity.visit import identity_of
from authx.pages.texts import ended_text, ended_title


@dataclass(frozen=True, slots=True)
class EndedNotice:
    """How the last session ended, in the words and the time zone of the request."""

    #: An ``EndReason``.
    reason: str
    #: A sentence, and the same as a title.
    message: str
    title: str
    #: When that was; None where it is not known.
    at: datetime | None

    def __str__(self) -> str:
        return self.message

    @property
    def when(self) -> str:
        """Return the time in words, such as "Today at 2:02 p.m. UTC"; ``""`` where it is not known."""
        return "" if self.at is None else _when(self.at, timezone.now())

    @property
    def time(self) -> SafeString:
        """Return those words as a ``time`` element."""
        if self.at is None:
            return SafeString("")
        return format_html('<time datetime="{}">{}</time>', self.at.isoformat(), self.when)


def ended_notice(request: Any) -> EndedNotice | None:
    """Return how the visitor's last session ended; None while one is live, and where none has ended.

    Raises:
        StoreUnavailable: that cannot be known.
        AuthxError: as ``identity_of``.
    """
    identity = identity_of(request)
    if identity is None or identity.session is not None:
        return None
    ended = identity.ended or kept(request)
    return None if ended is None else _notice(ended)


def _notice(ended: Ended) -> EndedNotice:
    lost = ended.answers_lost and ended.reason == EndReason.REUSED
    return EndedNotice(
        ended.reason,
        ended_text(ended.reason, ended.replaced_by, answers_lost=lost),
        ended_title(ended.reason, answers_lost=lost),
        ended.at,
    )


def _when(at: datetime, now: datetime) -> str:
    local, today = timezone.localtime(at), timezone.localtime(now)
    parts = {"time": formats.time_format(local, "TIME_FORMAT"), "zone": format_date(local, "T")}
    if local.date() == today.date():
        return _("Today at %(time)s %(zone)s") % parts
    parts["date"] = formats.date_format(local, "DATE_FORMAT")
    return _("%(date)s at %(time)s %(zone)s") % parts
