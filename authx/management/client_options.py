"""The options of ``authx_services create``, and the registration that they describe."""

from __future__ import annotations

import json
from argparse import ArgumentTypeError
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from django.core.management.base import CommandError, CommandParser
from django.utils.dateparse import parse_duration

from authx.core.oauth_client import AUTH_METHODS, CLIENT_SECRET, GRANT_TYPES, NONE, PRIVATE_KEY_JWT

#: Each may be given several times: its option, what one of them is called, and what it says.
_REPEATED: Final = (
    ("--redirect-uri", "redirect_uris", "URI", "Where users are sent back to; makes it an app."),
    (
        "--grant-type",
        "grant_types",
        "GRANT",
        f"Instead of those that its other options need: {', '.join(GRANT_TYPES[:3])}, token_exchange.",
    ),
    ("--scope", "scope", "SCOPE", "A scope that it may have at most, or several with spaces."),
    ("--resource", "resources", "URI", "An API that its tokens may be for; of AUTHX_RESOURCES."),
    ("--may-call", "may_call", "CLIENT", "A service that it may call: its id or audience."),
    ("--origin", "origins", "ORIGIN", "An origin whose scripts may read answers of token/ (CORS)."),
)
_LIFETIMES: Final = (
    ("--idle-lifetime", "How long its sessions may go unused."),
    ("--session-lifetime", "How long they last at most."),
)


def add_client_options(parser: CommandParser) -> None:
    """Add everything that a client can be registered for."""
    parser.add_argument(
        "--audience",
        default="",
        help="Its own name in the aud of the tokens that it receives, and may introspect; AUTHX_AUDIENCE for"
        " the site's own tokens. Default: none.",
    )
    parser.add_argument(
        "--may-manage-sessions", action="store_true", help="It may end everybody's sessions, by their tokens."
    )
    for option, dest, metavar, text in _REPEATED:
        parser.add_argument(option, dest=dest, metavar=metavar, action="append", help=f"{text} Repeatable.")
    parser.add_argument("--trusted", action="store_true", help="Users are not asked for consent.")
    ways = parser.add_mutually_exclusive_group()
    ways.add_argument(
        "--public", action="store_true", help="It can keep no secret: a mobile app, a page's script."
    )
    ways.add_argument("--auth-method", choices=AUTH_METHODS, help=f"Default: {CLIENT_SECRET}.")
    keys = parser.add_mutually_exclusive_group()
    keys.add_argument("--jwks", metavar="FILE", help="Its public keys, as a JWK set: it signs assertions.")
    keys.add_argument("--jwks-uri", default="", metavar="URL", help="Where they are, on the public internet.")
    for option, text in _LIFETIMES:
        parser.add_argument(
            option,
            type=_duration,
            metavar="DURATION",
            help=f'{text} Such as "12:00:00" or "30 00:00:00". Default: as logins do.',
        )


def registration_from(options: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of ``create_client``.

    Raises:
        CommandError: the file of the keys cannot be read.
    """
    has_keys = options["jwks"] or options["jwks_uri"]
    method = PRIVATE_KEY_JWT if has_keys else CLIENT_SECRET
    repeated = {name: options[name] or () for name in ("redirect_uris", "resources", "may_call", "origins")}
    same = ("audience", "may_manage_sessions", "trusted", "jwks_uri", "idle_lifetime", "session_lifetime")
    return {
        **repeated,
        **{name: options[name] for name in same},
        "auth_method": NONE if options["public"] else options["auth_method"] or method,
        "grant_types": options["grant_types"],
        "scope": " ".join(options["scope"] or ()),
        "jwks": _read(options["jwks"]) if options["jwks"] else None,
    }


def _read(name: str) -> Any:
    try:
        return json.loads(Path(name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CommandError(f"--jwks: {name} cannot be read as JSON ({type(error).__name__}).") from error


def _duration(text: str) -> timedelta:
    found = parse_duration(text)
    if found is None or found <= timedelta(0):
        raise ArgumentTypeError(f'{text!r} is no duration, such as "12:00:00" or "30 00:00:00"')
    return found
