"""authx.sessions.exporting: all that is kept about one person, nothing secret, and nobody else's."""

import json
import re
from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext

from authx.conf import secret_keys
from authx.core.actor import Actor
from authx.core.refresh_token import read_refresh_token
from authx.models import DeviceSession, NotBeforeMark, ServiceClient, SessionEvent
from authx.sessions import Device, end_session, end_user_sessions, export, exporting, forget, open_session
from authx.sessions.queries import rename_session
from tests.clients import open_granted_session
from tests.faults_in_database import outage
from tests.sessions.test_erasure import KEPT, delete_by_sql

START = datetime(2026, 3, 1, 12, 0, 0, 1, tzinfo=UTC)
FOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"

#: Columns that tell a person nothing, or are secret, or belong to our bookkeeping.
#: What the place in the document says.
WHOSE = {"id", "session", "subject"}

LEFT_OUT = {
    *("user", "subject"),  # said once, at the top
    *("salt", "fingerprint", "adopted_from", "django_session", "login_key"),
    *("confirmed_generation", "strike_generation", "strike_at", "late_streak", "late_at"),
    *("spent_branch", "twin_generation", "twin_streak"),
    "alarm_at",  # the flagged events say so
    "answers_lost",  # the note of the event that ended it says so
    "not_before_number",
    "backend",  # a class of the site's
    *("client_id", "scope", "audience"),  # told of a client's session alone
}


def came_from(ip, user_agent=FOX):
    return RequestFactory().get("/", REMOTE_ADDR=ip, headers={"user-agent": user_agent})


def exported(who, **options):
    return json.loads("".join(export(who, **options)))


@pytest.fixture
def phone(ada):
    device = Device(id="ada-phone", name='Ada\'s "電話"', type="ios")
    return open_session(ada, came_from("203.0.113.7"), device, now=START)


def test_a_session_is_told_with_its_events(ada, phone):
    DeviceSession.objects.update(country="GB")
    document = exported(ada, now=START + timedelta(hours=1))
    event = {
        "kind": "opened",
        "outcome": "",
        "at": "2026-03-01T12:00:00.000001Z",
        "by": "self",
        "ip": "203.0.113.7",
        "user_agent": FOX,
        "other_ip": None,
        "other_user_agent": "",
        "note": "",
    }
    session = {
        "id": str(phone.session.pk),
        "device": {
            "id": "ada-phone",
            "name": 'Ada\'s "電話"',
            "type": "ios",
            "label": "Firefox on Linux",
        },
        "user_agent": FOX,
        "ip": "203.0.113.7",
        "country": "GB",
        "authentication_methods": ["pwd"],
        "auth_time": "2026-03-01T12:00:00.000001Z",
        "remembered": True,
        "unconfirmed": False,
        "created_at": "2026-03-01T12:00:00.000001Z",
        "last_seen_at": "2026-03-01T12:00:00.000001Z",
        "generation": 1,
        "refreshed_at": "2026-03-01T12:00:00.000001Z",
        "idle_expires_at": "2026-03-08T12:15:00.000001Z",
        "expires_at": "2026-03-31T12:00:00.000001Z",
        "ended_at": None,
        "end_reason": None,
        "replaced_by": "",
        "ended_by": None,
        "successor": None,
        "events": [event],
    }
    assert document == {
        "authx_export": 1,
        "exported_at": "2026-03-01T13:00:00.000001Z",
        "subject": str(ada.pk),
        "username": ada.get_username(),
        "sessions": [session],
        "attempts": [],
        "acts": [],
        "not_before_marks": [],
    }


def test_every_column_of_a_session_is_told_or_left_out_on_purpose(ada, phone):
    told = {
        "device_id": "device",
        "device_name": "device",
        "device_type": "device",
        "device_label": "device",
        "amr": "authentication_methods",
        "persistent": "remembered",
        "is_unconfirmed": "unconfirmed",
        "rotated_at": "refreshed_at",
    }
    (session,) = exported(ada)["sessions"]
    columns = {field.name for field in DeviceSession._meta.fields} - LEFT_OUT
    assert {told.get(column, column) for column in columns} == set(session) - {"events"}
    (event,) = session["events"]
    columns = {field.name for field in SessionEvent._meta.fields} - {
        "id",
        "session",
        "subject",
        "actor",
        "actor_label",
        "client_id",
    }
    assert columns == set(event) - {"by"}
    assert set(KEPT[NotBeforeMark]) | {"note"} == {"number", "subject", "reason", "at", "by", "note"}


def test_a_clients_session_says_whose_it_is_and_what_it_may(ada, phone):
    client = ServiceClient(client_id="app-1", name="Reader")
    open_granted_session(client, phone.session, scope="orders:read", audience=["urn:a"], refreshable=True)
    of_client, login = exported(ada)["sessions"][::-1]
    assert of_client["client"] == {"id": "app-1", "scope": "orders:read", "audience": ["urn:a"]}
    assert [event["client_id"] for event in of_client["events"]] == ["app-1"]
    assert "client" not in login
    assert "client_id" not in login["events"][0]


def test_somebody_of_whom_nothing_is_kept_has_an_empty_document(ada):
    document = exported(ada)
    assert (document["sessions"], document["acts"], document["not_before_marks"]) == ([], [], [])


