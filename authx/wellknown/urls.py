"""Mount at the root: ``path("", include("authx.wellknown.urls"))``."""

from django.db.transaction import non_atomic_requests
from django.urls import path

from authx.wellknown import views

app_name = "authx-wellknown"

urlpatterns = [
    path(".well-known/jwks.json", non_atomic_requests(views.jwks), name="jwks"),
    path(
        ".well-known/oauth-authorization-server",
        non_atomic_requests(views.authorization_server),
        name="authorization-server",
    ),
    path(
        ".well-known/oauth-authorization-server/<path:issuer_path>",
        non_atomic_requests(views.authorization_server),
    ),
    path(".well-known/authx-ready", non_atomic_requests(views.ready), name="ready"),
]
