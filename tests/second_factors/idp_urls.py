"""A site on which both we and allauth are providers; each has keys at an address of its own."""

from django.urls import include, path

from tests.second_factors.urls import urlpatterns as of_the_site

urlpatterns = [
    path("oauth/", include("authx.oauth.urls")),
    path("idp/", include("allauth.idp.urls")),
    *of_the_site,
]
