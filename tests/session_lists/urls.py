"""The test site with the list of django-user-sessions."""

from django.urls import include, path

from tests.urls import urlpatterns as site

urlpatterns = [path("", include("user_sessions.urls", "user_sessions")), *site]
