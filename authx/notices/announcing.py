"""Sending a notice: once an hour for each user, kind and device, to receivers and by mail."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.views.decorators.debug import sensitive_variables

from authx import signals
from authx.conf import conf
from authx.core.notice_kinds import NoticeKind
from authx.errors import StoreUnavailable
from authx.models import DeviceSession
from authx.notices import links
from authx.notices.mail import send_mail
from authx.notices.notice import HeldBack, Notice, shown
from authx.sessions.notice_turns import Turn, take_turn
from authx.store import database

logger = logging.getLogger("authx")

#: Where there is something left to end.
_ENDABLE = {NoticeKind.NEW_DEVICE, NoticeKind.COPIED, NoticeKind.CONNECTED_APP}


@dataclass(frozen=True, slots=True)
class About:
    """What has happened, and to whom."""

    kind: NoticeKind
    user_pk: Any
    at: datetime
    #: The sessions that it is about; none where it is about a password.
    sessions: tuple[DeviceSession, ...] = ()
    #: What tells the user's devices apart; ``""`` where the kind is about none.
    device_key: str = ""


def is_wanted(kind: NoticeKind) -> bool:
    """Return whether anybody wants to know: a receiver of ``notice``, or the user by mail. No statement."""
    return signals.notice.has_listeners(DeviceSession) or kind in conf.NOTICE_MAIL


def announce(about: About) -> None:
    """Send a notice, or hold it back for the next one; what goes wrong is logged, and stops nobody."""
    try:
        turn = take_turn(about.user_pk, about.kind.value, about.device_key, _occurrences(about))
    except StoreUnavailable:
        logger.error(
            "A user could not be told of something (%s).", about.kind.value, extra={"event": "notice_lost"}
        )
        return
    if turn is not None:
        _send(_notice(about, turn))


@sensitive_variables()
def _send(notice: Notice) -> None:
    signals.notice.send_robust(DeviceSession, notice=notice)
    if notice.kind not in conf.NOTICE_MAIL:
        return
    try:
        send_mail(notice)
    except Exception as error:
        # Without the traceback: its frames hold the mail, and with it the link that ends the session.
        text = "A notice (%s) could not be mailed to user %s: %s: %s"
        details = (notice.kind, notice.user_pk, type(error).__name__, error)
        logger.error(text, *details, extra={"event": "notice_not_mailed"})


def _occurrences(about: About) -> list[dict[str, Any]]:
    """Return what is kept of it where it is held back, as JSON takes it: of each session, or once."""
    at = {"at": about.at.isoformat()}
    return [at | _columns(session) for session in about.sessions] or [at]


def _columns(session: DeviceSession) -> dict[str, Any]:
    return {
        "session_id": str(session.pk),
        "device": shown(session.device_name or session.device_label),
        "device_label": shown(session.device_label),
        "ip": session.ip,
        "country": session.country,
    }


@sensitive_variables()
def _notice(about: About, turn: Turn) -> Notice:
    columns = dict[str, Any]()
    if len(about.sessions) == 1:
        (session,) = about.sessions
        columns = _columns(session) | {"device_type": session.device_type, "client_id": session.client_id}
    return Notice(
        kind=about.kind.value,
        user_pk=about.user_pk,
        at=about.at,
        database=database.alias(),
        count=max(1, len(about.sessions)),
        held_back=tuple(_held_back(about.kind, entry) for entry in turn.held_back),
        held_back_count=turn.held_back_count,
        not_me_url=_link(about.kind, columns.get("session_id", "")),
        devices_url=links.devices_url(),
        password_reset_url=links.password_reset_url(),
        **columns,
    )


@sensitive_variables()
def _held_back(kind: NoticeKind, entry: Mapping[str, Any]) -> HeldBack:
    return HeldBack.from_dict({**entry, "not_me_url": _link(kind, entry.get("session_id", ""))})


def _link(kind: NoticeKind, session_id: str) -> str:
    return links.not_me_url(session_id) if kind in _ENDABLE else ""
