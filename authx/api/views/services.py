"""Views for other services: introspection (RFC 7662), revocation (RFC 7009), the revocation feed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.http import HttpResponseBase
from django.utils.cache import get_conditional_response
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from authx.api.exceptions import UnsupportedTokenType
from authx.api.views.service_view import MAX_BODY_BYTES, ServiceAPIView
from authx.errors import OAuthError
from authx.http import cors
from authx.http.actor import actor_of
from authx.http.etag import entity_tag
from authx.issuer.client_origins import may_read
from authx.issuer.introspection import introspect, revoke
from authx.issuer.revocation_feed import KINDS, endings_since, may_follow

__all__ = ["MAX_BODY_BYTES", "Introspect", "Revocations", "Revoke", "ServiceAPIView"]


@method_decorator(sensitive_post_parameters(), name="dispatch")
class Introspect(ServiceAPIView):
    """``POST token``: its claims while it is valid; for any other, just ``{"active": false}``."""

    @sensitive_variables()
    def post(self, request: Request) -> Response:
        return Response(introspect(self.token(), self.service) or {"active": False})


@method_decorator(sensitive_post_parameters(), name="dispatch")
class Revoke(ServiceAPIView):
    """``POST token``: end its session; 200 also for an invalid one (RFC 7009 §2.2)."""

    serves_public_clients = True

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Let scripts of clients read it: an app that is a page gives its tokens back at logout."""
        found = super().finalize_response(request, response, *args, **kwargs)
        cors.allow(request, found, may_read)
        return found

    @sensitive_variables()
    def post(self, request: Request) -> Response:
        by = replace(actor_of(request), client_id=self.service.client_id)
        try:
            revoke(self.token(), self.service, by)
        except OAuthError as error:
            raise UnsupportedTokenType from error
        return Response({})  # RFC 7009 §2.2 has no body; some clients (simple-oauth2) take none but JSON


@method_decorator(sensitive_post_parameters(), name="dispatch")
class Revocations(ServiceAPIView):
    """``GET ?since=``: the recent endings, or those since the answer that gave this cursor.

    With an ETag, unless there is more: a client that asks again with ``If-None-Match`` gets 304 if nothing
    has ended since. A client that proves itself by an assertion POSTs ``since`` with it.
    """

    def get(self, request: Request) -> HttpResponseBase:
        return self._answer(request, request.query_params.get("since", ""))

    def post(self, request: Request) -> HttpResponseBase:
        return self._answer(request, self.body().get("since") or "")

    def _answer(self, request: Request, since: Any) -> HttpResponseBase:
        if not may_follow(self.service):
            raise PermissionDenied(_("The feed of endings is for services that receive tokens."))
        body = endings_since(since if isinstance(since, str) else "")
        response = Response(body)
        if body["more"]:
            return response
        response["ETag"] = entity_tag([body["whole"], *(sorted(body[kind], key=repr) for kind in KINDS)])
        not_modified = get_conditional_response(request._request, response["ETag"], response=response)
        return not_modified or response
