"""The Django session of a browser: which device session it is bound to, whose it is, and when it must go.

It is bound whether or not Django has somebody logged in with it: after a login through the API it only keeps
what its user put away, and must not outlast that user either.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.http import HttpRequest
from django.utils.crypto import constant_time_compare

from authx.http.proof_notes import SEEN_KEY, see_if_first

#: In a Django session: the sid it is bound to; ``""`` if its login deliberately opened none.
BOUND_KEY = "_authx_session"
#: In a Django session of the second kind: the sid that was live beneath it, such as an impersonator's.
BENEATH_KEY = "_authx_beneath"
#: What a Django login is made of.
LOGIN_KEYS = SESSION_KEY, BACKEND_SESSION_KEY, HASH_SESSION_KEY


def is_present(request: HttpRequest) -> bool:
    """True if somebody is logged in with the Django session that came with this request."""
    session = getattr(request, "session", None)
    return session is not None and SESSION_KEY in session


def is_used(request: HttpRequest) -> bool:
    """True if there is a Django session, in which something may be kept."""
    session = getattr(request, "session", None)
    if session is None or session.is_empty():
        return False
    session.get(SESSION_KEY)  # reads it: a key that nobody knows is none
    return not session.is_empty()


def key_of(request: HttpRequest) -> str | None:
    """The key of the Django session, good or bad; None without one. Reads nothing."""
    key: str | None = getattr(getattr(request, "session", None), "session_key", None)
    return key


def bound_to(request: HttpRequest) -> str | None:
    """The sid bound to; ``""`` where deliberately none; None where authx has not seen it yet."""
    session = getattr(request, "session", None)
    bound: str | None = None if session is None else session.get(BOUND_KEY)
    return bound


def lies_on(request: HttpRequest) -> str | None:
    """The sid that a deliberately unbound login was made under, and ends with; None if under none."""
    beneath: str | None = request.session.get(BENEATH_KEY)
    return beneath


def owner(request: HttpRequest) -> str | None:
    """The sid that all in it belongs to: bound to, or beneath; None where it names none."""
    return bound_to(request) or (lies_on(request) if bound_to(request) == "" else None)


def hangs_on(request: HttpRequest, sid: UUID | None) -> bool:
    """True if the Django session, where there is one, ends with this device session; None: any one.

    A login that authx has not seen yet does: left alone, it would be adopted, and the ending undone. What an
    unbound session without a login keeps was put there by nobody.
    """
    found = owner(request)
    if found is None:
        return is_present(request) and bound_to(request) is None
    return sid is None or found == str(sid)


def belongs_to(request: HttpRequest, user: Any) -> bool:
    """True if the Django session is logged in as ``user``."""
    return bool(request.session.get(SESSION_KEY) == user._meta.pk.value_to_string(user))


def bind(request: HttpRequest, sid: str, *, beneath: str = "") -> None:
    request.session[BOUND_KEY] = sid
    request.session.pop(BENEATH_KEY, None)
    if sid:
        see_if_first(request)
    if beneath:
        request.session[BENEATH_KEY] = beneath


def claim(request: HttpRequest, user: Any, sid: str, *, persistent: bool) -> None:
    """Let what is kept so far by nobody, and by no Django login, be kept for a device session of ``user``.

    Under a new key, for it may have been planted. What belongs to another session or user is flushed.
    """
    if not is_used(request):
        return
    if owner(request) not in {None, sid} or (is_present(request) and not belongs_to(request, user)):
        if lies_on(request) != sid:  # an impersonation
            flush(request)
    elif bound_to(request) is None and not is_present(request):
        if key_of(request) is not None:
            request.session.cycle_key()
        bind(request, sid)
        last_as_long(request, persistent)


def last_as_long(request: HttpRequest, persistent: bool) -> None:
    """Let a Django login outlive the browser if our cookies do, and nothing at all if they do not."""
    if not persistent:
        request.session.set_expiry(0)
    elif is_present(request) and request.session.get_expire_at_browser_close():
        request.session.set_expiry(settings.SESSION_COOKIE_AGE)


def take_over(request: HttpRequest, user: Any, sid: str, *, is_anothers: bool, persistent: bool) -> None:
    """Do what Django's own ``login`` does, for a login that is none of Django's: the user has ``sid`` now.

    Another user's Django session is flushed, and so is one of this user under another password. What nobody
    or this user keeps stays, under a new key: whoever planted the old one reads nothing by it.
    """
    if is_anothers or (is_present(request) and not _is_login_of(request, user)):
        flush(request)
        return
    request.session.cycle_key()
    bind(request, sid)
    last_as_long(request, persistent)


def _is_login_of(request: HttpRequest, user: Any) -> bool:
    auth_hash = request.session.get(HASH_SESSION_KEY, "")
    return belongs_to(request, user) and constant_time_compare(auth_hash, user.get_session_auth_hash())


def keep_login_alone(request: HttpRequest) -> None:
    """Forget all but the Django login that was just made, as Django does where it finds another one.

    What other apps have put beside it since, at that very signal, is the newcomer's: django-otp notes there
    which device was proved. Django has stored the rest under a new key just before, or flushed it.
    """
    session = request.session
    before = type(session)(session.session_key).load() if session.session_key else {}
    since = {key: value for key, value in session.items() if key in LOGIN_KEYS or _is_new(key, value, before)}
    session.flush()
    session.update(since)


def _is_new(key: str, value: Any, before: Mapping[str, Any]) -> bool:
    """True if it is certain: an object of a site's own serializer is equal to no other, itself read twice."""
    return key not in before or (isinstance(value, str | int) and value != before[key])


def keeps_more(request: HttpRequest) -> bool:
    """True if there is more in it than a Django login: something to be kept from others."""
    return bool(set(request.session.keys()) - {*LOGIN_KEYS, BOUND_KEY, BENEATH_KEY, SEEN_KEY})


def flush(request: HttpRequest) -> None:
    """End the Django login, and forget all that was kept with it."""
    session = getattr(request, "session", None)
    if session is not None and not session.is_empty():
        session.flush()


def flush_with(request: HttpRequest, sid: UUID | None) -> None:
    """Flush what belongs to this device session, which has ended, and nothing else; None: nothing."""
    if sid is not None and owner(request) == str(sid):
        flush(request)
