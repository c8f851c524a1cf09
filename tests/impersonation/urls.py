"""The test site with the impersonations of django-hijack and django-loginas."""

from django.urls import include, path

from tests.urls import urlpatterns as site

urlpatterns = [path("hijack/", include("hijack.urls")), path("as/", include("loginas.urls")), *site]
