"""From what has happened to a notice. Nothing is read or written unless somebody wants to know."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any

from django.utils import timezone

from authx import signals
from authx.core.notice_kinds import NoticeKind
from authx.core.risk import Alarm
from authx.models import DeviceSession
from authx.notices.announcing import About, announce, is_wanted
from authx.sessions import ports
from authx.sessions.connected_apps import was_connected_before


def connect() -> None:
    """Listen to what may be worth a notice."""
    signals.device_session_opened.connect(_on_opened, dispatch_uid="authx.notices.opened")
    signals.session_flagged.connect(_on_flagged, dispatch_uid="authx.notices.flagged")
    signals.password_changed.connect(_on_password_changed, dispatch_uid="authx.notices.password")
    ports.kick_listener.register(_kick_listener)


def _on_opened(session: DeviceSession, is_new: bool = False, **kwargs: Any) -> None:
    if session.user_id is None:
        return
    if not session.client_id:
        if is_new and is_wanted(NoticeKind.NEW_DEVICE):
            announce(_about(NoticeKind.NEW_DEVICE, session, session.created_at))
    elif is_wanted(NoticeKind.CONNECTED_APP) and not was_connected_before(session):
        announce(_about(NoticeKind.CONNECTED_APP, session, session.created_at))


def _on_flagged(session: DeviceSession, alarm: str, **kwargs: Any) -> None:
    if alarm == Alarm.COPIED and session.user_id is not None and is_wanted(NoticeKind.COPIED):
        announce(_about(NoticeKind.COPIED, session, timezone.now()))


def _on_password_changed(user: Any, **kwargs: Any) -> None:
    if is_wanted(NoticeKind.PASSWORD_CHANGED):
        announce(About(NoticeKind.PASSWORD_CHANGED, user.pk, timezone.now()))


def _kick_listener() -> Callable[[Collection[DeviceSession]], None] | None:
    return _on_kicked if is_wanted(NoticeKind.KICKED) else None


def _on_kicked(sessions: Collection[DeviceSession]) -> None:
    """Tell each person once; an app that staff have ended has signed nobody out."""
    by_user = defaultdict[Any, list[DeviceSession]](list)
    for session in sessions:
        if session.user_id is not None and not session.client_id:
            by_user[session.user_id].append(session)
    for user, theirs in by_user.items():
        at = theirs[0].ended_at or timezone.now()
        announce(About(NoticeKind.KICKED, user, at, tuple(theirs)))


def _about(kind: NoticeKind, session: DeviceSession, at: datetime) -> About:
    device = session.client_id or session.device_id or session.device_label
    return About(kind, session.user_id, at, (session,), device)
