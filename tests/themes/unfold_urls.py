"""The test site with a second admin, where our sessions are registered as Unfold's own models are."""

from django.contrib import admin
from django.urls import path
from unfold.admin import ModelAdmin
from unfold.sites import UnfoldAdminSite

from authx.admin import DeviceSessionAdmin
from authx.models import DeviceSession
from tests.urls import urlpatterns as plain

own = UnfoldAdminSite(name="own")


@admin.register(DeviceSession, site=own)
class SessionsUnderUnfold(DeviceSessionAdmin, ModelAdmin):
    """Ours, with what Unfold adds to its own."""


urlpatterns = [path("own/", own.urls), *plain]
