"""What users have been told by notices, so that they are told once an hour."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _


class SentNotice(models.Model):
    """The last notice of one kind to one user about one device, and what has been held back since."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    #: A ``NoticeKind``.
    kind = models.CharField(max_length=32)
    #: SHA-256 hex of what tells the user's devices apart; ``""`` for a kind that is about no device.
    device = models.CharField(max_length=64, blank=True)
    sent_at = models.DateTimeField(db_index=True)
    #: What was held back: each as ``notices.HeldBack``, without its link; None for none.
    held_back = models.JSONField(null=True)
    #: How much it was; beyond a bound, more than ``held_back`` lists.
    held_back_count = models.PositiveIntegerField(default=0)
    #: Incremented by each change: a conditional UPDATE decides between two writers.
    version = models.PositiveBigIntegerField(default=0)

    class Meta:
        verbose_name = _("sent notice")
        verbose_name_plural = _("sent notices")
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["user", "kind", "device"], name="authx_notice_once"),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} {self.kind}"
