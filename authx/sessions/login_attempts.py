"""Attempts to sign in with a password: counted before it is hashed, and given back if it was right.

Django says when an attempt has failed, and not when it was good. So one that has not failed is given back
when somebody is signed in, when its request ends, or when the next one begins, whichever comes first.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.contrib.auth import authenticate, get_user_model, user_logged_in, user_login_failed
from django.core.exceptions import MultipleObjectsReturned, ObjectDoesNotExist
from django.core.signals import request_finished
from django.http import HttpRequest
from django.utils.module_loading import import_string
from django.views.decorators.debug import sensitive_variables

from authx.core.account_name import MAX_NAME
from authx.http.login_limit import LoginCount, count_login
from authx.http.notes import notes
from authx.models import SessionEvent
from authx.sessions.login_events import record_failure
from authx.sessions.subjects import find_subject


@dataclass(slots=True)
class _Attempt:
    counted: LoginCount
    subject: str | None
    is_settled: bool = False

    def settle(self, *, failed: bool) -> None:
        if not self.is_settled and not failed:
            self.counted.give_back()
        self.is_settled = True


#: The last attempt of this thread or task.
_last: ContextVar[_Attempt | None] = ContextVar("authx_last_login_attempt", default=None)


def connect() -> None:
    user_login_failed.connect(keep_failed, dispatch_uid="authx.sessions.login_attempts.failed")
    user_logged_in.connect(forget_wait, dispatch_uid="authx.sessions.login_attempts.logged_in")
    request_finished.connect(settle, dispatch_uid="authx.sessions.login_attempts.finished")


@sensitive_variables("credentials")
def authenticate_within_limit(request: HttpRequest, **credentials: Any) -> Any:
    """Django's ``authenticate``, within the limit also where LoginLimitBackend is not listed.

    Returns None where the credentials are wrong, and where it is one try too many: then
    ``notes(request).login_wait`` says how long to wait.
    """
    if wait_unless_listed(request, credentials):
        return None
    user = authenticate(request, **credentials)
    if user is not None:
        settle()
    return user


@sensitive_variables("credentials")
def wait_unless_listed(request: Any, credentials: Mapping[str, Any]) -> int:
    """As ``begin``, for doors of ours; 0 where LoginLimitBackend sees to it."""
    if _is_listed(tuple(settings.AUTHENTICATION_BACKENDS)):
        return 0
    wait = begin(request, credentials)
    if wait:
        settle()  # no backend is asked, so nothing will say that it failed
    return wait


@sensitive_variables("credentials")
def begin(request: Any, credentials: Mapping[str, Any]) -> int:
    """Count an attempt that is about to be made; the seconds to wait if it must not be, else 0.

    The request notes them too. ``request`` may be None, or DRF's. Credentials without a password are
    nobody's guess, and are not counted.
    """
    settle()
    if credentials.get("password") is None:
        return 0
    request = _plain(request)
    name, user = _account(credentials)
    subject = None if user is None else find_subject(user)
    attempt = _Attempt(count_login(request, name=name, subject=subject), subject)
    _last.set(attempt)
    if wait := attempt.counted.wait:
        attempt.settle(failed=True)
        if request is not None:
            notes(request).login_wait = wait
        record_failure(SessionEvent.Kind.LOGIN_LIMITED, request, subject, outcome=attempt.counted.limit)
    return wait


def settle(**kwargs: Any) -> None:
    """Give back the last attempt of this thread or task, if nothing has said that it failed."""
    attempt = _last.get()
    if attempt is not None:
        attempt.settle(failed=False)
        _last.set(None)


def keep_failed(sender: Any, credentials: Any, request: Any = None, **kwargs: Any) -> None:
    """Let a failed attempt count, and write it down; also one that nobody has counted."""
    request, attempt = _plain(request), _last.get()
    _last.set(None)
    if attempt is None:
        user = _account(credentials)[1]
        subject = None if user is None else find_subject(user)
    elif attempt.counted.wait:
        return  # written down when it was refused
    else:
        attempt.settle(failed=True)
        subject = attempt.subject
    session = notes(request).proof_of if request is not None else None
    kind = SessionEvent.Kind.LOGIN_FAILED if session is None else SessionEvent.Kind.PROOF_FAILED
    record_failure(kind, request, subject, session=session)


def forget_wait(sender: Any, request: Any = None, **kwargs: Any) -> None:
    """Somebody has been signed in after all, so the answer is none to a failed attempt."""
    settle()
    request = _plain(request)
    if request is not None:
        notes(request).login_wait = 0


def _plain(request: Any) -> HttpRequest | None:
    """Django's request of DRF's; None of anything else."""
    request = getattr(request, "_request", request)
    return request if isinstance(request, HttpRequest) else None


@sensitive_variables("credentials")
def _account(credentials: Mapping[str, Any]) -> tuple[str, Any]:
    """The name that is tried, ``""`` if there is none, and the user whom it finds, or None."""
    model = get_user_model()
    for field in (model.USERNAME_FIELD, "username", "email", "login"):
        value = credentials.get(field)
        if value is None or value == "":
            continue
        name = str(value)
        if not _is_storable(name):
            return name, None
        email_field = model.get_email_field_name()
        by_email = field == "email" and field != model.USERNAME_FIELD and email_field
        return name, _by_email(model, email_field, name) if by_email else _by_name(model, name)
    return "", None


def _is_storable(name: str) -> bool:
    """False for what no database can be asked for, and for more than any form lets through."""
    return len(name) <= 4 * MAX_NAME and "\0" not in name and name == name.encode(errors="ignore").decode()


def _by_name(model: Any, name: str) -> Any:
    """As Django's own backend finds them."""
    try:
        return model._default_manager.get_by_natural_key(name)
    except (ObjectDoesNotExist, MultipleObjectsReturned, ValueError):
        return None


def _by_email(model: Any, field: str, address: str) -> Any:
    """Where a site signs people in by their address; None if it is that of several."""
    found = model._default_manager.filter(**{f"{field}__iexact": address}).order_by()[:2]
    return found[0] if len(found) == 1 else None


@lru_cache(maxsize=8)
def _is_listed(paths: tuple[str, ...]) -> bool:
    return any(getattr(import_string(path), "limits_logins", False) for path in paths)
