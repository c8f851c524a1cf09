"""Another package that locks logins out, such as django-axes: asked before a password is tried."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from django.apps import apps
from django.http import HttpRequest
from django.utils.module_loading import import_string
from django.views.decorators.debug import sensitive_variables

from authx.conf import conf
from authx.http.request_state import request_state

logger = logging.getLogger("authx")

#: The seconds to wait where nobody knows how many: until somebody unlocks the account.
UNKNOWN_WAIT: Final = -1
#: Ours, by the app that each of them asks.
_KNOWN: Final = {"axes": "authx.contrib.axes.AxesLockout"}


class Lockout:
    """Asks another package; AUTHX_LOCKOUT names a subclass, made without arguments for each question."""

    def refuses(self, request: HttpRequest, credentials: Mapping[str, Any]) -> bool | int:
        """Return whether no password may be tried: the seconds until one may, or True if they are unknown.

        ``credentials`` are those of Django's ``authenticate``; for a login proof, which stands for a password
        that was right, the ``username`` alone. It is asked before a password is tried, and
        again after a wrong one, which may have been the last that was allowed.
        """
        return False

    def succeeded(self, request: HttpRequest, user: Any) -> None:
        """Forget the failures: a password was right, and no ``user_logged_in`` says so."""

    def leave_answer(self, request: HttpRequest) -> None:
        """Keep the package from answering in place of the door that has been told of the lockout."""


@sensitive_variables("credentials")
def lockout_wait(request: HttpRequest, credentials: Mapping[str, Any]) -> int:
    """Return for how many seconds the package lets no password be tried, or ``UNKNOWN_WAIT``; else 0."""
    package = _package()
    answer: Any = None if package is None else package.refuses(request, credentials)
    if isinstance(answer, int) and not isinstance(answer, bool):
        return max(0, answer)
    return UNKNOWN_WAIT if answer else 0


@sensitive_variables("credentials")
def note_lockout(request: HttpRequest | None, credentials: Mapping[str, Any]) -> None:
    """Note whether the package lets nobody try, as after the last password that it allowed.

    The door says so, not the package.
    """
    package = _package()
    if request is None or package is None:
        return
    state = request_state(request)
    if not state.login_wait:
        state.login_wait = lockout_wait(request, credentials)
        state.is_locked_out = bool(state.login_wait)
    if state.login_wait:
        package.leave_answer(request)


def note_success(request: HttpRequest, user: Any) -> None:
    """Tell the package of a right password, at a door that sends no ``user_logged_in``; never fail for it."""
    package = _package()
    try:
        if package is not None:
            package.succeeded(request, user)
    except Exception:
        logger.exception(
            "%s did not take note of a right password.",
            type(package).__name__,
            extra={"event": "lockout_not_told"},
        )


def _package() -> Lockout | None:
    if conf.LOCKOUT is not None:
        made: Lockout = conf.LOCKOUT()
        return made
    path = next((path for app, path in _KNOWN.items() if apps.is_installed(app)), None)
    return None if path is None else import_string(path)()
