"""Views for other services: introspection (RFC 7662), revocation (RFC 7009), the revocation feed."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponseBase
from django.utils.cache import get_conditional_response
from django.utils.datastructures import MultiValueDict
from django.utils.decorators import method_decorator
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from rest_framework.request import Request
from rest_framework.response import Response

from authx.api.exceptions import InvalidClient, InvalidRequest
from authx.api.views.base import AuthxAPIView
from authx.core.reasons import EndReason
from authx.http.actor import actor_of
from authx.http.bodies import body_size, is_too_large
from authx.http.client_credentials import body_credentials, header_credentials
from authx.http.etag import entity_tag
from authx.issuer.clients import find_service
from authx.issuer.introspection import find_session_of, introspect
from authx.issuer.revocation_feed import KINDS, endings_since
from authx.models import ServiceClient
from authx.sessions import end_session

#: Our error codes as those of OAuth (RFC 6749 §5.2, §4.1.2.1); the others have no equivalent there.
_OAUTH = {
    "invalid_client": "invalid_client",
    "invalid_request": "invalid_request",
    "parse_error": "invalid_request",
    "unsupported_media_type": "invalid_request",
    "store_unavailable": "temporarily_unavailable",
}


#: Bytes of a body with credentials: a token of 8 KiB at most, percent-encoded, and the other parameters.
MAX_BODY_BYTES = 32 * 1024


class ServiceAPIView(AuthxAPIView):
    """A view for services, by client id and secret."""

    service: ServiceClient

    @sensitive_variables()
    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        by_header = _by_header(request)
        found = header_credentials(request._request) if by_header else body_credentials(self.body())
        service = find_service(*found) if found else None
        if service is None:
            raise InvalidClient
        if by_header and "client_secret" in self.body():  # one method per request (RFC 6749 §2.3)
            raise InvalidRequest("Client credentials go into the header or into the body, not into both.")
        self.service = service

    def check_size(self, request: Request) -> None:
        """Refuse too large a body with an OAuth error.

        Raises:
            InvalidClient: it exceeds ``MAX_BODY_BYTES`` bytes, and no header has named the client.
            InvalidRequest: it exceeds the site's limit.
        """
        if not _by_header(request) and body_size(request._request) > MAX_BODY_BYTES:
            raise InvalidClient
        if is_too_large(request._request):
            raise InvalidRequest("The request is too large.")

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
            raise InvalidRequest("A parameter is repeated.")
        return found

    def token(self) -> str:
        """Return the token that the request is about.

        Raises:
            InvalidRequest: there is none (RFC 7662 §2.1, RFC 7009 §2.1).
        """
        token = self.body().get("token")
        if not isinstance(token, str) or not token:
            raise InvalidRequest("The parameter token is missing.")
        return token


@method_decorator(sensitive_post_parameters(), name="dispatch")
class Introspect(ServiceAPIView):
    """``POST token``: its claims while it is valid; for any other, just ``{"active": false}``."""

    @sensitive_variables()
    def post(self, request: Request) -> Response:
        return Response(introspect(self.token()) or {"active": False})


@method_decorator(sensitive_post_parameters(), name="dispatch")
class Revoke(ServiceAPIView):
    """``POST token``: end its session; 200 also for an invalid one (RFC 7009 §2.2)."""

    @sensitive_variables()
    def post(self, request: Request) -> Response:
        session = find_session_of(self.token())
        if session is not None and session.ended_at is None:  # an old token does not end what continues it
            note = f"revoked by {self.service.name}"
            end_session(session, EndReason.LOGOUT, by=actor_of(request, session.user), note=note)
        return Response(status=200)


class Revocations(ServiceAPIView):
    """``GET ?since=``: the recent endings, or those since the answer that gave this cursor.

    With an ETag, unless there is more: a client that asks again with ``If-None-Match`` gets 304 if nothing
    has ended since.
    """

    def get(self, request: Request) -> HttpResponseBase:
        body = endings_since(request.query_params.get("since", ""))
        response = Response(body)
        if body["more"]:
            return response
        response["ETag"] = entity_tag([body["whole"], *(sorted(body[kind], key=repr) for kind in KINDS)])
        not_modified = get_conditional_response(request._request, response["ETag"], response=response)
        return not_modified or response


def _by_header(request: Request) -> bool:
    return "HTTP_AUTHORIZATION" in request.META
