"""The Django session of a browser: which device session it is bound to, whose it is, and when it must end.

It is bound whether or not it holds a Django login: after a login through the API it only holds data of that
user, and must not outlast that user's session either.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.http import HttpRequest
from django.utils.crypto import constant_time_compare

from authx.core.user_model import session_auth_hash
from authx.http.proof_notes import SEEN_KEY, see_if_first
from authx.http.request_state import request_state
from authx.http.session_deletions import ending_nothing
from authx.http.session_key import key_of, renew_key, stored_key
from authx.http.shown_login import holds_more, show, show_values, written

#: In a Django session: the sid it is bound to; ``""`` if its login deliberately opened none.
BOUND_KEY = "_authx_session"
#: In a Django session whose login opened none: the sid that it was made under, such as an impersonator's.
BENEATH_KEY = "_authx_beneath"
#: In a Django session: the sid of a login that no cookies came with, as in tests; spent with the binding.
FORCED_KEY = "_authx_forced"
#: The keys of a Django login.
LOGIN_KEYS = SESSION_KEY, BACKEND_SESSION_KEY, HASH_SESSION_KEY
#: The keys of authx.
OUR_KEYS = BOUND_KEY, BENEATH_KEY, FORCED_KEY, SEEN_KEY

#: The ``stored_key`` of each Django session that this process has marked so; None stands for all without one,
#: but not for requests that have no Django session.
_forced_keys: set[str | None] = set()


def is_present(request: HttpRequest) -> bool:
    """Return whether somebody is logged in with the Django session of this request."""
    session = getattr(request, "session", None)
    return session is not None and written(session, SESSION_KEY) is not None


def is_used(request: HttpRequest) -> bool:
    """Return whether there is a Django session, which may hold data."""
    session = getattr(request, "session", None)
    if session is None or session.is_empty():
        return False
    more = holds_more(session)  # loads it: an unknown key is dropped
    return more or key_of(request) is not None


def bound_to(request: HttpRequest) -> str | None:
    """Return the sid bound to; ``""`` where deliberately none; None where authx has not seen it yet."""
    session = getattr(request, "session", None)
    bound: str | None = None if session is None else written(session, BOUND_KEY)
    return bound


def beneath_sid(request: HttpRequest) -> str | None:
    """Return the sid that a deliberately unbound login was made under and ends with; None if under none."""
    beneath: str | None = request.session.get(BENEATH_KEY)
    return beneath


def owner(request: HttpRequest) -> str | None:
    """Return the sid that all its data belongs to, bound to or made under; None where there is none."""
    return bound_to(request) or (beneath_sid(request) if bound_to(request) == "" else None)


def ends_with(request: HttpRequest, sid: UUID | None) -> bool:
    """Return whether the Django session, if there is one, ends with device session ``sid``; None: any one.

    A login that authx has not seen yet does: left alone, it would be adopted, which would undo the ending.
    The data of an unbound session without a login belongs to no user.
    """
    found = owner(request)
    if found is None:
        return is_present(request) and bound_to(request) is None
    return sid is None or found == str(sid)


def belongs_to(request: HttpRequest, user: Any) -> bool:
    """Return whether the Django session is logged in as ``user``."""
    return bool(request.session.get(SESSION_KEY) == user._meta.pk.value_to_string(user))


def backend_path(request: HttpRequest) -> str | None:
    """Return the path of the backend that its Django login was made with; None where it names none."""
    path: str | None = request.session.get(BACKEND_SESSION_KEY)
    return path


def bind(request: HttpRequest, sid: str, *, beneath: str = "") -> None:
    """Bind it to device session ``sid``; with ``""`` to none, as a login made under session ``beneath``."""
    request.session[BOUND_KEY] = sid
    for key in (BENEATH_KEY, FORCED_KEY):
        request.session.pop(key, None)
    if (stored := stored_key(request)) is not None:
        _forced_keys.discard(stored)
    if sid:
        see_if_first(request)
    if beneath:
        request.session[BENEATH_KEY] = beneath


def bind_forced(request: HttpRequest, sid: str) -> None:
    """Bind a login that no request of a browser made, and mark it: it wins over what a client holds."""
    bind(request, sid)
    request.session[FORCED_KEY] = sid
    if request.session.session_key is None:
        request.session.create()
    _forced_keys.add(stored_key(request))


def is_forced(request: HttpRequest) -> bool:
    """Return whether its login is marked so, and has brought no cookies yet."""
    session = getattr(request, "session", None)
    sid = None if session is None else session.get(FORCED_KEY)
    return bool(sid) and sid == bound_to(request)


def is_forced_here(request: HttpRequest) -> bool:
    """Return whether this process has marked it so, without loading it: a test runs in the site's process."""
    return bool(_forced_keys) and bool(key_of(request)) and stored_key(request) in _forced_keys


