"""The admin's list when there are very many sessions: nothing on it reads the whole table."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from authx.admin import DeviceSessionAdmin, searching
from authx.models import DeviceSession
from authx.sessions import Device, open_session

pytestmark = pytest.mark.django_db

LIST = "/admin/authx/devicesession/"


@pytest.fixture
def boss(admin):
    client = Client()
    client.force_login(admin)
    client.get(LIST)  # adopts the login
    return client


def look(client, **query):
    """What the list shows, newest first, and the statements it took to read sessions."""
    with CaptureQueriesContext(connection) as asked:
        page = client.get(LIST, query)
    assert page.status_code == 200
    statements = [one["sql"] for one in asked.captured_queries if 'FROM "authx_devicesession"' in one["sql"]]
    return page.context["cl"], statements


def names(found):
    return [session.device_name for session in found.result_list]


def open_many(user, *names):
    return [open_session(user, device=Device(name=name)) for name in names]


def test_the_list_counts_no_further_than_it_pages(boss, ada, monkeypatch):
    open_many(ada, *map(str, range(8)))
    monkeypatch.setattr(DeviceSessionAdmin, "list_per_page", 2)
    monkeypatch.setattr(searching, "MAX_COUNTED", 5)
    found, _ = look(boss, q="ada")
    assert (found.result_count, found.paginator.num_pages, names(found)) == (5, 3, ["7", "6"])
    monkeypatch.setattr(searching, "MAX_COUNTED", 50)
    assert look(boss, q="ada")[0].result_count == 8


@pytest.mark.databases("sqlite", "postgresql")
@pytest.mark.parametrize("query", [{}, {"status": "live"}, {"device_type": "ios"}, {"q": "ada"}, {"q": "ad"}])
def test_every_statement_of_the_list_is_bounded(boss, ada, query):
    open_many(ada, "one", "two")
    _, statements = look(boss, **query)
    counts = [sql for sql in statements if "COUNT(" in sql]
    assert len(counts) == 1
    assert f"LIMIT {searching.MAX_COUNTED}" in counts[0]
    assert not any("DISTINCT" in sql for sql in statements)


def test_a_name_in_full_finds_that_user_alone_by_key(boss, ada, bob, make_user):
    open_many(ada, "hers")
    open_many(make_user("adam"), "his")
    open_many(bob, "ada's old phone")
    found, statements = look(boss, q="ada")
    assert names(found) == ["hers"]
    assert not any("LIKE" in sql for sql in statements)


def test_part_of_a_name_finds_all_that_hold_it(boss, ada, bob, make_user):
    open_many(ada, "hers")
    open_many(make_user("adam"), "his")
    open_many(bob, "Canada", "Berlin")
    assert set(names(look(boss, q="AD")[0])) >= {"hers", "his", "Canada"}
    assert names(look(boss, q="bob CAN")[0]) == ["Canada"]


def test_quotes_keep_words_together(boss, ada):
    open_many(ada, "blue phone", "phone, not blue")
    assert set(names(look(boss, q="blue phone")[0])) == {"blue phone", "phone, not blue"}
    assert names(look(boss, q='"blue phone"')[0]) == ["blue phone"]


def test_a_type_that_is_offered_no_more_can_still_be_asked_for(boss, ada):
    open_many(ada, "new", "old")
    DeviceSession.objects.filter(device_name="old").update(device_type="wap")
    found, _ = look(boss, device_type="wap")
    assert names(found) == ["old"]
