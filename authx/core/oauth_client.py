"""A client of the authorization server as a value, and what may be saved as one."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from authx.core.claim_forms import IDENTIFIER
from authx.core.client_keys import jwks_problems
from authx.core.client_sessions import subject_of_client
from authx.core.redirects import redirect_problem
from authx.core.resources import is_resource
from authx.core.scopes import is_scope_token
from authx.core.sentences import Problem, Sentence
from authx.core.sentences import sentence as _
from authx.core.time_limits import LONGEST_LIFE

AUTHORIZATION_CODE: Final = "authorization_code"
REFRESH_TOKEN: Final = "refresh_token"
CLIENT_CREDENTIALS: Final = "client_credentials"
TOKEN_EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
GRANT_TYPES: Final = (AUTHORIZATION_CODE, REFRESH_TOKEN, CLIENT_CREDENTIALS, TOKEN_EXCHANGE)

#: The kinds of tokens that may be exchanged (RFC 8693 §3).
ACCESS_TOKEN_TYPE: Final = "urn:ietf:params:oauth:token-type:access_token"
JWT_TYPE: Final = "urn:ietf:params:oauth:token-type:jwt"

NONE: Final = "none"
CLIENT_SECRET: Final = "client_secret"
PRIVATE_KEY_JWT: Final = "private_key_jwt"
AUTH_METHODS: Final = (NONE, CLIENT_SECRET, PRIVATE_KEY_JWT)

MAX_NAME_LENGTH: Final = 100  # characters

#: RFC 6749 §2.2 and appendix A.1, without the space: none of ours has one.
_CLIENT_ID: Final = re.compile(r"[\x21-\x7e]{1,64}")

#: Characters of all resources of a client: a token of 8 KiB has to hold them, and 1,000 of scopes beside.
_RESOURCES_LENGTH: Final = 3000
_NO_PERIOD: Final = _("must be a positive timedelta of at most a hundred years")

#: Each a field's name, and what is wrong with it.
Problems = Iterator[tuple[str, Sentence]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientFacts:
    """All that is asked about a client before it is given a token."""

    client_id: str
    name: str = ""
    #: One of AUTH_METHODS.
    auth_method: str = CLIENT_SECRET
    redirect_uris: tuple[str, ...] = ()
    #: Of GRANT_TYPES.
    grant_types: tuple[str, ...] = ()
    #: The scopes that it may have at most.
    scope: tuple[str, ...] = ()
    #: What the tokens that it gets by a user's consent may be for; absolute URIs.
    resources: tuple[str, ...] = ()
    #: Its own name in the ``aud`` of tokens that it receives as a service; "" if it receives none.
    audience: str = ""
    #: The ``client_id`` of each service that it may call, with its own tokens and exchanged ones.
    may_call: tuple[str, ...] = ()
    #: Whether users are not asked for consent.
    trusted: bool = False
    #: Whether it may end sessions that are not its own.
    may_manage_sessions: bool = False
    enabled: bool = True
    #: Its public keys (RFC 7517 §5); None if it has none.
    jwks: Mapping[str, Any] | None = field(default=None, hash=False)
    #: Where they are fetched instead; "" if nowhere.
    jwks_uri: str = ""
    #: How long its sessions may go without a refresh, and may last; None for the site's own periods.
    idle_lifetime: timedelta | None = None
    session_lifetime: timedelta | None = None

    @property
    def is_public(self) -> bool:
        """Return whether it can keep no secret, and proves nothing about itself (RFC 6749 §2.1)."""
        return self.auth_method == NONE

    @property
    def subject(self) -> str:
        """Return the ``sub`` of its own tokens, and of ``act`` where it acts for somebody."""
        return subject_of_client(self.client_id)

    def may_use(self, grant_type: str) -> bool:
        """Return whether it may get tokens by this grant type."""
        return grant_type in self.grant_types


def is_client_id(value: object) -> bool:
    """Return whether a client could have this id: only then is a database asked about it."""
    return isinstance(value, str) and _CLIENT_ID.fullmatch(value) is not None


def check_registration(
    client: ClientFacts, *, site_audience: Collection[str], first_party: str
) -> list[Problem]:
    """Return what is wrong with a client about to be saved: sentences that begin with the field's name.

    ``site_audience`` are the names of the site itself, for which no client is given a token; ``first_party``
    is the ``client_id`` in the tokens of its own logins, which no client may be taken for. The caller sees
    to it that no other client has the same ``audience``, and that ``may_call`` names clients that exist.
    """
    return [
        Problem.of(name, problem)
        for name, problem in (
            *_identity_problems(client, first_party),
            *_grant_problems(client),
            *_redirect_problems(client),
            *_target_problems(client, site_audience),
            *_lifetime_problems(client),
        )
    ]


def _identity_problems(client: ClientFacts, first_party: str) -> Problems:
    if not is_client_id(client.client_id):
        yield "client_id", _("must be 1 to 64 visible ASCII characters")
    if client.client_id == first_party:
        yield "client_id", _("is the site's own, of AUTHX_CLIENT_ID")
    if not client.name.strip() or len(client.name) > MAX_NAME_LENGTH:
        yield (
            "name",
            _(
                "must be 1 to %(most)d characters, which users read when they are asked for consent",
                most=MAX_NAME_LENGTH,
            ),
        )
    if client.auth_method not in AUTH_METHODS:
        yield "auth_method", _("must be one of %(names)s", names=", ".join(AUTH_METHODS))
    if client.jwks is not None:
        yield from (("jwks", problem) for problem in jwks_problems(client.jwks))
    elif client.auth_method == PRIVATE_KEY_JWT and not client.jwks_uri:
        yield "jwks", _("is needed for private_key_jwt: the client's public keys, as a JWK set")


def _grant_problems(client: ClientFacts) -> Problems:
    for grant_type in client.grant_types:
        if grant_type not in GRANT_TYPES:
            yield (
                "grant_types",
                _("%(value)s is not one of %(names)s", value=ascii(grant_type), names=", ".join(GRANT_TYPES)),
            )
    if client.is_public:
        for grant_type in (CLIENT_CREDENTIALS, TOKEN_EXCHANGE):
            if client.may_use(grant_type):
                yield (
                    "grant_types",
                    _(
                        "%(grant)s is not for public clients, which cannot prove who they are",
                        grant=grant_type,
                    ),
                )
    if client.may_use(REFRESH_TOKEN) and not client.may_use(AUTHORIZATION_CODE):
        yield "grant_types", _("refresh_token needs authorization_code: nothing else gives refresh tokens")


def _redirect_problems(client: ClientFacts) -> Problems:
    for uri in client.redirect_uris:
        if problem := redirect_problem(uri):
            yield "redirect_uris", _("%(uri)s %(why)s", uri=ascii(uri[:200]), why=problem)
    if client.may_use(AUTHORIZATION_CODE):
        if not client.redirect_uris:
            yield "redirect_uris", _("authorization_code needs at least one")
        if not client.resources:
            yield "resources", _("authorization_code needs at least one: what the client's tokens are for")


def _target_problems(client: ClientFacts, site_audience: Collection[str]) -> Problems:
    for scope in client.scope:
        if not is_scope_token(scope):
            yield (
                "scope",
                _(
                    "%(value)s is not a scope: ASCII without spaces, quotes and backslashes",
                    value=ascii(scope[:64]),
                ),
            )
    for resource in client.resources:
        if not is_resource(resource):
            yield (
                "resources",
                _(
                    "%(uri)s is not an absolute URI without a fragment, or too long",
                    uri=ascii(resource[:200]),
                ),
            )
        if resource in site_audience:
            yield (
                "resources",
                _(
                    "%(uri)s is the site's own audience, for which no client is given tokens",
                    uri=ascii(resource[:200]),
                ),
            )
    if sum(map(len, client.resources)) > _RESOURCES_LENGTH:
        yield (
            "resources",
            _("must be at most %(most)d characters together: one token may name all", most=_RESOURCES_LENGTH),
        )
    if client.audience and not IDENTIFIER.fullmatch(client.audience):
        yield "audience", _("must be 1 to 255 characters without controls")
    for client_id in client.may_call:
        if client_id == client.client_id:
            yield "may_call", _("names the client itself")
        elif not is_client_id(client_id):
            yield "may_call", _("%(value)s is not the id of a client", value=ascii(client_id[:64]))


def _lifetime_problems(client: ClientFacts) -> Problems:
    idle, whole = client.idle_lifetime, client.session_lifetime
    periods = {"idle_lifetime": idle, "session_lifetime": whole}
    given = {name: period for name, period in periods.items() if period is not None}
    bad = [name for name, period in given.items() if not _is_period(period)]
    yield from ((name, _NO_PERIOD) for name in bad)
    if not bad and idle is not None and whole is not None and idle > whole:
        yield "idle_lifetime", _("must not be longer than session_lifetime")


def _is_period(value: object) -> bool:
    return isinstance(value, timedelta) and timedelta(0) < value <= LONGEST_LIFE
