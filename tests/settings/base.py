"""A plain site with authx on it.

AUTHX_TEST_DATABASE chooses the database: sqlite (default), postgresql or mariadb. Its name carries
the process id, so that test sessions beside each other do not meet; AUTHX_TEST_DATABASE_NAME joins
a database that another process has made (a server process under test).
"""

import os
import tempfile
from typing import Any

DATABASE = os.environ.get("AUTHX_TEST_DATABASE", "sqlite")
_joined = os.environ.get("AUTHX_TEST_DATABASE_NAME")
_name = _joined or f"test_authx_{os.getpid()}"


def _sqlite() -> dict[str, Any]:
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": _joined or ":memory:",
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;",
        },
        # A file, because threads that share one in-memory database lock each other's tables.
        "TEST": {"NAME": _joined or os.path.join(tempfile.gettempdir(), f"{_name}.sqlite3")},
    }


def _postgresql() -> dict[str, Any]:
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": _joined or "postgres",
        "HOST": os.environ.get("PGHOST", "127.0.0.1"),
        "PORT": os.environ.get("PGPORT", "5432"),
        "USER": os.environ.get("PGUSER", "postgres"),
        "PASSWORD": os.environ.get("PGPASSWORD", ""),
        "TEST": {"NAME": _name},
    }


def _mariadb() -> dict[str, Any]:
    return {
        "ENGINE": "django.db.backends.mysql",
        "NAME": _joined or "mysql",
        "HOST": os.environ.get("MYSQL_HOST", "127.0.0.1"),
        "PORT": os.environ.get("MYSQL_TCP_PORT", "3306"),
        "USER": os.environ.get("MYSQL_USER", "root"),
        "PASSWORD": os.environ.get("MYSQL_PWD", ""),
        "OPTIONS": {"charset": "utf8mb4"},
        "TEST": {"NAME": _name, "CHARSET": "utf8mb4", "COLLATION": "utf8mb4_unicode_ci"},
    }


DATABASES = {"default": {"sqlite": _sqlite, "postgresql": _postgresql, "mariadb": _mariadb}[DATABASE]()}

#: Django 6.1 has no mail server of its own accord.
MAILERS = {"default": {"BACKEND": "django.core.mail.backends.locmem.EmailBackend"}}
SECRET_KEY = "tests-only-7Qm2xV9dKc4pZ1sWb8nRf5tYh3jLg6aEu0iOqXwC"
DEBUG = False
ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1"]
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en-us"
STATIC_URL = "/static/"
ROOT_URLCONF = "tests.urls"
LOGIN_URL = "authx:login"
LOGIN_REDIRECT_URL = "/whoami/"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # fast

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "authx",
    "tests.site",
]

MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "authx.pages.middleware.DeviceSessionMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}

AUTHENTICATION_BACKENDS = [
    "authx.backends.LoginLimitBackend",
    "django.contrib.auth.backends.ModelBackend",
]

REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "authx.api.authentication.BearerAuthentication",
        "authx.api.authentication.CookieAuthentication",
    ],
    "EXCEPTION_HANDLER": "authx.api.exception_handler",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
