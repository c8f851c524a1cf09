"""The only writer of device sessions: open, refresh, end, recognize."""

from authx.sessions.credentials import Credentials
from authx.sessions.device import Device
from authx.sessions.django_sessions import end_bound_sessions
from authx.sessions.end_everywhere import end_everyone, end_user_sessions
from authx.sessions.ending import end_session, end_sessions
from authx.sessions.erasure import Erased, forget
from authx.sessions.exporting import export
from authx.sessions.liveness import recognize
from authx.sessions.opening import open_session
from authx.sessions.refreshing import refresh_session

__all__ = [
    "Credentials",
    "Device",
    "Erased",
    "end_bound_sessions",
    "end_everyone",
    "end_session",
    "end_sessions",
    "end_user_sessions",
    "export",
    "forget",
    "open_session",
    "recognize",
    "refresh_session",
]
