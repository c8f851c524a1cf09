"""How a database grows: rows and bytes per login and per refresh, authx beside its peers.

    pip install -e . -r benchmarks/requirements.txt
    python -m benchmarks.growth [--logins 10000] [--refreshes 5]

Each contestant gets a SQLite file of its own, does the same logins, each followed by the same number of
refreshes, and is measured as the file's size after VACUUM, less its size before. Bytes of other databases
differ; the proportions do not.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

APPS = {
    "authx": ["authx"],
    "simplejwt + blacklist": ["rest_framework_simplejwt", "rest_framework_simplejwt.token_blacklist"],
    "knox": ["knox"],
}


@dataclass
class Measured:
    """What one phase added to the database."""

    rows: int
    octets: int


def configure(path: str) -> None:
    """A Django of one process on one SQLite file, with every contestant's tables."""
    import django
    from django.conf import settings

    settings.configure(
        SECRET_KEY="benchmark-" + "x" * 50,
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": path}},
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "rest_framework",
            *(app for apps in APPS.values() for app in apps),
        ],
        USE_TZ=True,
        SIMPLE_JWT={"ROTATE_REFRESH_TOKENS": True, "BLACKLIST_AFTER_ROTATION": True},
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    )
    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


def authx_login(user: Any) -> Any:
    from authx.sessions import Device, open_session

    return open_session(user, device=Device(name="A phone", type="ios"))


def authx_refresh(credentials: Any) -> Any:
    from authx.conf import conf
    from authx.sessions import refresh_session

    later = credentials.now + conf.REFRESH_GRACE + timedelta(seconds=1)
    return refresh_session(credentials.refresh_token, now=later)


def simplejwt_login(user: Any) -> str:
    from rest_framework_simplejwt.tokens import RefreshToken

    return str(RefreshToken.for_user(user))


def simplejwt_refresh(token: str) -> str:
    from rest_framework_simplejwt.serializers import TokenRefreshSerializer

    serializer = TokenRefreshSerializer(data={"refresh": token})
    serializer.is_valid(raise_exception=True)
    rotated: str = serializer.validated_data["refresh"]
    return rotated


def knox_login(user: Any) -> str:
    from knox.models import get_token_model

    _instance, token = get_token_model().objects.create(user=user)
    return str(token)


#: How each logs in and refreshes; knox has nothing to refresh.
CONTESTANTS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any] | None]] = {
    "authx": (authx_login, authx_refresh),
    "simplejwt + blacklist": (simplejwt_login, simplejwt_refresh),
    "knox": (knox_login, None),
}


def rows_of(name: str) -> int:
    from django.apps import apps

    labels = {app.rpartition(".")[2] for app in APPS[name]}
    models = [model for model in apps.get_models() if model._meta.app_label in labels]
    return sum(model._base_manager.count() for model in models)


def octets() -> int:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("VACUUM")
    return os.path.getsize(connection.settings_dict["NAME"])


def measure(name: str, work: Callable[[], Any]) -> tuple[Measured, Any]:
    rows, before = rows_of(name), octets()
    result = work()
    return Measured(rows_of(name) - rows, octets() - before), result


def run(name: str, logins: int, refreshes: int) -> tuple[Measured, Measured | None]:
    from django.contrib.auth import get_user_model

    user = get_user_model().objects.get_or_create(username="ada")[0]
    login, refresh = CONTESTANTS[name]
    opened, held = measure(name, lambda: [login(user) for _ in range(logins)])
    if refresh is None:
        return opened, None

    def rotate() -> None:
        for credentials in held:
            for _ in range(refreshes):
                credentials = refresh(credentials)

    refreshed, _ = measure(name, rotate)
    return opened, refreshed


def report(name: str, logins: int, refreshes: int) -> str:
    opened, refreshed = run(name, logins, refreshes)
    cells = [name, f"{opened.rows / logins:.1f}", f"{opened.octets / logins:.0f}"]
    if refreshed is None:
        return f"| {' | '.join([*cells, '-', '-'])} |"
    times = logins * refreshes
    cells += [f"{refreshed.rows / times:.1f}", f"{refreshed.octets / times:.0f}"]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description="Rows and bytes per login and per refresh.")
    parser.add_argument("--logins", type=int, default=10_000)
    parser.add_argument("--refreshes", type=int, default=5)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        configure(os.path.join(folder, "growth.sqlite3"))
        from django.db import connection

        with connection.cursor() as cursor:  # measured is size, not durability
            cursor.execute("PRAGMA synchronous = OFF")
        print("| | rows per login | bytes per login | rows per refresh | bytes per refresh |")
        print("| --- | ---: | ---: | ---: | ---: |")
        for name in CONTESTANTS:
            print(report(name, asked.logins, asked.refreshes), flush=True)
        connection.close()


if __name__ == "__main__":
    main()
