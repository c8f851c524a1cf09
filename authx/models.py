"""Device sessions and what happened to them: states and questions, no verbs.

Only ``authx.sessions`` writes here.
"""

from __future__ import annotations

import secrets
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn
from uuid import UUID

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from authx.core.keyring_states import KeyTimes
from authx.core.rotation import RotationState

if TYPE_CHECKING:
    from authx.core.claims import AccessClaims


def uuid7() -> UUID:
    """A version 7 UUID: 48 bits of Unix milliseconds, then 74 random bits (RFC 9562 §5.7).

    The time only keeps new rows together in the index; nothing reads it back. Python has its own from 3.14.
    """
    milliseconds = time.time_ns() // 1_000_000 & (1 << 48) - 1
    value = milliseconds << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 7 << 76  # version
    return UUID(int=value & ~(0x3 << 62) | 2 << 62)  # variant


class EndReason(models.TextChoices):
    """Why a device session ended: the machine word, and what its user is told."""

    LOGOUT = "logout", _("You signed out.")
    ENDED_BY_USER = "ended_by_user", _("You were signed out from another of your devices.")
    KICKED = "kicked", _("You were signed out by an administrator.")
    REPLACED = "replaced", _("You were signed out because of a newer sign-in.")
    SUPERSEDED = "superseded", _("Somebody signed in again in this browser.")
    REUSED = "reused", _("You were signed out because your session may have been copied.")
    IDLE = "idle", _("You were signed out because you had been away for a while.")
    EXPIRED = "expired", _("Your session has expired. Please sign in again.")
    PASSWORD_CHANGED = (
        "password_changed",
        _("You were signed out because your password was changed."),
    )
    USER_DISABLED = "user_disabled", _("You were signed out because your account was disabled.")
    USER_DELETED = "user_deleted", _("You were signed out because your account was deleted.")


class DeviceSessionQuerySet(models.QuerySet["DeviceSession"]):
    """Questions about many device sessions."""

    def live(self, now: datetime | None = None) -> DeviceSessionQuerySet:
        """Those that have neither ended nor expired."""
        now = now or timezone.now()
        return self.filter(ended_at=None, idle_expires_at__gt=now, expires_at__gt=now)


