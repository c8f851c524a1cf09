"""The Django app: its checks, and what other apps' signals do to sessions."""

from __future__ import annotations

from django.apps import AppConfig


class AuthxConfig(AppConfig):
    name = "authx"
    verbose_name = "authx"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from authx import checks
        from authx.http import charset
        from authx.pages import binding
        from authx.sessions import login_attempts, users

        checks.connect()
        charset.connect()
        users.connect()
        login_attempts.connect()
        binding.connect()
