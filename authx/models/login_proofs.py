"""Login proofs that have been used: what makes each of them good for one time only."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class SpentLoginProof(models.Model):
    """A login proof that was presented; to use it again would be to insert the same row again.

    Needed only while the proof would be good otherwise, for five minutes; ``authx_prune`` removes old rows.
    """

    #: The random part of the proof, which is no secret and not the proof itself.
    nonce = models.CharField(max_length=32, primary_key=True)
    #: By the database's clock.
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name = _("spent login proof")
        verbose_name_plural = _("spent login proofs")
        default_permissions = ()

    def __str__(self) -> str:
        return self.nonce
