"""Bearer tokens of others, and whether a class of the same view takes them."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any, Final

from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.request import Request

from authx.api.header_readers import reads_authorization

#: The Bearer scheme, as the first or a later one of a challenge.
_BEARER: Final = re.compile(r"(?:^|,)\s*bearer(?![0-9a-z])", re.IGNORECASE)


def has_other_reader(request: Request, ours: BaseAuthentication, family: type[BaseAuthentication]) -> bool:
    """Return whether an authentication class behind ``ours`` in this view takes Bearer tokens of others.

    Those of ``family`` do not. One that names a scheme in its challenge says so itself; one without a
    challenge takes them if its code reads the ``Authorization`` header.
    """
    classes: list[Any] = list(request.authenticators or ())
    behind = classes[classes.index(ours) + 1 :] if ours in classes else []
    return any(takes_bearer(other, request) for other in behind if not isinstance(other, family))


def takes_bearer(other: Any, request: Request) -> bool:
    """Return whether an authentication class takes Bearer tokens."""
    if isinstance(other, SessionAuthentication):
        return False
    if challenge := _challenge(other, request):
        return _BEARER.search(challenge) is not None
    kind: Any = type(other)
    return reads_authorization(kind)


def _challenge(other: Any, request: Request) -> str:
    """Return the class's challenge; ``""`` where it has none, for DRF asks only the first of a view."""
    with suppress(Exception):  # the site's code, which was never asked before
        return str(other.authenticate_header(request) or "")
    return ""
