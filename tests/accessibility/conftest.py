"""The site over HTTP with everything on it, and people at browsers: made once for a module.

Nothing that a test does here is undone after it; visits end no session but their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.test import override_settings
from pytest_django.live_server_helper import LiveServer

from tests.accessibility.tour import Tour
from tests.accessibility.world import SETTINGS, World, settle

LOCALE = "django.middleware.locale.LocaleMiddleware"
ACTING = "tests.accessibility.tour.ActingAs"


@pytest.fixture(scope="module")
def db(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """The database, for a whole module: what is written is committed, and gone when the module is done."""
    with django_db_blocker.unblock():
        yield
        call_command("flush", verbosity=0, interactive=False)


@pytest.fixture(scope="module")
def world(db: None) -> Iterator[World]:
    """Everybody and everything on the site, as it is set up."""
    others = [name for name in settings.MIDDLEWARE if name != LOCALE]
    with override_settings(**SETTINGS, MIDDLEWARE=[others[0], LOCALE, *others[1:], ACTING]):
        yield settle()


@pytest.fixture(scope="module")
def origin(world: World) -> Iterator[str]:
    """Where the site is."""
    server = LiveServer("localhost")
    changed = server._live_server_modified_settings
    changed.enable()
    yield server.url
    changed.disable()
    server.stop()


@pytest.fixture(scope="module")
def signed_in(chromium: Any, origin: str, world: World) -> Callable[[str], Any]:
    """The cookies of somebody who is signed in: each signs in once."""
    kept: dict[str, Any] = {"": None}

    def cookies_of(who: str) -> Any:
        if who not in kept:
            tour = Tour(chromium, origin, world, language="en")
            tour.sign_in(who)
            kept[who] = tour.context.storage_state()
            tour.close()
        return kept[who]

    return cookies_of


@pytest.fixture
def begin(
    chromium: Any, origin: str, world: World, signed_in: Callable[[str], Any]
) -> Iterator[Callable[..., Tour]]:
    """Begin a tour as somebody, in a language; it is over when the test is."""
    begun: list[Tour] = []

    def start(who: str = "", language: str = "en", **options: Any) -> Tour:
        options["storage_state"] = signed_in(who)
        begun.append(Tour(chromium, origin, world, language=language, **options))
        return begun[-1]

    yield start
    for tour in begun:
        tour.close()
