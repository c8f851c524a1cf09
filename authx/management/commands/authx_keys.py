"""``manage.py authx_keys``: list the signing keys, make the next one, withdraw one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.core.management.base import CommandError, CommandParser

from authx.core.key_schedule import IN_USE
from authx.issuer.key_rows import read_keyring
from authx.issuer.private_keys import ALGORITHMS, key_of
from authx.issuer.signing_keys import KeyringRefused, rotate, settings_keys, withdraw
from authx.management.base import DatabaseCommand
from authx.models import SigningKey


class Command(DatabaseCommand):
    help = "List the keys that sign access tokens, make the next one, or withdraw one."

    def add_arguments(self, parser: CommandParser) -> None:
        acts = parser.add_subparsers(dest="act", required=True, metavar="list | rotate | withdraw")
        acts.add_parser("list", help="All keys: id, algorithm, state, dates.")
        rotation = acts.add_parser("rotate", help="Make the next key: published now, it signs in 10 minutes.")
        rotation.add_argument("--alg", choices=ALGORITHMS, default="ES256", help="Default: ES256.")
        rotation.add_argument(
            "--now",
            action="store_true",
            help="In an emergency: it signs at once. Services that keep our JWK Set may refuse its tokens for"
            " five minutes.",
        )
        withdrawal = acts.add_parser("withdraw", help="Refuse a key's tokens at once; the next one signs.")
        withdrawal.add_argument("kid", help="The key's id, as list shows it.")

    def handle(self, *args: Any, act: str, **options: Any) -> None:
        try:
            if act == "rotate":
                self._rotate(options["alg"], options["now"])
            elif act == "withdraw":
                self._withdraw(options["kid"])
            else:
                self._list()
        except KeyringRefused as error:
            raise CommandError(str(error)) from error

    def _list(self) -> None:
        keyring = read_keyring()
        given = keyring.judged.settings
        for key in settings_keys():
            self.stdout.write(f"{key.kid}  {key.alg}  {given:<9}  from the settings")
        for row in keyring.rows:
            state = keyring.state_of(row)
            dates = [f"published {_when(row.created_at)}", f"signs from {_when(row.signs_at)}"]
            if row.withdrawn_at is not None:
                dates.append(f"withdrawn {_when(row.withdrawn_at)}")
            if state in IN_USE and key_of(row, {}) is None:
                dates.append("cannot be decrypted with SECRET_KEY or a fallback")
            self.stdout.write(f"{row.kid}  {row.alg}  {state:<9}  {', '.join(dates)}")

    def _rotate(self, alg: str, at_once: bool) -> None:
        row = rotate(alg=alg, at_once=at_once)
        since = "now" if at_once else _when(row.signs_at)
        self.stdout.write(f"{row.kid} ({row.alg}) is published, and signs from {since} on.")

    def _withdraw(self, kid: str) -> None:
        row, successor = withdraw(kid)
        instead = f" {successor.kid} signs from now on." if isinstance(successor, SigningKey) else ""
        self.stdout.write(f"{row.kid} is withdrawn: its tokens are refused.{instead}")


def _when(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
