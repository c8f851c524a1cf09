"""How each contestant logs somebody in and out, through its own Python API. Needs a Django that is set up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class Held:
    """What a client holds: the headers of its requests (WSGI names), and what a logout is given."""

    headers: dict[str, str]
    handle: str = ""


def bearer(token: str, scheme: str = "Bearer") -> dict[str, str]:
    return {"HTTP_AUTHORIZATION": f"{scheme} {token}"}


def floor_login(user: Any) -> Held:
    return Held({})


def floor_logout(handle: str) -> None:
    """There is nobody to log out."""


def authx_login(user: Any) -> Held:
    from authx.sessions import Device, open_session

    credentials = open_session(user, device=Device(name="A phone", type="ios"))
    return Held(bearer(credentials.access_token), str(credentials.session.pk))


def authx_logout(handle: str) -> None:
    from authx.models import DeviceSession
    from authx.sessions import end_session

    end_session(DeviceSession.objects.get(pk=handle), "logout")


def simplejwt_login(user: Any) -> Held:
    from rest_framework_simplejwt.tokens import RefreshToken

    refresh = RefreshToken.for_user(user)
    return Held(bearer(str(refresh.access_token)), str(refresh))


def simplejwt_logout(handle: str) -> None:
    from rest_framework_simplejwt.tokens import RefreshToken

    RefreshToken(handle).blacklist()


def knox_login(user: Any) -> Held:
    from knox.models import get_token_model

    instance, token = get_token_model().objects.create(user=user)
    return Held(bearer(token, "Token"), instance.digest)


def knox_logout(handle: str) -> None:
    from knox.models import get_token_model

    get_token_model().objects.get(digest=handle).delete()


def token_login(user: Any) -> Held:
    from rest_framework.authtoken.models import Token

    key = Token.objects.get_or_create(user=user)[0].key
    return Held(bearer(key, "Token"), key)


def token_logout(handle: str) -> None:
    from rest_framework.authtoken.models import Token

    Token.objects.get(key=handle).delete()


def _session_store(key: str | None = None) -> Any:
    from django.conf import settings

    return import_module(settings.SESSION_ENGINE).SessionStore(key)


def _django_login(user: Any) -> Any:
    """A request on which the user has just logged in, its session saved."""
    from django.contrib.auth import login
    from django.contrib.auth.models import AnonymousUser
    from django.http import HttpRequest

    request = HttpRequest()
    request.user = AnonymousUser()
    request.session = _session_store()
    login(request, user, backend="django.contrib.auth.backends.ModelBackend")
    request.session.save()
    return request


def session_login(user: Any) -> Held:
    key = _django_login(user).session.session_key
    return Held({"HTTP_COOKIE": f"sessionid={key}"}, key)


def session_logout(handle: str) -> None:
    _session_store(handle).flush()


def allauth_session_login(user: Any) -> Held:
    key = _django_login(user).session.session_key
    return Held({"HTTP_X_SESSION_TOKEN": key}, key)


def allauth_jwt_login(user: Any) -> Held:
    import cryptography.hazmat.primitives.serialization  # noqa: F401 - which allauth takes for imported
    from allauth.headless import app_settings

    request = _django_login(user)
    token = app_settings.TOKEN_STRATEGY.create_access_token(request)
    return Held(bearer(token), request.session.session_key)


def oauth_login(user: Any) -> Held:
    from django.utils import timezone
    from oauth2_provider.models import get_access_token_model, get_application_model
    from oauthlib.common import generate_token

    client = get_application_model().objects.get_or_create(
        name="first-party", client_type="public", authorization_grant_type="password"
    )[0]
    token = get_access_token_model().objects.create(
        user=user,
        application=client,
        token=generate_token(),
        expires=timezone.now() + timedelta(hours=10),
        scope="read write",
    )
    return Held(bearer(token.token), str(token.pk))


def oauth_logout(handle: str) -> None:
    from oauth2_provider.models import get_access_token_model

    get_access_token_model().objects.get(pk=handle).revoke()


DOORS: dict[str, tuple[Callable[[Any], Held], Callable[[str], None]]] = {
    "floor": (floor_login, floor_logout),
    "authx": (authx_login, authx_logout),
    "simplejwt": (simplejwt_login, simplejwt_logout),
    "knox": (knox_login, knox_logout),
    "token": (token_login, token_logout),
    "session": (session_login, session_logout),
    "allauth_session": (allauth_session_login, session_logout),
    "allauth_jwt": (allauth_jwt_login, session_logout),
    "oauth": (oauth_login, oauth_logout),
}
