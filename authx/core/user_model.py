"""What is asked of a user object, where the site's model may lack what Django's ``AbstractBaseUser`` has."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def is_active(user: Any) -> bool:
    """Return whether the user may sign in; True for a model that cannot say, as for Django's own backend."""
    return bool(getattr(user, "is_active", True))


def session_auth_hash(user: Any) -> str:
    """Return the text that changes with the password; ``""`` for a model without one, as Django keeps."""
    found = getattr(user, "get_session_auth_hash", None)
    return "" if found is None else str(found())


def session_auth_fallback_hashes(user: Any) -> Iterable[str]:
    """Return the same under each key of SECRET_KEY_FALLBACKS."""
    found = getattr(user, "get_session_auth_fallback_hash", None)
    hashes: Iterable[str] = () if found is None else found()
    return hashes


def has_usable_password(user: Any) -> bool:
    """Return whether a password can have been typed; True for a model that cannot say."""
    found = getattr(user, "has_usable_password", None)
    return found is None or bool(found())


def username_of(user: Any) -> str:
    """Return the name that the user signs in with, as text."""
    found = getattr(user, "get_username", None)
    return str(getattr(user, user.USERNAME_FIELD) if found is None else found())


def has_permission(user: Any, permission: str) -> bool:
    """Return whether the user has the permission, such as ``authx.kick_devicesession``."""
    found = getattr(user, "has_perm", None)
    return found is not None and bool(found(permission))


def email_of(user: Any) -> str:
    """Return the address that the user's mail goes to; ``""`` for one, or a model, without."""
    found = getattr(user, "get_email_field_name", None)
    return "" if found is None else str(getattr(user, found(), "") or "")
