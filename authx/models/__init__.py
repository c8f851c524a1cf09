"""Models: device sessions and what happened to them, clients, grants, keys. State and queries, no actions.

Only ``authx.sessions``, ``authx.issuer`` and ``authx.store`` write them.
"""

from authx.models.clients import ServiceClient
from authx.models.device_session_queries import DeviceSessionQuerySet
from authx.models.device_sessions import DeviceSession
from authx.models.end_reasons import EndReason
from authx.models.grants import AuthorizationCode, Consent
from authx.models.hour_totals import HourTotals
from authx.models.ids import uuid7
from authx.models.revocation import NotBeforeMark, RevocationLogEntry, is_marked
from authx.models.sent_notices import SentNotice
from authx.models.session_events import SessionEvent, SessionEventQuerySet
from authx.models.signing_keys import SigningKey
from authx.models.used_tickets import UsedTicket

__all__ = [
    "AuthorizationCode",
    "Consent",
    "DeviceSession",
    "DeviceSessionQuerySet",
    "EndReason",
    "HourTotals",
    "NotBeforeMark",
    "RevocationLogEntry",
    "SentNotice",
    "ServiceClient",
    "SessionEvent",
    "SessionEventQuerySet",
    "SigningKey",
    "UsedTicket",
    "is_marked",
    "uuid7",
]
