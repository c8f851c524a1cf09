"""A user model with a UUID key and login by email."""

from .base import *

INSTALLED_APPS += ["tests.accounts"]
AUTH_USER_MODEL = "accounts.User"
