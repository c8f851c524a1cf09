"""A session engine with the site's own model; ``SESSION_ENGINE = "tests.site.sessions"``."""

from typing import Any

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends import db

from tests.site.models import SiteSession


class SessionStore(db.SessionStore):
    @classmethod
    def get_model_class(cls) -> Any:
        return SiteSession

    def create_model_instance(self, data: Any) -> Any:
        instance = super().create_model_instance(data)
        instance.user_id = data.get(SESSION_KEY)
        return instance