def unbind(request: HttpRequest) -> None:
    """Forget what it is bound to: its login is one that authx has not seen yet."""
    for key in OUR_KEYS:
        request.session.pop(key, None)


def claim(request: HttpRequest, user: Any, sid: str, *, persistent: bool) -> None:
    """Bind a Django session that belongs to nobody, and holds no login, to a device session of ``user``.

    It gets a new key, as the old one may have been planted. One of another session or user is flushed.
    """
    if not is_used(request):
        return
    if owner(request) not in {None, sid} or (is_present(request) and not belongs_to(request, user)):
        if beneath_sid(request) != sid:  # an impersonation
            flush(request)
    elif bound_to(request) is None and not is_present(request):
        if key_of(request) is not None:
            renew_key(request)
        bind(request, sid)
        last_as_long(request, persistent)


def hand_on(request: HttpRequest, before: str, after: str) -> None:
    """Give what is bound to session ``before``, or made under it, to ``after``, which continues it.

    Its key should be new by then, as after Django's own ``update_session_auth_hash``: a copy of the old one
    ends with the old session's tokens.
    """
    if is_used(request) and owner(request) == before:
        request.session[BOUND_KEY if bound_to(request) == before else BENEATH_KEY] = after


def leave_no_other(request: HttpRequest, user: Any, sid: str) -> bool:
    """Flush it if it is not that of device session ``sid`` or is another user's; bind a login not seen yet.

    Return whether it holds a login without a session of its own, made under this one: that login counts.
    """
    bound, has_login = bound_to(request), is_present(request)
    if has_login and beneath_sid(request) == sid:
        return True
    if bound not in {None, sid} or (has_login and not belongs_to(request, user)):
        flush(request)
    elif has_login and bound is None:
        bind(request, sid)
    return False


def show_binding(request: HttpRequest, sid: str) -> None:
    """Show that it is bound to ``sid``, and no login yet: until ``show_login``, or the response."""
    session = getattr(request, "session", None)
    if session is not None:
        request_state(request).shows_login = True
        show_values(session, **{BOUND_KEY: sid})


def show_login(request: HttpRequest, user: Any, sid: str, backend: str) -> None:
    """Show a login of ``user``, bound to device session ``sid``, until the response is made."""
    session = getattr(request, "session", None)
    if session is not None:
        key, auth_hash = user._meta.pk.value_to_string(user), session_auth_hash(user)
        request_state(request).shows_login = True
        show(session, key=key, backend=backend, auth_hash=auth_hash, **{BOUND_KEY: sid})


def last_as_long(request: HttpRequest, persistent: bool) -> None:
    """Let a Django login outlive the browser if our cookies do, and no Django session if they do not."""
    if not persistent:
        request.session.set_expiry(0)
    elif is_present(request) and request.session.get_expire_at_browser_close():
        request.session.set_expiry(settings.SESSION_COOKIE_AGE)


def is_other_login(request: HttpRequest, user: Any) -> bool:
    """Return whether another user is logged in with it, or this user under another password."""
    if not is_present(request):
        return False
    auth_hash = request.session.get(HASH_SESSION_KEY, "")
    is_same = belongs_to(request, user) and constant_time_compare(auth_hash, session_auth_hash(user))
    return not is_same


def flush(request: HttpRequest) -> None:
    """End the Django login, and delete all the data of its session; that alone ends no device session."""
    session = getattr(request, "session", None)
    if session is not None and not session.is_empty():
        with ending_nothing():
            session.flush()


def flush_ended(request: HttpRequest, sid: UUID | None) -> None:
    """Flush the Django session if it ends with device session ``sid``, as ``ends_with`` says."""
    if ends_with(request, sid):
        flush(request)


def flush_with(request: HttpRequest, sid: UUID | None) -> None:
    """Flush the Django session only if it belongs to device session ``sid``, which has ended; None: never."""
    if sid is not None and owner(request) == str(sid):
        flush(request)
