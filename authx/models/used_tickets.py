"""What has been used that is good for one time only: one row, one socket or one login."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class UsedTicket(models.Model):
    """A ticket that has opened or renewed a socket, or a login proof that has been presented.

    Of two who show it, the second finds its row. In the database, not in Redis: a flush there would make it
    good again. Rows are needed for as long as it would be good, and deleted soon after.
    """

    #: The start of a hash of the ticket (``core.socket_ticket``), or the random part of the proof
    #: (``core.login_proof``): neither reveals what it names.
    name = models.CharField(primary_key=True, max_length=32)
    #: When the ticket was taken, or until when the proof would be good.
    at = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name = _("used ticket")
        verbose_name_plural = _("used tickets")
        default_permissions = ()

    def __str__(self) -> str:
        return self.name
