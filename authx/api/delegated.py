"""Authentication of requests by clients: apps that act for a user, and services that act for themselves.

Must not import ``rest_framework.views``, as ``authentication`` must not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

from django.core.exceptions import ImproperlyConfigured
from django.views.decorators.debug import sensitive_variables
from rest_framework.request import Request

from authx.api.admitting import AuthxAuthentication, bearer_token, is_for_another, let_in, refused
from authx.api.exceptions import InsufficientScope
from authx.api.foreign_tokens import has_other_reader
from authx.api.guarding import is_guarded
from authx.conf import conf
from authx.core.access_token import is_access_token
from authx.core.claims import AccessClaims
from authx.errors import StoreUnavailable, TokenError
from authx.gate.principal import TokenCaller
from authx.gate.revocation import sources
from authx.gate.verify import ensure_live, read_claims
from authx.http.renewal import has_bearer
from authx.http.request_state import request_state

if TYPE_CHECKING:
    from authx.sessions.authentication import Caller


class DelegatedAuthentication(AuthxAuthentication):
    """``Authorization: Bearer`` with a client's token: the user as ``request.user``, the claims as ``auth``.

    In ``authentication_classes`` it stands with the URI that tokens must be for,
    ``DelegatedAuthentication("https://shop.example/api/")``, or without one where there is no choice:
    AUTHX_RESOURCES has one entry, or AUTHX_AUDIENCE is the name of a service that only verifies. The view
    has to demand a scope, as by ``HasScope``; without that, every client gets 403. The token of a login is
    left to ``BearerAuthentication``, where the view has that too, and refused elsewhere.

    The user of a service that acts for itself is a ``Principal``, which has no permissions. The request has
    no device session: nothing that is done in it ends or continues one.
    """

    serves_clients = True
    #: Whom a token must be for, one of them; empty stands for the only one there is.
    resources: ClassVar[tuple[str, ...]] = ()

    def __init__(self, *resources: str) -> None:
        self._resources = resources or self.resources

    def __call__(self) -> Self:
        """Return itself: DRF calls what stands in ``authentication_classes``, which a class would be."""
        return self

    @classmethod
    def for_resource(cls, *resources: str) -> type[Self]:
        """Return a class for ``resources``, for where an instance will not do."""
        return type(cls.__name__, (cls,), {"resources": resources, "__module__": cls.__module__})

    @property
    def audience(self) -> tuple[str, ...]:
        """Return whom a token must be for, one of them.

        Raises:
            ImproperlyConfigured: none is named, and the settings leave a choice.
        """
        if self._resources:
            return self._resources
        if conf.gate_policy.store == "remote":
            return conf.AUDIENCE
        if len(conf.RESOURCES) == 1:
            return tuple(conf.RESOURCES)
        raise ImproperlyConfigured(
            "DelegatedAuthentication names no resource, and AUTHX_RESOURCES has not exactly one: write "
            'DelegatedAuthentication("https://shop.example/api/").'
        )

    @sensitive_variables()
    def authenticate(self, request: Request) -> tuple[Any, AccessClaims] | None:
        if not has_bearer(request._request):
            return None
        request_state(request._request).identity_header = "Authorization"
        try:
            token = bearer_token(request)
            if is_for_another(request, token, self):
                return None
            if not is_access_token(token) and has_other_reader(request, self, AuthxAuthentication):
                return None
            caller = self._admit(token)
        except (TokenError, StoreUnavailable) as error:
            raise refused(request, error) from error
        # Not kept as the caller of the request: its session is not there to be ended or continued.
        found = let_in(request, caller)
        _demand_guard(request, *found)
        return found

    def _admit(self, token: str) -> Caller | TokenCaller:
        claims = read_claims(token, audience=self.audience, delegated=True)
        if conf.gate_policy.store == "remote":
            ensure_live(claims, sources.source(token))
            return TokenCaller(claims)
        # Imported here: a service that only verifies has neither our tables nor our users.
        from authx.sessions.authentication import admit

        return admit(claims, delegated=True, reads_session=False)


def _demand_guard(request: Request, user: Any, claims: AccessClaims) -> None:
    """Demand that a permission of the view looks at the scope.

    Raises:
        InsufficientScope: none does, or nothing is known of the view.
    """
    # The view's own code may ask who it is.
    request.user, request.auth = user, claims
    view = (request.parser_context or {}).get("view")
    if view is None or not is_guarded(view.get_permissions()):
        raise InsufficientScope(())
