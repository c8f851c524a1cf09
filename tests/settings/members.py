"""A site whose users are not Django's."""

from .base import *

INSTALLED_APPS += ["tests.members"]
AUTH_USER_MODEL = "members.Member"
AUTHENTICATION_BACKENDS = ["authx.backends.LoginLimitBackend", "tests.members.backends.ByCard"]
