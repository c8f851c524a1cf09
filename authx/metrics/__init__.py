"""What authx counts while it runs, each metric declared once; AUTHX_METRICS says who is told.

The docs have them in a table (``docs/watching.md``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from authx import errors
from authx.core.oauth_client import GRANT_TYPES
from authx.core.reasons import EndReason
from authx.core.risk import Alarm
from authx.core.rotation import Transition
from authx.metrics.kinds import Counter, Gauge, Level, Meter
from authx.metrics.metric import OTHER, Metric
from authx.metrics.reporting import begin, is_on

__all__ = ["OTHER", "Counter", "Gauge", "Level", "Meter", "Metric", "begin", "declared", "is_on"]


def _codes(kind: type[errors.AuthxError] = errors.AuthxError) -> Iterator[str]:
    yield kind.code
    for member in kind.__subclasses__():
        yield from _codes(member)


def _set(*values: Iterable[str]) -> frozenset[str]:
    return frozenset(str(value) for some in values for value in some)


_CODES: Final = _set(_codes())
_DOORS: Final = _set(["adoption", "api", "code", "pages"])
#: The words of RFC 6749 §4.1.2.1 and §5.2, RFC 8693 §2.2.2, and OpenID Connect Core §3.1.2.6.
_OAUTH_WORDS: Final = _set(
    ["invalid_request", "invalid_client", "invalid_grant", "invalid_scope", "invalid_target"],
    ["unauthorized_client", "unsupported_grant_type", "unsupported_response_type", "access_denied"],
    ["login_required", "consent_required", "temporarily_unavailable"],
)

LOGINS: Final = Counter(
    "logins",
    "Attempts to sign in, by where and how they ended.",
    {"door": _DOORS, "outcome": _set(["opened", "failed", "limited", "proof_failed"], _CODES)},
)
REFRESHES: Final = Counter(
    "refreshes",
    "Genuine refresh tokens presented, by the transition that was carried out.",
    {"transition": _set(Transition)},
)
RENEWALS: Final = Counter(
    "renewals", "Silent renewals by cookie.", {"outcome": _set(["renewed", "limited", "failed"], _CODES)}
)
REFUSALS: Final = Counter(
    "refusals",
    "Requests that were refused, or could not be judged.",
    {"door": _set(["api", "oauth", "pages", "sockets"]), "code": _CODES | _OAUTH_WORDS},
)
ENDINGS: Final = Counter("endings", "Sessions that have ended.", {"reason": _set(EndReason)})
ALARMS: Final = Counter("alarms", "Alarms raised about a session.", {"alarm": _set(Alarm)})
GRANTS: Final = Counter(
    "grants",
    "Requests to the token endpoint.",
    {"grant": _set(GRANT_TYPES), "outcome": _set(["issued"], _OAUTH_WORDS)},
)
SERVICE_TOKENS: Final = Counter(
    "service_tokens",
    "Tokens that this service has asked an issuer for.",
    {"outcome": _set(["issued", "refused", "unavailable"])},
)
STORE_FAILURES: Final = Counter(
    "store_failures",
    "Questions that a store has not answered.",
    {"store": _set(["cache", "database", "redis", "issuer"])},
)
COPY_READINGS: Final = Counter(
    "copy_readings",
    "Readings of what a process keeps a copy of.",
    {"copy": _set(["client_keys", "endings", "issuer_keys", "keys"]), "outcome": _set(["read", "failed"])},
)
COPY_READ_AT: Final = Gauge(
    "copy_read_timestamp_seconds",
    "When the last reading began that succeeded, in seconds since 1970.",
    {"copy": COPY_READINGS.labels["copy"]},
)
BREAKER_OPEN: Final = Gauge(
    "breaker_open",
    "1 while a breaker keeps calls from a store that has failed, else 0.",
    {"breaker": _set(["issuer_tokens", "redis_reads", "redis_writes"])},
)
SOCKETS_OPENED: Final = Counter("sockets_opened", "WebSockets that were opened.")
SOCKETS_CLOSED: Final = Counter(
    "sockets_closed",
    "WebSockets that were closed, by the code.",
    {
        "code": _set(["1000", "1001", "1005", "1006", "1009", "1011", "1012", "1013"])
        | _set(["4401", "4408", "4409", "4413", "4429"])
    },
)
SOCKETS_OPEN: Final = Level("sockets_open", "WebSockets that are open.")


def declared() -> tuple[Metric, ...]:
    """Return every metric, in the order of the declaration."""
    return tuple(value for value in globals().values() if isinstance(value, Metric))
