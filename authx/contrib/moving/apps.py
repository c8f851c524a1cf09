"""The app of a site that is moving in: it notes what ends old credentials, and keeps two lists in step."""

from __future__ import annotations

from importlib import import_module
from typing import Final

from django.apps import AppConfig, apps
from django.core.checks import Tags, register

#: Apps whose credentials or lists follow what happens here, with the module that sees to it.
_FOLLOWED: Final = {
    "rest_framework.authtoken": "token_access",
    "user_sessions": "user_sessions",
    "allauth.usersessions": "allauth_usersessions",
}


class MovingConfig(AppConfig):
    name = "authx.contrib.moving"
    label = "authx_moving"
    verbose_name = "authx, moving in"

    def ready(self) -> None:
        from authx.contrib.moving import checks, endings

        endings.connect()
        for app, module in _FOLLOWED.items():
            if apps.is_installed(app):
                import_module(f"{__package__}.{module}").connect()
        if apps.is_installed("drf_spectacular"):
            import_module("authx.contrib.spectacular.moving")
        register(checks.check_moving, Tags.security)
