"""What the demo's two services have in common: they verify tokens, and have no database and no users.

``manage.py demo --with-service`` starts each in a process of its own; the environment gives it the demo's URL
and its own credentials there.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.conf import settings

HOST = "127.0.0.1"
ISSUER = os.environ.get("DEMO_ISSUER", f"http://{HOST}:8000")


def serve(name: str, views: Callable[[], list[Any]], **others: Any) -> None:
    """Serve the URL patterns that ``views`` returns, on the port that the command line names."""
    import django

    settings.configure(
        DEBUG=True,  # the demo speaks http; elsewhere these URLs are https
        SECRET_KEY="of-this-service-alone-" + os.urandom(16).hex(),
        ALLOWED_HOSTS=[HOST, "localhost"],
        ROOT_URLCONF="demo_project.service",
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
        AUTHX_TOKEN_URL=f"{ISSUER}/oauth/token/",
        AUTHX_SERVICE_CREDENTIALS=(os.environ.get(f"{name}_ID", ""), os.environ.get(f"{name}_SECRET", "")),
        AUTHX_REVOCATION_LAG=timedelta(seconds=2),
        **others,
    )
    django.setup()
    sys.modules["demo_project.service"].urlpatterns = views()  # type: ignore[attr-defined]
    from django.core.management import call_command
    from django.core.servers.basehttp import get_internal_wsgi_application, run

    call_command("check")
    run(HOST, int(sys.argv[1]), get_internal_wsgi_application(), threading=True)
