"""Another package's list of Django sessions beside ours: what ends here leaves that list at once.

The other way needs nothing: the deletion of a Django session ends the device session bound to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from authx import signals
from authx.contrib.moving import endings
from authx.http.request_state import request_state
from authx.http.session_deletions import ending_nothing
from authx.http.session_key import key_of
from authx.models import DeviceSession
from authx.sessions.django_sessions import is_marked_with
from authx.store import database
from authx.store.after_transaction import request_under_way

#: Returns the rows of the user with this key in that list, or of everybody for None.
Rows = Callable[[Any], Iterable[Any]]
#: Ends one of them as that package does.
End = Callable[[Any], Any]


def follow(name: str, rows: Rows, end: End) -> None:
    """End the rows whose device session ends here, and with all of a user's sessions those of no device.

    ``name`` is the package's, and it is followed once.
    """

    def leave(sender: Any, session: DeviceSession, **kwargs: Any) -> None:
        if session.django_session is None or session.user_id is None or _is_bound(session):
            return
        for row in rows(session.user_id):
            if is_marked_with(session, row.session_key):
                _end(row, end)

    def leave_all(user: Any) -> None:
        for row in rows(None if user is None else user.pk):
            if not _is_known(row):
                _end(row, end)

    # Not weak: nothing else holds these functions.
    signals.device_session_ended.connect(leave, weak=False, dispatch_uid=f"authx.moving.{name}")
    endings.follow(name, lambda user: database.after_commit(lambda: leave_all(user)), marks_alone=True)


def _is_bound(ended: DeviceSession) -> bool:
    """Return whether a session that lives on, such as one that continues it, is bound to the same one."""
    live = DeviceSession.objects.using(database.alias()).live()
    return live.filter(django_session=ended.django_session).exists()


def _is_known(row: Any) -> bool:
    """Return whether a device session is bound to it, whose own end is enough."""
    sessions = DeviceSession.objects.using(database.alias()).filter(user=row.user_id)
    bound = sessions.exclude(django_session=None).only("django_session")
    return any(is_marked_with(session, row.session_key) for session in bound)


def _end(row: Any, end: End) -> None:
    """End it, unless it is the one of the request under way, which ends it by itself."""
    request = request_under_way()
    own = set() if request is None else {*request_state(request).django_keys, key_of(request)}
    if row.session_key not in own:
        with ending_nothing():
            end(row)
