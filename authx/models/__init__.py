"""Models: device sessions, what happened to them, services and keys. State and queries, no actions.

Only ``authx.sessions``, ``authx.issuer`` and ``authx.store`` write them.
"""

from authx.models.device_sessions import DeviceSession, DeviceSessionQuerySet, uuid7
from authx.models.end_reasons import EndReason
from authx.models.revocation import NotBeforeMark, RevocationLogEntry, is_marked
from authx.models.services import ServiceClient, SigningKey
from authx.models.session_events import SessionEvent, SessionEventQuerySet
from authx.models.used_tickets import UsedTicket

__all__ = [
    "DeviceSession",
    "DeviceSessionQuerySet",
    "EndReason",
    "NotBeforeMark",
    "RevocationLogEntry",
    "ServiceClient",
    "SessionEvent",
    "SessionEventQuerySet",
    "SigningKey",
    "UsedTicket",
    "is_marked",
    "uuid7",
]
