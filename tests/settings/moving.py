"""A site that moves in from other packages, all still installed, with the settings of the documentation."""

from tests.documented import documented

from .base import *


def _documented(holding: str) -> None:
    exec(documented("moving.md", "python", holding), globals())


INSTALLED_APPS += [
    "rest_framework.authtoken",
    "rest_framework_simplejwt.token_blacklist",
    "knox",
    "dj_rest_auth",
    "drf_spectacular",
]
ROOT_URLCONF = "tests.moving.urls"
SIMPLE_JWT = {"ISSUER": "https://shop.example", "AUDIENCE": "shop", "USER_ID_CLAIM": "uid"}
REST_AUTH = {"USE_JWT": True, "JWT_AUTH_COOKIE": "old-access", "JWT_AUTH_REFRESH_COOKIE": "old-refresh"}
_documented("AUTHX_MOVING_UNTIL = ")
_documented('REST_FRAMEWORK["DEFAULT_AUTHENTICATION_CLASSES"]')
_documented("MIDDLEWARE.insert")
REST_FRAMEWORK = {**REST_FRAMEWORK, "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema"}

# Its list of Django sessions beside ours.
INSTALLED_APPS += ["allauth", "allauth.account", "allauth.socialaccount", "allauth.usersessions"]
MIDDLEWARE += [
    "allauth.account.middleware.AccountMiddleware",
    "allauth.usersessions.middleware.UserSessionsMiddleware",
]
USERSESSIONS_TRACK_ACTIVITY = True
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_RATE_LIMITS = False
MAILERS = {"default": {"BACKEND": "django.core.mail.backends.locmem.EmailBackend"}}
