"""What copies of the ended sessions are kept up to date from."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Exists, OuterRef
from django.utils.translation import gettext_lazy as _

from authx.core.revocation_log import LONGEST
from authx.models.exactly import Octets


class EndedSession(models.Model):
    """One line of the log of endings, from which copies of the ended sessions are kept up to date.

    Written in the transaction of the ending, so its numbers may appear in another order than they were drawn
    in. Needed only while a token of the session could still be accepted; ``authx_prune`` removes old lines.
    """

    id = models.BigAutoField(primary_key=True)
    #: A ``sid``, or whose mark, or which key: see ``core.log_entries``.
    name = models.CharField(max_length=LONGEST)
    #: The reason; or what else is told under that name.
    told = models.CharField(max_length=64)
    #: By the clock of the process that wrote it.
    at = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name = _("ended session")
        verbose_name_plural = _("ended sessions")
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.name} {self.told}"


class NotBeforeMark(models.Model):
    """One line that ends every session which one user, or everybody, opened before it.

    The rows of those sessions follow in batches; no door waits for that. Kept until no token and no
    transaction from before it can be left; ``authx_prune`` removes it then, unless it is the newest.
    """

    #: 1, 2, 3 ... in the order they commit. A session is hit if its ``era`` is less.
    number = models.BigIntegerField(primary_key=True)
    #: Whose sessions; empty for everybody's.
    subject = models.CharField(max_length=255, blank=True)
    reason = models.CharField(max_length=32)
    #: The database's clock; it decides nothing but what the ended rows will say.
    at = models.DateTimeField()
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    note = models.CharField(max_length=255, blank=True)

    class Meta:
        verbose_name = _("not-before mark")
        verbose_name_plural = _("not-before marks")
        indexes = [models.Index(fields=["subject", "number"], name="authx_mark_subject")]
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.number} {self.subject or '*'} {self.reason}"


def marks_of_session() -> models.QuerySet[NotBeforeMark]:
    """The not-before marks that hit the device session of the outer query, the first of them first.

    By octets, as copies, Redis and services compare: what MariaDB takes for an empty text is not everybody.
    """
    marks = NotBeforeMark.objects.alias(octets=Octets("subject"))
    return marks.filter(octets__in=("", OuterRef("subject")), number__gt=OuterRef("era")).order_by("number")


def is_marked() -> Exists:
    """Whether a not-before mark has hit the device session of the outer query, live or not."""
    return Exists(marks_of_session())
