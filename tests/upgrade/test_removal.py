"""Removing authx again: ``migrate authx zero``, whatever the tables hold."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from authx.issuer import create_client
from authx.models import DeviceSession, RevocationLogEntry, SessionEvent
from authx.sessions import end_session, end_user_sessions, open_session

pytestmark = [
    pytest.mark.exhaustive,
    pytest.mark.django_db(transaction=True),
    pytest.mark.user_model("auth.User"),
]


def our_tables() -> set[str]:
    return {name for name in connection.introspection.table_names() if name.startswith("authx_")}


@pytest.fixture
def whole_again() -> Iterator[None]:
    """Have the tables there for the tests that follow."""
    yield
    call_command("migrate", verbosity=0)


def test_events_of_every_kind_with_a_session_and_without_are_no_obstacle(ada, whole_again):
    session = open_session(ada).session
    for kind in SessionEvent.Kind:
        for of in (session, None):
            SessionEvent.objects.create(session=of, subject=str(ada.pk), kind=kind, at=timezone.now())
    call_command("migrate", "authx", "zero", verbosity=0)
    assert our_tables() == set()
    call_command("migrate", verbosity=0)
    assert not DeviceSession.objects.exists()


def test_nor_are_endings_marks_and_clients(ada, whole_again):
    """Whose columns were shorter once, or held less."""
    end_session(open_session(ada).session, "kicked")
    open_session(ada)
    end_user_sessions(ada, "kicked")
    at = {"resources": ["https://api.example/"], "scope": "a"}
    create_client("App", auth_method="none", redirect_uris=["https://app.example/callback"], **at)
    create_client("Cron", **at)
    RevocationLogEntry.objects.create(  # as long as they may be
        subject_key="k" * 256, value="v" * 96, at=timezone.now()
    )
    call_command("migrate", "authx", "zero", verbosity=0)
    assert our_tables() == set()
