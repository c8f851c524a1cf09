"""The second service. Only other services call it, with tokens made for it: by exchange, or their own."""

from __future__ import annotations

from typing import Any

from demo_project.service import serve


def patterns() -> list[Any]:
    from django.urls import path
    from rest_framework.request import Request
    from rest_framework.response import Response
    from rest_framework.views import APIView

    from authx.api.authentication import DelegatedAuthentication
    from authx.api.permissions import HasScope

    class Stock(APIView):
        """How many there are, and who asks: for whom, and through whom."""

        authentication_classes = [DelegatedAuthentication]
        permission_classes = [HasScope("stock:read")]

        def get(self, request: Request) -> Response:
            claims: Any = request.auth
            told = {"in_stock": 3, "for": claims.sub, "asked_by": claims.client_id, "scope": claims.scopes}
            return Response({**told, "audience": claims.aud, "actors": claims.actors, "session": claims.sid})

    return [path("stock/", Stock.as_view())]


if __name__ == "__main__":
    serve("STOCK", patterns, AUTHX_AUDIENCE="stock")
