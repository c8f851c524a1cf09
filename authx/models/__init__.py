"""Models: device sessions, what happened to them, clients, grants and keys. State and queries, no actions.

Only ``authx.sessions``, ``authx.issuer`` and ``authx.store`` write them.
"""

from authx.models.clients import ServiceClient
from authx.models.device_sessions import DeviceSession, DeviceSessionQuerySet, uuid7
from authx.models.end_reasons import EndReason
from authx.models.grants import AuthorizationCode, Consent
from authx.models.revocation import NotBeforeMark, RevocationLogEntry, is_marked
from authx.models.session_events import SessionEvent, SessionEventQuerySet
from authx.models.signing_keys import SigningKey
from authx.models.used_tickets import UsedTicket

__all__ = [
    "AuthorizationCode",
    "Consent",
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
