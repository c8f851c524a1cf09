"""The claims of an access token: a frozen value, and the rules of its form (RFC 9068 §2.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

from authx.core import claim_forms as forms
from authx.core import strict_json
from authx.core.client_sessions import SUBJECT_PREFIX
from authx.core.scopes import is_scope
from authx.errors import TokenMalformed

#: ``gty`` of the tokens that clients get: the grant's own name, without its prefix (RFC 6749, RFC 8693).
AUTHORIZATION_CODE: Final = "authorization_code"
CLIENT_CREDENTIALS: Final = "client_credentials"
TOKEN_EXCHANGE: Final = "token_exchange"

#: Django's alias for the database of a site that has one.
DEFAULT_DATABASE: Final = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessClaims:
    """The claims of one access token. ``exp``, ``iat``, ``nbf`` and ``auth_time`` are seconds, UTC."""

    iss: str
    sub: str
    aud: tuple[str, ...]
    exp: int
    iat: int
    jti: str
    client_id: str
    sid: str
    #: Not valid before; in our tokens it equals ``iat``. None where an issuer leaves it out, as it may.
    nbf: int | None = None
    #: The refresh generation it was issued with; None if it was issued without a refresh token.
    gen: int | None = None
    auth_time: int | None = None
    #: How the user authenticated (RFC 8176).
    amr: tuple[str, ...] = ()
    #: The device's own id, and its type.
    did: str | None = None
    dtp: str | None = None
    #: The number of the newest not-before mark when the session was opened; None if there was none.
    era: int | None = None
    #: True where ``sub`` is not the user's key at the issuer; None where it is.
    opaque: bool | None = None
    #: The alias of the database that has the session; None stands for the default one.
    db: str | None = None
    #: The grant that a client got it by; None for a login of the site itself.
    gty: str | None = None
    #: What a delegated token is good for: scope-tokens with spaces between them (RFC 9068 §2.2.3). In a token
    #: of the site's own login it is None, or what AUTHX_CLAIMS sets; any other form of it is in ``extra``.
    scope: str | None = None
    #: Who acts for the user: the newest actor's ``sub``, and before that one ``act`` (RFC 8693 §4.1).
    act: Mapping[str, Any] | None = field(default=None, hash=False)
    #: The ``kid`` of the key that signed the token, which is not a claim; empty where none did.
    kid: str = field(default="", compare=False)
    #: Every other claim, as JSON gave it.
    extra: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}), hash=False)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy it, as for a task queue: the views that nobody can write to cannot be."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        act = None if self.act is None else dict(self.act)
        return _restored, ({**values, "act": act, "extra": dict(self.extra)},)

    @property
    def issued_by(self) -> str:
        """Return the alias of the database that has the session, where the issuer has several."""
        return self.db or DEFAULT_DATABASE

    @property
    def is_delegated(self) -> bool:
        """Return whether a client got it: it lets its bearer do what it names, and is nobody's login."""
        return self.gty is not None

    @property
    def is_of_a_service(self) -> bool:
        """Return whether it speaks for a client itself and for no user (RFC 9068 §5)."""
        return self.is_delegated and self.sub.startswith(SUBJECT_PREFIX)

    @property
    def expires_at(self) -> datetime:
        """Return ``exp`` as an aware datetime."""
        return datetime.fromtimestamp(self.exp, UTC)

    @property
    def expires_in(self) -> int:
        """Return how long the token is good after ``iat``, in seconds (RFC 6749 §5.1)."""
        return self.exp - self.iat

    @property
    def scopes(self) -> tuple[str, ...]:
        """Return the scopes in the claim ``scope``, a text with spaces or a list (RFC 9068 §2.2.3).

        Empty where the claim is anything else, or a list of anything else.
        """
        scope = self.extra.get("scope") if self.scope is None else self.scope
        return tuple(filter(None, scope.split(" "))) if isinstance(scope, str) else _texts(scope)

    @property
    def has_scope(self) -> bool:
        """Return whether there is a claim ``scope``, of whatever form: the token is good for no more."""
        return self.scope is not None or "scope" in self.extra

    @property
    def actors(self) -> tuple[str, ...]:
        """Return the ``sub`` of everybody who acts for the user, the newest first."""
        return tuple(actor["sub"] for actor in forms.chain_of(self.act))

    @property
    def roles(self) -> tuple[str, ...]:
        """Return the claim ``roles``, a list that AUTHX_CLAIMS adds; empty where it is anything else."""
        return _texts(self.extra.get("roles"))

    def as_payload(self) -> dict[str, Any]:
        """Return the claims as a JSON object, without the optional ones that are empty.

        Raises:
            ValueError: ``scope`` is none, or ``extra`` names a claim that is authx's to set. It may name
                ``scope`` and ``act`` where the token has none of authx's.
        """
        for name in self.extra:
            if name in forms.FORMS and (name not in _DELEGATED or getattr(self, name) is not None):
                raise ValueError(f"extra may not set the claim {name!r}")
        if self.scope and not is_scope(self.scope):
            raise ValueError("the claim scope is not scope-tokens with single spaces between them")
        payload = {name: getattr(self, name) for name in forms.FORMS}
        payload["aud"] = self.aud[0] if len(self.aud) == 1 else list(self.aud)
        payload["amr"] = list(self.amr)
        payload["act"] = None if self.act is None else dict(self.act)
        present = {name: value for name, value in payload.items() if value not in (None, "", [])}
        return present | dict(self.extra)

    @classmethod
    def from_payload(cls, payload: dict[str, Any], *, kid: str = "") -> AccessClaims:
        """Read claims from a JSON object that key ``kid`` signed, refusing every wrong type (RFC 9068 §4).

        Raises:
            TokenMalformed: a claim is missing or of the wrong form; the text names it.
        """
        if not payload.keys() >= _REQUIRED:
            raise TokenMalformed(f"the claim {min(_REQUIRED - payload.keys())} is missing")
        known, others = forms.read(payload)
        return cls(**known, kid=kid, extra=MappingProxyType(others))


def as_read(claims: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return claims that a site adds as a reader of the token sees them: a tuple is a list there.

    Raises:
        TypeError, ValueError: they are not JSON.
    """
    return MappingProxyType(strict_json.loads(strict_json.dumps(dict(claims))))


def _restored(values: dict[str, Any]) -> AccessClaims:
    views = {name: MappingProxyType(values[name]) for name in ("act", "extra") if values[name] is not None}
    return AccessClaims(**{**values, **views})


def _texts(value: Any) -> tuple[str, ...]:
    is_list = isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)
    return tuple(value) if is_list else ()


_REQUIRED: Final = frozenset({"iss", "sub", "aud", "exp", "iat", "jti", "client_id", "sid"})


#: The claims of delegated and exchanged tokens; in a token of its own login a site may set them itself.
_DELEGATED: Final = frozenset({"scope", "act"})
