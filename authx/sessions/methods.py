"""The ``amr`` of a session: the methods of the backend that logged the user in, and of later proofs."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.utils.module_loading import import_string

from authx.conf import conf
from authx.core.actor import NOBODY, Actor
from authx.core.methods import combined, listed, methods_named
from authx.core.user_model import has_usable_password
from authx.models import DeviceSession, SessionEvent
from authx.sessions import audit
from authx.store import database


def methods_of(*proofs: str) -> tuple[str, ...]:
    """Return the ``amr`` values of these proofs together, by AUTHX_AMR and the built-in table."""
    return combined(*(methods_named(name, conf.AMR) for name in proofs))


def backend_methods(user: Any) -> tuple[str, ...]:
    """Return the ``amr`` values of ``user.backend``; ``()`` if there is no backend, or they are unknown.

    A backend that no table lists stands for a password if its ``authenticate`` takes one.
    """
    backend = _backend(user)
    if backend is None:
        return ()
    if (words := _listed(user.backend, backend)) is None:
        words = ("pwd",) if "password" in _parameters(backend) else ()
    if issubclass(backend, ModelBackend) and not has_usable_password(user):
        words = tuple(word for word in words if word != "pwd")  # nobody can have typed it
    return combined(words)


def password_methods(user: Any) -> tuple[str, ...]:
    """Return the ``amr`` values where a password was just accepted: ``pwd``, unless a table lists others."""
    backend = _backend(user)
    words = _listed(user.backend, backend) if backend is not None else None
    return combined(("pwd",) if words is None else words)


def add_methods(session: DeviceSession, methods: Sequence[str], actor: Actor = NOBODY) -> bool:
    """Add what the user has proved since to the session's ``amr``, and ``mfa`` if there are now two factors.

    Returns False if there was nothing new, or the session has ended meanwhile. Access tokens made from now on
    carry the new values.

    Raises:
        StoreUnavailable: the database cannot be written.
    """
    if set(methods) <= set(session.amr):
        return False
    at = database.database_now()

    def write() -> list[str] | None:
        this = DeviceSession.objects.using(database.alias()).filter(pk=session.pk)
        found = this.live(at).select_for_update().first()
        if found is None or set(methods) <= set(found.amr):
            return None
        amr = list(combined(found.amr, methods))
        this.update(amr=amr)
        added = " ".join(word for word in amr if word not in found.amr)
        audit.record(SessionEvent.Kind.REAUTHENTICATED, session, at=at, actor=actor, note=added)
        return amr

    amr: list[str] | None = database.transact(write)
    if amr is not None:
        session.amr = amr
    return amr is not None


def is_backend(user: Any, path: str) -> bool:
    """Return whether the user was logged in by the class at ``path``, or by a subclass of it."""
    backend = _backend(user)
    return backend is not None and path in map(_path, backend.__mro__)


def _path(kind: type[Any]) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _backend(user: Any) -> type[Any] | None:
    try:
        backend = import_string(user.backend)
    except (AttributeError, ImportError):  # AttributeError: logged in by naming the backend in the call
        return None
    return backend if isinstance(backend, type) else None


def _listed(path: str, backend: type[Any]) -> tuple[str, ...] | None:
    """Return what a table lists for the backend, or the class whose ``authenticate`` it has; else None."""
    names = [path]
    for kind in backend.__mro__:
        names.append(_path(kind))
        if "authenticate" in vars(kind):
            break
    found = (listed(name, conf.AMR) for name in names)
    return next((words for words in found if words is not None), None)


def _parameters(backend: type[Any]) -> Sequence[str]:
    try:
        return list(inspect.signature(backend.authenticate).parameters)
    except (AttributeError, TypeError, ValueError):
        return []
