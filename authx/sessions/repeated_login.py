"""A login that is sent twice at once: the second is answered with the session that the first opened (T12).

Which of them is first is decided by a unique column: whoever inserts a row with the same ``login_key`` waits
until the other has been committed or rolled back. A login that is sent once costs nothing more.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial

from django.utils import timezone

from authx.conf import conf
from authx.errors import StoreUnavailable
from authx.models import DeviceSession
from authx.sessions.credentials import Credentials, credentials_for
from authx.sessions.liveness import end_of
from authx.sessions.lookup import Snapshot, find_by_login_key
from authx.store import database


class LoginRepeated(Exception):
    """There is a session with this login's key; the database's own error is the cause."""

    def __init__(self, key: str) -> None:
        super().__init__()
        self.key = key


def open_once(
    write: Callable[[DeviceSession | None], Credentials], *, attempts: int, now: datetime | None
) -> Credentials:
    """Run ``write`` in a transaction, or return credentials of the session that the first login has opened.

    ``write`` opens a session, or raises LoginRepeated. It is given a session whose key it has to free.
    """
    stale: DeviceSession | None = None
    for _ in range(database.MAX_ATTEMPTS):
        try:
            return database.transact(partial(write, stale), attempts=attempts)
        except LoginRepeated as repeated:
            first = database.outside_transactions(partial(find_by_login_key, repeated.key))
            if first is None:  # it was another column
                raise repeated.__cause__ or repeated from None
        stale = first.session
        if _is_answer(first, now):
            return credentials_for(stale, generation=stale.generation, now=now or timezone.now())
    raise StoreUnavailable("too many logins from this browser at once")


def free_key(stale: DeviceSession) -> None:
    """Take its key from a session that is no answer to a login: an ended one, or one of long ago."""
    DeviceSession.objects.using(database.alias()).filter(pk=stale.pk).update(login_key=None)


def _is_answer(first: Snapshot, now: datetime | None) -> bool:
    """Return whether the session is live and was just opened."""
    return was_just_opened(first.session, now or first.now) and end_of(first, now) is None


def was_just_opened(session: DeviceSession, now: datetime) -> bool:
    """Return whether it was opened less than the grace from now, on either side."""
    return abs(now - session.created_at) < conf.REFRESH_GRACE
