"""The settings of a site with pages, API and admin."""

from __future__ import annotations

from datetime import timedelta
from typing import Any


def configure(database: dict[str, Any], redis: str, prefix: str) -> None:
    """A site with pages, API and admin."""
    import django
    from django.conf import settings

    session = "django.contrib.sessions.middleware.SessionMiddleware"
    auth = "django.contrib.auth.middleware.AuthenticationMiddleware"
    messages = "django.contrib.messages.middleware.MessageMiddleware"
    context = ["template.context_processors.request", "contrib.auth.context_processors.auth"]
    context += ["contrib.messages.context_processors.messages"]
    options = {"context_processors": [f"django.{name}" for name in context]}
    engine = {"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}
    apps = ["admin", "auth", "contenttypes", "sessions", "messages"]
    settings.configure(
        SECRET_KEY="benchmark-" + "x" * 50,
        ALLOWED_HOSTS=["*"],
        DATABASES={"default": database},
        INSTALLED_APPS=[*(f"django.contrib.{name}" for name in apps), "rest_framework", "authx"],
        MIDDLEWARE=[session, auth, "authx.pages.middleware.DeviceSessionMiddleware", messages],
        TEMPLATES=[engine | {"OPTIONS": options}],
        REST_FRAMEWORK={
            "DEFAULT_AUTHENTICATION_CLASSES": ["authx.api.authentication.BearerAuthentication"],
            "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
            "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        },
        STATIC_URL="/static/",
        USE_TZ=True,
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
        LOGGING={"version": 1, "root": {"level": "ERROR"}},
        CACHES=caches(redis, prefix),
        AUTHX_ACCESS_TOKEN_LIFETIME=timedelta(hours=12),  # none expires while it is needed
        AUTHX_LOGIN_RATE=None,
        AUTHX_REFRESH_RATE=None,
        AUTHX_REFRESH_GRACE=timedelta(milliseconds=1),  # every refresh rotates
    )
    django.setup()
    settings.ROOT_URLCONF = routes()


def caches(redis: str, prefix: str) -> dict[str, Any]:
    if not redis:
        return {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    return {"default": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": redis, "KEY_PREFIX": prefix}}


def routes() -> tuple[Any, ...]:
    from django.contrib import admin
    from django.urls import include, path

    from benchmarks.peers.site import Hello

    return (
        path("hello/", Hello.as_view()),
        path("auth/", include("authx.api.urls")),
        path("admin/", admin.site.urls),
    )
