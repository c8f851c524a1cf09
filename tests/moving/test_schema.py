"""The schema of a site that is moving in: its old paths and credentials are nothing to complain of."""

from django.urls import include, path
from drf_spectacular.utils import extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from tests.documented import documented
from tests.moving.urls import BLOCKS, ByAuthToken, ByKnox
from tests.openapi.schemas import schema_of


class Orders(APIView):
    """By the classes of the settings."""

    @extend_schema(responses=None)
    def get(self, request):
        return Response({})


class OrdersByKnox(Orders):
    authentication_classes = ByKnox.authentication_classes


class OrdersByAuthToken(Orders):
    authentication_classes = ByAuthToken.authentication_classes


def test_the_site_has_a_schema_without_a_complaint():
    names = {}
    urls = [path("api/auth/", include("authx.api.urls"))]
    for holding in BLOCKS:
        if "dj-rest-auth" not in (block := documented("moving.md", "python", holding)):
            exec(block, names)
            urls += names["urlpatterns"]
    urls += [
        path("orders/", Orders.as_view()),
        path("orders/knox/", OrdersByKnox.as_view()),
        path("orders/authtoken/", OrdersByAuthToken.as_view()),
    ]
    paths = schema_of(urls, validate=True)["paths"]
    assert not [name for name in paths if name.startswith(("/api/token", "/api/knox", "/api/authtoken"))]
    ways = {name: [list(way) for way in paths[name]["get"]["security"]] for name in paths if "orders" in name}
    assert ways["/orders/"] == [["authxToken"], ["authxCookie"], ["authxOldJwt"], []]
    assert ways["/orders/knox/"] == [["authxOldKnox"], []]
    assert ways["/orders/authtoken/"] == [["tokenAuth"], []]
