"""What has to be known of each server: how clients get there, and what is left after a refresh."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from benchmarks.oauth.contestants import API, ORDERS
from benchmarks.oauth.forms import CALLBACK, SCOPE, SECRET, authorization, basic, encode

TOKEN_URL = "https://id.example/o/token/"
ACCESS_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:access_token"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"


class Server:
    """One authorization server; runs where its Django is set up."""

    #: What the client adds where it asks for tokens of its own.
    own: dict[str, str] = {}

    def __init__(self, name: str) -> None:
        from django.utils.text import slugify

        #: Ids of a client of users, and of one that acts for itself.
        self.reader, self.shop = f"reader-{slugify(name)}", f"shop-{slugify(name)}"

    def consent(self) -> dict[str, str]:
        """What the consent page's form sends."""
        raise NotImplementedError

    def register(self, user: Any) -> None:
        """Register the clients."""
        raise NotImplementedError

    def forget_consent(self) -> None:
        """Have the next request for authorization ask the user again."""

    def grow_old(self) -> None:
        """Let an hour pass for all sessions that can be refreshed."""

    def exchange(self, access_token: str) -> bytes | None:
        """The form that exchanges a token for one for another service; None: it cannot."""
        return None

    def authentications(self, number: int) -> dict[str, list[Callable[[], Any]]]:
        """Client authentication alone, by method, as the token endpoint calls it."""
        raise NotImplementedError

    def rotations(self) -> int:
        """How many refresh tokens have ever been made, repetitions not counted."""
        raise NotImplementedError


class Authx(Server):
    own = {"audience": ORDERS}

    def consent(self) -> dict[str, str]:
        return {"decision": "allow"}

    def register(self, user: Any) -> None:
        from django.utils import timezone

        from authx.issuer.client_secrets import hash_of
        from authx.models import ServiceClient

        def add(client_id: str, grants: list[str], **columns: Any) -> Any:
            columns |= {"name": client_id, "created_at": timezone.now(), "scope": SCOPE}
            return ServiceClient.objects.create(client_id=client_id, grant_types=grants, **columns)

        secret = {"secret_hash": hash_of(SECRET)}
        code = {"redirect_uris": [CALLBACK], "resources": [API]}
        add(self.reader, ["authorization_code", "refresh_token"], **secret, **code)
        add("orders", ["client_credentials"], audience=ORDERS, **secret)
        add(self.shop, ["client_credentials", EXCHANGE], audience=API, may_call=["orders"], **secret)
        self.key, jwk = new_key()
        add("signer", ["client_credentials"], auth_method="private_key_jwt", jwks={"keys": [jwk]})

    def forget_consent(self) -> None:
        from authx.models import Consent

        Consent.objects.all().delete()

    def grow_old(self) -> None:
        from django.db.models import F

        from authx.models import DeviceSession

        hour = timedelta(hours=1)
        DeviceSession.objects.filter(client_id=self.reader).update(rotated_at=F("rotated_at") - hour)

    def exchange(self, access_token: str) -> bytes | None:
        form = {"subject_token": access_token, "subject_token_type": ACCESS_TOKEN_TYPE, "audience": ORDERS}
        return encode(EXCHANGE, form)

    def authentications(self, number: int) -> dict[str, list[Callable[[], Any]]]:
        from functools import partial

        from authx.issuer.client_authentication import authenticate_client

        signed = [assertion(self.key, "signer", TOKEN_URL) for _ in range(number)]
        return {
            "secret": [partial(authenticate_client, self.reader, secret=SECRET)] * number,
            "private_key_jwt": [
                partial(authenticate_client, "signer", assertion=one, audiences=(TOKEN_URL,))
                for one in signed
            ],
        }

    def rotations(self) -> int:
        from django.db.models import Sum

        from authx.models import DeviceSession

        sessions = DeviceSession.objects.filter(client_id=self.reader)
        return int(sessions.aggregate(found=Sum("generation"))["found"] or 0)


class Toolkit(Server):
    def consent(self) -> dict[str, str]:
        return authorization(self.reader) | {"allow": "Authorize"}

    def register(self, user: Any) -> None:
        from oauth2_provider.models import get_application_model

        def add(client_id: str, grant: str) -> None:
            get_application_model().objects.create(
                client_id=client_id,
                name=client_id,
                user=user,
                client_secret=SECRET,
                client_type="confidential",
                authorization_grant_type=grant,
                redirect_uris=CALLBACK,
            )

        add(self.reader, "authorization-code")
        add(self.shop, "client-credentials")

    def authentications(self, number: int) -> dict[str, list[Callable[[], Any]]]:
        from functools import partial

        from oauth2_provider.oauth2_validators import OAuth2Validator
        from oauthlib.common import Request

        def ask() -> Request:
            return Request(TOKEN_URL, "POST", headers={"HTTP_AUTHORIZATION": basic(self.reader)})

        validator = OAuth2Validator()
        return {"secret": [partial(validator.authenticate_client, ask()) for _ in range(number)]}

    def rotations(self) -> int:
        from oauth2_provider.models import get_refresh_token_model

        return int(get_refresh_token_model().objects.filter(application__client_id=self.reader).count())


class Authlib(Server):
    def consent(self) -> dict[str, str]:
        return {"confirm": "yes"}

    def register(self, user: Any) -> None:
        from benchmarks.oauth.authlib_server.models import OAuth2Client

        for client_id in (self.reader, self.shop):
            OAuth2Client.objects.create(
                user=user,
                client_id=client_id,
                client_secret=SECRET,
                redirect_uris=CALLBACK,
                scope=SCOPE,
                response_type="code",
                grant_type="authorization_code refresh_token client_credentials",
                token_endpoint_auth_method="client_secret_basic",
            )

    def authentications(self, number: int) -> dict[str, list[Callable[[], Any]]]:
        from functools import partial

        from authlib.integrations.django_oauth2.requests import DjangoOAuth2Request
        from django.test import RequestFactory

        from benchmarks.oauth.authlib_server.grants import SECRETS, server

        def ask() -> Any:
            request = RequestFactory().post("/o/token/", headers={"Authorization": basic(self.reader)})
            return DjangoOAuth2Request(request)

        return {"secret": [partial(server.authenticate_client, ask(), SECRETS) for _ in range(number)]}

    def rotations(self) -> int:
        from benchmarks.oauth.authlib_server.models import OAuth2Token

        return int(OAuth2Token.objects.filter(refresh_token__isnull=False).count())


SERVERS: dict[str, type[Server]] = {"authx": Authx, "toolkit": Toolkit, "authlib": Authlib}


def new_key() -> tuple[Any, dict[str, Any]]:
    """A client's key, and its public half as a JWK."""
    import json

    from cryptography.hazmat.primitives.asymmetric import ec
    from jwt.algorithms import ECAlgorithm

    key = ec.generate_private_key(ec.SECP256R1())
    jwk = json.loads(ECAlgorithm.to_jwk(key.public_key()))
    return key, jwk | {"kid": "one", "alg": "ES256", "use": "sig"}


def assertion(key: Any, client_id: str, audience: str) -> str:
    import secrets
    import time

    import jwt

    now = int(time.time())
    claims = {"iss": client_id, "sub": client_id, "aud": audience, "iat": now, "exp": now + 600}
    return jwt.encode(claims | {"jti": secrets.token_hex(16)}, key, "ES256", {"kid": "one"})
