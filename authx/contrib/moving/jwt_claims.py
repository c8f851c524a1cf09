"""The claims of an old token, which another issuer that has the keys may write as this site would not."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Final

from django.core.exceptions import ValidationError
from rest_framework_simplejwt.settings import api_settings

#: What that package raises of a claim that it can do nothing with, such as a time after all time.
UNUSABLE: Final = (ValueError, TypeError, OverflowError, ValidationError)

#: What every database takes, in the column of the blacklist: neither NUL nor a lone surrogate.
_NAME: Final = re.compile(r"[^\x00\ud800-\udfff]{0,255}")
_BEGINNING: Final = datetime.fromtimestamp(0, UTC)


def has_usable_names(token: Any) -> bool:
    """Return whether a database can be asked for its user and for its ``jti``."""
    claims = [name for name in (api_settings.USER_ID_CLAIM, api_settings.JTI_CLAIM) if name]
    return all(_is_usable(token[claim]) for claim in claims if claim in token)


def _is_usable(name: object) -> bool:
    return type(name) is int or (isinstance(name, str) and _NAME.fullmatch(name) is not None)


def issued_at(token: Any) -> datetime:
    """Return the ``iat`` of a token; long ago where it has none, or none that is a time."""
    iat = token.get("iat")
    try:
        return datetime.fromtimestamp(iat, UTC) if isinstance(iat, int | float) else _BEGINNING
    except (ValueError, OverflowError, OSError):
        return _BEGINNING
