"""The authorization server with an API of its own beside it, which serves clients."""

from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from authx.api.authentication import DelegatedAuthentication
from authx.api.permissions import HasScope
from tests.oauth_urls import urlpatterns as of_the_site


class Orders(APIView):
    """Reads and writes, each with a scope of its own."""

    authentication_classes = [DelegatedAuthentication]

    def get_permissions(self):
        return [HasScope("orders:write" if self.request.method == "POST" else "orders:read")()]

    def get(self, request: Request) -> Response:
        return Response(request.auth.as_payload())

    post = get


urlpatterns = [path("mcp", Orders.as_view()), *of_the_site]
