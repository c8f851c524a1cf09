"""authx.sessions.audit: one line per state change, appended and never touched again."""

from datetime import UTC, datetime

import pytest
from django.db import IntegrityError, transaction
from django.test import RequestFactory

from authx.http.actor import actor_of
from authx.models import SessionEvent
from authx.sessions import end_session, open_session
from authx.sessions.audit import event, write

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
KICKED = SessionEvent.Kind.ENDED


@pytest.fixture
def session(ada):
    return open_session(ada, now=START).session


@pytest.fixture
def opening(session):
    return SessionEvent.objects.get()


@pytest.fixture
def request_from_fox():
    return RequestFactory().get("/", REMOTE_ADDR="203.0.113.7", headers={"user-agent": "Fox/1"})


# Append-only


def test_an_event_is_not_edited(opening):
    opening.note = "it was somebody else"
    for save in (
        opening.save,
        lambda: opening.save(update_fields=["note"]),
        lambda: opening.save(force_update=True),
    ):
        with pytest.raises(TypeError, match="append-only"):
            save()
    assert SessionEvent.objects.get().note == ""


def test_an_event_is_not_removed(opening):
    with pytest.raises(TypeError, match="append-only"):
        opening.delete()
    assert SessionEvent.objects.count() == 1


def test_nor_are_many(session, opening):
    found = SessionEvent.objects.all()
    attempts = [
        lambda: found.delete(),
        lambda: found.update(note="edited"),
        lambda: found.filter(kind="opened").update(note="edited"),
        lambda: found.bulk_update([opening], ["note"]),
        lambda: found.update_or_create(pk=opening.pk, defaults={"note": "edited"}),
        lambda: session.events.all().delete(),
        lambda: session.events.update(note="edited"),
    ]
    for attempt in attempts:
        with pytest.raises(TypeError, match="append-only"), transaction.atomic():
            attempt()
    assert SessionEvent.objects.values_list("note", flat=True).get() == ""


def test_an_event_is_not_saved_over_by_one_of_the_same_key(opening, session):
    for how in ({}, {"force_insert": True}):
        twin = event(session, KICKED, at=START, note="edited")
        twin.pk = opening.pk
        with pytest.raises(IntegrityError), transaction.atomic():
            twin.save(**how)
    assert SessionEvent.objects.values_list("kind", "note").get() == ("opened", "")


def test_a_new_event_is_appended(session):
    write(event(session, KICKED, at=START, outcome="kicked"), event(session, KICKED, at=START))
    assert session.events.count() == 3
    write()
    assert session.events.count() == 3


# What it says


def test_events_are_told_in_order(session):
    end_session(session, "kicked", now=START)
    assert [str(one) for one in session.events.all()] == ["Signed in", "Ended kicked"]


def test_an_event_keeps_the_actors_name_beside_the_actor(session, ada, request_from_fox):
    told = event(session, KICKED, at=START, actor=actor_of(request_from_fox, ada))
    assert (told.actor, told.actor_label) == (ada, ada.get_username())
    assert (told.ip, told.user_agent) == ("203.0.113.7", "Fox/1")


def test_an_event_whose_actor_is_unknown_says_nothing_of_one(session):
    told = event(session, KICKED, at=START)
    assert (told.actor, told.actor_label, told.ip, told.user_agent, told.note) == (None, "", None, "", "")


@pytest.mark.parametrize(
    ("spoofed", "kept"),
    [
        ("kicked\r\n2026-03-01 admin logged in", "kicked 2026-03-01 admin logged in"),
        ("\u202egpj.yllis\u202c", "gpj.yllis"),
        ("\u2066isolated\u2069 \u200bzero\ufeff", "isolated zero"),
        ("\x1b[31mred\x1b[0m\x07", "[31mred [0m"),
        ("nul\0byte", "nul byte"),
        ("\ud800lone", "lone"),
        ("x" * 300, "x" * 255),
    ],
    ids=ascii,
)
def test_a_note_is_one_line_that_looks_like_what_it_is(session, spoofed, kept):
    write(event(session, KICKED, at=START, note=spoofed))
    assert SessionEvent.objects.get(kind="ended").note == kept


def test_the_same_goes_for_the_user_agent_and_the_actors_name(session, ada):
    request = RequestFactory().get("/", headers={"user-agent": "Fox\u202e\x00/1" + "x" * 600})
    ada.username = ada.email = "ada\u202e\nroot"
    told = event(session, KICKED, at=START, actor=actor_of(request, ada))
    assert told.actor_label == "ada root"
    assert told.user_agent.startswith("Fox /1xxx")
    assert len(told.user_agent) == 512


def test_a_session_that_is_deleted_takes_its_events_along(session):
    session.delete()
    assert SessionEvent.objects.count() == 0
