"""The caller with a valid access token: known by its claims, read from the database when needed."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from datetime import datetime
from functools import cache
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.views.decorators.debug import sensitive_variables

from authx.core.claims import AccessClaims
from authx.errors import TokenMalformed
from authx.gate.verify import ensure_live, read_claims
from authx.models import DeviceSession
from authx.sessions.activity import record_use, uses
from authx.sessions.liveness import live_session


class Caller:
    """The claims of a token that has just been verified, and the session and user behind them."""

    def __init__(self, claims: AccessClaims, session: DeviceSession | None = None) -> None:
        self.claims = claims
        self._session = session

    @property
    def is_read(self) -> bool:
        """Return whether the row has been read."""
        return self._session is not None

    @property
    def session(self) -> DeviceSession:
        """Return the live row with its user; read once, in one statement, if the check did not read it.

        Raises:
            SessionEnded: it has ended after all, or its user may not use it any more.
            StoreUnavailable: the database cannot be read.
        """
        if self._session is None:
            self._session = live_session(self.claims)
        return self._session

    def user(self, wrapped: Callable[[Callable[[], Any]], Any] = lambda read: read()) -> Any:
        """Return the user; if the row was not read, a lazy one that is read when it is used.

        Its key is read too if the token does not hold it. ``wrapped`` calls the reading, and may translate
        its errors.
        """
        if self._session is not None:
            return self._session.user
        key = None if self.claims.opaque else _key(self.claims.sub)
        return KnownUser(key, lambda: wrapped(lambda: self.session.user))

    def record_use(self) -> None:
        """Record that the client used the token (T2, last seen)."""
        if self._session is not None:
            record_use(self._session, self.claims)
        else:
            uses.note(self.claims)


@sensitive_variables("access_token")
def admit(access_token: object, *, now: datetime | None = None) -> Caller:
    """Verify ``access_token`` by AUTHX_REVOCATION_STORE and AUTHX_REVOCATION_LAG, and return its caller.

    Raises:
        TokenError: see ``verify_access_token``; SessionEnded says why.
        StoreUnavailable: whether the session is alive cannot be known.
    """
    claims = read_claims(access_token, now=now)
    return Caller(claims, ensure_live(claims, now=now).snapshot)


def _key(subject: str) -> Any:
    try:
        return _key_of_subject()(subject)
    except ValidationError:
        raise TokenMalformed("its subject is no key of a user") from None


@cache
def _key_of_subject() -> Callable[[str], Any]:
    to_python: Callable[[str], Any] = get_user_model()._meta.pk.to_python
    return to_python


class KnownUser:
    """A lazy user known by key: ``pk`` and ``is_authenticated`` cost nothing, all else reads the row, once.

    If the token does not hold the key, ``pk`` reads the row too.
    """

    __slots__ = ("_key", "_read", "_user")

    is_authenticated = True
    is_anonymous = False

    def __init__(self, key: Any, read: Callable[[], Any]) -> None:
        object.__setattr__(self, "_key", key)
        object.__setattr__(self, "_read", read)
        object.__setattr__(self, "_user", None)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return get_user_model()  # for isinstance, as Django's own lazy objects do

    @property
    def pk(self) -> Any:
        return self._whole().pk if self._key is None else self._key

    def _whole(self) -> Any:
        if self._user is None:
            object.__setattr__(self, "_user", self._read())
        return self._user

    def __getattr__(self, name: str) -> Any:
        model = get_user_model()
        if name == model._meta.pk.attname:
            return self.pk
        return model._meta if name == "_meta" else getattr(self._whole(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._whole(), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._whole(), name)

    def __dir__(self) -> list[str]:
        return dir(self._whole())

    def __str__(self) -> str:
        return str(self._whole())

    def __repr__(self) -> str:
        return f"<KnownUser: {self._key if self._user is None else repr(self._user)}>"

    def __reduce__(self) -> Any:
        return copy, (self._whole(),)

    def __eq__(self, other: object) -> bool:
        same = getattr(getattr(other, "_meta", None), "concrete_model", None)
        return same is get_user_model()._meta.concrete_model and getattr(other, "pk", None) == self.pk

    def __hash__(self) -> int:
        return hash(self.pk)
