"""A site with Django's own admin, under a policy that allows no inline script and no inline style."""

from .base import *

MIDDLEWARE = [
    "tests.themes.policy.StrictPolicy",
    *MIDDLEWARE,
    "django.middleware.locale.LocaleMiddleware",
]
