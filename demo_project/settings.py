"""Settings of the demo: what a site needs to run authx, and nothing else."""

import os
from pathlib import Path

from django.core.management.utils import get_random_secret_key

from authx import __version__

BASE_DIR = Path(__file__).resolve().parent.parent
DATABASE = Path(os.environ.get("DEMO_DATABASE") or BASE_DIR / "demo.sqlite3")


def kept_secret_key(path: Path) -> str:
    """Return the key kept in ``path``, made on first use: somebody would deploy a published one."""
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(get_random_secret_key())
    except FileExistsError:
        pass
    return path.read_text()


SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY") or kept_secret_key(DATABASE.with_suffix(".secret"))
DEBUG = os.environ.get("DEBUG", "").lower() in {"1", "true", "yes"}
ALLOWED_HOSTS = [".localhost", "127.0.0.1", "[::1]"]

INSTALLED_APPS = [
    "demo_project",  # first: its templates extend those of the admin and of authx
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",  # the schema of the API; authx describes itself to it
    "authx",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",  # before authx's, which has pages of its own
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "authx.pages.middleware.DeviceSessionMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
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
ROOT_URLCONF = "demo_project.urls"
WSGI_APPLICATION = "demo_project.wsgi.application"
ASGI_APPLICATION = "demo_project.asgi.application"

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATABASE,
        "OPTIONS": {
            # Writers queue instead of failing, readers never wait, and a commit survives a power cut.
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
            "timeout": 20,  # seconds
        },
    },
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTHENTICATION_BACKENDS = [
    "authx.backends.LoginLimitBackend",  # first: it refuses before a password is hashed
    "django.contrib.auth.backends.ModelBackend",
]
LOGIN_URL = "authx:login"
LOGIN_REDIRECT_URL = "home"

LANGUAGE_CODE = "en"
LANGUAGES = [
    ("en", "English"),
    ("zh-hans", "简体中文"),
    ("ar", "العربية"),
    ("de", "Deutsch"),
    ("fr", "français"),
    ("es", "español"),
    ("ja", "日本語"),
]
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "static/"
WHITENOISE_USE_FINDERS = True  # no collectstatic, with or without DEBUG, under WSGI and ASGI

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "authx.api.authentication.BearerAuthentication",
        "authx.api.authentication.CookieAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "EXCEPTION_HANDLER": "authx.api.exception_handler",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "The demo of authx",
    "VERSION": __version__,
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "authx.contrib.spectacular.oauth.add_oauth_paths",  # of what is no DRF view
    ],
}

AUTHX_CLAIMS = "demo_project.claims.roles"
AUTHX_ISSUER = f"http://127.0.0.1:{os.environ.get('DEMO_PORT', '8000')}"

AUTHX_SCOPES = {"profile:read": "See your user name, and when you signed in"}
AUTHX_RESOURCES = {f"{AUTHX_ISSUER}/api/shared/": ["profile:read"]}

#: Where the services and the app are that run beside it; the demo command says so.
DEMO_FLEET: dict[str, str] = {}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{levelname} {name}: {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": "WARNING"},
    "loggers": {
        "authx": {"level": "INFO"},
        "django": {"handlers": [], "level": "WARNING"},  # once, through the root
        "django.server": {"level": "ERROR"},  # repeats what django.request has logged
    },
}
