"""The value of a notice: plain, frozen, and fit for any queue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any, Self

from authx.core.device import clean_text


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldBack:
    """What happened within an hour of the last notice of its kind, and stands in the next."""

    at: datetime
    #: The id of the session, as text; ``""`` where it is about none.
    session_id: str = ""
    #: One line, safe to show, at most 100 characters; so is ``device`` of a notice.
    device: str = ""
    #: What its user agent says it is, as it is stored: in English.
    device_label: str = ""
    ip: str | None = None
    country: str = ""
    #: Not shown by ``repr``: whoever has the address can end the session.
    not_me_url: str = field(default="", repr=False)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return what ``as_dict`` of a notice has made plain; what a later version has added is left out."""
        return cls(**{**_known(cls, values), "at": datetime.fromisoformat(values["at"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What one user should be told. Times are aware; texts are safe to show, but HTML they are not."""

    #: A ``NoticeKind``, as plain text.
    kind: str
    #: The user's primary key, and the alias of the database that it is of; ``""`` for that of whoever reads.
    user_pk: Any
    at: datetime
    database: str = ""
    #: The id of the session that it is about, as text; ``""`` if it is about none.
    session_id: str = ""
    #: The device as its user calls it, or the app's name; and what its user agent says it is.
    device: str = ""
    device_label: str = ""
    device_type: str = ""
    #: The ``client_id`` of the app whose session it is; ``""`` for a device.
    client_id: str = ""
    ip: str | None = None
    #: ISO 3166-1 alpha-2; ``""`` if it is not known.
    country: str = ""
    #: How many sessions have been ended, of the kind ``kicked``.
    count: int = 1
    #: The first of what was held back since the last notice, oldest first, and how much it was in all.
    held_back: tuple[HeldBack, ...] = ()
    held_back_count: int = 0
    #: Addresses at AUTHX_ISSUER, ``""`` where there is no such page. The first is good for seven days.
    not_me_url: str = field(default="", repr=False)
    devices_url: str = ""
    password_reset_url: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it, for a queue that takes nothing else; the user's key becomes text."""
        values = asdict(self)
        values |= {"at": self.at.isoformat(), "user_pk": str(self.user_pk)}
        values["held_back"] = [{**entry, "at": entry["at"].isoformat()} for entry in values["held_back"]]
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the notice that ``as_dict`` has made plain; what a later version has added is left out."""
        kept = _known(cls, values)
        held_back = tuple(map(HeldBack.from_dict, kept.get("held_back", ())))
        return cls(**{**kept, "at": datetime.fromisoformat(kept["at"]), "held_back": held_back})


def _known(kind: type[HeldBack | Notice], values: Mapping[str, Any]) -> dict[str, Any]:
    names = {one.name for one in fields(kind)}
    return {name: value for name, value in values.items() if name in names}


def shown(text: str) -> str:
    """Return a name that somebody has chosen as one line, without what turns or hides the text after it."""
    return clean_text(text, 100)
