"""Device sessions and what happened to them: states and questions, no verbs.

Only ``authx.sessions`` writes here.
"""

from authx.models.device_sessions import DeviceSession, DeviceSessionQuerySet, EndReason, uuid7
from authx.models.revocation import EndedSession, NotBeforeMark, is_marked
from authx.models.services import ServiceClient, SigningKey
from authx.models.session_events import SessionEvent, SessionEventQuerySet

__all__ = [
    "DeviceSession",
    "DeviceSessionQuerySet",
    "EndReason",
    "EndedSession",
    "NotBeforeMark",
    "ServiceClient",
    "SessionEvent",
    "SessionEventQuerySet",
    "SigningKey",
    "is_marked",
    "uuid7",
]
