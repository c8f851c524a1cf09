"""A deleted Django session ends the device session bound to it, unless it had expired or lives on elsewhere.

Noticed by the signals of the model that the session engine stores sessions in. Django's ``login`` and
``cycle_key`` delete too; those of a request under way are therefore judged when it has been answered.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db.models.signals import class_prepared, post_delete, pre_delete
from django.http import HttpRequest
from django.utils import timezone

from authx.core.reasons import EndReason
from authx.http import django_session
from authx.http.actor import actor_of
from authx.http.request_state import RequestState, request_state
from authx.http.session_deletions import ends_nothing
from authx.http.session_key import key_of
from authx.identity import django_login
from authx.identity.deletion_callers import is_by_login, new_key
from authx.identity.identity import Delivery, Identity
from authx.identity.visit import Visit
from authx.logins.browser import cookie_session
from authx.models import DeviceSession
from authx.sessions import end_bound_sessions, end_session
from authx.sessions.django_sessions import move_mark
from authx.sessions.liveness import end_of
from authx.store import database
from authx.store.after_transaction import request_under_way

#: What every model of Django sessions has: ``AbstractBaseSession``, and that of django-user-sessions.
_COLUMNS = {"session_key", "session_data", "expire_date"}
#: The attribute in which a model instance or queryset that is being deleted keeps the keys of its sessions.
_KEYS = "_authx_deleted_keys"


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
    request = request_under_way()
    if request is None:  # or it has been answered, and has left something running
        database.with_transaction_of(using, _outside_requests(keys))
        return
    state = request_state(request)
    own = {*state.django_keys, key_of(request)}
    others = [key for key in keys if key not in own]
    query = sender._base_manager.using(using)
    deleted = {key: query.filter(session_key=key) for key in set(keys).difference(others)}
    state.deleted_sessions = {**state.deleted_sessions, **deleted}
    if others:
        actor = actor_of(request, getattr(request, "user", None))
        database.with_transaction_of(using, lambda: end_bound_sessions(others, by=actor))


def _outside_requests(keys: list[str]) -> Callable[[], Any]:
    """Return what follows from a deletion by no request of a browser: by a script or a test's client."""
    if is_by_login(keys):
        return lambda: None
    if (key := new_key(keys)) is not None:
        return partial(move_mark, keys, key)
    return partial(end_bound_sessions, keys)


def release(request: HttpRequest, *keys: str | None) -> None:
    """Let a login or logout that has deleted the Django session, or soon will, end by itself what it ends."""
    state = request_state(request)
    state.has_login = False
    state.released_keys |= {*state.deleted_sessions, *keys}


def conclude(request: HttpRequest, visit: Visit | None, state: RequestState) -> None:
    """Sign the browser out if the request has deleted its own Django session, and no login or logout did.

    Raises:
        StoreUnavailable: the database cannot be asked or written; nothing has ended.
    """
    gone = _gone(request, state)
    left = None if visit is None else _left_by_emptying(visit, state, gone)
    ended = _end_bound(request, visit, gone) if gone else 0
    if visit is None:
        return
    found = cookie_session(request) if ended else None
    if found is None or end_of(found) != EndReason.LOGOUT:
        if left is None:
            return
        end_session(left, EndReason.LOGOUT, by=actor_of(request, visit.known.user))
    visit.identify(Identity(delivery=Delivery(clears_cookies=True)))


def _end_bound(request: HttpRequest, visit: Visit | None, keys: list[str]) -> int:
    user = getattr(request, "user", None) if visit is None else _visitor(visit)
    return end_bound_sessions(keys, EndReason.LOGOUT, by=actor_of(request, user))


def _visitor(visit: Visit) -> Any:
    """Return who the visitor is, also where the view has not asked; None where that cannot be known."""
    try:
        return visit.settle().user
    except Exception:  # of the store, or of the site's own code: the session ends all the same
        return None


def _gone(request: HttpRequest, state: RequestState) -> list[str]:
    """Return the keys of its own Django session that the request has deleted for good."""
    deleted = state.deleted_sessions.keys() - state.released_keys
    if not deleted or _lives_on(request, deleted):
        return []
    with database.store_errors():  # the view's transaction may have been rolled back
        return [key for key in deleted if not state.deleted_sessions[key].exists()]


def _left_by_emptying(visit: Visit, state: RequestState, gone: list[str]) -> DeviceSession | None:
    """Return the session whose login a view has taken out of the Django session, where no mark tells of it.

    It cleared the Django session, or flushed one that is stored in no table, or whose key its row does not
    have: that is stored when the row is read. An impersonation is another's login.
    """
    if not state.has_login or state.took_over or not visit.has_named_somebody:
        return None
    if state.deleted_sessions and not gone:
        return None
    with visit.in_place():
        if django_login.holds_login(visit.request):
            return None
    session, user = visit.identity.session, visit.known.user
    return session if session is not None and session.user_id == user.pk else None


def _lives_on(request: HttpRequest, deleted: set[str]) -> bool:
    """Return whether the Django session is stored under another key now."""
    key = key_of(request)
    is_another = key is not None and key not in deleted
    return is_another and bool(django_session.owner(request) or django_session.is_present(request))
