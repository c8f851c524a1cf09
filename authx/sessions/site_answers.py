"""What the site's own code says about a refresh, asked before anything is written for it.

It may fail, for one user alone. Then no answer can be made, and so no token must have been spent for it: else
its failing would count as lost answers, and end the session in an hour.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from authx.core.actor import Actor
from authx.core.risk import Alarm
from authx.core.rotation import Verdict
from authx.models import DeviceSession
from authx.sessions.credentials import TokenGrant, extra_claims
from authx.sessions.risk import new_context


@dataclass(frozen=True, slots=True)
class SiteAnswers:
    """The answers of AUTHX_COUNTRY and AUTHX_CLAIMS, or the error of one of them."""

    #: Alarms by where the refresh comes from, and the new values of the columns that record that.
    alarms: tuple[Alarm, ...] = ()
    context: Mapping[str, Any] = field(default_factory=dict)
    claims: Mapping[str, Any] = field(default_factory=dict)
    #: What a client's access token is good for, where one is asked for.
    granted: TokenGrant | None = None
    error: Exception | None = None


def ask_site(session: DeviceSession, verdict: Verdict, actor: Actor) -> SiteAnswers:
    """Ask about a refresh that ``verdict`` serves; nothing is asked about a refused one."""
    if verdict.issue is None:
        return SiteAnswers()
    try:
        alarms, context = new_context(session, actor)
        return SiteAnswers(tuple(alarms), context, extra_claims(session))
    except Exception as error:
        return SiteAnswers(error=error)
