"""What happens to a user's sessions when the user changes: a new password, disabled, deleted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any
from uuid import UUID

from django.apps import apps
from django.contrib.auth import get_user_model
from django.core.exceptions import ImproperlyConfigured
from django.db.models.signals import class_prepared, post_save, pre_delete, pre_save

from authx import signals
from authx.core.actor import NOBODY
from authx.core.reasons import EndReason
from authx.errors import StoreUnavailable
from authx.models import DeviceSession, DeviceSessionQuerySet
from authx.models.owner_key import Announced, deleted_together
from authx.sessions.ending import Ending, end_all, end_at_once
from authx.sessions.erasure import forget_deleted
from authx.sessions.hash_upgrades import find_upgraded
from authx.sessions.login_backend import accepts_unread
from authx.sessions.password_fingerprint import fingerprint, has_fingerprint
from authx.store import database

#: The attribute in which a save keeps, between its two signals, the user as stored before it.
_UPGRADED = "_authx_upgraded_from"


def connect() -> None:
    """Listen to the user model, and to each proxy and child of it, which save the same users.

    Each is a sender of its own: a receiver for every model would disable Django's fast deletes site-wide.
    """
    for model in apps.get_models():
        _listen_to(model)
    class_prepared.connect(_listen_to, dispatch_uid="authx.users")


def _listen_to(sender: Any, **kwargs: Any) -> None:
    try:
        model = get_user_model()
    except ImproperlyConfigured:  # not installed, so nobody's: reported by Django's own checks
        return
    if issubclass(sender, model):
        post_save.connect(end_after_save, sender, dispatch_uid=("authx.saved", sender))
        pre_save.connect(notice_upgrade, sender, dispatch_uid=("authx.saving", sender))
        pre_delete.connect(end_before_delete, sender, dispatch_uid=("authx.deleting", sender))


def notice_upgrade(sender: Any, instance: Any, update_fields: Any = None, **kwargs: Any) -> None:
    """Remember the user as stored, where this save only upgrades their hash."""
    if (stored := find_upgraded(sender, instance, update_fields)) is not None:
        setattr(instance, _UPGRADED, stored)


def end_after_save(
    sender: Any,
    instance: Any,
    created: bool,
    raw: bool = False,
    update_fields: Any = None,
    **kwargs: Any,
) -> None:
    """End the sessions that the saved user's state no longer allows."""
    untouched = update_fields is not None and not {"password", "is_active"} & set(update_fields)
    if created or raw or untouched:
        return
    before = instance.__dict__.pop(_UPGRADED, None)
    # What ``set_password`` leaves until the save is over; an upgraded hash is saved without it.
    is_changed = getattr(instance, "_password", None) is not None
    is_changed |= _end_outdated(instance, before)
    if is_changed:
        database.after_commit(lambda: signals.password_changed.send_robust(sender, user=instance))


def _end_outdated(instance: Any, before: Any) -> bool:
    """End them; return whether a changed password has ended any."""
    live = DeviceSession.objects.using(database.alias()).filter(user=instance.pk).live()
    refuses = cache(lambda path: _is_refused(path, instance))
    # Again where one of them has been continued meanwhile: what continues it is outdated, too.
    is_changed = False
    for _ in range(database.MAX_ATTEMPTS):
        found = _outdated(live, instance, before, refuses)
        is_changed |= EndReason.PASSWORD_CHANGED in found
        ended = sum(end_all(sorted(keys), Ending.of(reason, NOBODY)) for reason, keys in found.items())
        if ended == sum(map(len, found.values())):
            break
    return is_changed


def _outdated(
    live: DeviceSessionQuerySet, user: Any, before: Any, refuses: Callable[[str], bool]
) -> dict[EndReason, list[UUID]]:
    """Return the sessions that the user's state ends, by reason."""
    found: dict[EndReason, list[UUID]] = {}
    for session in live.only("pk", "fingerprint", "backend"):
        if refuses(session.backend):
            found.setdefault(EndReason.USER_DISABLED, []).append(session.pk)
        elif not has_fingerprint(user, session.fingerprint) and not _keep(session, before, user):
            found.setdefault(EndReason.PASSWORD_CHANGED, []).append(session.pk)
    return found


def _keep(session: DeviceSession, before: Any, user: Any) -> bool:
    """Return whether the session goes on with an upgraded hash of its password; store the new fingerprint."""
    if before is None or not has_fingerprint(before, session.fingerprint):
        return False
    # This column alone: a refresh that was judged by the old fingerprint reads the row again.
    this = DeviceSession.objects.using(database.alias()).filter(
        pk=session.pk, fingerprint=session.fingerprint
    )
    this.update(fingerprint=fingerprint(user))
    return True


def _is_refused(path: str, user: Any) -> bool:
    """Return whether the backend refuses the user now; one that fails is asked again at the next request."""
    try:
        return not accepts_unread(path, user)
    except StoreUnavailable:
        return False


def end_before_delete(sender: Any, instance: Any, using: str, origin: Any = None, **kwargs: Any) -> None:
    """End and erase while the rows still name their user; the foreign keys are set to NULL afterwards.

    With the first of many, for all that are deleted together. Runs in the transaction of the deletion: if
    that is rolled back, so is this.
    """
    for chunk in database.chunks(deleted_together(sender, instance, origin, get_user_model())):
        _end_and_erase(chunk, using)


def _end_and_erase(announced: Sequence[Announced], using: str) -> None:
    keys = {user.pk for _model, user in announced}
    owned = DeviceSession.objects.using(database.alias()).filter(user__in=keys).order_by("pk")
    with database.store_errors():
        found = list(owned.values_list("pk", "subject", "user", "ended_at"))
        if any(ended_at is None for *_row, ended_at in found):
            ending = Ending.of(EndReason.USER_DELETED, NOBODY)
            end_at_once(list(owned.live(ending.at).values_list("pk", flat=True)), ending)
    # A child row may be deleted without its parent: the user is then still there.
    real = get_user_model()._meta.concrete_model
    users = [user for model, user in announced if model._meta.concrete_model is real]
    if users and using == database.alias():
        forget_deleted(users, [(key, subject, owner) for key, subject, owner, _ended_at in found])
