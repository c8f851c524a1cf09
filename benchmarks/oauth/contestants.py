"""The authorization servers that take part, each set up as its documentation says. Imports no Django."""

from __future__ import annotations

from typing import Any

from benchmarks.peers.contestants import BY_NAME, Contestant, Place

API, ORDERS = "https://api.example/", "https://orders.example/"
SCOPES = {"orders:read": "See your orders", "orders:write": "Change your orders"}
AUTHX, AUTHLIB = "authx", "Authlib"
TOOLKIT, TUNED = "django-oauth-toolkit (defaults)", "django-oauth-toolkit (tuned)"

#: The same for all: who consents is signed in by Django's own session, and forms are protected.
MIDDLEWARE = (
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
)


def site() -> dict[str, Any]:
    processors = ["django.template.context_processors.request", "django.contrib.auth.context_processors.auth"]
    return {
        "ROOT_URLCONF": "benchmarks.oauth.site",
        "STATIC_URL": "/static/",
        "TEMPLATES": [
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "APP_DIRS": True,
                "OPTIONS": {"context_processors": processors},
            }
        ],
    }


def authx(place: Place) -> dict[str, Any]:
    return site() | {
        "AUTHX_ISSUER": "https://id.example",
        "AUTHX_SCOPES": SCOPES,
        "AUTHX_RESOURCES": {API: list(SCOPES)},
        "LOGIN_URL": "authx:login",
    }


def toolkit(place: Place) -> dict[str, Any]:
    """With the hash of client secrets that Django, and so its default, has for passwords."""
    hashers = ["django.contrib.auth.hashers.PBKDF2PasswordHasher"]
    return site() | {"OAUTH2_PROVIDER": {"SCOPES": SCOPES}, "PASSWORD_HASHERS": hashers}


def tuned_toolkit(place: Place) -> dict[str, Any]:
    """With a hash that costs nothing (our common setting), and a grace for spent refresh tokens."""
    return site() | {"OAUTH2_PROVIDER": {"SCOPES": SCOPES, "REFRESH_TOKEN_GRACE_PERIOD_SECONDS": 10}}


def authlib(place: Place) -> dict[str, Any]:
    return site() | {"AUTHLIB_OAUTH2_PROVIDER": {"refresh_token_generator": True}}


SESSIONS = "django.contrib.sessions"
OAUTH = [
    Contestant(
        AUTHX,
        "authx",
        apps=(SESSIONS, "django.contrib.staticfiles", "authx"),
        middleware=(*MIDDLEWARE, "authx.pages.middleware.DeviceSessionMiddleware"),
        settings=authx,
    ),
    Contestant(TUNED, "toolkit", "", (SESSIONS, "oauth2_provider"), MIDDLEWARE, tuned_toolkit),
    Contestant(AUTHLIB, "authlib", "", (SESSIONS, "benchmarks.oauth.authlib_server"), MIDDLEWARE, authlib),
    Contestant(TOOLKIT, "toolkit", "", (SESSIONS, "oauth2_provider"), MIDDLEWARE, toolkit),
]
BY_NAME.update({contestant.name: contestant for contestant in OAUTH})
