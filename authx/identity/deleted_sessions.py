"""A deleted Django session ends the device session bound to it, unless it had expired or lives on elsewhere.

Noticed by the signals of the model that the session engine stores sessions in. Django's ``login`` and
``cycle_key`` delete too; those of a request under way are therefore judged when it has been answered.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from datetime import datetime
from functools import partial
from types import FrameType
from typing import Any, Final

from django.apps import apps
from django.conf import settings
from django.contrib.auth import login
from django.contrib.sessions.backends.base import SessionBase
from django.db.models.signals import class_prepared, post_delete, pre_delete
from django.http import HttpRequest
from django.utils import timezone

from authx.core.reasons import EndReason
from authx.http import django_session
from authx.http.actor import actor_of
from authx.http.request_state import RequestState, answered_request, request_state
from authx.http.session_deletions import ends_nothing
from authx.http.session_key import key_of
from authx.identity.identity import Delivery, Identity
from authx.identity.visit import Visit
from authx.logins.browser import cookie_session
from authx.sessions import end_bound_sessions
from authx.sessions.django_sessions import move_mark
from authx.sessions.liveness import end_of
from authx.store import database

#: What every model of Django sessions has: ``AbstractBaseSession``, and that of django-user-sessions.
_COLUMNS = {"session_key", "session_data", "expire_date"}
#: The attribute in which a model instance or queryset that is being deleted keeps the keys of its sessions.
_KEYS = "_authx_deleted_keys"
#: Django's ``login``, which flushes the session of another user.
_LOGIN: Final = inspect.unwrap(login).__code__


def connect() -> None:
    """Listen to each model of Django sessions; one for every model would disable fast deletes site-wide."""
    for model in apps.get_models():
        _listen_to(model)
    class_prepared.connect(_listen_to, dispatch_uid="authx.django_sessions")


def _listen_to(sender: Any, **kwargs: Any) -> None:
    if {field.name for field in sender._meta.concrete_fields} >= _COLUMNS:
        pre_delete.connect(gather, sender, dispatch_uid=("authx.deleting_django_session", sender))
        post_delete.connect(end_bound, sender, dispatch_uid=("authx.deleted_django_session", sender))


def gather(sender: Any, instance: Any, origin: Any = None, **kwargs: Any) -> None:
    """Keep the key of a session about to be deleted, with what is being deleted: to end many at once.

    All these signals of one deletion come before the first ``post_delete``.
    """
    if not ends_nothing() and not _has_expired(instance.expire_date):
        keys = vars(instance if origin is None else origin).setdefault(_KEYS, [])
        keys.append(instance.session_key)


def _has_expired(expires_at: datetime | None) -> bool:
    """Return whether that time is over; None, in an instance that only names the row, says that it is not."""
    if expires_at is None:
        return False
    if settings.USE_TZ and timezone.is_naive(expires_at):
        expires_at = timezone.make_aware(expires_at)
    return expires_at <= timezone.now()


def end_bound(sender: Any, instance: Any, using: str, origin: Any = None, **kwargs: Any) -> None:
    """End what was bound to the deleted sessions, in the transaction of their deletion."""
    keys = vars(instance if origin is None else origin).pop(_KEYS, None)
    if not keys:
        return
    request = answered_request.get()
    if request is None:
        database.with_transaction_of(using, _outside_requests(keys))
        return
    state = request_state(request)
    own = state.django_keys | {key_of(request)}
    others = [key for key in keys if key not in own]
    for key in set(keys).difference(others):
        state.deleted_sessions[key] = sender._base_manager.using(using).filter(session_key=key)
    if others:
        actor = actor_of(request, getattr(request, "user", None))
        database.with_transaction_of(using, lambda: end_bound_sessions(others, by=actor))


def _outside_requests(keys: list[str]) -> Callable[[], Any]:
    """Return what follows from a deletion by no request of a browser: by a script or a test's client."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code is _LOGIN:
            return lambda: None
        if frame.f_code.co_name == "cycle_key":
            store = frame.f_locals.get("self")
            if isinstance(store, SessionBase) and store.session_key:
                return partial(move_mark, keys, store.session_key)
        frame = frame.f_back
    return partial(end_bound_sessions, keys)


def release(request: HttpRequest, *keys: str | None) -> None:
    """Let a login or logout that has deleted the Django session, or soon will, end by itself what it ends."""
    state = request_state(request)
    state.released_keys.update(state.deleted_sessions, keys)


def conclude(request: HttpRequest, visit: Visit | None, state: RequestState) -> None:
    """Sign the browser out if the request has deleted its own Django session, and no login or logout did.

    Raises:
        StoreUnavailable: the database cannot be asked or written; nothing has ended.
    """
    deleted = state.deleted_sessions.keys() - state.released_keys
    if not deleted or _lives_on(request, deleted):
        return
    with database.store_errors():  # the view's transaction may have been rolled back
        gone = [key for key in deleted if not state.deleted_sessions[key].exists()]
    actor = actor_of(request, getattr(request, "user", None))
    if not end_bound_sessions(gone, EndReason.LOGOUT, by=actor) or visit is None:
        return
    found = cookie_session(request)
    if found is not None and end_of(found) == EndReason.LOGOUT:
        visit.identify(Identity(delivery=Delivery(clears_cookies=True)))


def _lives_on(request: HttpRequest, deleted: set[str]) -> bool:
    """Return whether the Django session is stored under another key now."""
    key = key_of(request)
    is_another = key is not None and key not in deleted
    return is_another and bool(django_session.owner(request) or django_session.is_present(request))
