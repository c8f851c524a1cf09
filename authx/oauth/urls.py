"""Mount as ``path("oauth/", include("authx.oauth.urls"))``, and the site is an authorization server."""

from django.db.transaction import non_atomic_requests
from django.urls import path

from authx.oauth.authorize import AuthorizeView
from authx.oauth.token import token

app_name = "authx-oauth"

urlpatterns = [
    # What it writes is complete by itself, and its code is there before its answer is. An outage is a 503.
    path("authorize/", non_atomic_requests(AuthorizeView.as_view()), name="authorize"),
    # The same, for who comes from a form, such as the login page's: see AuthorizeView.
    path("authorize/continue/", non_atomic_requests(AuthorizeView.as_view(after_form=True)), name="continue"),
    # A verdict on a replayed code or token stands, though the request fails.
    path("token/", non_atomic_requests(token), name="token"),
]
