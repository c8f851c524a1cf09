"""How long ago something was, in sentences that can be translated as a whole."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

#: From here on a date says more than a number of days.
_DATED: Final = timedelta(days=7)


def active_ago(at: datetime, now: datetime | None = None) -> str:
    """Return in a sentence when a device was last in use."""
    return _sentence(_ACTIVE, at, now)


def used_ago(at: datetime, now: datetime | None = None) -> str:
    """Return in a sentence when an app was last in use."""
    return _sentence(_USED, at, now)


def _sentence(texts: tuple[Callable[[int], str], ...], at: datetime, now: datetime | None) -> str:
    age = (now or timezone.now()) - at
    just_now, minutes, hours, days, on = texts
    if age < timedelta(minutes=1):  # also what another clock calls later
        return just_now(0)
    if age < timedelta(hours=1):
        return minutes(age // timedelta(minutes=1))
    if age < timedelta(days=1):
        return hours(age // timedelta(hours=1))
    if age < _DATED:
        return days(age.days)
    return on(0) % {"date": date_format(timezone.localtime(at), "DATE_FORMAT")}


_ACTIVE: Final[tuple[Callable[[int], str], ...]] = (
    lambda n: _("Active just now"),
    lambda n: ngettext("Active %(n)d minute ago", "Active %(n)d minutes ago", n) % {"n": n},
    lambda n: ngettext("Active %(n)d hour ago", "Active %(n)d hours ago", n) % {"n": n},
    lambda n: ngettext("Active %(n)d day ago", "Active %(n)d days ago", n) % {"n": n},
    lambda n: _("Active on %(date)s"),
)
_USED: Final[tuple[Callable[[int], str], ...]] = (
    lambda n: _("Used just now"),
    lambda n: ngettext("Used %(n)d minute ago", "Used %(n)d minutes ago", n) % {"n": n},
    lambda n: ngettext("Used %(n)d hour ago", "Used %(n)d hours ago", n) % {"n": n},
    lambda n: ngettext("Used %(n)d day ago", "Used %(n)d days ago", n) % {"n": n},
    lambda n: _("Used on %(date)s"),
)
