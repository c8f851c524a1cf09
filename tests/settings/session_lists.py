"""A site whose Django sessions are those of django-user-sessions, with a list of their own."""

from datetime import UTC, datetime

from .base import *

INSTALLED_APPS = [name for name in INSTALLED_APPS if name != "django.contrib.sessions"]
INSTALLED_APPS += ["user_sessions", "authx.contrib.moving"]
MIDDLEWARE = ["user_sessions.middleware.SessionMiddleware", *MIDDLEWARE[1:]]
SESSION_ENGINE = "user_sessions.backends.db"
ROOT_URLCONF = "tests.session_lists.urls"
AUTHX_MOVING_UNTIL = datetime(2999, 12, 31, tzinfo=UTC)
LOGOUT_REDIRECT_URL = "/whoami/"
