"""The test site without the pages of authx."""

from tests.outside_urls import without_pages as urlpatterns

__all__ = ["urlpatterns"]
