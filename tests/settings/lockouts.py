"""A site whose failed logins are counted by django-axes too."""

from .base import *

INSTALLED_APPS += ["axes"]
MIDDLEWARE += ["axes.middleware.AxesMiddleware"]
AUTHENTICATION_BACKENDS = [
    "authx.backends.LoginLimitBackend",
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]

AXES_FAILURE_LIMIT = 3
AXES_RESET_ON_SUCCESS = True
AXES_VERBOSE = False
