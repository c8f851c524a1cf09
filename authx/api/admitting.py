"""What our authentication classes share: the token in the header, and how its refusal is told.

Must not import ``rest_framework.views``, as ``authentication`` must not.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from django.utils.translation import gettext
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import APIException, PermissionDenied
from rest_framework.request import Request

from authx.api.exceptions import InvalidBearerRequest, challenge, refusal
from authx.core.claims import AccessClaims
from authx.errors import AuthxError, StoreUnavailable, TokenError, TokenMalformed
from authx.gate.principal import TokenCaller
from authx.gate.verify import signed_claims
from authx.http.language import negotiated
from authx.http.request_state import request_state

if TYPE_CHECKING:
    from authx.models import DeviceSession
    from authx.sessions.authentication import Caller, KnownCaller

    AnyCaller = Caller | KnownCaller | TokenCaller

T = TypeVar("T")


class AuthxAuthentication(BaseAuthentication):
    """What our classes share: all of them answer with the Bearer challenge, so their order is free."""

    #: Whether the tokens that it takes from the header are clients'; None where it takes none.
    serves_clients: ClassVar[bool | None] = None

    def authenticate_header(self, request: Request) -> str:
        return challenge(request)


def bearer_token(request: Request) -> str:
    """Return what follows the scheme and its one space.

    WSGI and ASGI join two Authorization headers with a comma; no token of ours contains one.

    Raises:
        InvalidBearerRequest: there is more than one header.
        TokenMalformed: no token follows the scheme, or the scheme is another one.
    """
    header: str = request._request.META["HTTP_AUTHORIZATION"]
    if "," in header:
        with negotiated(request._request):
            raise InvalidBearerRequest(gettext("More than one Authorization header."))
    if header.startswith("Bearer ") and (token := header[7:].rstrip(" ")):
        return token  # as most do; the same as below
    scheme, _, token = header.strip(" ").partition(" ")
    if not token or scheme.lower() != "bearer":
        raise TokenMalformed("no token follows the scheme")
    return token


def is_for_another(request: Request, token: str, ours: AuthxAuthentication) -> bool:
    """Return whether the view has a class of ours for tokens of the other kind, and this is one.

    Told by a signature of ours: any other token is for whoever refuses it first.
    """
    wanted = not ours.serves_clients
    for found in request.authenticators or ():
        if isinstance(found, AuthxAuthentication) and found.serves_clients is wanted:
            break
    else:
        return False
    try:
        return signed_claims(token).is_delegated is wanted
    except (TokenError, StoreUnavailable):
        return False


def let_in(request: Request, caller: AnyCaller) -> tuple[Any, AccessClaims]:
    """Return what DRF is told of a caller, whose use of the session is recorded."""
    caller.record_use()
    return caller.user(partial(_read_user, request, caller)), caller.claims


def _read_user(request: Request, caller: Any) -> Any:
    """Return the user of a ``Caller``, read now; one without a name if that fails after the answer."""
    try:
        return or_refuse(request, caller.read_user)
    except APIException:
        if not request_state(request._request).is_finished:
            raise
        return caller.nameless_user()


def or_refuse(request: Request, read: Callable[[], T]) -> T:
    """Return what ``read`` returns; turn its errors into those of the API."""
    try:
        return read()
    except (TokenError, StoreUnavailable) as error:
        raise refused(request, error) from error


def refused(request: Request, error: AuthxError) -> APIException:
    """Return what the API answers to a token that is refused for ``error``, and note that."""
    if isinstance(error, TokenError):
        request_state(request._request).refusal = error
    with negotiated(request._request):  # the site's handler may take it as it is
        return refusal(error)


def session_of(request: Request) -> DeviceSession:
    """Return the session that one of our classes authenticated; read it if the check did not.

    Raises:
        PermissionDenied: the request carries no device session: another class authenticated it.
        APIException: the session has ended meanwhile.
    """
    if (found := session_or_none(request)) is None:
        with negotiated(request._request):
            raise PermissionDenied(gettext("The request carries no device session."))
    return found


def session_or_none(request: Request) -> DeviceSession | None:
    """Return what ``session_of`` returns; None where another class authenticated the request.

    Raises:
        APIException: the session has ended meanwhile.
    """
    caller: AnyCaller | None = request_state(request._request).caller
    if caller is None or isinstance(caller, TokenCaller):
        return None
    return or_refuse(request, lambda: caller.session)
