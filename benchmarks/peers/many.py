"""Many sessions at once, each of a user of its own: rows are made in bulk, tokens when they are asked for.

Needs a Django that is set up.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any

from benchmarks.peers.doors import allauth_jwt_login, bearer

BATCH = 5000

Headers = dict[str, str]


@dataclass(frozen=True)
class Kind:
    """How one kind of contestant holds many sessions."""

    #: Makes the rows; a handle for each user's session.
    make: Callable[[Sequence[Any]], list[Any]]
    #: The headers of a request of the session with that handle (WSGI names).
    show: Callable[[Any], Headers]


def make_users(number: int, prefix: str) -> list[Any]:
    """Users with the same password, for a hash each would be most of the time."""
    from django.contrib.auth import get_user_model
    from django.contrib.auth.hashers import make_password

    model, password = get_user_model(), make_password("benchmark")
    users = [model(username=f"{prefix} {place}", password=password) for place in range(number)]
    return list(model.objects.bulk_create(users, BATCH))


def live_session(user: Any, now: datetime) -> Any:
    """An unsaved session opened at ``now``, whose first token has been used."""
    from authx.models import DeviceSession
    from authx.sessions.opening import new_life
    from authx.sessions.password_fingerprint import fingerprint

    return DeviceSession(
        user=user,
        subject=str(user.pk),
        device_type="web",
        device_label="Firefox on Linux",
        user_agent="Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        ip="192.0.2.7",
        auth_time=now,
        confirmed_generation=1,
        fingerprint=fingerprint(user),
        **new_life(now),
    )


def authx_sessions(users: Sequence[Any]) -> list[Any]:
    from authx.models import DeviceSession
    from authx.store.database import database_now

    now = database_now()
    made = DeviceSession.objects.bulk_create([live_session(user, now) for user in users], BATCH)
    return list(made)


def authx_bearer(session: Any) -> Headers:
    from django.utils import timezone

    from authx.sessions.credentials import access_token_for

    return bearer(access_token_for(session, now=timezone.now())[1])


def simplejwt_bearer(user: Any) -> Headers:
    from rest_framework_simplejwt.tokens import AccessToken

    return bearer(str(AccessToken.for_user(user)))


def knox_tokens(users: Sequence[Any]) -> list[str]:
    from django.utils import timezone
    from knox import crypto
    from knox.models import get_token_model
    from knox.settings import CONSTANTS

    model, later = get_token_model(), timezone.now() + timedelta(hours=10)
    tokens = [crypto.create_token_string() for _ in users]
    rows = [
        model(
            digest=crypto.hash_token(token),
            token_key=token[: CONSTANTS.TOKEN_KEY_LENGTH],
            user=user,
            expiry=later,
        )
        for user, token in zip(users, tokens, strict=True)
    ]
    model.objects.bulk_create(rows, BATCH)
    return tokens


def drf_tokens(users: Sequence[Any]) -> list[str]:
    from rest_framework.authtoken.models import Token

    rows = [Token(key=Token.generate_key(), user=user) for user in users]
    Token.objects.bulk_create(rows, BATCH)
    return [row.key for row in rows]


def django_sessions(users: Sequence[Any]) -> list[str]:
    """Keys of sessions in which these users are logged in; in the cache too, where the engine has one."""
    from importlib import import_module

    from django.conf import settings
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.sessions.models import Session
    from django.utils import timezone

    store = import_module(settings.SESSION_ENGINE).SessionStore()
    later, rows, cached = timezone.now() + timedelta(days=14), [], {}
    for user in users:
        data = {
            SESSION_KEY: str(user.pk),
            BACKEND_SESSION_KEY: "django.contrib.auth.backends.ModelBackend",
            HASH_SESSION_KEY: user.get_session_auth_hash(),
        }
        key = secrets.token_hex(16)
        rows.append(Session(session_key=key, session_data=store.encode(data), expire_date=later))
        cached[getattr(store, "cache_key_prefix", "") + key] = data
    Session.objects.bulk_create(rows, BATCH)
    if settings.SESSION_ENGINE.endswith("cached_db"):
        from django.core.cache import cache

        cache.set_many(cached, timeout=None)
    return [row.session_key for row in rows]


def oauth_tokens(users: Sequence[Any]) -> list[str]:
    from django.utils import timezone
    from oauth2_provider.models import get_access_token_model, get_application_model
    from oauthlib.common import generate_token

    client = get_application_model().objects.get_or_create(
        name="first-party", client_type="public", authorization_grant_type="password"
    )[0]
    model, later = get_access_token_model(), timezone.now() + timedelta(hours=10)
    rows = [
        model(user=user, application=client, token=generate_token(), expires=later, scope="read write")
        for user in users
    ]
    model.objects.bulk_create(rows, BATCH)
    return [row.token for row in rows]


KINDS = {
    "floor": Kind(list, lambda user: {}),
    "authx": Kind(authx_sessions, authx_bearer),
    "simplejwt": Kind(list, simplejwt_bearer),
    "knox": Kind(knox_tokens, lambda token: bearer(token, "Token")),
    "token": Kind(drf_tokens, lambda key: bearer(key, "Token")),
    "session": Kind(django_sessions, lambda key: {"HTTP_COOKIE": f"sessionid={key}"}),
    "allauth_session": Kind(django_sessions, lambda key: {"HTTP_X_SESSION_TOKEN": key}),
    #: Its token is signed by RSA and needs a session that was logged in: only what is drawn is made.
    "allauth_jwt": Kind(list, lambda user: allauth_jwt_login(user).headers),
    "oauth": Kind(oauth_tokens, bearer),
}


class Pool:
    """So many sessions of one contestant, from which requests are drawn."""

    def __init__(self, kind: str, size: int, prefix: str) -> None:
        self._kind = KINDS[kind]
        self._handles = self._kind.make(make_users(size, prefix))
        self._shown: dict[int, Headers] = {}

    def __len__(self) -> int:
        return len(self._handles)

    def headers(self, place: int) -> Headers:
        """What the session at that place sends; the same each time."""
        if place not in self._shown:
            self._shown[place] = self._kind.show(self._handles[place])
        return self._shown[place]

    def everybody(self, drawn: Random) -> Iterator[int]:
        """Every place once, in an order drawn anew."""
        return iter(drawn.sample(range(len(self)), len(self)))
