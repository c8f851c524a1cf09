"""The test site with what Grappelli adds to it."""

from django.urls import include, path

from tests.urls import urlpatterns as plain

urlpatterns = [path("grappelli/", include("grappelli.urls")), *plain]
