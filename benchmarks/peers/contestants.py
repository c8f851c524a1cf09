"""Who takes part: how each is set up, and in what it departs from the settings of its authors.

Access tokens live an hour everywhere, so that none expires while a benchmark runs. Imports no Django.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Place:
    """Where a run takes place: its database, its Redis (a URL) and the keys (PEM) of those that need one.

    ``issuer`` is the URL of a site of ours with what its services need, ``service`` one's id and secret.
    """

    database: Mapping[str, Any]
    redis: str
    es256: tuple[str, str]
    rs256: str
    issuer: str = ""
    service: tuple[str, str] = ("", "")


def nothing(place: Place) -> dict[str, Any]:
    return {}


@dataclass(frozen=True)
class Contestant:
    """One way to know who is calling; ``kind`` is how it logs in and out (``peers.doors``)."""

    name: str
    kind: str
    #: Dotted path of the DRF authentication class; empty for the floor, which asks nobody.
    authentication: str = ""
    apps: tuple[str, ...] = ()
    middleware: tuple[str, ...] = ()
    settings: Callable[[Place], dict[str, Any]] = nothing
    redis: bool = False


def redis_cache(place: Place) -> dict[str, Any]:
    return {"default": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": place.redis}}


def simplejwt(place: Place) -> dict[str, Any]:
    return {
        "SIMPLE_JWT": {
            "ACCESS_TOKEN_LIFETIME": HOUR,
            "ROTATE_REFRESH_TOKENS": True,
            "BLACKLIST_AFTER_ROTATION": True,
        }
    }


def simplejwt_es256(place: Place) -> dict[str, Any]:
    private, public = place.es256
    keys = {"ALGORITHM": "ES256", "SIGNING_KEY": private, "VERIFYING_KEY": public}
    return {"SIMPLE_JWT": simplejwt(place)["SIMPLE_JWT"] | keys}


def cached_sessions(place: Place) -> dict[str, Any]:
    return {"CACHES": redis_cache(place), "SESSION_ENGINE": "django.contrib.sessions.backends.cached_db"}


def allauth(*, strategy: str = "", stateful: bool = False) -> Callable[[Place], dict[str, Any]]:
    """allauth headless for apps; ``strategy`` JWT has the default RS256."""

    def settings(place: Place) -> dict[str, Any]:
        found: dict[str, Any] = {
            "HEADLESS_ONLY": True,
            "HEADLESS_CLIENTS": ("app",),
            "HEADLESS_JWT_PRIVATE_KEY": place.rs256,
            "HEADLESS_JWT_ACCESS_TOKEN_EXPIRES_IN": int(HOUR.total_seconds()),
            "HEADLESS_JWT_STATEFUL_VALIDATION_ENABLED": stateful,
            "ACCOUNT_EMAIL_VERIFICATION": "none",
            "ACCOUNT_RATE_LIMITS": False,
            "AUTHENTICATION_BACKENDS": [
                "django.contrib.auth.backends.ModelBackend",
                "allauth.account.auth_backends.AuthenticationBackend",
            ],
        }
        if strategy:
            found["HEADLESS_TOKEN_STRATEGY"] = strategy
        return found

    return settings


def authx(store: str, lag: float) -> Callable[[Place], dict[str, Any]]:
    def settings(place: Place) -> dict[str, Any]:
        found: dict[str, Any] = {
            "AUTHX_ACCESS_TOKEN_LIFETIME": HOUR,
            "AUTHX_REVOCATION_STORE": store,
            "AUTHX_REVOCATION_LAG": timedelta(seconds=lag),
            "AUTHX_LOGIN_RATE": None,  # the limits of all are off
            "AUTHX_REFRESH_RATE": None,
            "AUTHX_REFRESH_GRACE": timedelta(milliseconds=1),  # a refresh right after a login rotates
        }
        return found | ({"CACHES": redis_cache(place)} if store == "redis" else {})

    return settings


def verify_only(lag: float, *, feed: bool) -> Callable[[Place], dict[str, Any]]:
    """A service beside the issuer, which asks it over HTTP."""

    def settings(place: Place) -> dict[str, Any]:
        asks = "REVOCATIONS_URL" if feed else "INTROSPECTION_URL"
        return {
            "DEBUG": True,  # http between the two
            "AUTHX_ACCESS_TOKEN_LIFETIME": HOUR,
            "AUTHX_REVOCATION_STORE": "remote",
            "AUTHX_REVOCATION_LAG": timedelta(seconds=lag),
            "AUTHX_JWKS_URL": f"{place.issuer}/.well-known/jwks.json",
            f"AUTHX_{asks}": f"{place.issuer}/auth/{'revocations' if feed else 'introspect'}/",
            "AUTHX_SERVICE_CREDENTIALS": place.service,
        }

    return settings


BEARER = "authx.api.authentication.BearerAuthentication"
SIMPLEJWT = "rest_framework_simplejwt.authentication."
SIMPLEJWT_APPS = ("rest_framework_simplejwt", "rest_framework_simplejwt.token_blacklist")
SESSION = "rest_framework.authentication.SessionAuthentication"
SESSION_APPS = ("django.contrib.sessions",)
SESSION_MIDDLEWARE = (
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
)
ALLAUTH = "allauth.headless.contrib.rest_framework.authentication."
ALLAUTH_APPS = ("django.contrib.sessions", "allauth", "allauth.account", "allauth.headless")
ALLAUTH_MIDDLEWARE = (*SESSION_MIDDLEWARE, "allauth.account.middleware.AccountMiddleware")
JWT_STRATEGY = "allauth.headless.tokens.strategies.jwt.JWTTokenStrategy"

FLOOR = "no authentication"
ALL = [
    Contestant(FLOOR, "floor"),
    Contestant("authx database", "authx", BEARER, ("authx",), settings=authx("database", 0)),
    Contestant("authx database (lag 1 s)", "authx", BEARER, ("authx",), settings=authx("database", 1)),
    Contestant("authx redis", "authx", BEARER, ("authx",), settings=authx("redis", 0), redis=True),
    Contestant("authx redis (lag 1 s)", "authx", BEARER, ("authx",), settings=authx("redis", 1), redis=True),
    Contestant("simplejwt", "simplejwt", SIMPLEJWT + "JWTAuthentication", SIMPLEJWT_APPS, settings=simplejwt),
    Contestant(
        "simplejwt (ES256)",
        "simplejwt",
        SIMPLEJWT + "JWTAuthentication",
        SIMPLEJWT_APPS,
        settings=simplejwt_es256,
    ),
    Contestant(
        "simplejwt (stateless user)",
        "simplejwt",
        SIMPLEJWT + "JWTStatelessUserAuthentication",
        SIMPLEJWT_APPS,
        settings=simplejwt,
    ),
    Contestant("knox", "knox", "knox.auth.TokenAuthentication", ("knox",)),
    Contestant(
        "DRF token",
        "token",
        "rest_framework.authentication.TokenAuthentication",
        ("rest_framework.authtoken",),
    ),
    Contestant("DRF session (database)", "session", SESSION, SESSION_APPS, SESSION_MIDDLEWARE),
    Contestant(
        "DRF session (cached_db on Redis)",
        "session",
        SESSION,
        SESSION_APPS,
        SESSION_MIDDLEWARE,
        cached_sessions,
        redis=True,
    ),
    Contestant(
        "allauth (session token)",
        "allauth_session",
        ALLAUTH + "XSessionTokenAuthentication",
        ALLAUTH_APPS,
        ALLAUTH_MIDDLEWARE,
        allauth(),
    ),
    Contestant(
        "allauth (JWT)",
        "allauth_jwt",
        ALLAUTH + "JWTTokenAuthentication",
        ALLAUTH_APPS,
        ALLAUTH_MIDDLEWARE,
        allauth(strategy=JWT_STRATEGY),
    ),
    Contestant(
        "allauth (JWT, stateful)",
        "allauth_jwt",
        ALLAUTH + "JWTTokenAuthentication",
        ALLAUTH_APPS,
        ALLAUTH_MIDDLEWARE,
        allauth(strategy=JWT_STRATEGY, stateful=True),
    ),
    Contestant(
        "django-oauth-toolkit",
        "oauth",
        "oauth2_provider.contrib.rest_framework.OAuth2Authentication",
        ("oauth2_provider",),
    ),
]
VERIFIER = ("authx.contrib.verifier",)
#: Those that need an issuer beside them.
SERVICES = [
    Contestant("authx feed (lag 1 s)", "", BEARER, VERIFIER, settings=verify_only(1, feed=True)),
    Contestant("authx feed (lag 5 s)", "", BEARER, VERIFIER, settings=verify_only(5, feed=True)),
    Contestant("authx introspection", "", BEARER, VERIFIER, settings=verify_only(0, feed=False)),
]
BY_NAME = {contestant.name: contestant for contestant in [*ALL, *SERVICES]}


def chosen(only: str) -> list[Contestant]:
    """The floor and those named, or else those whose name contains a word of ``only``; empty for all."""
    words = [word.strip() for word in only.split(",") if word.strip()]
    return [one for one in ALL if not words or one.name == FLOOR or any(_means(word, one) for word in words)]


def _means(word: str, contestant: Contestant) -> bool:
    return word == contestant.name if word in BY_NAME else word in contestant.name
