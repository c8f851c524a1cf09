"""The grants that Authlib's documentation has a site write, and the server that holds them."""

from __future__ import annotations

from typing import Any

from authlib.integrations.django_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import grants
from authlib.oauth2.rfc7636 import CodeChallenge
from django.contrib.auth import get_user_model

from benchmarks.oauth.authlib_server.models import AuthorizationCode, OAuth2Client, OAuth2Token

SECRETS = ["client_secret_basic", "client_secret_post"]


class CodeGrant(grants.AuthorizationCodeGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = SECRETS

    def save_authorization_code(self, code: str, request: Any) -> AuthorizationCode:
        data = request.payload.data
        return AuthorizationCode.objects.create(
            code=code,
            client_id=request.client.client_id,
            redirect_uri=request.payload.redirect_uri,
            response_type=request.payload.response_type,
            scope=request.payload.scope,
            user=request.user,
            code_challenge=data.get("code_challenge"),
            code_challenge_method=data.get("code_challenge_method"),
        )

    def query_authorization_code(self, code: str, client: OAuth2Client) -> AuthorizationCode | None:
        found = AuthorizationCode.objects.filter(code=code, client_id=client.client_id).first()
        return None if found is None or found.is_expired() else found

    def delete_authorization_code(self, authorization_code: AuthorizationCode) -> None:
        authorization_code.delete()

    def authenticate_user(self, authorization_code: AuthorizationCode) -> Any:
        return authorization_code.user


class RefreshGrant(grants.RefreshTokenGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = SECRETS
    #: Off by default; the others rotate.
    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, refresh_token: str) -> OAuth2Token | None:
        found = OAuth2Token.objects.filter(refresh_token=refresh_token).first()
        return None if found is None or found.is_revoked() else found

    def authenticate_user(self, credential: OAuth2Token) -> Any:
        return get_user_model().objects.get(pk=credential.user_id)

    def revoke_old_credential(self, credential: OAuth2Token) -> None:
        credential.revoked = True
        credential.save()


server = AuthorizationServer(OAuth2Client, OAuth2Token)
server.register_grant(CodeGrant, [CodeChallenge(required=True)])
server.register_grant(RefreshGrant)
server.register_grant(grants.ClientCredentialsGrant)
