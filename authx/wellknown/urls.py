"""Mount at the root: ``path("", include("authx.wellknown.urls"))``."""

from django.urls import path

from authx.wellknown import views

app_name = "authx-wellknown"

urlpatterns = [
    path(".well-known/jwks.json", views.jwks, name="jwks"),
    path(
        ".well-known/oauth-authorization-server",
        views.authorization_server,
        name="authorization-server",
    ),
]
