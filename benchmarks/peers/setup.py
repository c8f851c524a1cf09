"""A Django process of one contestant: its settings and nothing else."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.peers.contestants import ALL, FLOOR, Contestant, Place

BASE_APPS = ("django.contrib.auth", "django.contrib.contenttypes", "rest_framework")
VARIABLE = "AUTHX_BENCHMARK"


def environment(contestant: Contestant, place: Place) -> dict[str, str]:
    """What the environment of this contestant's process holds; ``peers.settings`` reads it."""
    return {VARIABLE: json.dumps({"name": contestant.name, "place": asdict(place)})}


def configure(contestant: Contestant, place: Place) -> None:
    """Set Django up for this contestant. Once per process."""
    import django

    os.environ |= environment(contestant, place) | {"DJANGO_SETTINGS_MODULE": "benchmarks.peers.settings"}
    django.setup()


def settings_of(contestant: Contestant, place: Place) -> dict[str, Any]:
    return _common(place) | _rest(contestant) | _own(contestant, place)


def configure_everybody(place: Place, contestants: Sequence[Contestant] = ALL) -> None:
    """Set Django up with every table that any of them needs: for the process that makes the database."""
    import django
    from django.conf import settings

    apps = dict.fromkeys(app for contestant in contestants for app in contestant.apps)
    middleware = dict.fromkeys(name for contestant in contestants for name in contestant.middleware)
    settings.configure(
        **_common(place), INSTALLED_APPS=[*BASE_APPS, *apps], MIDDLEWARE=list(middleware), ROOT_URLCONF=""
    )
    django.setup()


def _common(place: Place) -> dict[str, Any]:
    return {
        "SECRET_KEY": "benchmark-" + "x" * 50,
        "ALLOWED_HOSTS": ["*"],
        "DATABASES": {"default": dict(place.database)},
        "USE_TZ": True,
        # Login is measured without the price of a good password hash, which is the same for everybody.
        "PASSWORD_HASHERS": ["django.contrib.auth.hashers.MD5PasswordHasher"],
        # One warning per request otherwise from who is asked to log in by password through OAuth.
        "LOGGING": {"version": 1, "root": {"level": "ERROR"}},
    }


def _rest(contestant: Contestant) -> dict[str, Any]:
    permission = "AllowAny" if contestant.name == FLOOR else "IsAuthenticated"
    return {
        "REST_FRAMEWORK": {
            "DEFAULT_AUTHENTICATION_CLASSES": [contestant.authentication]
            if contestant.authentication
            else [],
            "DEFAULT_PERMISSION_CLASSES": [f"rest_framework.permissions.{permission}"],
            "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        }
    }


def _own(contestant: Contestant, place: Place) -> dict[str, Any]:
    return {
        "INSTALLED_APPS": [*BASE_APPS, *contestant.apps],
        "MIDDLEWARE": list(contestant.middleware),
        "ROOT_URLCONF": "benchmarks.peers.site",
        **contestant.settings(place),
    }
