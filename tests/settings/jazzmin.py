"""A site whose admin is under Jazzmin."""

from .base import *

INSTALLED_APPS = ["jazzmin", *INSTALLED_APPS]  # before the admin, whose templates it replaces
MIDDLEWARE = [*MIDDLEWARE, "django.middleware.locale.LocaleMiddleware"]
JAZZMIN_SETTINGS = {"use_google_fonts_cdn": False}
JAZZMIN_UI_TWEAKS = {"default_theme_mode": "auto"}
