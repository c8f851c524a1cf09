"""A site whose staff look at it as somebody else, by django-hijack or django-loginas."""

from .base import *

INSTALLED_APPS += ["hijack", "loginas"]
MIDDLEWARE += ["hijack.middleware.HijackUserMiddleware"]
ROOT_URLCONF = "tests.impersonation.urls"
AUTHX_BIND_DJANGO_LOGIN = "tests.site.impersonation.is_own_login"
