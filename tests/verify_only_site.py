"""A verify-only service as its own process: no tables of authx, no users, no secret in common.

``python -m tests.verify_only_site '{"AUTHX_JWKS_URL": ...}'``: each line of standard input is a token, each
line of standard output the status and the body of the answer to it. ``AUTHX_REVOCATION_LAG`` and
``AUTHX_SOCKET_BLIND`` are seconds.
"""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from typing import Any


def configure(more: dict[str, Any]) -> None:
    import django
    from django.conf import settings

    more.setdefault("AUTHX_REVOCATION_LAG", 0)
    for name in more.keys() & {"AUTHX_REVOCATION_LAG", "AUTHX_SOCKET_BLIND"}:
        more[name] = timedelta(seconds=more[name])
    settings.configure(
        DEBUG=True,  # http, not https, between the two
        SECRET_KEY="nobody-knows-this-one-" + "v" * 40,
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        DATABASES={},
        INSTALLED_APPS=["rest_framework", "authx.contrib.verifier"],
        USE_TZ=True,
        REST_FRAMEWORK={
            "DEFAULT_AUTHENTICATION_CLASSES": ["authx.api.authentication.BearerAuthentication"],
            "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
            "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
            "EXCEPTION_HANDLER": "authx.api.exception_handler",
            "UNAUTHENTICATED_USER": None,
        },
        AUTHX_REVOCATION_STORE="remote",
        **more,
    )
    django.setup()


def urls() -> list[Any]:
    from django.urls import path
    from rest_framework.response import Response
    from rest_framework.views import APIView

    class Whoami(APIView):
        def get(self, request: Any) -> Response:
            user = request.user
            told = {"user": user.pk, "name": str(user), "roles": user.roles, "scopes": user.scopes}
            return Response(told | {"sid": request.auth.sid})

    return [path("whoami/", Whoami.as_view())]


def main() -> None:
    configure(json.loads(sys.argv[1]))
    from django.core.management import call_command
    from django.test import Client

    globals()["urlpatterns"] = urls()
    call_command("check", fail_level="WARNING")
    client = Client()
    print("ready", flush=True)
    for line in sys.stdin:
        answer = client.get("/whoami/", headers={"Authorization": f"Bearer {line.strip()}"})
        print(json.dumps([answer.status_code, answer.json()]), flush=True)
    loaded = {"authx.models", "django.contrib.auth.models"} & set(sys.modules)
    print(json.dumps(sorted(loaded)), flush=True)


if __name__ == "__main__":
    main()