def test_what_staff_did_to_her_is_told_and_not_who_and_from_where(ada, admin, phone):
    end_session(
        phone.session, "kicked", by=admin, request=came_from("192.0.2.1", "Staff/1"), note="lost", now=START
    )
    end_user_sessions(ada, "kicked", admin, note="ada was rude")
    document = exported(ada)
    (session,) = document["sessions"]
    told = session["events"][1]
    assert (session["end_reason"], session["ended_by"]) == ("kicked", "other")
    assert (told["kind"], told["by"], told["ip"], told["user_agent"], told["note"]) == (
        *("ended", "other", None, None, "lost"),
    )
    (mark,) = document["not_before_marks"]
    assert (mark["reason"], mark["by"], mark["note"]) == ("kicked", "other", "ada was rude")
    assert mark["at"].endswith("Z")
    text = json.dumps(document)
    for theirs in ("192.0.2.1", "Staff/1", f'"{admin.get_username()}"'):
        assert theirs not in text


def test_what_a_staff_member_who_is_gone_did_is_still_not_hers(ada, admin, phone):
    end_session(phone.session, "kicked", by=admin, request=came_from("192.0.2.1", "Staff/1"), now=START)
    delete_by_sql(admin)
    told = exported(ada)["sessions"][0]["events"][1]
    assert (told["by"], told["ip"], told["user_agent"]) == ("other", None, None)


def test_what_she_did_to_others_is_told_and_not_to_whom(ada, admin, phone):
    end_session(
        phone.session, "kicked", by=admin, request=came_from("192.0.2.1", "Staff/1"), note="lost", now=START
    )
    own = open_session(admin, came_from("192.0.2.1", "Staff/1"), now=START)
    document = exported(admin)
    assert document["acts"] == [
        {
            "kind": "ended",
            "outcome": "kicked",
            "at": "2026-03-01T12:00:00.000001Z",
            "ip": "192.0.2.1",
            "user_agent": "Staff/1",
        }
    ]
    assert [session["id"] for session in document["sessions"]] == [str(own.session.pk)]
    text = json.dumps(document)
    for theirs in (str(phone.session.pk), "ada-phone", "203.0.113.7", "lost", f'"{ada.get_username()}"'):
        assert theirs not in text


def test_a_session_that_a_mark_has_ended_says_so(ada, phone):
    NotBeforeMark.objects.create(number=1, subject=str(ada.pk), reason="kicked", at=START)
    (session,) = exported(ada)["sessions"]
    assert (session["ended_at"], session["end_reason"]) == ("2026-03-01T12:00:00.000001Z", "kicked")


def test_whoever_is_gone_is_exported_by_their_subject(ada, phone):
    subject = str(ada.pk)
    delete_by_sql(ada)
    document = exported(subject)
    assert (document["subject"], document["username"]) == (subject, None)
    assert [session["id"] for session in document["sessions"]] == [str(phone.session.pk)]


def test_whoever_was_forgotten_is_exported_with_what_stays(ada, phone):
    forget(ada)
    text = "".join(export(ada))
    assert "203.0.113.7" not in text
    assert "Firefox on" not in text
    assert json.loads(text)["sessions"][0]["events"][0]["kind"] == "opened"


def test_nothing_secret_is_told(ada, phone):
    DeviceSession.objects.update(adopted_from="ab" * 32)
    session = DeviceSession.objects.get()
    proof = read_refresh_token(phone.refresh_token, secret_keys()).proof
    text = "".join(export(ada))
    for secret in (
        bytes(session.salt).hex(),
        session.fingerprint,
        session.adopted_from,
        phone.refresh_token,
        phone.access_token,
        proof.hex(),
        ada.password,
    ):
        assert secret not in text
    assert not re.search(r"[0-9a-f]{64}", text)


def test_two_exports_of_the_same_rows_are_the_same(ada):
    for number in range(7):
        open_session(ada, came_from("203.0.113.7"), now=START + timedelta(minutes=number))
    first, second = exported(ada), exported(ada)
    assert first | {"exported_at": ""} == second | {"exported_at": ""}
    keys = [session["id"] for session in first["sessions"]]
    assert keys == sorted(keys)


def test_it_reads_a_page_at_a_time(ada, admin, monkeypatch):
    monkeypatch.setattr(exporting, "ROWS_PER_PAGE", 3)
    for _ in range(7):
        opened = open_session(ada, came_from("203.0.113.7"))
        end_session(open_session(admin).session, "kicked", by=ada)
    for number in range(7):
        rename_session(opened.session, f"Name {number}", Actor(ada))
    end_session(opened.session, "logout", by=ada)
    with CaptureQueriesContext(connection) as asked:
        pieces = export(ada)
        list(islice(pieces, 6))
    assert len(asked) < 8
    document = exported(ada)
    assert len(document["sessions"]) == len({session["id"] for session in document["sessions"]}) == 7
    assert len(document["acts"]) == 7
    notes = [event["note"] for event in document["sessions"][-1]["events"]]
    assert notes == ["", *(f"Name {number}" for number in range(7)), ""]


@pytest.mark.django_db(transaction=True)
def test_the_document_ends_where_the_database_does(ada, phone):
    from authx.errors import StoreUnavailable

    pieces = export(ada)
    next(pieces)
    with outage(), pytest.raises(StoreUnavailable):
        list(pieces)


@pytest.mark.parametrize("who", [None, "", get_user_model()(pk=None), 5], ids=repr)
def test_nobody_is_not_exported(db, who):
    with pytest.raises(ValueError, match="nobody"):
        export(who)
