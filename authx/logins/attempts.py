"""Attempts to sign in with a password: counted before it is hashed, and recorded if it was wrong."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.contrib.auth import authenticate, user_logged_in, user_login_failed
from django.core.signals import got_request_exception
from django.http import HttpRequest
from django.utils.module_loading import import_string
from django.views.decorators.debug import sensitive_variables

from authx.http.request_state import request_state
from authx.logins.events import record_failure
from authx.logins.limit import LOCKOUT, LoginCount, count_login
from authx.logins.lockout import lockout_wait, note_lockout
from authx.logins.names import find_users, is_guess, names_in
from authx.logins.outcome import (
    Attempt,
    keep_unfinished,
    last_attempt,
    settle,
    settle_when_closed,
    take_last,
)
from authx.models import SessionEvent
from authx.sessions.subjects import find_subject
from authx.store.after_request import after_request

#: Of requests that sign nobody in by what they send (RFC 9110 §9.2.1).
SAFE_METHODS = {"GET", "HEAD", "OPTIONS", "TRACE"}


def connect() -> None:
    """Follow the attempts to sign in, by whatever calls Django's ``authenticate``."""
    user_login_failed.connect(keep_failed)
    user_logged_in.connect(forget_wait)
    got_request_exception.connect(keep_unfinished)
    after_request(settle)


@sensitive_variables("credentials")
def authenticate_within_limit(request: HttpRequest, **credentials: Any) -> Any:
    """Call Django's ``authenticate`` within the limit, also where LoginLimitBackend is not the first backend.

    Returns None if the credentials are wrong, and if it is one try too many: then
    ``request_state(request).login_wait`` is the number of seconds to wait, or -1.
    """
    if wait_unless_first(request, credentials):
        return None
    try:
        user = authenticate(request, **credentials)
    except BaseException:  # perhaps a backend's own way to refuse
        settle(failed=True)
        raise
    if user is not None:
        settle()
    else:
        note_lockout(request, credentials)
    return user


@sensitive_variables("credentials")
def wait_unless_first(request: Any, credentials: Mapping[str, Any]) -> int:
    """Call ``begin`` for a login through authx; return 0 if LoginLimitBackend is first and will count it."""
    if _limits_first(tuple(settings.AUTHENTICATION_BACKENDS)):
        return 0
    wait = begin(request, credentials, by_door=True)
    if wait:
        settle()  # no backend is called, so no signal will report a failure
    return wait


@sensitive_variables("credentials")
def begin(request: Any, credentials: Mapping[str, Any], *, by_door: bool = False) -> int:
    """Count an attempt that is about to be made; return the wait if it must not be, in seconds or -1, else 0.

    They are kept in the request's state too. ``request`` may be None, or DRF's. Credentials with nothing that
    can be guessed, such as a password, are not counted.
    """
    if not is_guess(credentials):
        return 0
    names = names_in(credentials)
    if _is_counted(names):
        return 0
    settle()
    request = _plain(request)
    subjects = [_subject(user) for user in find_users(names)]
    if request is not None and (wait := lockout_wait(request, credentials)):
        counted = LoginCount(wait=wait, limit=LOCKOUT)
    else:
        counted = count_login(request, names=names.values(), subjects=subjects)
    attempt = Attempt(counted, names, next(filter(None, subjects), None), by_door)
    last_attempt.set(attempt)
    if wait := counted.wait:
        attempt.settle()  # which gives nothing back: a try that has to wait is not counted
        if request is not None:
            state = request_state(request)
            state.login_wait, state.is_locked_out = wait, counted.limit == LOCKOUT
        record_failure(SessionEvent.Kind.LOGIN_LIMITED, request, attempt.subject, outcome=counted.limit)
    elif request is not None:
        settle_when_closed(request, attempt)
    return wait


@sensitive_variables("credentials")
def keep_failed(sender: Any, credentials: Any, request: Any = None, **kwargs: Any) -> None:
    """Let a failed attempt count, and record it; also one that was not counted."""
    request = _plain(request)
    proof_of = request_state(request).proof_of if request is not None else None
    if proof_of is None and _is_no_attempt(request, credentials):
        return
    names = names_in(credentials)
    attempt = take_last() if is_guess(credentials) else None
    if attempt is not None and attempt.names != names:
        attempt.settle()  # an earlier one, of another account; this one was never counted
        attempt = None
    if attempt is None:
        subject = next(filter(None, map(_subject, find_users(names))), None)
    elif attempt.counted.wait:
        return  # recorded when it was refused
    else:
        attempt.settle(failed=True)
        subject = attempt.subject
    kind = SessionEvent.Kind.LOGIN_FAILED if proof_of is None else SessionEvent.Kind.PROOF_FAILED
    record_failure(kind, request, subject, session=proof_of)


@sensitive_variables("credentials")
def _is_no_attempt(request: HttpRequest | None, credentials: Mapping[str, Any]) -> bool:
    """Return whether nothing was presented: a page has asked the backends who its visitor is.

    A backend may read the request itself, as for a passkey; those who sign in so send a form.
    """
    is_page = request is None or request.method in SAFE_METHODS
    return is_page and all(value is None for value in credentials.values())


def forget_wait(sender: Any, request: Any = None, **kwargs: Any) -> None:
    """Reset the wait: somebody has been signed in after all, so the response is not to a failed attempt."""
    settle()
    request = _plain(request)
    if request is not None:
        state = request_state(request)
        state.login_wait, state.is_locked_out = 0, False


def _is_counted(names: dict[str, str]) -> bool:
    """Return True once, in the backend, for an attempt that authx began before calling any backend."""
    attempt = last_attempt.get()
    if attempt is None or not attempt.by_door or attempt.is_settled or attempt.names != names:
        return False
    attempt.by_door = False
    return True


def _subject(user: Any) -> str | None:
    return None if user is None else find_subject(user)


def _plain(request: Any) -> HttpRequest | None:
    """Return Django's request, also from DRF's; None for anything else."""
    request = getattr(request, "_request", request)
    return request if isinstance(request, HttpRequest) else None


@lru_cache(maxsize=8)
def _limits_first(paths: tuple[str, ...]) -> bool:
    return bool(paths) and getattr(import_string(paths[0]), "limits_logins", False)
