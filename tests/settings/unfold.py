"""A site whose admin is under Unfold."""

from .base import *

INSTALLED_APPS = ["unfold", *INSTALLED_APPS]  # before the admin, whose templates it replaces
MIDDLEWARE = [*MIDDLEWARE, "django.middleware.locale.LocaleMiddleware"]
ROOT_URLCONF = "tests.themes.unfold_urls"
