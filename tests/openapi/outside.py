"""A site without any of our routes."""

from tests.openapi.urls import own

urlpatterns = [own[3]]
