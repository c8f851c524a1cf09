"""A site whose admin is under Grappelli."""

from .base import *

INSTALLED_APPS = ["grappelli", *INSTALLED_APPS]  # before the admin, whose templates it replaces
MIDDLEWARE = [*MIDDLEWARE, "django.middleware.locale.LocaleMiddleware"]
ROOT_URLCONF = "tests.themes.grappelli_urls"
