"""``manage.py demo``: the whole site, ready to look at, by one command."""

from __future__ import annotations

import socket
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from contextlib import nullcontext, suppress
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.core.servers.basehttp import get_internal_wsgi_application, run
from django.db import connections
from django.template.loader import render_to_string

from authx.conf import conf
from demo_project.fleet import Fleet

HOST = "127.0.0.1"
USERS = {"admin": "admin-demo", "ada": "ada-demo", "bob": "bob-demo"}
Announce = Callable[[Any], None]


class Command(BaseCommand):
    help = "Prepares the demo site and serves it on 127.0.0.1."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=8000, help="default: 8000")
        parser.add_argument("--asgi", action="store_true", help="serve with uvicorn, which has WebSockets")
        parser.add_argument(
            "--with-service",
            action="store_true",
            help="serve two services and an app beside it, on the next three ports",
        )
        parser.add_argument(
            "--token-seconds", type=lifetime, help="how long an access token lives: 5 to 900, the default"
        )
        parser.add_argument(
            "--prepare-only", action="store_true", help="make database and users; do not serve"
        )

    def handle(
        self,
        *args: Any,
        port: int,
        asgi: bool,
        with_service: bool,
        token_seconds: timedelta | None,
        prepare_only: bool,
        **options: Any,
    ) -> None:
        call_command("migrate", interactive=False, verbosity=0)
        users = [(username, ensure_user(username, password)) for username, password in USERS.items()]
        origin = f"http://{HOST}:{port}"
        settings.AUTHX_ISSUER = origin
        fleet = Fleet(port) if with_service else None
        if fleet is not None:
            settings.AUTHX_RESOURCES = {fleet.shared_api: ["profile:read"]}
            settings.DEMO_FLEET = fleet.urls
        if token_seconds is not None:
            settings.AUTHX_ACCESS_TOKEN_LIFETIME = token_seconds
        conf.forget()  # what the system checks have read
        beside = fleet.running(fleet.environment()) if fleet else nullcontext()
        connections.close_all()
        told = {"origin": origin, "users": users, "fleet": fleet}
        self.stdout.write(render_to_string("demo/welcome.txt", told))
        if not prepare_only:
            with suppress(KeyboardInterrupt), beside:
                self.serve(port, serve_asgi if asgi else serve_wsgi)
            self.stdout.write("")

    def serve(self, port: int, server: Callable[[int, Announce], None]) -> None:
        try:
            server(port, self.announce)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise CommandError(f"Cannot listen on {HOST}:{port}: {reason}. Choose another --port.") from error

    def announce(self, port: Any) -> None:
        self.stdout.write(f"Serving on http://{HOST}:{port}/ (Ctrl-C stops it)")
        self.stdout.flush()


def lifetime(text: str) -> timedelta:
    """Return the life of an access token, given in seconds: no longer than the second site allows."""
    if not text.isascii() or not text.isdecimal() or not 5 <= int(text) <= 900:
        raise ArgumentTypeError("a number from 5 to 900")
    return timedelta(seconds=int(text))


def ensure_user(username: str, password: str) -> str:
    """Create the user where there is none; return what to print as the password."""
    users = get_user_model().objects
    user = users.filter(username=username).first()
    if user is None:
        create = users.create_superuser if username == "admin" else users.create_user
        create(username, password=password)
    elif not user.check_password(password):
        return "(changed since)"
    return password


def serve_wsgi(port: int, announce: Announce) -> None:
    run(HOST, port, get_internal_wsgi_application(), threading=True, on_bind=announce)


def serve_asgi(port: int, announce: Announce) -> None:
    try:
        import uvicorn
        import websockets  # noqa: F401  # without it uvicorn refuses every handshake
    except ImportError as error:
        raise CommandError("--asgi needs uvicorn and websockets: pip install 'drf-authx[demo]'") from error
    from demo_project.asgi import application

    with socket.create_server((HOST, port)) as listener:
        announce(listener.getsockname()[1])
        # Open pages hold streams, for which uvicorn would wait.
        config = uvicorn.Config(application, lifespan="off", log_level="warning", timeout_graceful_shutdown=1)
        uvicorn.Server(config).run(sockets=[listener])
