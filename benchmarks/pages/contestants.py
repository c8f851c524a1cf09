"""Who looks after a page's user, each set up as its documentation says. Imports no Django."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.peers.contestants import (
    BY_NAME,
    SESSION_APPS,
    SESSION_MIDDLEWARE,
    Contestant,
    Place,
    authx,
    cached_sessions,
    nothing,
)

#: The kind of those whose browser has no cookie of Django's session, which would have to be read.
ALONE = "page, no sessionid"
PLAIN, DJANGO = "plain page", "Django's sessions (database)"
_OURS = (*SESSION_MIDDLEWARE, "authx.pages.middleware.DeviceSessionMiddleware")
_AUTH = SESSION_MIDDLEWARE[1:]


def _site(settings: Callable[[Place], dict[str, Any]] = nothing) -> Callable[[Place], dict[str, Any]]:
    return lambda place: {"ROOT_URLCONF": "benchmarks.pages.site", **settings(place)}


def _ours(name: str, store: str, lag: float, kind: str = "page") -> Contestant:
    return Contestant(
        f"{name}, pages" + (", no sessionid" if kind == ALONE else ""),
        kind,
        apps=(*SESSION_APPS, "authx"),
        middleware=_OURS,
        settings=_site(authx(store, lag)),
        redis=store == "redis",
    )


def _user_sessions(place: Place) -> dict[str, Any]:
    return {"SESSION_ENGINE": "user_sessions.backends.db"}


def _tracked(place: Place) -> dict[str, Any]:
    """When and where a session was last used is only known if asked for."""
    return {"USERSESSIONS_TRACK_ACTIVITY": True}


STORES = {
    "database": ("database", 0),
    "database (lag 1 s)": ("database", 1),
    "redis": ("redis", 0),
    "redis (lag 1 s)": ("redis", 1),
}
PAGES = [
    Contestant(PLAIN, "page", settings=_site()),
    Contestant(DJANGO, "page", apps=SESSION_APPS, middleware=SESSION_MIDDLEWARE, settings=_site()),
    Contestant(
        "Django's sessions (cached_db on Redis)",
        "page",
        apps=SESSION_APPS,
        middleware=SESSION_MIDDLEWARE,
        settings=_site(cached_sessions),
        redis=True,
    ),
    *(_ours(f"authx {name}", *store, kind) for kind in ("page", ALONE) for name, store in STORES.items()),
    Contestant(
        "django-user-sessions",
        "page",
        apps=("user_sessions",),
        middleware=("user_sessions.middleware.SessionMiddleware", *_AUTH),
        settings=_site(_user_sessions),
    ),
    Contestant(
        "allauth usersessions (tracking)",
        "page",
        apps=(*SESSION_APPS, "django.contrib.humanize", "allauth", "allauth.account", "allauth.usersessions"),
        middleware=(
            *SESSION_MIDDLEWARE,
            "allauth.account.middleware.AccountMiddleware",
            "allauth.usersessions.middleware.UserSessionsMiddleware",
        ),
        settings=_site(_tracked),
    ),
]
OURS = tuple(one.name for one in PAGES if one.name.startswith("authx"))
BY_NAME.update({one.name: one for one in PAGES})
