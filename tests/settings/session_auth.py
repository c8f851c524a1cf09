"""Django's session authentication beside ours, as a site in migration has it."""

from .base import *

REST_FRAMEWORK["DEFAULT_AUTHENTICATION_CLASSES"] += [
    "rest_framework.authentication.SessionAuthentication",
]
