"""The audit trail: what happened to device sessions."""

from __future__ import annotations

from typing import Any, NoReturn

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from authx.core.device import MAX_USER_AGENT_LENGTH
from authx.models.device_sessions import DeviceSession


class SessionEventQuerySet(models.QuerySet["SessionEvent"]):
    """Append-only: only pruning removes events, and only erasure edits them.

    Erasure (``sessions.erasure``) blanks personal data; kind, time and subject stay.
    """

    def update(self, **kwargs: Any) -> NoReturn:
        raise TypeError("Session events are append-only; authx_forget erases what is personal.")

    def delete(self) -> NoReturn:
        raise TypeError("Session events are append-only; authx_prune removes old ones.")


class SessionEvent(models.Model):
    """One event of a device session, or of a login that opened none; written in the same transaction."""

    class Kind(models.TextChoices):
        OPENED = "opened", _("Signed in")
        REFRESHED = "refreshed", _("Refreshed")
        LATE_REPLAY = "late_replay", _("Spent token returned")
        COPIED = "copied", _("Used from two places")
        REFUSED = "refused", _("Refused")
        STATE_ROLLBACK = "state_rollback", _("Storage had been rolled back")
        REAUTHENTICATED = "reauthenticated", _("Password confirmed")
        FLAGGED = "flagged", _("Flagged")
        RENAMED = "renamed", _("Renamed")
        CONFIRMED = "confirmed", _("Confirmed by its user")
        DISOWNED = "disowned", _("Its user says it was not them")
        ENDED = "ended", _("Ended")
        LOGIN_FAILED = "login_failed", _("Sign-in failed")
        LOGIN_LIMITED = "login_limited", _("Too many sign-in attempts")
        PROOF_FAILED = "proof_failed", _("Password confirmation failed")
        CHOICE_OFFERED = "choice_offered", _("Asked which device to sign out")
        CHOSEN = "chosen", _("Chose which device to sign out")
        GRANT_REFUSED = "grant_refused", _("Refused to a client")

    #: None for an event outside any session, such as a failed login.
    session = models.ForeignKey(DeviceSession, models.CASCADE, related_name="events", null=True)
    #: Whose account it concerns, for events without a session; empty also if no account has that name.
    subject = models.CharField(_("subject"), max_length=255, blank=True)
    kind = models.CharField(_("kind"), max_length=32, choices=Kind)
    #: For a refresh, the state machine's outcome (``core.rotation``); for an ending, the ``EndReason``; for a
    #: refused grant, the rule that refused it.
    outcome = models.CharField(_("outcome"), max_length=32, blank=True)
    at = models.DateTimeField(_("at"), db_index=True)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    actor_label = models.CharField(_("actor"), max_length=150, blank=True)
    #: The client that acted (``ServiceClient.client_id``), where it was no user.
    client_id = models.CharField(_("client"), max_length=64, default="", db_default="", blank=True)
    ip = models.GenericIPAddressField(_("IP address"), null=True)
    user_agent = models.CharField(_("user agent"), max_length=MAX_USER_AGENT_LENGTH, blank=True)
    #: The second of the two places that a copied session is used from: that of its last rotation.
    other_ip = models.GenericIPAddressField(_("other IP address"), null=True)
    other_user_agent = models.CharField(_("other user agent"), max_length=MAX_USER_AGENT_LENGTH, blank=True)
    note = models.CharField(_("note"), max_length=255, blank=True)

    objects = SessionEventQuerySet.as_manager()

    class Meta:
        verbose_name = _("session event")
        verbose_name_plural = _("session events")
        ordering = ["at", "id"]
        indexes = [models.Index(fields=["subject", "at"], name="authx_event_subject")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.outcome}".strip()

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise TypeError("Session events are append-only.")
        super().save(*args, **(kwargs | {"force_insert": True}))

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("Session events are append-only; authx_prune removes old ones.")
