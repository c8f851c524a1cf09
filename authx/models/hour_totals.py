"""How many sessions began and ended in each hour that is long over."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class HourTotals(models.Model):
    """One full hour of UTC, counted once (``sessions.hour_totals``), when nothing of it changes any more."""

    #: When the hour began.
    since = models.DateTimeField(primary_key=True)
    #: Sign-ins; less than nothing where more are continued in the hour than begin.
    opened = models.IntegerField()
    #: How many ended, by ``EndReason``.
    ended = models.JSONField(default=dict)

    class Meta:
        verbose_name = _("totals of an hour")
        verbose_name_plural = _("totals of hours")
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.since:%Y-%m-%d %H:%M}"
