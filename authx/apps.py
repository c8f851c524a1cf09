"""The Django app: connects the gate, the checks, and the receivers of other apps' signals."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from django.apps import AppConfig, apps

if TYPE_CHECKING:
    from authx.core.log_position import LogPosition
    from authx.sessions.liveness import LiveSource
    from authx.store.revocation_log import EndedLog


class AuthxConfig(AppConfig):
    name = "authx"
    verbose_name = "authx"
    default_auto_field = "django.db.models.BigAutoField"

    def import_models(self) -> None:
        """Import the models and connect the gate: another app's ``ready`` may verify a token before ours."""
        super().import_models()
        _connect_gate_early()

    def ready(self) -> None:
        from authx import checks, metrics
        from authx.http import access_logs, charset
        from authx.http.actor import actor_of
        from authx.http.door import door_of
        from authx.identity import deleted_sessions
        from authx.logins import attempts
        from authx.notices import listening
        from authx.pages import login_signals
        from authx.sessions import ports, user_changes

        _connect_gate()
        ports.request_actor.register(actor_of)
        ports.request_door.register(door_of)
        checks.connect()
        charset.connect()
        access_logs.connect()
        user_changes.connect()
        attempts.connect()
        login_signals.connect()
        deleted_sessions.connect()
        listening.connect()
        describe_for_spectacular()
        metrics.begin()


def describe_for_spectacular() -> None:
    """Let drf-spectacular know our classes, where a site has it. Found by name, as all of contrib is."""
    if apps.is_installed("drf_spectacular"):
        import_module("authx.contrib.spectacular")


def _connect_gate_early() -> None:
    """Register the gate's access to the database, to be imported when it is first needed."""
    from authx.gate import ports
    from authx.gate.revocation import sources

    ports.database_alias.register(_database_alias)
    sources.database_source.register(_database_source)
    sources.database_log.register(_revocation_log)


def _database_alias() -> str:
    from authx.store.database import alias

    return alias()


def _database_source() -> LiveSource:
    from authx.sessions.liveness import LiveSource

    return LiveSource()


def _revocation_log(position: LogPosition | None = None, *, using: str | None = None) -> EndedLog:
    from authx.store.revocation_log import EndedLog

    return EndedLog(position, using=using)


def _connect_gate() -> None:
    """Register the same, imported now, and the managed keys."""
    from authx.gate import ports
    from authx.gate.keys import keyring
    from authx.gate.revocation import sources
    from authx.issuer import signing_keys
    from authx.sessions.liveness import LiveSource
    from authx.store import database
    from authx.store.revocation_log import EndedLog

    ports.database_alias.register(database.alias)
    sources.database_source.register(LiveSource)
    sources.database_log.register(EndedLog)
    keyring.managed_keys.register(signing_keys.load)
