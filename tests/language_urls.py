"""The test site with a language before each address."""

from django.conf.urls.i18n import i18n_patterns

from tests.urls import urlpatterns as _urlpatterns

urlpatterns = i18n_patterns(*_urlpatterns)
