"""The test site as an authorization server."""

from django.urls import include, path

from tests.urls import urlpatterns as of_the_site

urlpatterns = [path("oauth/", include("authx.oauth.urls")), *of_the_site]
