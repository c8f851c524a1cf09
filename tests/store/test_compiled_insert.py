"""authx.store.compiled_insert: what it writes is what the queryset would."""

from datetime import UTC, datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from authx.models import SessionEvent
from authx.sessions import open_session
from authx.sessions.audit import write

pytestmark = pytest.mark.django_db

AT = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
FULL = {
    "subject": 'O\'Brien \\ "100 %s %% %"',
    "outcome": "T1",
    "client_id": "a-client",
    "ip": "203.0.113.7",
    "user_agent": "Fox/1 (ünï; {0} $1 :name ?)",
    "other_ip": "2001:db8::1",
    "other_user_agent": "0",
    "note": "NULL",
    "actor_label": "ada",
}


@pytest.mark.parametrize("columns", [FULL, {}, {"note": " "}], ids=["full", "empty", "blank"])
def test_an_event_is_written_as_a_queryset_writes_it(ada, columns):
    session = open_session(ada).session
    known = {"kind": SessionEvent.Kind.FLAGGED, "at": AT, **columns}
    if columns is FULL:
        known |= {"session": session, "actor": ada}
    SessionEvent.objects.bulk_create([SessionEvent(**known)])
    with CaptureQueriesContext(connection) as asked:
        write(SessionEvent(**known))
    (insert,) = asked.captured_queries
    assert insert["sql"].startswith("INSERT")
    names = [field.attname for field in SessionEvent._meta.concrete_fields if not field.primary_key]
    by_queryset, by_itself = SessionEvent.objects.filter(kind="flagged").order_by("pk").values(*names)
    assert by_queryset == by_itself
    assert by_itself["kind"] == "flagged"
