"""Device sessions: one login on one device."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from authx.core import time_limits
from authx.core.auth_time import is_known
from authx.core.client_sessions import SERVICE
from authx.core.device import (
    MAX_ID_LENGTH,
    MAX_LABEL_LENGTH,
    MAX_NAME_LENGTH,
    MAX_USER_AGENT_LENGTH,
    form_of,
)
from authx.core.rotation import RotationState
from authx.models.device_labels import shown_label
from authx.models.device_session_queries import DeviceSessionQuerySet
from authx.models.end_reasons import EndReason
from authx.models.ids import uuid7
from authx.models.owner_key import OwnerKey


@dataclass(frozen=True, slots=True)
class RecordedEnd:
    """When and why a session was ended, other than by one of its time limits."""

    at: datetime
    #: An ``EndReason``.
    reason: str


class DeviceSession(models.Model):
    """One login on one device, whichever credential carries it.

    Kept after its end until pruned, so that a token presented later is still refused with the reason.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = OwnerKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        related_name="device_sessions",
        verbose_name=_("user"),
        db_index=False,  # it is the first column of two indexes below
    )
    #: The ``sub`` of its tokens: the user's key, or the field that AUTHX_SUBJECT_FIELD named at login, as
    #: text. Stays as it is, even when the user is deleted.
    subject = models.CharField(_("subject"), max_length=255, db_index=True)

    device_id = models.CharField(_("device id"), max_length=MAX_ID_LENGTH, blank=True)
    device_name = models.CharField(_("device name"), max_length=MAX_NAME_LENGTH, blank=True)
    device_type = models.CharField(_("device type"), max_length=32)
    device_label = models.CharField(_("device"), max_length=MAX_LABEL_LENGTH)
    user_agent = models.CharField(_("user agent"), max_length=MAX_USER_AGENT_LENGTH, blank=True)
    ip = models.GenericIPAddressField(_("IP address"), null=True)
    country = models.CharField(_("country"), max_length=2, blank=True)

    amr = models.JSONField(_("authentication methods"), default=list)
    #: The dotted path of the authentication backend that let the user in; ``""`` if no backend did.
    backend = models.CharField(max_length=255, default="", db_default="", editable=False)
    auth_time = models.DateTimeField(_("authenticated at"))
    persistent = models.BooleanField(_("remembered"), default=True)
    #: Whether it comes from a new device, and no other device of the user's has said yet that it was them.
    is_unconfirmed = models.BooleanField(
        _("not yet confirmed"), default=False, db_default=False, editable=False
    )
    created_at = models.DateTimeField(_("signed in"))
    last_seen_at = models.DateTimeField(_("last seen"))

    generation = models.PositiveBigIntegerField(_("generation"), default=1)
    confirmed_generation = models.PositiveBigIntegerField(_("confirmed generation"), default=0)
    rotated_at = models.DateTimeField(_("rotated at"))
    strike_generation = models.PositiveBigIntegerField(null=True)
    strike_at = models.DateTimeField(null=True)
    #: How many late replays this generation has seen, and the time of the first.
    late_streak = models.PositiveIntegerField(default=0)
    late_at = models.DateTimeField(null=True)
    #: The branch of the token that the last rotation was asked with; None before the first.
    spent_branch = models.PositiveBigIntegerField(null=True)
    #: The last spent generation that came back on another branch, and how many in a row did.
    twin_generation = models.PositiveBigIntegerField(null=True)
    twin_streak = models.PositiveSmallIntegerField(default=0)
    #: When it last raised an alarm; None if it never did.
    alarm_at = models.DateTimeField(_("last alarm"), null=True, db_index=True, editable=False)
    #: 32 random bytes; the refresh token's proof is made from them and a key in settings.
    salt = models.BinaryField(max_length=32)
    #: SHA-256 hex of the user's session auth hash at login; a mismatch means a changed password.
    fingerprint = models.CharField(max_length=64)
    #: HMAC of the Django session key this session was adopted from; unique, so adopted once ever.
    adopted_from = models.CharField(max_length=64, null=True, unique=True)
    #: HMAC of the key of the Django session it is bound to; None while it is bound to none.
    django_session = models.CharField(max_length=64, null=True, editable=False)
    #: SHA-256 hex of what the requests of a double click have in common (``logins.double_click``); unique, so
    #: that one of them opens the session. None where nothing says so.
    login_key = models.CharField(max_length=64, null=True, unique=True, editable=False)

    #: The client whose session it is (``ServiceClient.client_id``); empty: a login of the site itself. A
    #: client's session is nobody's login: no function takes it for a user's unless told so.
    client_id = models.CharField(_("client"), max_length=64, default="", db_default="", editable=False)
    #: What its tokens are good for, separated by spaces, and for whom; of a client's session alone.
    scope = models.CharField(_("scope"), max_length=1000, default="", db_default="", editable=False)
    audience = models.JSONField(_("audience"), null=True, editable=False)

    #: The number of the newest not-before mark when it was opened.
    not_before_number = models.PositiveBigIntegerField(default=0, db_default=0, editable=False)

    idle_expires_at = models.DateTimeField(_("idle until"))
    expires_at = models.DateTimeField(_("expires"), db_index=True)
    ended_at = models.DateTimeField(_("ended"), null=True)
    end_reason = models.CharField(_("reason"), max_length=32, choices=EndReason, blank=True)
    #: The device type of the login that took its place, where the reason is ``replaced``.
    replaced_by = models.CharField(_("replaced by"), max_length=32, blank=True)
    #: Whether its answers kept getting lost (T4), where the reason is ``reused``.
    answers_lost = models.BooleanField(_("answers were lost"), default=False)
    ended_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        related_name="+",
        verbose_name=_("ended by"),
    )
    #: The session that continues it: after a step-up, or after its own password change. Its own id: none may.
    successor = models.UUIDField(_("continued as"), null=True, editable=False)

    objects = DeviceSessionQuerySet.as_manager()

    class Meta:
        verbose_name = _("device session")
        verbose_name_plural = _("device sessions")
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["user", "ended_at"], name="authx_user_ended"),
            models.Index(fields=["user", "device_id"], name="authx_user_device"),
            models.Index(fields=["ended_at", "idle_expires_at"], name="authx_ended_idle"),
            # The list of the admin: what it filters by is read here, and only what is shown in the table.
            models.Index(
                fields=["-created_at", "client_id", "device_type", "country", "ip"], name="authx_created"
            ),
            models.Index(fields=["django_session"], name="authx_django_session"),
            models.Index(fields=["client_id", "ended_at"], name="authx_client_ended"),
            # The overview, and the list by reason. Partial: only an ending writes to them.
            models.Index(
                fields=["end_reason", "ended_at", "client_id"],
                condition=models.Q(end_reason__gt=""),
                name="authx_reason_ended",
            ),
            models.Index(
                fields=["idle_expires_at", "end_reason", "ended_at", "client_id"],
                condition=models.Q(end_reason__in=[EndReason.IDLE, EndReason.EXPIRED]),
                name="authx_limit_reached",
            ),
        ]
        permissions = [
            ("kick_devicesession", "Can kick out device sessions"),
            ("kick_everywhere_devicesession", "Can kick users out everywhere"),
            ("kick_superuser_devicesession", "Can kick out superusers"),
            ("export_devicesession", "Can export device sessions"),
        ]

    def __str__(self) -> str:
        return self.device_name or self.label

    @classmethod
    def check(cls, **kwargs: Any) -> list[CheckMessage]:
        """Check as Django does; MariaDB has no partial indexes, does without ours, and needs no warning."""
        return [message for message in super().check(**kwargs) if message.id != "models.W037"]

    @property
    def label(self) -> str:
        """Return what it is, in the language of whoever looks; of a client's session the client's name."""
        return self.device_label if self.client_id else shown_label(self.device_label)

    @property
    def is_of_a_service(self) -> bool:
        """Return whether a client acts for itself in it, for no user, as ``of_services`` does for queries."""
        return bool(self.client_id) and self.device_type == SERVICE

    @property
    def form(self) -> str:
        """Return what its device looks like, for a picture of it: see ``core.device.form_of``."""
        return form_of(self.device_type, self.user_agent)

    @property
    def known_auth_time(self) -> datetime | None:
        """Return when its user authenticated, for display; None where that is unknown."""
        return self.auth_time if is_known(self.auth_time.timestamp()) else None

    def rotation_state(self) -> RotationState:
        """Return the snapshot that ``rotation.judge`` decides on."""
        return RotationState(
            generation=self.generation,
            confirmed_generation=self.confirmed_generation,
            rotated_at=self.rotated_at,
            idle_expires_at=self.idle_expires_at,
            expires_at=self.expires_at,
            strike_generation=self.strike_generation,
            strike_at=self.strike_at,
            late_streak=self.late_streak,
            late_at=self.late_at,
            spent_branch=self.spent_branch,
            twin_generation=self.twin_generation,
            twin_streak=self.twin_streak,
            end_reason=self.end_reason if self.ended_at else None,
        )

    @property
    def limit_at(self) -> datetime:
        """Return when it ends if it is not refreshed: the earlier of the idle and the absolute limit."""
        return time_limits.limit_at(self.idle_expires_at, self.expires_at)

    def recorded_end(self) -> RecordedEnd | None:
        """Return the end in its row, else that of the mark that ``with_marks`` has read; None if none is."""
        if self.ended_at is not None:
            return RecordedEnd(self.ended_at, self.end_reason)
        annotated = vars(self)
        at = annotated.get("_mark_at")
        return None if at is None else RecordedEnd(at, annotated["_mark_reason"])

    def ended_reason(self, now: datetime | None = None) -> str | None:
        """Return the reason why this session is over, or None while it is live."""
        if (end := self.recorded_end()) is not None:
            return end.reason
        return time_limits.expiry_reason(self.idle_expires_at, self.expires_at, now or timezone.now())
