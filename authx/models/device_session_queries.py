"""Questions about many device sessions: live, ended and expired are defined here for queries."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Self

from django.db import models
from django.db.models import Exists, Expression, OuterRef, Q, Subquery
from django.utils import timezone

from authx.core.client_sessions import SERVICE
from authx.models.revocation import NotBeforeMark, is_marked, marks_of_session


class DeviceSessionQuerySet(models.QuerySet[Any]):
    """Questions about many device sessions, whose model imports this module."""

    def live(self, now: datetime | Expression | None = None) -> Self:
        """Return sessions that have neither ended nor expired, and that no not-before mark has hit.

        ``now`` may also be an expression.
        """
        now = now or timezone.now()
        return self.filter(~is_marked(), ended_at=None, idle_expires_at__gt=now, expires_at__gt=now)

    def ended(self) -> Self:
        """Return sessions that were ended, also by a mark that their rows do not show yet."""
        return self.filter(Q(Exists(_ending_marks())) | Q(ended_at__isnull=False))

    def expired(self, now: datetime | Expression | None = None) -> Self:
        """Return sessions past one of their time limits that nothing else had ended, no mark either."""
        now = now or timezone.now()
        overdue = Q(idle_expires_at__lte=now) | Q(expires_at__lte=now)
        return self.filter(overdue, ~Q(Exists(_ending_marks())), ended_at=None)

    def first_party(self) -> Self:
        """Return logins of the site itself, which are no client's sessions."""
        return self.filter(client_id="")

    def of_apps(self) -> Self:
        """Return sessions in which a client acts for a user."""
        return self.filter(client_id__gt="").exclude(device_type=SERVICE)  # as an index is read

    def of_services(self) -> Self:
        """Return sessions in which a client acts for itself, for no user."""
        return self.filter(device_type=SERVICE, client_id__gt="")

    def of_people(self) -> Self:
        """Return sessions that are, or were, a user's: all but those of services."""
        return self.exclude(~Q(client_id=""), device_type=SERVICE)

    def with_marks(self) -> Self:
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
