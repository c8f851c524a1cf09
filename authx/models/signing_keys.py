"""The keys that sign tokens."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from authx.core.key_schedule import KeyTimes


class SigningKey(models.Model):
    """A managed signing key: rotation adds a row, withdrawal stamps one; its state follows from the clock."""

    #: 1, 2, 3 ...: of two processes that make the next key at once, one finds the number taken.
    number = models.PositiveIntegerField(_("number"), primary_key=True)
    #: RFC 7638 thumbprint, 43 characters.
    kid = models.CharField(_("key id"), max_length=64, unique=True)
    alg = models.CharField(_("algorithm"), max_length=16)
    public_key = models.TextField(_("public key"))
    #: A Fernet token under a key that is not in the database.
    encrypted_private_key = models.TextField(editable=False)
    created_at = models.DateTimeField(_("published"))
    signs_at = models.DateTimeField(_("signs from"))
    withdrawn_at = models.DateTimeField(_("withdrawn"), null=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        related_name="+",
        verbose_name=_("made by"),
    )
    withdrawn_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        related_name="+",
        verbose_name=_("withdrawn by"),
    )

    class Meta:
        verbose_name = _("signing key")
        verbose_name_plural = _("signing keys")
        ordering = ["-number"]
        default_permissions = ("view",)
        permissions = [("manage_signing_keys", "Can rotate and withdraw signing keys")]

    def __str__(self) -> str:
        return self.kid

    def times(self) -> KeyTimes:
        """Return its id and the times that its state follows from."""
        return KeyTimes(self.kid, self.signs_at, self.withdrawn_at)
