"""Whether the authentication backend that signed a user in accepts them still."""

from __future__ import annotations

import logging
from typing import Any, Final

from django.conf import settings
from django.contrib.auth import get_user_model, load_backend
from django.contrib.auth.backends import BaseBackend, ModelBackend
from django.core.exceptions import PermissionDenied
from django.db.models import Manager, QuerySet
from django.db.models.sql import Query

from authx.core.user_model import is_active
from authx.errors import StoreUnavailable

logger = logging.getLogger("authx")

#: The methods by which a queryset finds one row; a site's own may leave some out.
_READING: Final = ("get", "filter", "_fetch_all")


def path_of(user: Any) -> str:
    """Return the path of the backend that ``authenticate`` or ``login`` has noted; ``""`` if there is none.

    A column of the same name may hold anything.
    """
    path = getattr(user, "backend", "")
    return path if path in settings.AUTHENTICATION_BACKENDS else ""


def accepts(path: str, user: Any) -> bool:
    """Return whether the backend at ``path`` accepts ``user``, whose row has just been read.

    Its ``user_can_authenticate`` and ``get_user`` both decide, with ``is_active`` in place of the first where
    it has none; without a path ``is_active`` alone does. One that is configured no more accepts nobody.
    Django's own methods need no statement, unless the user model's default manager may hide users.

    Raises:
        StoreUnavailable: the backend has failed.
    """
    if not path:
        return is_active(user)
    return path in settings.AUTHENTICATION_BACKENDS and _ask(path, user, reads=True)


def accepts_unread(path: str, user: Any) -> bool:
    """Return the same by ``user`` as it is in memory: for one who is being saved, or has just signed in.

    Reads nothing, and leaves a backend that is not configured here to the next request.

    Raises:
        StoreUnavailable: the backend has failed.
    """
    if path not in settings.AUTHENTICATION_BACKENDS:
        return is_active(user)
    return _ask(path, user, reads=False)


def _ask(path: str, user: Any, *, reads: bool) -> bool:
    try:
        backend = load_backend(path)
        may = getattr(backend, "user_can_authenticate", is_active)
        get_user = getattr(backend, "get_user", None) if reads else None
        return bool(may(user)) and (not _is_needed(get_user) or _finds(get_user, user))
    except PermissionDenied:
        return False
    except Exception as error:  # the site's code
        logger.exception(
            "%s cannot say whether user %s may sign in.", path, user.pk, extra={"event": "backend_failed"}
        )
        raise StoreUnavailable(f"{path} has failed") from error


def _is_needed(get_user: Any) -> bool:
    """Return whether the row that was read does not say already what this method would find."""
    function = getattr(get_user, "__func__", get_user)
    if function is ModelBackend.get_user:
        return _may_hide_users()
    return function not in (None, BaseBackend.get_user)  # the latter finds nobody: it is not implemented


def _finds(get_user: Any, user: Any) -> bool:
    try:
        return bool(getattr(get_user(user.pk), "pk", None) == user.pk)
    except type(user).DoesNotExist:
        return False


def _may_hide_users() -> bool:
    """Return whether the default manager, which Django's backend reads users with, may leave some out."""
    manager: Any = get_user_model()._default_manager
    kind = type(manager)
    if kind.get is not Manager.get:
        return True
    if kind.get_queryset is Manager.get_queryset and manager._queryset_class is QuerySet:
        return False
    users = manager.get_queryset()
    is_plain = all(getattr(type(users), name) is getattr(QuerySet, name) for name in _READING)
    return bool(users.query.where) or type(users.query) is not Query or not is_plain
