"""The view for tickets of sockets."""

from __future__ import annotations

from typing import Any

from django.views.decorators.debug import sensitive_variables
from rest_framework.request import Request
from rest_framework.response import Response

from authx import clocks
from authx.api.views.base import SessionAPIView
from authx.core.socket_ticket import LIFETIME_SECONDS
from authx.http.origin import origin_of
from authx.sessions.tickets import mint


class SocketTicket(SessionAPIView):
    """``POST``: a ticket that opens one socket, or renews one, for a page of the origin that asks."""

    @sensitive_variables()
    def post(self, request: Request) -> Response:
        claims: Any = request.auth
        return Response(
            {
                "ticket": mint(claims, origin=origin_of(request._request)),
                "expires_in": LIFETIME_SECONDS,
                "token_expires_in": max(0, claims.exp - int(clocks.time())),
            }
        )