class DeviceSession(models.Model):
    """One login on one device, whatever carries it.

    Kept after its end, until pruned, so that a token presented later is still told why.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        related_name="device_sessions",
        verbose_name=_("user"),
    )
    #: The user's key as text, the ``sub`` of the tokens; stays when the user is deleted.
    subject = models.CharField(_("subject"), max_length=255, db_index=True)

    device_id = models.CharField(_("device id"), max_length=128, blank=True)
    device_name = models.CharField(_("device name"), max_length=100, blank=True)
    device_type = models.CharField(_("device type"), max_length=32)
    device_label = models.CharField(_("device"), max_length=100)
    user_agent = models.CharField(_("user agent"), max_length=512, blank=True)
    ip = models.GenericIPAddressField(_("IP address"), null=True)
    country = models.CharField(_("country"), max_length=2, blank=True)

    amr = models.JSONField(_("authentication methods"), default=list)
    auth_time = models.DateTimeField(_("authenticated at"))
    persistent = models.BooleanField(_("remembered"), default=True)
    created_at = models.DateTimeField(_("signed in"))
    last_seen_at = models.DateTimeField(_("last seen"))

    generation = models.PositiveBigIntegerField(_("generation"), default=1)
    confirmed_generation = models.PositiveBigIntegerField(_("confirmed generation"), default=0)
    rotated_at = models.DateTimeField(_("rotated at"))
    strike_generation = models.PositiveBigIntegerField(null=True)
    strike_at = models.DateTimeField(null=True)
    late_generation = models.PositiveBigIntegerField(null=True)
    late_streak = models.PositiveSmallIntegerField(default=0)
    #: 32 random bytes; with the key in settings they make the refresh token's proof.
    salt = models.BinaryField(max_length=32)
    #: SHA-256 hex of the user's session auth hash at login; a mismatch means a changed password.
    fingerprint = models.CharField(max_length=64)
    #: HMAC of the Django session key this session was adopted from; unique, so adopted once ever.
    adopted_from = models.CharField(max_length=64, null=True, unique=True)

    idle_expires_at = models.DateTimeField(_("idle until"))
    expires_at = models.DateTimeField(_("expires"), db_index=True)
    ended_at = models.DateTimeField(_("ended"), null=True)
    end_reason = models.CharField(_("reason"), max_length=32, choices=EndReason, blank=True)
    #: The device type of the login that took its place, where the reason is ``replaced``.
    replaced_by = models.CharField(_("replaced by"), max_length=32, blank=True)
    ended_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        related_name="+",
        verbose_name=_("ended by"),
    )

    objects = DeviceSessionQuerySet.as_manager()

    #: The claims it was recognized by, where it was read by its access token.
    access_claims: AccessClaims | None = None
    #: True for the session that is asking, where a list marks it.
    is_current: bool = False
    #: The database's clock when the row was read, where ``sessions`` read it.
    database_now: datetime

    class Meta:
        verbose_name = _("device session")
        verbose_name_plural = _("device sessions")
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["user", "ended_at"], name="authx_user_ended"),
            models.Index(fields=["ended_at", "idle_expires_at"], name="authx_ended_idle"),
            models.Index(fields=["-created_at"], name="authx_created"),
        ]
        permissions = [
            ("kick_devicesession", "Can kick out device sessions"),
            ("kick_everywhere_devicesession", "Can kick users out everywhere"),
        ]

    def __str__(self) -> str:
        return self.device_name or self.device_label

    def rotation_state(self) -> RotationState:
        """The snapshot that ``judge`` decides on."""
        return RotationState(
            generation=self.generation,
            confirmed_generation=self.confirmed_generation,
            rotated_at=self.rotated_at,
            idle_expires_at=self.idle_expires_at,
            expires_at=self.expires_at,
            strike_generation=self.strike_generation,
            strike_at=self.strike_at,
            late_generation=self.late_generation,
            late_streak=self.late_streak,
            end_reason=self.end_reason if self.ended_at else None,
        )

    def ended_reason(self, now: datetime | None = None) -> str | None:
        """The reason this session is over, or None while it is live."""
        if self.ended_at:
            return self.end_reason
        return self.rotation_state().expiry_reason(now or timezone.now())


class SessionEventQuerySet(models.QuerySet["SessionEvent"]):
    """Append-only: what happened is neither edited nor, except by pruning, removed."""

    def update(self, **kwargs: Any) -> NoReturn:
        raise TypeError("Session events are append-only.")

    def delete(self) -> NoReturn:
        raise TypeError("Session events are append-only; authx_prune removes old ones.")


class SessionEvent(models.Model):
    """One thing that happened to a device session, written in the same transaction."""

    class Kind(models.TextChoices):
        OPENED = "opened", _("Signed in")
        REFRESHED = "refreshed", _("Refreshed")
        LATE_REPLAY = "late_replay", _("Spent token returned")
        REFUSED = "refused", _("Refused")
        STATE_ROLLBACK = "state_rollback", _("Storage had been rolled back")
        REAUTHENTICATED = "reauthenticated", _("Password confirmed")
        FLAGGED = "flagged", _("Flagged")
        RENAMED = "renamed", _("Renamed")
        ENDED = "ended", _("Ended")

    session = models.ForeignKey(DeviceSession, models.CASCADE, related_name="events")
    kind = models.CharField(_("kind"), max_length=32, choices=Kind)
    #: The state machine's row for a refresh, the machine word of the reason for an ending.
    outcome = models.CharField(_("outcome"), max_length=32, blank=True)
    at = models.DateTimeField(_("at"), db_index=True)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    actor_label = models.CharField(_("actor"), max_length=150, blank=True)
    ip = models.GenericIPAddressField(_("IP address"), null=True)
    user_agent = models.CharField(_("user agent"), max_length=512, blank=True)
    note = models.CharField(_("note"), max_length=255, blank=True)

    objects = SessionEventQuerySet.as_manager()

    class Meta:
        verbose_name = _("session event")
        verbose_name_plural = _("session events")
        ordering = ["at", "id"]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.outcome}".strip()

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise TypeError("Session events are append-only.")
        super().save(*args, **(kwargs | {"force_insert": True}))

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("Session events are append-only; authx_prune removes old ones.")


class EndedSession(models.Model):
    """One line of the log of endings, from which copies of the ended sessions are kept up to date.

    Written in the transaction of the ending, so its numbers may appear in another order than they were drawn
    in. Needed only while a token of the session could still be accepted; ``authx_prune`` removes old lines.
    """

    id = models.BigAutoField(primary_key=True)
    sid = models.CharField(max_length=36)
    reason = models.CharField(max_length=32)
    #: By the clock of the process that ended it.
    at = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name = _("ended session")
        verbose_name_plural = _("ended sessions")
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.sid} {self.reason}"


class ServiceClient(models.Model):
    """A service that may ask us about tokens: introspection, revocation, the feed of endings."""

    client_id = models.CharField(_("client id"), max_length=64, unique=True)
    name = models.CharField(_("name"), max_length=100)
    #: SHA-256 hex of a secret of 256 random bits, which nobody can guess back.
    secret_hash = models.CharField(max_length=64)
    created_at = models.DateTimeField(_("created"))
    disabled_at = models.DateTimeField(_("disabled"), null=True)

    class Meta:
        verbose_name = _("service client")
        verbose_name_plural = _("service clients")
        ordering = ["name", "client_id"]
        default_permissions = ("add", "change", "view")

    def __str__(self) -> str:
        return self.name


class SigningKey(models.Model):
    """A managed signing key: rotation adds one, withdrawal stamps one, the rest is told by the clock."""

    #: 1, 2, 3 ...: of two who make the next key at once, one finds its number taken.
    number = models.PositiveIntegerField(_("number"), primary_key=True)
    #: RFC 7638 thumbprint, 43 characters.
    kid = models.CharField(_("key id"), max_length=64, unique=True)
    alg = models.CharField(_("algorithm"), max_length=16)
    public_key = models.TextField(_("public key"))
    #: A Fernet token under a key that is not in the database.
    encrypted_private_key = models.TextField(editable=False)
    created_at = models.DateTimeField(_("published"))
    signs_at = models.DateTimeField(_("signs from"))
    withdrawn_at = models.DateTimeField(_("withdrawn"), null=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        related_name="+",
        verbose_name=_("made by"),
    )
    withdrawn_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        related_name="+",
        verbose_name=_("withdrawn by"),
    )

    #: Its ``KeyState``, where ``sessions`` has judged it.
    state: str = ""

    class Meta:
        verbose_name = _("signing key")
        verbose_name_plural = _("signing keys")
        ordering = ["-number"]
        default_permissions = ("view",)
        permissions = [("manage_signing_keys", "Can rotate and withdraw signing keys")]

    def __str__(self) -> str:
        return self.kid

    def times(self) -> KeyTimes:
        """What its state is judged by."""
        return KeyTimes(self.kid, self.signs_at, self.withdrawn_at)
