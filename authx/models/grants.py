"""What a user has granted to a client: codes on their way, and consents that are remembered."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from authx.models.clients import ServiceClient
from authx.models.device_sessions import DeviceSession


class AuthorizationCode(models.Model):
    """A code between the consent and the client's request for tokens; good once, for a minute."""

    #: SHA-256 hex of the code.
    code_hash = models.CharField(primary_key=True, max_length=64)
    client = models.ForeignKey(ServiceClient, models.CASCADE, related_name="+")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    #: The session of the browser that consented: the code dies with it.
    login = models.ForeignKey(DeviceSession, models.CASCADE, related_name="+")
    redirect_uri = models.CharField(max_length=2000)
    #: S256 of the client's verifier (RFC 7636 §4.2).
    challenge = models.CharField(max_length=43)
    scope = models.CharField(max_length=1000, blank=True)
    resources = models.JSONField(default=list)
    expires_at = models.DateTimeField(db_index=True)
    redeemed_at = models.DateTimeField(null=True)
    #: The id of the session that it opens, chosen when the code is made.
    session_id = models.UUIDField()

    class Meta:
        verbose_name = _("authorization code")
        verbose_name_plural = _("authorization codes")
        default_permissions = ()

    def __str__(self) -> str:
        return self.code_hash[:8]


class Consent(models.Model):
    """What a user has allowed a client, so that they are not asked for it again."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    client = models.ForeignKey(ServiceClient, models.CASCADE, related_name="+")
    scope = models.CharField(max_length=1000, blank=True)
    resources = models.JSONField(default=list)
    at = models.DateTimeField()

    class Meta:
        verbose_name = _("consent")
        verbose_name_plural = _("consents")
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["user", "client"], name="authx_consent_once")]

    def __str__(self) -> str:
        return f"{self.user_id} {self.client_id}"
