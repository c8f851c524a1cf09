"""Permissions: who may do what through the API."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Collection
from datetime import timedelta
from typing import Any, ClassVar, Final, cast

from rest_framework.exceptions import APIException
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from authx import clocks
from authx.api.exceptions import InsufficientScope, StepUp
from authx.api.operators import Composable, ExplainsRefusal
from authx.conf import conf
from authx.core.auth_time import is_within
from authx.core.claims import AccessClaims
from authx.core.user_model import has_permission

#: RFC 6749 §3.3: neither space nor quote nor backslash, so that a challenge needs no escaping.
_SCOPE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
_ROLE: Final = re.compile(r"[^\x00-\x1f\x7f]+")
_SECOND: Final = timedelta(seconds=1)


def is_client(request: Request) -> bool:
    """Return whether a client sent the request, with a token of its own."""
    return isinstance(request.auth, AccessClaims) and request.auth.is_delegated


class MayKick(BasePermission):
    """``authx.kick_devicesession``, and a login as recent as AUTHX_STAFF_MAX_AUTH_AGE demands."""

    permission: ClassVar[str] = "authx.kick_devicesession"
    guards_clients: ClassVar[bool] = True
    client_scopes: ClassVar[tuple[str, ...] | None] = None

    def has_permission(self, request: Request, view: Any) -> bool:
        # Imported here: a verify-only service has no models, and uses the other permissions of this module.
        from authx.api.authentication import session_of
        from authx.sessions.step_up import is_recent

        user: Any = request.user
        if user is None or not user.is_authenticated or is_client(request):
            return False
        if not has_permission(user, self.permission):
            return False
        max_age = conf.STAFF_MAX_AUTH_AGE
        if max_age is not None and not is_recent(session_of(request), max_age):
            raise StepUp(max_age)
        return True


class MayKickEverywhere(MayKick):
    """``authx.kick_everywhere_devicesession``, and as recent a login."""

    permission: ClassVar[str] = "authx.kick_everywhere_devicesession"


class _ByClaims(ExplainsRefusal):
    """Decides by the claims of an access token; refuses a request without one."""

    #: No client passes but by its scope, or none at all: see ``guarding``.
    guards_clients: ClassVar[bool] = True
    #: What a client's token must have to pass; None where no client does.
    client_scopes: ClassVar[tuple[str, ...] | None] = None

    def has_permission(self, request: Request, view: Any) -> bool:
        claims = request.auth
        self.refusal = None
        if not isinstance(claims, AccessClaims):
            return False
        allowed = self.allows(claims)
        if not allowed:
            self.refusal = self.explain(claims)
        return allowed

    def has_object_permission(self, request: Request, view: Any, obj: Any) -> bool:
        """Decide the same for every object, so that ``~`` does too."""
        return self.has_permission(request, view)

    @abstractmethod
    def allows(self, claims: AccessClaims) -> bool:
        """Return whether the claims are enough."""

    def explain(self, claims: AccessClaims) -> APIException | None:
        """Return the answer in place of ``permission_denied``, where there is more to say; else None."""
        return None


class _HasScope(_ByClaims):
    client_scopes: ClassVar[tuple[str, ...]]

    def allows(self, claims: AccessClaims) -> bool:
        return set(self.client_scopes).issubset(claims.scopes)

    def explain(self, claims: AccessClaims) -> APIException:
        return InsufficientScope(self.client_scopes)


class _HasRole(_ByClaims):
    wanted: ClassVar[tuple[str, ...]]

    def allows(self, claims: AccessClaims) -> bool:
        return not claims.is_delegated and not set(self.wanted).isdisjoint(claims.roles)


class _RecentlyAuthenticated(_ByClaims):
    max_age: ClassVar[timedelta]

    def allows(self, claims: AccessClaims) -> bool:
        if claims.is_delegated or claims.auth_time is None:
            return False
        now = clocks.time()
        is_past = claims.auth_time <= now + conf.CLOCK_LEEWAY.total_seconds()
        return is_past and is_within(self.max_age, claims.auth_time, now)

    def explain(self, claims: AccessClaims) -> APIException | None:
        return None if claims.is_delegated else StepUp(self.max_age)  # no client can authenticate its user


class IsFirstParty(ExplainsRefusal):
    """A login of the site itself, by token, cookie or Django session: no client, whatever its scope.

    ``IsFirstParty | HasScope("orders:read")`` is a view for both.
    """

    guards_clients: ClassVar[bool] = True
    client_scopes: ClassVar[tuple[str, ...] | None] = None

    def has_permission(self, request: Request, view: Any) -> bool:
        user: Any = request.user
        return user is not None and user.is_authenticated and not is_client(request)

    def has_object_permission(self, request: Request, view: Any, obj: Any) -> bool:
        return self.has_permission(request, view)


def HasScope(*scopes: str) -> type[BasePermission]:  # noqa: N802 - it stands where a class would
    """Demand that the token's claim ``scope`` holds all of ``scopes`` (RFC 9068 §2.2.3).

    The claim is a text with spaces, or a list. A token that lacks one gets 403 ``insufficient_scope``, and
    the challenge names them all (RFC 6750 §3.1); a request without a token gets the plain 401.

    Raises:
        ValueError: no scope is given, or one is not a scope-token (RFC 6749 §3.3).
    """
    _check("scope", scopes, _SCOPE)
    wanted = tuple(dict.fromkeys(scopes))
    return _make(_HasScope, "HasScope", f"The token's scope holds {' '.join(wanted)}.", client_scopes=wanted)


def HasRole(*roles: str) -> type[BasePermission]:  # noqa: N802
    """Demand that the token's claim ``roles``, a list that AUTHX_CLAIMS adds, holds one of ``roles``.

    A token without one, or a client's, gets 403 ``permission_denied``; a request without a token gets the
    plain 401. A role that is taken away stays in the access tokens that name it, for
    AUTHX_ACCESS_TOKEN_LIFETIME at most.

    Raises:
        ValueError: no role is given, or one is empty or holds a control character.
    """
    _check("role", roles, _ROLE)
    return _make(_HasRole, "HasRole", f"The token's roles hold one of {', '.join(roles)}.", wanted=roles)


def RecentlyAuthenticated(max_age: timedelta) -> type[BasePermission]:  # noqa: N802
    """Demand that the user authenticated within ``max_age``, by the token's ``auth_time``.

    An older login gets 401 ``insufficient_user_authentication`` with ``max_age`` in seconds (RFC 9470 §3):
    the client asks for the password, calls ``reauthenticate/`` and repeats the request with the new token. An
    OAuth client gets 403: its user's password is none of its business.

    Raises:
        ValueError: ``max_age`` is not a timedelta of a second or more.
    """
    if not isinstance(max_age, timedelta) or max_age < _SECOND:
        raise ValueError("max_age must be a timedelta of a second or more")
    doc = f"The user proved who they are within {max_age}."
    return _make(_RecentlyAuthenticated, "RecentlyAuthenticated", doc, max_age=max_age)


def _make(base: type[_ByClaims], name: str, doc: str, **demands: Any) -> type[BasePermission]:
    made: Any = Composable(name, (base,), {"__module__": __name__, "__doc__": doc, **demands})
    return cast("type[BasePermission]", made)


def _check(what: str, names: Collection[Any], form: re.Pattern[str]) -> None:
    if not names:
        raise ValueError(f"name at least one {what}")
    for name in names:
        if not isinstance(name, str) or not form.fullmatch(name):
            raise ValueError(f"{name!r} is no {what}")
