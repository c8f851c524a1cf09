"""Whether name and password are enough: what both of our doors ask before they open a session."""

from __future__ import annotations

import inspect
import re
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest

from authx.conf import DottedPath, conf

#: What a site's function may answer: it becomes the ``code`` of the refusal.
_WORD = re.compile(r"[a-z][a-z0-9_]{0,63}")


def takes_passwords() -> bool:
    """False where AUTHX_PASSWORD_LOGIN turns the login page and ``login/`` off."""
    return bool(conf.PASSWORD_LOGIN)


def password_login_refusal(request: HttpRequest, user: Any) -> str | None:
    """The machine word that AUTHX_PASSWORD_LOGIN refuses this login with; None lets it go on.

    Ask when the password was right, and before anything opens: so it tells no stranger who exists.

    Raises:
        ImproperlyConfigured: the site's function answers something else; nobody is let in by mistake.
    """
    wanted = conf.PASSWORD_LOGIN
    if wanted is True:
        return None
    if not isinstance(wanted, DottedPath):
        raise ImproperlyConfigured("AUTHX_PASSWORD_LOGIN must be True, False or a dotted path.")
    word = wanted(request, user)
    if inspect.iscoroutine(word):
        word.close()  # else Python warns that nobody has awaited it
    if word is None or (isinstance(word, str) and _WORD.fullmatch(word)):
        return word
    raise ImproperlyConfigured(
        f"{wanted}, which AUTHX_PASSWORD_LOGIN names, must return None or a machine word: lower-case"
        f" letters, digits and _, at most 64. It has returned a {type(word).__name__}."
    )
