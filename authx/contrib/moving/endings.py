"""What has ended the credentials of another package: a kick, a new password, a disabled user.

They have no row here that could be ended, so each is an event of the user, outside any session, and what was
issued before it is good for nothing. Events last as long as AUTHX_RETENTION; not-before marks do not.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any, Final

from django.apps import apps
from django.contrib.auth import get_user_model
from django.db.models.signals import post_save, pre_save

from authx.core.client_sessions import subject_of_client
from authx.core.reasons import EXPIRIES, EndReason
from authx.core.revocation_log import EVERYBODY
from authx.core.user_model import is_active
from authx.models import DeviceSession, NotBeforeMark, SessionEvent
from authx.models.exactly import is_exactly
from authx.sessions import audit
from authx.sessions.hash_upgrades import find_upgraded
from authx.sessions.subjects import find_subject, user_of_subject
from authx.store import database

#: The subject of events about all users: none has one that begins so.
_ALL: Final = subject_of_client("*")
#: The attribute in which a save keeps, between its two signals, why it ends the user's credentials.
_REASON: Final = "_authx_ends_old_credentials"

#: Called with the user whose credentials end, or None for everybody's: by name, for a kick or for anything.
_followers: dict[str, tuple[Callable[[Any], None], bool]] = {}


def connect() -> None:
    """Listen to the marks, and to the user model with its proxies and children."""
    post_save.connect(note_mark, NotBeforeMark, dispatch_uid="authx.moving.mark")
    for model in apps.get_models():
        if issubclass(model, get_user_model()):
            pre_save.connect(compare, model, dispatch_uid=("authx.moving.saving", model))
            post_save.connect(note_change, model, dispatch_uid=("authx.moving.saved", model))


def follow(name: str, end: Callable[[Any], None], *, marks_alone: bool = False) -> None:
    """Have ``end`` called with each user whose credentials end, or with None for everybody's, once per name.

    ``marks_alone``: only where all sessions end together, as at a kick. In the transaction of the ending.
    """
    _followers[name] = end, marks_alone


def ended_since(
    user: Any, issued_at: datetime, *, by_session: bool = False, but: Collection[str] = ()
) -> str | None:
    """Return the ``EndReason`` of what has ended a user's old credentials that were issued at this time.

    In the same millisecond counts too: SQLite's clock knows no shorter time. ``by_session``: the end of any
    one session of the user counts as well, for a credential that can be had anew.
    Reasons in ``but`` do not count.

    Raises:
        StoreUnavailable: the database cannot be read.
    """
    issued_at = issued_at.replace(microsecond=issued_at.microsecond // 1000 * 1000)
    subject = find_subject(user)
    theirs = is_exactly("subject", EVERYBODY)
    if subject is not None:
        theirs |= is_exactly("subject", subject)
    with database.store_errors():
        events = SessionEvent.objects.using(database.alias()).filter(session=None, at__gte=issued_at)
        events = events.filter(kind=SessionEvent.Kind.ENDED, subject__in=[_ALL, subject or _ALL])
        events = events.exclude(outcome__in=but)
        found = events.order_by("-at").values_list("outcome", flat=True).first()
        if found is None:
            marks = NotBeforeMark.objects.using(database.alias()).filter(at__gte=issued_at, number__gt=0)
            found = marks.filter(theirs).values_list("reason", flat=True).first()
        if found is None and by_session:
            ended = DeviceSession.objects.using(database.alias()).filter(
                user=user.pk, ended_at__gte=issued_at
            )
            ended = ended.first_party().exclude(end_reason__in=EXPIRIES)
            found = ended.values_list("end_reason", flat=True).first()
    return found


def note_mark(sender: Any, instance: NotBeforeMark, created: bool, raw: bool = False, **kwargs: Any) -> None:
    """Note a kick of a user, or of everybody, in its own transaction; one of a dump has been noted."""
    if created and not raw and instance.number:
        everybody = instance.subject == EVERYBODY
        subject = _ALL if everybody else instance.subject
        user = None if everybody else user_of_subject(subject)
        _note(subject, instance.reason, instance.at, user, by_mark=True)


def compare(sender: Any, instance: Any, update_fields: Any = None, raw: bool = False, **kwargs: Any) -> None:
    """Find out whether the save that is about to happen changes the password or disables the user."""
    untouched = update_fields is not None and not {"password", "is_active"} & set(update_fields)
    if raw or untouched or instance.pk is None or instance._state.adding:
        return
    stored = sender._base_manager.using(database.alias()).filter(pk=instance.pk).first()
    if stored is None:
        return
    if is_active(stored) and not is_active(instance):
        setattr(instance, _REASON, EndReason.USER_DISABLED.value)
    elif _has_new_password(stored, instance) and find_upgraded(sender, instance, update_fields) is None:
        setattr(instance, _REASON, EndReason.PASSWORD_CHANGED.value)


def _has_new_password(stored: Any, instance: Any) -> bool:
    """Return whether they differ; a user model may be without any."""
    return bool(getattr(stored, "password", None) != getattr(instance, "password", None))


def note_change(sender: Any, instance: Any, **kwargs: Any) -> None:
    """Note what ``compare`` has found, once it is saved."""
    reason = vars(instance).pop(_REASON, None)
    subject = None if reason is None else find_subject(instance)
    if reason is not None and subject is not None:
        _note(subject, reason, database.database_now(), instance)


def _note(subject: str, reason: str, at: datetime, user: Any, *, by_mark: bool = False) -> None:
    audit.record(SessionEvent.Kind.ENDED, None, at=at, outcome=reason, subject=subject)
    if subject == _ALL or user is not None:
        for end, marks_alone in _followers.values():
            if by_mark or not marks_alone:
                end(user)
