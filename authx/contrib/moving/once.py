"""A credential of another package becomes one session, once: one INSERT with a unique column decides.

Its mark is kept with the session, in the column that keeps a Django session from being adopted twice.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final, TypeGuard

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from authx.conf import conf
from authx.contrib.moving.endings import ended_since
from authx.core.auth_time import AUTH_TIME_UNKNOWN
from authx.core.reasons import EndReason
from authx.core.refresh_token import BRANCH_BITS
from authx.errors import LoginRefused, RefreshMalformed, RefreshReused, SessionEnded
from authx.http.actor import actor_of
from authx.models import DeviceSession
from authx.sessions import Credentials, Device, end_session, open_session, refresh_session
from authx.sessions.credentials import credentials_for
from authx.sessions.liveness import end_of
from authx.sessions.lookup import Snapshot, find_adopted
from authx.store import database

_APP: Final = "authx.contrib.moving"
#: Visible ASCII, of which no token of any package is longer.
_TOKEN: Final = re.compile(r"[\x21-\x7e]{1,1024}")


@dataclass(frozen=True, slots=True, kw_only=True)
class OldCredential:
    """A genuine credential of another package."""

    #: By what it is known again: ``mark_of``.
    mark: str
    #: Returns its user, or raises SessionEnded or RefreshMalformed where it is no longer good.
    admit: Callable[[], Any]
    #: Takes it back, in the transaction that opens the session.
    spend: Callable[[], Any] = lambda: None
    #: The authentication backend that goes on deciding about the user; ``""`` if none does.
    backend: str = ""


@sensitive_variables()
def mark_of(kind: str, *parts: Any) -> str:
    """Return SHA-256 hex, 64 characters, of what names a credential among those of its kind.

    Without a key, so that SECRET_KEY may change during the move; what it is made of cannot be guessed.
    """
    text = json.dumps(["moved", kind, *parts], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


@sensitive_variables()
def may_be_token(text: object) -> TypeGuard[str]:
    """Return whether a text can be an opaque token of some package; nobody is asked about any other."""
    return isinstance(text, str) and _TOKEN.fullmatch(text) is not None


def is_over(now: datetime | None = None) -> bool:
    """Return whether AUTHX_MOVING_UNTIL has passed.

    Raises:
        ImproperlyConfigured: it is not set, or the app is not installed.
    """
    if not apps.is_installed(_APP) or conf.MOVING_UNTIL is None:
        raise ImproperlyConfigured(f"{_APP} has to be in INSTALLED_APPS, and AUTHX_MOVING_UNTIL to be set.")
    return (now or timezone.now()) >= conf.MOVING_UNTIL


def demand_unended(user: Any, issued_at: datetime) -> None:
    """Demand that nothing has ended the user's old credentials since.

    Raises:
        SessionEnded: something has; ``reason`` says what.
        StoreUnavailable: it cannot be known.
    """
    if reason := ended_since(user, issued_at):
        raise SessionEnded(reason)


@sensitive_variables()
def move(
    old: OldCredential,
    request: Any,
    device: Device | None = None,
    *,
    until_used: bool = False,
    reusable: bool = False,
    now: datetime | None = None,
) -> Credentials:
    """Open the one session that ``old`` becomes, or return new tokens of it within AUTHX_REFRESH_GRACE.

    Later, ``old`` is a spent token that comes back: it ends the session that it has become. With
    ``until_used``, not while no token of that session has come back: then its answer was lost. With
    ``reusable`` it refreshes that session as often as it comes, for a client that keeps it; nobody else may
    be given a refresh token then.

    Raises:
        RefreshReused: it was spent before; its session has just been ended.
        SessionEnded: it is no longer good, or its session is over; ``reason`` says why.
        SessionLimitReached: a limit refuses a session; nothing is spent.
        LoginRefused: the user cannot have a session; nothing is spent.
        ImproperlyConfigured: as ``is_over``.
        StoreUnavailable: the database cannot be read or written; nothing is spent.
    """
    if is_over(now):
        raise SessionEnded(EndReason.EXPIRED.value)
    again = partial(_refreshed if reusable else _again, old, request=request, until_used=until_used, now=now)
    if (found := _find(old.mark)) is not None:
        return again(found)
    try:
        user = old.admit()
        return database.transact(partial(_open, old, user, request, device, now))
    except (LoginRefused, RefreshMalformed, SessionEnded):
        found = _find(old.mark)  # another was first, and may have taken the credential away with it
        if found is None:
            raise
        return again(found)


def moved_session(mark: str) -> Snapshot | None:
    """Return the session, live or ended, that the credential with this mark has become; None if none yet."""
    return _find(mark)


def _find(mark: str) -> Snapshot | None:
    return database.outside_transactions(partial(find_adopted, mark))


@sensitive_variables()
def _open(
    old: OldCredential, user: Any, request: Any, device: Device | None, now: datetime | None
) -> Credentials:
    credentials = open_session(
        user,
        request,
        device,
        amr=(),
        auth_time=AUTH_TIME_UNKNOWN,  # the credential may have been refreshed any number of times
        backend=old.backend,
        adopted_from=old.mark,
        now=now,
    )
    old.admit()  # again: what ended it meanwhile, and before this session, does not end this session
    old.spend()
    return credentials


@sensitive_variables()
def _again(
    old: OldCredential, found: Snapshot, *, request: Any, until_used: bool, now: datetime | None
) -> Credentials:
    """Return new tokens of the session that ``old`` has become, or end it."""
    session = _live(found, now)
    is_soon = abs((now or found.now) - session.created_at) < conf.REFRESH_GRACE
    if is_soon or (until_used and not session.confirmed_generation):
        return credentials_for(session, generation=session.generation, now=now or timezone.now())
    end_session(session, EndReason.REUSED, by=actor_of(request, session.user), now=now)
    raise RefreshReused("it was exchanged before; its session has been ended", sid=session.pk)


@sensitive_variables()
def _refreshed(
    old: OldCredential, found: Snapshot, *, request: Any, until_used: bool, now: datetime | None
) -> Credentials:
    """Refresh the session that ``old`` has become, as the client would that holds its newest token.

    On one branch, which is that of ``old``: tabs that come at once are one holder.
    """
    session = _live(found, now)
    branch = int(old.mark[: BRANCH_BITS // 4], 16)
    held = credentials_for(session, generation=session.generation, now=now or timezone.now(), kept=branch)
    return refresh_session(held.refresh_token, request, now=now)


def _live(found: Snapshot, now: datetime | None) -> DeviceSession:
    session = found.session
    if reason := end_of(found, now):
        raise SessionEnded(
            reason, sid=session.pk, replaced_by=session.replaced_by, answers_lost=session.answers_lost
        )
    return session
