"""The revocation log and the not-before marks, from which copies of the ended sessions are updated."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Exists, OuterRef
from django.utils.translation import gettext_lazy as _

from authx.core.revocation_log import EVERYBODY, MAX_NAME_LENGTH
from authx.models.exactly import Octets


class RevocationLogEntry(models.Model):
    """One entry of the revocation log, from which copies of the ended sessions are updated.

    Written in the transaction of the ending, so entries may become visible in another order than that of
    their ids. Needed only while a token of the session could still be accepted; ``authx_prune`` removes old
    entries.
    """

    id = models.BigAutoField(primary_key=True)
    #: A ``sid``, the subject of a not-before mark, or a key: see ``core.revocation_log``.
    subject_key = models.CharField(max_length=MAX_NAME_LENGTH)
    #: The reason of the ending; of a mark, its number, its reason, and which session it does not end.
    value = models.CharField(max_length=96)
    #: By the clock of the process that wrote the entry.
    at = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name = _("revocation log entry")
        verbose_name_plural = _("revocation log entries")
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.subject_key} {self.value}"


class NotBeforeMark(models.Model):
    """One row that ends every session that one user, or everybody, opened before it.

    The rows of those sessions are updated later, in batches; no request waits for that. Kept until no token
    and no transaction from before it can be left; then ``authx_prune`` removes it, unless it is the newest.
    """

    #: 1, 2, 3 ... in the order they commit. A session is hit if its ``not_before_number`` is less.
    number = models.BigIntegerField(primary_key=True)
    #: Whose sessions; empty for everybody's.
    subject = models.CharField(max_length=255, blank=True)
    reason = models.CharField(max_length=32)
    #: By the database's clock. It decides only what the rows of the ended sessions will show.
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


def marks_of_session(path: str = "") -> models.QuerySet[NotBeforeMark]:
    """Return the not-before marks that hit the device session of the outer query, oldest first.

    ``path`` leads to the session from the rows of that query, such as ``login__``.

    Compared by octets, as copies, Redis and services do: a blank subject, which MariaDB treats as equal to
    the empty one, is not everybody.
    """
    marks = NotBeforeMark.objects.alias(octets=Octets("subject"))
    return marks.filter(
        octets__in=(EVERYBODY, OuterRef(f"{path}subject")), number__gt=OuterRef(f"{path}not_before_number")
    ).order_by("number")


def is_marked(path: str = "") -> Exists:
    """Return the condition that a not-before mark has hit the session of the outer query, live or not.

    ``path`` is that of ``marks_of_session``.
    """
    return Exists(marks_of_session(path))
