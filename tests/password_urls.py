"""The test site with other ways to the login page: ``settings.ROOT_URLCONF = "tests.password_urls"``."""

from django.conf.urls.i18n import i18n_patterns
from django.urls import include, path
from django.views.decorators.csrf import csrf_protect
from django.views.generic import RedirectView

from authx.pages.views import LoginView
from tests.more_urls import urlpatterns as site


class BrandedLogin(LoginView):
    """A site's own look for our page."""


urlpatterns = [
    path("branded/", csrf_protect(BrandedLogin.as_view()), name="branded"),
    path("old-login/", RedirectView.as_view(pattern_name="authx:login"), name="old-login"),
    path("older-login/", RedirectView.as_view(url="/old-login/")),
    path("round/", RedirectView.as_view(url="/round/")),
    path("away/", RedirectView.as_view(url="/django-login/"), name="away"),
    path("nowhere/", RedirectView.as_view(pattern_name="not-there")),
    *i18n_patterns(path("i18n/", include("authx.pages.urls", namespace="translated"))),
    *site,
]
