"""A login that is sent twice, as by a double click: how the second request is known for the same login.

A second request whose CSRF token is used up is another matter: nobody is signed in by it. One that comes
with the cookies of the first one's answer is told where the first has led (``has_opened``). Where the token
is in the Django session, which the first has replaced, one that comes without them is refused, too, and led
back to the form (``has_opened_here``).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from django.contrib.auth.forms import UsernameField
from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from authx.core.account_name import MAX_NAME_LENGTH
from authx.core.device_cookie import write_device
from authx.http.device_cookie import presented_device
from authx.logins.choosing import user_of_proof
from authx.logins.names import find_users, names_in
from authx.models import DeviceSession
from authx.sessions.repeated_login import was_just_opened
from authx.store import database
from authx.store.database import DatabaseNow


def login_key(
    request: HttpRequest,
    user: Any,
    *,
    amr: Sequence[str],
    persistent: bool,
    came_with: DeviceSession | None,
) -> str | None:
    """Return SHA-256 hex of a login by cookie, the same for each request of one double click; else None.

    None where no device cookie of ours came: nothing that somebody can make up says that two logins are one.
    Each login sets the device cookie anew, so its text is that of no later login, but of a browser which has
    not received the answer. ``came_with`` is the session whose cookies, or Django session, were sent.
    """
    device = presented_device(request)
    if device is None:
        return None
    earlier = "" if came_with is None else str(came_with.pk)
    parts = [write_device(device), str(user.pk), earlier, list(amr), persistent]
    return sha256(json.dumps(parts).encode()).hexdigest()


@sensitive_variables("proof")
def has_opened(session: DeviceSession, *, name: str, proof: str) -> bool:
    """Return whether a login of the user whom a form names has just opened this live session, as it seems.

    ``name`` is what was typed, ``proof`` that of a full limit, which names its user itself. The password is
    not tried: a request without a good CSRF token must not find out whether one is right.

    Raises:
        StoreUnavailable: the database cannot be asked.
    """
    with database.store_errors():
        if not was_just_opened(session, database.database_now()):
            return False
        return session.user_id in _named(name, proof)


@sensitive_variables("proof")
def has_opened_here(request: HttpRequest, *, name: str, proof: str) -> bool:
    """Return whether a login of the user whom a form names has just opened a live session in this browser.

    The browser is known by its own device cookie; the form is as in ``has_opened``, and raises as there.
    """
    device = presented_device(request)
    if device is None:
        return False
    with database.store_errors():
        sessions = DeviceSession.objects.using(database.alias()).first_party().live(DatabaseNow())
        here = sessions.filter(device_id=device.id, user__in=_named(name, proof)).order_by("-created_at")
        newest = here.first()
        return newest is not None and was_just_opened(newest, database.database_now())


def _named(name: str, proof: str) -> set[Any]:
    """Return the keys of the users whom a form may mean."""
    typed = str(UsernameField(max_length=MAX_NAME_LENGTH).to_python(name))
    users = [user_of_proof(proof)] if proof else find_users(names_in({"username": typed}))
    return {user.pk for user in users if user is not None}
