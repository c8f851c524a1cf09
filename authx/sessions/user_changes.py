"""What happens to a user's sessions when the user changes: a new password, disabled, deleted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import get_hasher, identify_hasher
from django.db.models.signals import class_prepared, post_save, pre_delete, pre_save

from authx.core.actor import NOBODY
from authx.core.reasons import EndReason
from authx.models import DeviceSession, DeviceSessionQuerySet
from authx.sessions.ending import Ending, end_all, end_sessions
from authx.sessions.erasure import forget_deleted
from authx.sessions.liveness import fingerprint, has_fingerprint
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
    if issubclass(sender, get_user_model()):
        post_save.connect(end_after_save, sender, dispatch_uid=("authx.saved", sender))
        pre_save.connect(notice_upgrade, sender, dispatch_uid=("authx.saving", sender))
        pre_delete.connect(end_before_delete, sender, dispatch_uid=("authx.deleting", sender))


def notice_upgrade(sender: Any, instance: Any, update_fields: Any = None, **kwargs: Any) -> None:
    """Remember the hash that a hasher upgrade replaces: the same password, hashed anew, ends no session.

    ``check_password`` upgrades by saving the one field with ``_password`` cleared before (Django's
    ``setter``); every other way of setting a password leaves the raw one there until after the save.
    """
    upgrading = update_fields is not None and set(update_fields) == {"password"}
    if not upgrading or instance.pk is None or instance.__dict__.get("_password", "") is not None:
        return
    stored = sender._base_manager.using(database.alias()).filter(pk=instance.pk).first()
    if stored is not None and _is_outdated(stored.password):
        setattr(instance, _UPGRADED, stored)


def _is_outdated(encoded: str) -> bool:
    """Return whether ``check_password`` would upgrade this hash."""
    try:
        used = identify_hasher(encoded)
    except ValueError:
        return False
    preferred = get_hasher()
    return used.algorithm != preferred.algorithm or preferred.must_update(encoded)


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
    live = DeviceSession.objects.using(database.alias()).filter(user=instance.pk).live()
    if not instance.is_active:
        end_sessions(live, EndReason.USER_DISABLED, NOBODY)
        return
    # Again where one of them has been continued meanwhile: what continues it is outdated, too.
    for _ in range(database.MAX_ATTEMPTS):
        outdated = list(_outdated(live, instance, before))
        found = live.filter(pk__in=outdated)
        if not outdated or end_sessions(found, EndReason.PASSWORD_CHANGED, NOBODY) == len(outdated):
            return


def _outdated(live: DeviceSessionQuerySet, user: Any, before: Any) -> Iterator[UUID]:
    """Yield the sessions of another password; those of ``before``, the same one, get its new hash."""
    for session in live.only("pk", "fingerprint"):
        if has_fingerprint(user, session.fingerprint):
            continue
        if before is not None and has_fingerprint(before, session.fingerprint):
            # This column alone: a refresh that was judged by the old fingerprint reads the row again.
            DeviceSession.objects.using(database.alias()).filter(
                pk=session.pk, fingerprint=session.fingerprint
            ).update(fingerprint=fingerprint(user))
        else:
            yield session.pk


def end_before_delete(sender: Any, instance: Any, using: str, **kwargs: Any) -> None:
    """End and erase while the rows still name their user; the foreign keys are set to NULL afterwards.

    Runs in the transaction of the deletion: if that is rolled back, so is this.
    """
    owned = DeviceSession.objects.using(database.alias()).filter(user=instance.pk).order_by("pk")
    with database.store_errors():
        found = list(owned.values_list("pk", "subject", "ended_at"))
    if unended := [key for key, _subject, ended_at in found if ended_at is None]:
        end_all(unended, Ending.of(EndReason.USER_DELETED, NOBODY))
    # A child row may be deleted without its parent: the user is then still there.
    is_user = sender._meta.concrete_model is get_user_model()._meta.concrete_model
    if is_user and using == database.alias():
        forget_deleted(instance, {key: subject for key, subject, _ended_at in found})
