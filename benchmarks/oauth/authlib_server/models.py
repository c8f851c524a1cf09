"""The three models that Authlib's documentation has a site write."""

from __future__ import annotations

import time
from typing import Any

from authlib.oauth2.rfc6749 import AuthorizationCodeMixin, ClientMixin, TokenMixin
from django.conf import settings
from django.db import models


def now() -> int:
    return int(time.time())


class OAuth2Client(models.Model, ClientMixin):
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE)
    client_id = models.CharField(max_length=48, unique=True, db_index=True)
    client_secret = models.CharField(max_length=48, blank=True)
    redirect_uris = models.TextField(default="")
    scope = models.TextField(default="")
    response_type = models.TextField(default="")
    grant_type = models.TextField(default="")
    token_endpoint_auth_method = models.CharField(max_length=120, default="")

    class Meta:
        app_label = "authlib_server"

    def get_client_id(self) -> str:
        return self.client_id

    def get_default_redirect_uri(self) -> str:
        return self.redirect_uris.split()[0]

    def get_allowed_scope(self, scope: str) -> str:
        allowed = set(self.scope.split())
        return " ".join(one for one in (scope or "").split() if one in allowed)

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri in self.redirect_uris.split()

    def check_client_secret(self, client_secret: str) -> bool:
        return self.client_secret == client_secret

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return endpoint != "token" or self.token_endpoint_auth_method == method

    def check_response_type(self, response_type: str) -> bool:
        return response_type in self.response_type.split()

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type in self.grant_type.split()


class OAuth2Token(models.Model, TokenMixin):
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE)
    client_id = models.CharField(max_length=48, db_index=True)
    token_type = models.CharField(max_length=40)
    access_token = models.CharField(max_length=255, unique=True)
    # As documented; null here, because client credentials have none, and a second "" would not be unique.
    refresh_token = models.CharField(max_length=255, db_index=True, null=True)
    scope = models.TextField(default="")
    revoked = models.BooleanField(default=False)
    issued_at = models.IntegerField(default=now)
    expires_in = models.IntegerField(default=0)

    class Meta:
        app_label = "authlib_server"

    def check_client(self, client: Any) -> bool:
        return bool(self.client_id == client.client_id)

    def get_client_id(self) -> str:
        return self.client_id

    def get_scope(self) -> str:
        return self.scope

    def get_expires_in(self) -> int:
        return self.expires_in

    def is_expired(self) -> bool:
        return self.issued_at + self.expires_in < now()

    def is_revoked(self) -> bool:
        return self.revoked


class AuthorizationCode(models.Model, AuthorizationCodeMixin):
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE)
    client_id = models.CharField(max_length=48, db_index=True)
    code = models.CharField(max_length=120, unique=True)
    redirect_uri = models.TextField(default="", null=True)
    response_type = models.TextField(default="")
    scope = models.TextField(default="", null=True)
    auth_time = models.IntegerField(default=now)
    code_challenge = models.TextField(null=True)
    code_challenge_method = models.CharField(max_length=48, null=True)

    class Meta:
        app_label = "authlib_server"

    def is_expired(self) -> bool:
        return self.auth_time + 300 < now()

    def get_redirect_uri(self) -> str | None:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope or ""
