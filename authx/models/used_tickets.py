"""The tickets for sockets that have been taken: one row, one socket."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class UsedTicket(models.Model):
    """A ticket that has opened or renewed a socket. Of two who show it, the second finds its row.

    In the database, not in Redis: a flush there would make tickets good again. Rows are needed for as long as
    a ticket is good, and deleted soon after.
    """

    #: The start of a hash of the ticket, which does not reveal it: see ``core.socket_ticket``.
    name = models.CharField(primary_key=True, max_length=32)
    at = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name = _("used ticket")
        verbose_name_plural = _("used tickets")
        default_permissions = ()

    def __str__(self) -> str:
        return self.name
