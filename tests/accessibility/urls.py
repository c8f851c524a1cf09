"""The test site as an authorization server, with a page that tells when its session has ended."""

from django.contrib.auth.decorators import login_required
from django.urls import path
from django.views.generic import TemplateView

from tests.oauth_urls import urlpatterns as of_the_site

live = login_required(TemplateView.as_view(template_name="site/live.html"))
urlpatterns = [path("live/", live, name="live-notice"), *of_the_site]
