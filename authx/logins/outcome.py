"""The outcome of an attempt to sign in: whether it is given back, so that it does not count, and when.

Django signals that an attempt has failed, but not that its credentials were right. So an attempt that has not
failed is given back when somebody is signed in, when its request has been answered, or when the next one
begins, whichever comes first. An attempt that ended in an error counts, and so does one whose client hung up
meanwhile: the password may have been hashed.
"""

from __future__ import annotations

import inspect
import sys
from contextvars import ContextVar
from dataclasses import dataclass
from traceback import walk_tb
from typing import Any

from django.contrib.auth import aauthenticate, authenticate
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from authx.http.request_state import RequestState, request_state
from authx.logins.limit import LoginCount


@dataclass(slots=True)
class Attempt:
    """An attempt to sign in; settled, it counts or is given back."""

    #: How it was counted.
    counted: LoginCount
    #: What it calls the user, by the name of the credential.
    names: dict[str, str]
    #: The user's key as text; None where nobody is called so.
    subject: str | None
    #: Begun by authx before any backend was called: LoginLimitBackend does not count it again.
    by_door: bool = False
    is_settled: bool = False

    def settle(self, *, failed: bool = False) -> None:
        """Give it back, once, unless it has ``failed``."""
        if not self.is_settled and not failed:
            self.counted.give_back()
        self.is_settled = True


#: The last attempt of this thread or task.
last_attempt: ContextVar[Attempt | None] = ContextVar("authx_last_login_attempt", default=None)


def settle(*, failed: bool = False) -> None:
    """Settle the last attempt of this thread or task: give it back, unless it has ``failed``."""
    if last_attempt.get() is not None and (attempt := take_last()) is not None:  # mostly there is none
        attempt.settle(failed=failed)


def answered(response: HttpResponseBase, state: RequestState) -> None:
    """Settle the request's attempts, and say in the response how long to wait where there was one too many.

    A 401 means failure, however a backend has reported it.
    """
    failed = response.status_code == 401
    for attempt in state.attempts:
        attempt.settle(failed=failed)
    settle(failed=failed)
    if not state.is_locked_out or response.status_code < 300:
        set_retry_after(response, state.login_wait)


def is_open(state: RequestState) -> bool:
    """Return whether ``answered`` has anything to do."""
    return bool(state.attempts or state.login_wait) or last_attempt.get() is not None


def set_retry_after(response: HttpResponseBase, wait: int) -> None:
    """Make a page a 429 where there is a ``wait`` (RFC 6585 §4); add Retry-After if its seconds are known."""
    if not wait:
        return
    if wait > 0:
        response.headers.setdefault("Retry-After", str(wait))
    is_page = response.get("Content-Type", "").lower().startswith(("text/html", "application/xhtml+xml"))
    if is_page and (response.status_code < 300 or 400 <= response.status_code < 500):
        response.status_code = 429


def keep_unfinished(sender: Any, request: Any = None, **kwargs: Any) -> None:
    """Let an attempt that ended in an error count: one backend may have hashed before another raised it."""
    if isinstance(request, HttpRequest) and _is_from_authenticate(sys.exc_info()[1]):
        settle_all(request, failed=True)
        settle(failed=True)


def _is_from_authenticate(error: BaseException | None) -> bool:
    """Return whether the error, or a cause or context of it, was raised in ``authenticate``."""
    codes = {inspect.unwrap(function).__code__ for function in (authenticate, aauthenticate)}
    seen: set[int] = set()  # an error that is raised again while its own effect is handled closes a ring
    while error is not None and id(error) not in seen:
        if any(frame.f_code in codes for frame, _line in walk_tb(error.__traceback__)):
            return True
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return False


def take_last() -> Attempt | None:
    """Return the last attempt of this thread or task, which has none from now on; None if it had none."""
    attempt = last_attempt.get()
    if attempt is not None:
        last_attempt.set(None)
    return attempt


def settle_all(request: HttpRequest, *, failed: bool = False) -> None:
    """Settle all attempts of the request."""
    for attempt in request_state(request).attempts:
        attempt.settle(failed=failed)


def settle_when_closed(request: HttpRequest, attempt: Attempt) -> None:
    """Give it back when the response has been sent, at the latest, also on a site without authx's middleware.

    The ``request_finished`` signal is not enough: under ASGI it comes from another task, and it also comes
    for a client that hung up while its password was being hashed.
    """
    state = request_state(request)
    state.attempts = (*(each for each in state.attempts if not each.is_settled), attempt)
    if "close" in vars(request):
        return

    def settle_and_close() -> None:
        vars(request).pop("close", None)  # it may be called again
        settle_all(request)
        request.close()

    request.close = settle_and_close  # type: ignore[method-assign]
