"""A second site: it verifies the demo's tokens, and has neither its tables nor its users nor its secrets.

``manage.py demo --with-service`` starts it as ``python -m demo_project.orders``; the environment gives it
the demo's URL and its own credentials there.
"""

import os
import sys
from datetime import timedelta
from typing import Any

from django.conf import settings

ISSUER = os.environ.get("ORDERS_ISSUER", "http://127.0.0.1:8000")
HOST = "127.0.0.1"


def configure() -> None:
    import django

    settings.configure(
        DEBUG=True,  # the demo speaks http; elsewhere the three URLs are https
        SECRET_KEY="of-this-service-alone-" + os.urandom(16).hex(),
        ALLOWED_HOSTS=[HOST, "localhost"],
        ROOT_URLCONF=__name__,
        DATABASES={},
        USE_TZ=True,
        INSTALLED_APPS=["rest_framework", "authx.contrib.verifier"],
        REST_FRAMEWORK={
            "DEFAULT_AUTHENTICATION_CLASSES": ["authx.api.authentication.BearerAuthentication"],
            "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
            "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
            "EXCEPTION_HANDLER": "authx.api.exception_handler",
            "UNAUTHENTICATED_USER": None,
        },
        AUTHX_REVOCATION_STORE="remote",
        AUTHX_ISSUER=ISSUER,
        AUTHX_JWKS_URL=f"{ISSUER}/.well-known/jwks.json",
        AUTHX_REVOCATIONS_URL=f"{ISSUER}/api/auth/revocations/",
        AUTHX_SERVICE_CREDENTIALS=(os.environ.get("ORDERS_ID", ""), os.environ.get("ORDERS_SECRET", "")),
        AUTHX_REVOCATION_LAG=timedelta(seconds=2),
    )
    django.setup()


def patterns() -> list[Any]:
    from django.urls import path
    from rest_framework.request import Request
    from rest_framework.response import Response
    from rest_framework.views import APIView

    class Orders(APIView):
        """What the caller has ordered, as far as this service knows: nothing yet."""

        def get(self, request: Request) -> Response:
            user: Any = request.user
            claims: Any = request.auth
            return Response({"orders": [], "user": user.pk, "roles": user.roles, "session": claims.sid})

    return [path("orders/", Orders.as_view())]


def main() -> None:
    configure()
    globals()["urlpatterns"] = patterns()
    from django.core.management import call_command
    from django.core.servers.basehttp import get_internal_wsgi_application, run

    call_command("check")
    run(HOST, int(sys.argv[1]), get_internal_wsgi_application(), threading=True)


if __name__ == "__main__":
    main()
