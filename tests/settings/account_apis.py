"""A site whose views for accounts are djoser's and dj-rest-auth's, called with our tokens."""

from .base import *

INSTALLED_APPS += ["djoser", "dj_rest_auth"]
ROOT_URLCONF = "tests.account_apis.urls"
REST_FRAMEWORK = {
    **REST_FRAMEWORK,
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
}

DJOSER = {"TOKEN_MODEL": None, "CREATE_SESSION_ON_LOGIN": True}
REST_AUTH = {"TOKEN_MODEL": None, "OLD_PASSWORD_FIELD_ENABLED": True}
