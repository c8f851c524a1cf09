"""A site that reads from a replica, which lags behind: what authx decides, it decides by the primary."""

import pytest
from django.contrib.admin import site
from django.contrib.messages.storage.cookie import CookieStorage
from django.test import RequestFactory

from authx.admin.kicking import kick_or_ask
from authx.models import DeviceSession
from authx.sessions import open_session
from tests.across.test_tenants import made  # noqa: F401

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")


class ReadsElsewhere:
    """As Django's documentation has it for a primary and a replica. This one has heard of no session yet."""

    def db_for_read(self, model, **hints):
        return "acme" if model._meta.app_label == "authx" else "default"

    def db_for_write(self, model, **hints):
        return "default"

    def allow_relation(self, one, other, **hints):
        return True


@pytest.fixture
def replica(made, settings):  # noqa: F811
    settings.DATABASE_ROUTERS = [f"{__name__}.ReadsElsewhere"]


@pytest.mark.parametrize("action", ["kick", "kick_everywhere"])
def test_staff_kick_out_whom_they_have_chosen(ada, admin, replica, action):
    sessions = [open_session(ada).session for _ in range(2)]
    request = RequestFactory().post("/", {"post": "yes", "reason": "", "action": action})
    request.user, request._messages = admin, CookieStorage(request)
    targets = DeviceSession.objects.filter(user=ada.pk)
    assert kick_or_ask(site._registry[DeviceSession], request, targets, action=action) is None
    assert [str(message) for message in request._messages] == ["2 sessions were ended."]
    rows = DeviceSession.objects.using("default").filter(pk__in=[one.pk for one in sessions])
    assert {row.end_reason for row in rows} == {"kicked"}
