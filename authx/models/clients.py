"""Clients: services that ask us about tokens, and apps that act for a user or for themselves."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class ServiceClient(models.Model):
    """A client of this site: one credential for introspection, the feed, and every grant of OAuth."""

    class AuthMethod(models.TextChoices):
        """How it proves who it is at ``token/`` (RFC 7591 §2, ``token_endpoint_auth_method``)."""

        NONE = "none", _("none: a public client")
        CLIENT_SECRET = "client_secret", _("a secret")
        PRIVATE_KEY_JWT = "private_key_jwt", _("a signed assertion")

    client_id = models.CharField(_("client id"), max_length=64, unique=True)
    name = models.CharField(_("name"), max_length=100)
    #: SHA-256 hex of a secret of 256 random bits, too many to guess it from its hash; empty: it has none.
    secret_hash = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(_("created"))
    disabled_at = models.DateTimeField(_("disabled"), null=True)

    auth_method = models.CharField(
        _("authentication"),
        max_length=32,
        choices=AuthMethod,
        default=AuthMethod.CLIENT_SECRET,
        db_default=AuthMethod.CLIENT_SECRET,
    )
    #: Its public keys, a JWK Set (RFC 7517 §5), or where to fetch it; for ``private_key_jwt`` alone.
    jwks = models.JSONField(_("public keys"), null=True, blank=True)
    jwks_uri = models.CharField(
        _("address of the public keys"), max_length=500, default="", db_default="", blank=True
    )
    #: These are lists of texts; None stands for an empty one.
    redirect_uris = models.JSONField(_("redirect URIs"), null=True, blank=True)
    grant_types = models.JSONField(_("grant types"), null=True, blank=True)
    #: Separated by spaces (RFC 6749 §3.3).
    scope = models.CharField(_("scope"), max_length=1000, default="", db_default="", blank=True)
    #: Whom its tokens may be for (RFC 8707): absolute URIs.
    resources = models.JSONField(_("resources"), null=True, blank=True)
    #: Its own name as a resource server, which its callers' tokens carry as ``aud``; empty where it is none.
    audience = models.CharField(_("audience"), max_length=255, default="", db_default="", blank=True)
    #: The ``client_id`` of each service that it may call, by exchange or for itself.
    may_call = models.JSONField(_("may call"), null=True, blank=True)
    #: Origins whose scripts may read answers of ``token/`` (CORS).
    origins = models.JSONField(_("origins"), null=True, blank=True)
    trusted = models.BooleanField(_("without consent"), default=False, db_default=False)
    may_manage_sessions = models.BooleanField(
        _("may end sessions of others"), default=False, db_default=False
    )
    #: How long its sessions last; None: as the site's own do.
    idle_lifetime = models.DurationField(_("idle lifetime"), null=True, blank=True)
    session_lifetime = models.DurationField(_("session lifetime"), null=True, blank=True)

    class Meta:
        verbose_name = _("service client")
        verbose_name_plural = _("service clients")
        ordering = ["name", "client_id"]
        default_permissions = ("add", "change", "view")

    def __str__(self) -> str:
        return self.name
