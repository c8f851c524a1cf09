"""Whether name and password are enough: the API and the login page check before they open a session."""

from __future__ import annotations

import inspect
import re
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest

from authx.conf import DottedPath, conf

#: What a site's function may return: it becomes the ``code`` of the refusal.
_WORD = re.compile(r"[a-z][a-z0-9_]{0,63}")


def takes_passwords() -> bool:
    """Return whether the login page and ``login/`` are on; AUTHX_PASSWORD_LOGIN turns them off."""
    return bool(conf.PASSWORD_LOGIN)


def password_login_refusal(request: HttpRequest, user: Any) -> str | None:
    """Return the machine word with which AUTHX_PASSWORD_LOGIN refuses this login; None lets it go on.

    Call it when the password was right, and before a session is opened: no stranger learns which users exist.

    Raises:
        ImproperlyConfigured: the site's function returns something else; nobody is let in by mistake.
    """
    wanted = conf.PASSWORD_LOGIN
    if wanted is True:
        return None
    if not isinstance(wanted, DottedPath):
        raise ImproperlyConfigured("AUTHX_PASSWORD_LOGIN must be True, False or a dotted path.")
    word = wanted(request, user)
    if inspect.iscoroutine(word):
        word.close()  # else Python warns that it was never awaited
    if word is None or (isinstance(word, str) and _WORD.fullmatch(word)):
        return word
    raise ImproperlyConfigured(
        f"{wanted}, which AUTHX_PASSWORD_LOGIN names, must return None or a machine word: lower-case"
        f" letters, digits and _, at most 64. It has returned a {type(word).__name__}."
    )
