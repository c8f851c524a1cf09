"""``manage.py authx_services``: clients, what each may do, and why an exchange is refused."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from authx.conf import conf
from authx.core.exchange import explain
from authx.core.oauth_client import PRIVATE_KEY_JWT
from authx.issuer.clients import (
    clients,
    create_client,
    disable_client,
    enable_client,
    facts_of,
    find_client,
    renew_secret,
    with_audience,
)
from authx.management.base import DatabaseCommand
from authx.management.client_options import add_client_options, registration_from
from authx.management.client_text import described, listed, unknown_to_the_settings
from authx.models import ServiceClient


class Command(DatabaseCommand):
    help = "Clients: services that ask about tokens or call each other, and apps that users sign in to."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        verbs.add_parser("list", help="All of them.")
        create = verbs.add_parser("create", help="A new one; prints its secret, once.")
        create.add_argument("name", help="What users read when they are asked for consent.")
        add_client_options(create)
        for verb, help_text in (
            ("show", "What one is registered for."),
            ("renew", "Another secret; the one before is refused at once."),
            ("disable", "Refuse it from now on, and end its sessions."),
            ("enable", "Let it in again, with the secret or keys that it has."),
        ):
            one = verbs.add_parser(verb, help=help_text)
            one.add_argument("client_id", help="Its id or its audience.")
        why = verbs.add_parser("explain", help="Why a service would be refused an exchange for another.")
        why.add_argument("requester", metavar="A", help="The id or audience of the service that calls.")
        why.add_argument("target", metavar="B", help="The id or audience of the service that is called.")

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        if verb == "list":
            self._list()
        elif verb == "create":
            self._create(options)
        elif verb == "explain":
            self._explain(_find(options["requester"]), _find(options["target"]))
        else:
            getattr(self, f"_{verb}")(_find(options["client_id"]))

    def _list(self) -> None:
        for client in clients():
            self.stdout.write(listed(client))

    def _create(self, options: dict[str, Any]) -> None:
        try:
            client, secret = create_client(options["name"], **registration_from(options))
        except ValueError as error:
            raise CommandError(str(error)) from error
        if secret is None:
            self.stdout.write(f"Its client_id, which is no secret: {client.client_id}")
        else:
            self._print_credentials(client, secret)
        self._warn(client)

    def _warn(self, client: ServiceClient) -> None:
        for warning in unknown_to_the_settings(client):
            self.stderr.write(self.style.WARNING(f"Warning: {warning}"))
        if not any((client.audience, client.grant_types, client.may_call, client.may_manage_sessions)):
            self.stderr.write(
                self.style.WARNING(
                    "It follows the feed of endings, and may do nothing else. To let it introspect tokens,"
                    f" give it an audience: --audience {conf.AUDIENCE[0]} for the site's own."
                )
            )

    def _show(self, client: ServiceClient) -> None:
        for line in described(client):
            self.stdout.write(line)
        self._warn(client)

    def _renew(self, client: ServiceClient) -> None:
        try:
            secret = renew_secret(client)
        except ValueError as error:
            raise CommandError(
                f"{client.name} has no secret: it is registered for {client.auth_method}."
            ) from error
        if client.disabled_at:
            self.stdout.write(f"{client.name} was disabled, and is let in again.")
        self._print_credentials(client, secret)

    def _disable(self, client: ServiceClient) -> None:
        ended = disable_client(client)
        self.stdout.write(f"{client.name} is refused from now on.")
        if ended:
            self.stdout.write(f"{ended} of its sessions ended.")

    def _enable(self, client: ServiceClient) -> None:
        enable_client(client)
        self.stdout.write(f"{client.name} is let in again.")
        if client.auth_method == PRIVATE_KEY_JWT:
            self.stdout.write("It proves who it is with the same keys as before.")

    def _explain(self, requester: ServiceClient, target: ServiceClient) -> None:
        broken = explain(facts_of(requester), facts_of(target), site_audience=conf.AUDIENCE)
        names = f"{requester.name} ({requester.client_id}) for {target.name} ({target.client_id})"
        if not broken:
            self.stdout.write(f"An exchange by {names} is allowed, as far as the two of them decide.")
            self.stdout.write(
                f"The subject token has to be for {requester.audience}, of a live session, and have one of"
                f" the scopes {requester.scope}; a login's own token without a scope counts as having all."
            )
            return
        self.stdout.write(f"Every exchange by {names} is refused:")
        for rule in broken:
            self.stdout.write(f"  {rule.rule}  {rule.error}: {rule.text}.")

    def _print_credentials(self, client: ServiceClient, secret: str) -> None:
        self.stdout.write("Shown this once; only a hash of the secret is kept:")
        if client.redirect_uris:
            self.stdout.write(f"client_id     {client.client_id}")
            self.stdout.write(f"client_secret {secret}")
        else:
            self.stdout.write(f'AUTHX_SERVICE_CREDENTIALS = ("{client.client_id}", "{secret}")')


def _find(name: str) -> ServiceClient:
    """Return the client with this id, or else the one with this audience.

    Raises:
        CommandError: there is none, or several have this audience.
    """
    found = find_client(name)
    named = [] if found else with_audience(name)
    if found is None and len(named) == 1:
        (found,) = named
    if found is None:
        ids = ", ".join(row.client_id for row in named)
        text = (
            f"The audience {name} is that of several services: {ids}."
            if named
            else f"There is no service {name!r}"
        )
        raise CommandError(text if named else f"{text}: authx_services list shows them.")
    return found
