"""Device sessions: one login on one device."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.db import models
from django.db.models import Exists, Expression, OuterRef, Q, Subquery
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from authx.core import time_limits
from authx.core.auth_time import is_known
from authx.core.oauth_client import SUBJECT_PREFIX
from authx.core.rotation import RotationState
from authx.models.end_reasons import EndReason
from authx.models.owner_key import OwnerKey
from authx.models.revocation import NotBeforeMark, is_marked, marks_of_session

#: The device type of a client that acts for itself; no login has it beside an empty ``client_id``.
_SERVICE = "service"


def uuid7() -> UUID:
    """Return a version 7 UUID: 48 bits of Unix milliseconds, then 74 random bits (RFC 9562 §5.7).

    The time only keeps new rows together in the index; nothing reads it back. Python has its own since 3.14.
    """
    milliseconds = time.time_ns() // 1_000_000 & (1 << 48) - 1
    value = milliseconds << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 7 << 76  # version
    return UUID(int=value & ~(0x3 << 62) | 2 << 62)  # variant


class DeviceSessionQuerySet(models.QuerySet["DeviceSession"]):
    """Questions about many device sessions."""

    def live(self, now: datetime | Expression | None = None) -> DeviceSessionQuerySet:
        """Return sessions that have neither ended nor expired, and that no not-before mark has hit.

        ``now`` may also be an expression.
        """
        now = now or timezone.now()
        return self.filter(~is_marked(), ended_at=None, idle_expires_at__gt=now, expires_at__gt=now)

    def ended(self) -> DeviceSessionQuerySet:
        """Return sessions that were ended, also by a mark that their rows do not show yet."""
        return self.filter(Q(Exists(_ending_marks())) | Q(ended_at__isnull=False))

    def expired(self, now: datetime | Expression | None = None) -> DeviceSessionQuerySet:
        """Return sessions past one of their time limits that nothing else had ended, no mark either."""
        now = now or timezone.now()
        overdue = Q(idle_expires_at__lte=now) | Q(expires_at__lte=now)
        return self.filter(overdue, ~Q(Exists(_ending_marks())), ended_at=None)

    def first_party(self) -> DeviceSessionQuerySet:
        """Return logins of the site itself, which are no client's sessions."""
        return self.filter(client_id="")

    def of_apps(self) -> DeviceSessionQuerySet:
        """Return sessions in which a client acts for a user."""
        return self.exclude(client_id="").exclude(device_type=_SERVICE)

    def of_services(self) -> DeviceSessionQuerySet:
        """Return sessions in which a client acts for itself, for no user."""
        return self.filter(device_type=_SERVICE).exclude(client_id="")

    def of_people(self) -> DeviceSessionQuerySet:
        """Return sessions that are, or were, a user's: all but those of services."""
        return self.exclude(~Q(client_id=""), device_type=_SERVICE)

    def with_marks(self) -> DeviceSessionQuerySet:
        """Read with each session the first mark that ended it, for lists: see ``recorded_end``.

        A single session that is looked up by ``authx.sessions`` takes marks into account anyway.
        """
        first = _ending_marks()[:1]
        return self.annotate(
            _mark_at=Subquery(first.values("at")), _mark_reason=Subquery(first.values("reason"))
        )


def _ending_marks() -> models.QuerySet[NotBeforeMark]:
    """Return the marks that hit the session of the outer query before it expired."""
    return marks_of_session().filter(at__lt=OuterRef("idle_expires_at")).filter(at__lt=OuterRef("expires_at"))


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
    )
    #: The ``sub`` of its tokens: the user's key, or the field that AUTHX_SUBJECT_FIELD named at login, as
    #: text. Stays as it is, even when the user is deleted.
    subject = models.CharField(_("subject"), max_length=255, db_index=True)

    device_id = models.CharField(_("device id"), max_length=128, blank=True)
    device_name = models.CharField(_("device name"), max_length=100, blank=True)
    device_type = models.CharField(_("device type"), max_length=32)
    device_label = models.CharField(_("device"), max_length=100)
    user_agent = models.CharField(_("user agent"), max_length=512, blank=True)
    ip = models.GenericIPAddressField(_("IP address"), null=True)
    country = models.CharField(_("country"), max_length=2, blank=True)

    amr = models.JSONField(_("authentication methods"), default=list)
    #: The dotted path of the authentication backend that let the user in; ``""`` if no backend did.
    backend = models.CharField(max_length=255, default="", db_default="", editable=False)
    auth_time = models.DateTimeField(_("authenticated at"))
    persistent = models.BooleanField(_("remembered"), default=True)
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
            models.Index(fields=["ended_at", "idle_expires_at"], name="authx_ended_idle"),
            models.Index(fields=["-created_at"], name="authx_created"),
            models.Index(fields=["django_session"], name="authx_django_session"),
            models.Index(fields=["client_id", "ended_at"], name="authx_client_ended"),
        ]
        permissions = [
            ("kick_devicesession", "Can kick out device sessions"),
            ("kick_everywhere_devicesession", "Can kick users out everywhere"),
            ("kick_superuser_devicesession", "Can kick out superusers"),
        ]

    def __str__(self) -> str:
        return self.device_name or self.device_label

    @property
    def is_of_a_service(self) -> bool:
        """Return whether a client acts for itself in it, for no user."""
        return bool(self.client_id) and self.subject == f"{SUBJECT_PREFIX}{self.client_id}"

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
