"""The Django session beside a device session: which one it is bound to, and when it must go."""

from __future__ import annotations

import hmac
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth import SESSION_KEY, get_user
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.utils.module_loading import import_string

from authx.conf import conf
from authx.core.derived import derive_secret
from authx.pages import proofs

#: In a Django session: the sid it is bound to; ``""`` if its login deliberately opened none.
BOUND_KEY = "_authx_session"
#: In a Django session of the second kind: the sid that was live beneath it, such as an impersonator's.
BENEATH_KEY = "_authx_beneath"


def is_present(request: HttpRequest) -> bool:
    """True if somebody is logged in with the Django session that came with this request."""
    session = getattr(request, "session", None)
    return session is not None and SESSION_KEY in session


def key_of(request: HttpRequest) -> str | None:
    """The key of the Django session, good or bad; None without one. Reads nothing."""
    key: str | None = getattr(getattr(request, "session", None), "session_key", None)
    return key


def bound_to(request: HttpRequest) -> str | None:
    """The sid bound to; ``""`` where deliberately none; None where authx has not seen it yet."""
    bound: str | None = request.session.get(BOUND_KEY)
    return bound


def lies_on(request: HttpRequest) -> str | None:
    """The sid that a deliberately unbound login was made under, and ends with; None if under none."""
    beneath: str | None = request.session.get(BENEATH_KEY)
    return beneath


def hangs_on(request: HttpRequest, sid: UUID | None) -> bool:
    """True if the Django login, where there is one, ends with this device session; None: any one.

    One that authx has not seen yet does: left alone, it would be adopted, and the ending undone.
    """
    if not is_present(request):
        return False
    if bound_to(request) == "":
        return lies_on(request) is not None and (sid is None or lies_on(request) == str(sid))
    return sid is None or bound_to(request) in {None, str(sid)}


def belongs_to(request: HttpRequest, user: Any) -> bool:
    """True if the Django session is logged in as ``user``."""
    return bool(request.session.get(SESSION_KEY) == user._meta.pk.value_to_string(user))


def bind(request: HttpRequest, sid: str, *, beneath: str = "") -> None:
    request.session[BOUND_KEY] = sid
    if sid and proofs.SEEN_KEY not in request.session:  # what is proved by then was no login of ours
        proofs.see(request)
    if beneath:
        request.session[BENEATH_KEY] = beneath


def flush(request: HttpRequest) -> None:
    """End the Django login, and forget all that was kept with it."""
    session = getattr(request, "session", None)
    if session is not None and not session.is_empty():
        session.flush()


def own_user(request: HttpRequest) -> Any:
    """The user of the Django session by Django's own rules; anonymous if it has none."""
    return get_user(request) if is_present(request) else AnonymousUser()


def wants_device_session(request: HttpRequest, user: Any) -> bool:
    """What AUTHX_BIND_DJANGO_LOGIN says of this login."""
    wanted = conf.BIND_DJANGO_LOGIN
    if isinstance(wanted, str):
        wanted = import_string(wanted)(request, user)
    return bool(wanted)


def adoption_mark(request: HttpRequest) -> str | None:
    """HMAC-SHA256 hex of the Django session's key; None where its key is no identity.

    With ``signed_cookies`` the key is the content: whoever copied it could be adopted again and again.
    """
    if settings.SESSION_ENGINE.endswith("signed_cookies") or not request.session.session_key:
        return None
    secret = derive_secret(settings.SECRET_KEY, "adoption")
    return hmac.new(secret, request.session.session_key.encode(), "sha256").hexdigest()
