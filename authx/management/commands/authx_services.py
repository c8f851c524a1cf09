"""``manage.py authx_services``: which other services may ask us about tokens."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from authx.issuer.clients import create_service, disable_service, renew_secret
from authx.management.base import DatabaseCommand
from authx.models import ServiceClient


class Command(DatabaseCommand):
    help = "Credentials of services that introspect tokens, revoke them or read the feed of endings."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        verbs.add_parser("list", help="All of them.")
        create = verbs.add_parser("create", help="A new one; prints its secret, once.")
        create.add_argument("name")
        for verb, help_text in (
            ("renew", "Another secret; the one before is refused at once."),
            ("disable", "Refuse it from now on."),
        ):
            verbs.add_parser(verb, help=help_text).add_argument("client_id")

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        if verb == "list":
            self._list()
        elif verb == "create":
            self._create(options["name"])
        else:
            service = ServiceClient.objects.filter(client_id=options["client_id"]).first()
            if service is None:
                raise CommandError(
                    f"There is no service {options['client_id']!r}: authx_services list shows them."
                )
            self._renew(service) if verb == "renew" else self._disable(service)

    def _list(self) -> None:
        for service in ServiceClient.objects.all():
            state = f"disabled {service.disabled_at:%Y-%m-%d %H:%M} UTC" if service.disabled_at else "active"
            self.stdout.write(f"{service.client_id}  {service.name}  {state}")

    def _create(self, name: str) -> None:
        try:
            service, secret = create_service(name)
        except ValueError as error:
            raise CommandError(f"{error}.") from error
        self._print_credentials(service, secret)

    def _renew(self, service: ServiceClient) -> None:
        if service.disabled_at:
            self.stdout.write(f"{service.name} was disabled, and is let in again.")
        self._print_credentials(service, renew_secret(service))

    def _disable(self, service: ServiceClient) -> None:
        disable_service(service)
        self.stdout.write(f"{service.name} is refused from now on.")

    def _print_credentials(self, service: ServiceClient, secret: str) -> None:
        self.stdout.write("Shown this once; only a hash of the secret is kept:")
        self.stdout.write(f'AUTHX_SERVICE_CREDENTIALS = ("{service.client_id}", "{secret}")')
