"""The base class of views for clients that prove who they are: services and apps."""

from __future__ import annotations

from typing import Any

from django.utils.datastructures import MultiValueDict
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_variables
from rest_framework.request import Request
from rest_framework.response import Response

from authx.api.exceptions import InvalidClient, InvalidRequest
from authx.api.views.base import AuthxAPIView
from authx.core.client_assertion import ASSERTION_TYPE
from authx.core.oauth_client import NONE
from authx.errors import OAuthError
from authx.http.bodies import body_size, is_too_large
from authx.http.client_credentials import (
    Presented,
    assertion_audiences,
    body_credentials,
    header_credentials,
)
from authx.issuer.clients import authenticate_client
from authx.models import ServiceClient

#: Our error codes as those of OAuth (RFC 6749 §5.2, §4.1.2.1); the others have no equivalent there.
_OAUTH = {
    "invalid_client": "invalid_client",
    "invalid_request": "invalid_request",
    "parse_error": "invalid_request",
    "unsupported_media_type": "invalid_request",
    "store_unavailable": "temporarily_unavailable",
    "unsupported_token_type": "unsupported_token_type",
}


_TWICE = _("Client credentials go into the header or into the body, once and not both.")

#: Bytes of a body with credentials: a token of 8 KiB at most, percent-encoded, and the other parameters.
MAX_BODY_BYTES = 32 * 1024


class ServiceAPIView(AuthxAPIView):
    """A view for clients that prove who they are, as they would at the token endpoint."""

    service: ServiceClient
    #: Whether public clients are served too, which prove nothing.
    serves_public_clients = False

    @sensitive_variables()
    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        self.service = self._authenticated(self._presented(request))
        if self.service.auth_method == NONE and not self.serves_public_clients:
            raise InvalidClient
        if _by_header(request):
            self._check_body_beside_header()

    @sensitive_variables()
    def _presented(self, request: Request) -> Presented:
        """Read the credentials: from the header alone if there is one, before the body of nobody we know.

        Raises:
            InvalidClient: there are none that can be read.
            InvalidRequest: an assertion is of another type.
        """
        if _by_header(request):
            found = header_credentials(request._request)
            presented = Presented(*found) if found else None
        else:
            presented = body_credentials(self.body())
        if presented is None:
            raise InvalidClient
        if presented.assertion and presented.assertion_type != ASSERTION_TYPE:
            raise InvalidRequest(
                gettext("client_assertion_type has to be %(type)s.") % {"type": ASSERTION_TYPE}
            )
        if presented.secret and presented.assertion:
            raise InvalidRequest(_TWICE)
        return presented

    @sensitive_variables()
    def _authenticated(self, presented: Presented) -> ServiceClient:
        try:
            return authenticate_client(
                presented.client_id,
                secret=presented.secret,
                assertion=presented.assertion,
                audiences=assertion_audiences(self.request.path),
            )
        except OAuthError:
            raise InvalidClient from None

    def _check_body_beside_header(self) -> None:
        """Refuse a second proof in the body (RFC 6749 §2.3), or another client's name."""
        body = self.body()
        if "client_secret" in body or "client_assertion" in body:
            raise InvalidRequest(_TWICE)
        if body.get("client_id", self.service.client_id) != self.service.client_id:
            raise InvalidRequest(gettext("client_id is another than in the header."))

    def check_size(self, request: Request) -> None:
        """Refuse too large a body with an OAuth error.

        Raises:
            InvalidClient: it exceeds ``MAX_BODY_BYTES`` bytes, and no header has named the client.
            InvalidRequest: it exceeds the site's limit.
        """
        if not _by_header(request) and body_size(request._request) > MAX_BODY_BYTES:
            raise InvalidClient
        if is_too_large(request._request):
            raise InvalidRequest(gettext("The request is too large."))

    def handle_exception(self, exc: Exception) -> Response:
        """Add ``error``, the name of the error that OAuth clients look for."""
        response = super().handle_exception(exc)
        if isinstance(response.data, dict) and (error := _OAUTH.get(response.data.get("code", ""))):
            response.data["error"] = error
        if isinstance(exc, InvalidClient):
            response.status_code = 401
            response["WWW-Authenticate"] = 'Basic realm="services", charset="UTF-8"'
        return response

    def body(self) -> dict[str, Any]:
        """Return the parameters, each of which may occur once (RFC 6749 §3.2).

        Raises:
            InvalidRequest: one occurs twice.
            UnsupportedMediaType: the body is of a type that we do not read.
        """
        found = self.request.data if isinstance(self.request.data, dict) else {}
        if isinstance(found, MultiValueDict) and any(len(values) > 1 for _name, values in found.lists()):
            raise InvalidRequest(gettext("A parameter is repeated."))
        return found

    def token(self) -> str:
        """Return the token that the request is about.

        Raises:
            InvalidRequest: there is none (RFC 7662 §2.1, RFC 7009 §2.1).
        """
        token = self.body().get("token")
        if not isinstance(token, str) or not token:
            raise InvalidRequest(gettext("The parameter token is missing."))
        return token


def _by_header(request: Request) -> bool:
    return "HTTP_AUTHORIZATION" in request.META
