"""The first service. It takes the tokens of the demo's logins, and calls the second for their users."""

from __future__ import annotations

import json
import os
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request as Call
from urllib.request import urlopen

from demo_project.service import HOST, serve

STOCK = os.environ.get("STOCK_URL", f"http://{HOST}:8002")


def patterns() -> list[Any]:
    from django.urls import path
    from rest_framework.request import Request
    from rest_framework.response import Response
    from rest_framework.views import APIView

    from authx.client import exchange, service_token

    class Orders(APIView):
        """What the caller has ordered, as far as this service knows, and what the second says to it."""

        def get(self, request: Request) -> Response:
            claims: Any = request.auth
            theirs = exchange(request, audience="stock", scope="stock:read")
            own = service_token(audience="stock", scope="stock:read")
            told = {"orders": [], "user": request.user.pk, "roles": claims.roles, "session": claims.sid}
            return Response({**told, "stock": {"for_user": ask(theirs), "for_itself": ask(own)}})

    return [path("orders/", Orders.as_view())]


def ask(token: str) -> dict[str, Any]:
    """Return the second service's answer, or why it refuses."""
    call = Call(f"{STOCK}/stock/", headers={"Authorization": f"Bearer {token}"})
    try:
        with urlopen(call, timeout=5) as answer:
            found: dict[str, Any] = json.load(answer)
    except HTTPError as error:
        with error:
            found = json.load(error)
    return found


if __name__ == "__main__":
    serve("ORDERS", patterns)
