"""Where a session was signed in from, as people call it: its country, and what AUTHX_PLACE adds to it."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from django.utils.translation import pgettext

from authx import clocks
from authx.conf import conf
from authx.core.device import clean_text
from authx.http.countries import country_name

logger = logging.getLogger("authx")

#: Characters of a place that are shown.
MAX_LENGTH = 100
#: An error is logged once in this time: a list asks for each of its rows.
COMPLAINT_SECONDS = 60


def place_of(session: Any) -> str:
    """Return the place of a session in the active language; ``""`` where nothing is known of it.

    AUTHX_PLACE is asked at each call. Where it fails, the country stands alone.
    """
    country = country_name(session.country) if session.country else ""
    place = _asked(session)
    if not place or not country or country.casefold() in place.casefold():
        return place or country
    return pgettext("place", "%(place)s, %(country)s") % {"place": place, "country": country}


def places_of(sessions: Iterable[Any]) -> dict[Any, str]:
    """Return the place of each session by its key, for a page that shows them more than once."""
    return {session.pk: place_of(session) for session in sessions}


def _asked(session: Any) -> str:
    if (ask := conf.PLACE) is None:
        return ""
    try:
        return clean_text(str(ask(session) or ""), MAX_LENGTH)
    except Exception:  # the site's code
        _complaints.log()
        return ""


class _Complaints:
    """Logs the error that is being handled, unless another was logged in the last minute."""

    def __init__(self) -> None:
        self._logged_at = float("-inf")

    def log(self) -> None:
        now = clocks.monotonic()
        if now - self._logged_at >= COMPLAINT_SECONDS:
            self._logged_at = now
            logger.exception("AUTHX_PLACE has failed.", extra={"event": "place_failed"})


_complaints = _Complaints()
