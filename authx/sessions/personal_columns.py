"""The columns with personal data, what they hold once it is erased, and the rows where it is not yet.

docs/personal-data.md lists them.
"""

from __future__ import annotations

from typing import Any, Final

from django.db.models import Q, QuerySet

from authx.core.device import UNKNOWN
from authx.models.exactly import is_exactly

#: The values in an erased session. A live one keeps ``device_id``: its tokens hold it, its device returns.
SESSION_COLUMNS: Final[dict[str, str | None]] = {
    "device_name": "",
    "device_label": UNKNOWN,
    "user_agent": "",
    "ip": None,
    "country": "",
}
DEVICE_ID: Final[dict[str, str | None]] = {"device_id": ""}
#: The values in an erased event. ``note`` is erased only in events about the person, ``actor_label`` only in
#: events that they caused.
EVENT_COLUMNS: Final[dict[str, str | None]] = {
    "ip": None,
    "user_agent": "",
    "other_ip": None,
    "other_user_agent": "",
}
MARK_COLUMNS: Final[dict[str, str | None]] = {"note": ""}


def unerased(found: QuerySet[Any], columns: dict[str, Any]) -> QuerySet[Any]:
    """Return the rows of ``found`` where any of these columns has another value."""
    return found.filter(is_unerased(columns))


def is_unerased(columns: dict[str, Any]) -> Q:
    """Return the condition that any of these columns has another value."""
    condition = Q()
    for column, value in columns.items():
        condition |= Q(**{f"{column}__isnull": False}) if value is None else ~is_exactly(column, value)
    return condition
