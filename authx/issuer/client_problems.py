"""What keeps a client from being saved, by its own fields and by those of other clients."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from authx.conf import conf
from authx.core.oauth_client import PRIVATE_KEY_JWT, check_registration, is_client_id
from authx.core.sentences import Problem, Sentence
from authx.core.sentences import sentence as _
from authx.core.uris import LOCAL_HOSTS, read_uri
from authx.issuer.client_keys import MAX_BYTES
from authx.issuer.client_lookup import clients, with_audience
from authx.models import ServiceClient
from authx.sessions.client_facts import facts_of
from authx.store import database

#: Most entries of one list: a client with more is several.
MAX_ENTRIES = 50
#: Fields that are lists of texts.
LISTS = ("redirect_uris", "grant_types", "resources", "may_call", "origins")
#: Characters that their columns hold.
_LONGEST = {"scope": 1000, "audience": 255, "jwks_uri": 500}


class ClientInvalid(ValueError):
    """A client cannot be saved; ``problems`` are sentences that begin with the name of the field."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(" ".join(problems))
        self.problems = tuple(problems)


def problems_of(client: ServiceClient) -> list[Problem]:
    """Return what is wrong with a client about to be saved: sentences that begin with the field's name.

    Raises:
        StoreUnavailable: the database cannot be read.
    """
    if sizes := [Problem.of(name, problem) for name, problem in _size_problems(client)]:
        return sizes
    return [
        *check_registration(facts_of(client), site_audience=conf.AUDIENCE, first_party=conf.CLIENT_ID),
        *(Problem.of(name, problem) for name, problem in _problems(client)),
    ]


def _size_problems(client: ServiceClient) -> Iterator[tuple[str, Sentence]]:
    for name in LISTS:
        values = getattr(client, name) or []
        if len(values) > MAX_ENTRIES:
            yield name, _("must be at most %(most)d", most=MAX_ENTRIES)
        if not all(isinstance(value, str) for value in values):
            yield name, _("must be texts")
    for name, longest in _LONGEST.items():
        if not isinstance(getattr(client, name), str) or len(getattr(client, name)) > longest:
            yield name, _("must be a text of at most %(most)d characters", most=longest)
    if problem := _json_problem(client.jwks):
        yield "jwks", problem


def _json_problem(value: Any) -> Sentence:
    """Return why a column of JSON cannot hold ``value`` in every database; "" if it can."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        size = len(text.encode())
    except (TypeError, ValueError, RecursionError):
        return _("is no JSON, or holds half a character")
    if "\\u0000" in text:
        return _("holds a NUL")
    return _("must be at most %(most)d bytes", most=MAX_BYTES) if size > MAX_BYTES else _("")


def _problems(client: ServiceClient) -> Iterator[tuple[str, Sentence]]:
    yield from (("origins", found) for origin in client.origins or () if (found := _origin_problem(origin)))
    if client.jwks_uri and (problem := _address_problem(client.jwks_uri)):
        yield "jwks_uri", problem
    if client.jwks is not None and client.jwks_uri:
        yield "jwks_uri", _("must be empty where jwks holds the keys (RFC 7591 §2)")
    if client.auth_method != PRIVATE_KEY_JWT:
        for name in ("jwks", "jwks_uri"):
            if getattr(client, name):
                yield name, _("is for auth_method private_key_jwt alone")
    yield from _problems_with_others(client)


def _problems_with_others(client: ServiceClient) -> Iterator[tuple[str, Sentence]]:
    if client.audience not in conf.AUDIENCE:
        others = [row for row in with_audience(client.audience) if row.pk != client.pk]
        yield from (
            ("audience", _("is that of %(client)s already", client=row.client_id)) for row in others[:1]
        )
    asked = list(filter(is_client_id, client.may_call or ()))
    with database.store_errors():
        known = set(clients().filter(client_id__in=asked).values_list("client_id", flat=True))
    for name in client.may_call or ():
        if name not in known and name != client.client_id:
            yield (
                "may_call",
                _("%(value)s is neither the id nor the audience of a client", value=ascii(name[:64])),
            )


def _origin_problem(origin: str) -> Sentence:
    parts = read_uri(origin)
    # RFC 6454 §6.2: as a browser sends it, in lower case, without the scheme's own port.
    is_origin = parts is not None and origin == origin.lower() and parts.host and not parts.path
    is_origin = is_origin and parts and (parts.userinfo, parts.query, parts.fragment) == (None, None, None)
    if parts is None or not is_origin or parts.port == {"https": 443, "http": 80}.get(parts.scheme):
        return _("%(value)s is not an origin, such as https://app.example", value=ascii(origin[:200]))
    if parts.scheme == "https" or (parts.scheme == "http" and parts.host in LOCAL_HOSTS):
        return _("")
    return _("%(value)s must begin with https://, or be on this computer", value=ascii(origin[:200]))


def _address_problem(address: str) -> Sentence:
    parts = read_uri(address)
    is_good = parts is not None and parts.scheme == "https" and parts.has_host_name
    if parts is None or not is_good or parts.userinfo is not None or parts.fragment is not None:
        return _("must be an https URL without a user name and a fragment")
    return _("")
