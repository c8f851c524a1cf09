"""The admin's list when there are very many sessions: nothing on it reads the whole table."""

from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.db.models import Q
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from authx.admin import DeviceSessionAdmin, searching
from authx.conf import conf
from authx.core.actor import NOBODY
from authx.models import DeviceSession, SessionEvent
from authx.sessions import Device, end_sessions, open_session
from authx.sessions.ending import Ending, end_at_once
from authx.sessions.limits import users_beyond

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
    """Sessions in the order of these names, each a second after the one before."""
    made = [open_session(user, device=Device(name=name)) for name in names]
    for number, credentials in enumerate(made):
        at = credentials.session.created_at + timedelta(seconds=number)
        DeviceSession.objects.filter(pk=credentials.session.pk).update(created_at=at)
    return made


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
    counts = [sql for sql in statements if f"LIMIT {searching.MAX_COUNTED + 1}" in sql]
    assert len(counts) == 1
    assert ("COUNT(" in counts[0]) == ("q" not in query)  # a search finds its rows as it counts them
    assert "mark" not in counts[0] or "status" in query  # which asks whether a mark has hit it
    assert not any("DISTINCT" in sql for sql in statements)


@pytest.mark.databases("sqlite", "postgresql")
@pytest.mark.parametrize("query", [{}, {"p": 2}, {"all": ""}, {"status": "live"}])
def test_parts_of_words_are_looked_for_once(boss, ada, monkeypatch, query):
    open_many(ada, *map(str, range(5)))
    monkeypatch.setattr(DeviceSessionAdmin, "list_per_page", 2)
    found, statements = look(boss, q="da", **query)
    shown = {"p": ["2", "1"], "all": ["4", "3", "2", "1", "0"]}
    assert names(found) == next((shown[name] for name in query if name in shown), ["4", "3"])
    finding, *showing = (sql for sql in statements if "LIKE" in sql)
    assert f"LIMIT {searching.MAX_COUNTED + 1}" in finding
    assert len(showing) == 1
    assert '"authx_devicesession"."id" IN (' in showing[0]


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


def test_devices_are_searched_among_the_newest_and_users_among_all(boss, ada, bob, monkeypatch):
    open_many(ada, "blue one", "blue two")
    open_many(bob, *("red",) * 5)
    monkeypatch.setattr(searching, "MAX_SEARCHED", 6)
    assert names(look(boss, q="blue")[0]) == ["blue two"]
    assert len(names(look(boss, q="red")[0])) == 5
    assert names(look(boss, q="da")[0]) == ["blue two", "blue one"]
    monkeypatch.setattr(searching, "MAX_SEARCHED", 100)
    assert names(look(boss, q="blue")[0]) == ["blue two", "blue one"]


def test_a_part_that_very_many_names_have_is_searched_among_the_newest(boss, ada, make_user, monkeypatch):
    open_many(ada, "old")
    for name in ("adam", "adalbert"):
        open_many(make_user(name), name)
    monkeypatch.setattr(searching, "MAX_SEARCHED", 2)
    assert set(names(look(boss, q="da")[0])) == {"old", "adam", "adalbert"}
    monkeypatch.setattr(searching, "MAX_USERS", 2)
    assert set(names(look(boss, q="da")[0])) < {"old", "adam", "adalbert"}


@pytest.mark.parametrize(
    "name",
    ["203.0.113.7", "2001:db8::7", "203.0.113.*", "5f0c3a52-7d1e-4b8e-9d2c-0a1b2c3d4e5f", "0" * 32],
)
def test_a_user_who_is_called_like_an_address_or_an_id_is_found(boss, make_user, monkeypatch, name):
    open_many(make_user(name), "theirs", "too")
    open_many(make_user("other"), "last")
    monkeypatch.setattr(searching, "MAX_SEARCHED", 1)
    assert names(look(boss, q=name)[0]) == ["too", "theirs"]


def test_so_is_a_client_whose_id_looks_like_one_of_ours(boss, ada, bob, monkeypatch):
    open_many(ada, "app", "login")
    DeviceSession.objects.filter(device_name="app").update(client_id="5f0c3a52-7d1e-4b8e-9d2c-0a1b2c3d4e5f")
    open_many(bob, "last")
    monkeypatch.setattr(searching, "MAX_SEARCHED", 1)
    assert names(look(boss, q="5f0c3a52-7d1e-4b8e-9d2c-0a1b2c3d4e5f")[0]) == ["app"]


def test_a_subject_is_found_as_it_is_written(boss, ada, bob, monkeypatch):
    open_many(ada, "hers")
    DeviceSession.objects.filter(device_name="hers").update(subject="5F0C3A527D1E4B8E9D2C0A1B2C3D4E5F")
    open_many(bob, "last")
    monkeypatch.setattr(searching, "MAX_SEARCHED", 1)
    assert names(look(boss, q="5F0C3A527D1E4B8E9D2C0A1B2C3D4E5F")[0]) == ["hers"]


@pytest.mark.parametrize("term", ["ana@x.example", "ANA@x.example", "Ana Lovelace"])
def test_a_whole_address_or_name_is_found_though_very_many_have_its_parts(boss, make_user, monkeypatch, term):
    for name, last in (("ana", "Lovelace"), ("diana", "Turing"), ("joana", "Hopper")):
        user = make_user(name)
        user.email, user.first_name, user.last_name = f"{name}@x.example", "Ana", last
        user.save()
        open_many(user, name)
    monkeypatch.setattr(searching, "MAX_SEARCHED", 1)
    monkeypatch.setattr(searching, "MAX_USERS", 2)
    assert names(look(boss, q=term)[0]) == ["ana"]


@pytest.mark.parametrize("most", [1, 2, 3, 100])
@pytest.mark.parametrize(
    "words",
    [["an"], ["an", "da"], ["an", "nobody", "da"], ["di", "an", "ada", "x."], ["an", "an"], ["%", "_"]],
)
def test_words_are_looked_for_among_users_together_as_each_alone(make_user, monkeypatch, most, words):
    for name in ("ada", "ana", "diana", "joana", "dan", "bob"):
        user = make_user(name)
        user.email = f"{name}@x.example"
        user.save()
    monkeypatch.setattr(searching, "MAX_USERS", most)
    alone = {word: {pk for (pk,) in holders(word)} for word in words}
    together = searching._users_by_word(words)
    assert {word: keys and {*keys} for word, keys in together.items()} == {
        word: keys if len(keys) <= most else None for word, keys in alone.items()
    } | {word: [] for word, keys in alone.items() if not keys}


def holders(word):
    return (
        get_user_model()
        .objects.filter(Q(username__icontains=word) | Q(email__icontains=word))
        .values_list("pk")
    )


@pytest.mark.databases("sqlite", "postgresql")
def test_many_words_read_all_users_once(boss, ada):
    open_many(ada, "one two three")
    with CaptureQueriesContext(connection) as asked:
        found, _ = look(boss, q="one two three ada")
    reading = [one["sql"] for one in asked if "ada" in one["sql"] and 'FROM "auth_user"' in one["sql"]]
    assert names(found) == ["one two three"]
    assert len([sql for sql in reading if "LIKE" in sql]) == 1


@pytest.mark.parametrize("term", ["ada", "5f0c3a52", "9" * 40])
def test_users_may_be_called_by_numbers(ada, term, monkeypatch):
    open_many(ada, "ada's")
    monkeypatch.setattr(get_user_model(), "USERNAME_FIELD", "id")
    found = searching.found_by(DeviceSession.objects.all(), term)
    assert [one.device_name for one in found] == (["ada's"] if term == "ada" else [])


def test_words_without_end_cost_no_statements_without_end(boss, ada):
    open_many(ada, "one two three")
    with CaptureQueriesContext(connection) as few:
        look(boss, q=" ".join(["one", "two"] * 4))
    with CaptureQueriesContext(connection) as many:
        found, _ = look(boss, q=" ".join(["one", "two"] * 40))
    assert len(many) == len(few) <= 20
    assert names(found) == ["one two three"]


@pytest.mark.parametrize(
    ("term", "found"),
    [
        ("10.1.*", {"10.1.0.0", "10.1.255.255"}),
        ("10.*", {"10.1.0.0", "10.1.255.255", "10.10.0.1"}),
        ("10.1.0.0.*", set()),
        ("2001:db8:*", {"2001:db8::1", "2001:db8:ffff::1"}),
        ("2001:DB8:ffff:*", {"2001:db8:ffff::1"}),
        ("2001:db8:1:2:3:4:5:6:*", set()),
        ("300.1.*", set()),
    ],
)
def test_addresses_that_begin_so(boss, ada, term, found):
    for address in ("10.1.0.0", "10.1.255.255", "10.10.0.1", "110.1.0.1", "2001:db8::1", "2001:db8:ffff::1"):
        session = open_session(ada).session
        DeviceSession.objects.filter(pk=session.pk).update(ip=address)
    assert {session.ip for session in look(boss, q=term)[0].result_list} == found


@pytest.mark.databases("sqlite", "postgresql")
def test_kicking_many_costs_few_statements_each(boss, ada):
    def kick(number):
        made = open_many(ada, *map(str, range(number)))
        with CaptureQueriesContext(connection) as asked:
            ended = end_sessions(DeviceSession.objects.filter(user=ada), "kicked")
        assert ended == number
        assert SessionEvent.objects.filter(session=made[0].session, kind="ended").count() == 1
        return len(asked)

    assert kick(2) == kick(40)


def test_of_many_kicked_out_those_that_ended_meanwhile_keep_their_reason(boss, ada):
    made = [one.session for one in open_many(ada, *map(str, range(5)))]
    chosen = DeviceSession.objects.filter(user=ada)
    DeviceSession.objects.filter(pk=made[2].pk).update(ended_at=timezone.now(), end_reason="logout")
    assert end_at_once([one.pk for one in made], Ending.of("kicked", NOBODY)) == 4
    assert sorted(chosen.values_list("end_reason", flat=True)) == ["kicked"] * 4 + ["logout"]


def test_the_page_of_limits_reads_only_users_beyond_them(boss, ada, bob, settings):
    for _ in range(2):
        open_session(ada, device=Device(type="ios"))
    for type_ in ("ios", "web", "web"):
        open_session(bob, device=Device(type=type_))
    settings.AUTHX_SESSION_LIMITS = [{"types": ["ios"], "limit": 1}, {"limit": 3}]
    with CaptureQueriesContext(connection) as asked:
        page = boss.get(f"{LIST}limits/")
    assert [session.user for session, _type, _limit in page.context["beyond"]] == [ada]
    assert len([one for one in asked.captured_queries if "GROUP BY" in one["sql"]]) == 1
    assert {row["user"] for row in users_beyond(DeviceSession.objects.live(), conf.SESSION_LIMITS)} == {
        ada.pk
    }
    settings.AUTHX_SESSION_LIMITS = [{"limit": 2}]
    beyond = boss.get(f"{LIST}limits/").context["beyond"]
    assert [session.user for session, _type, _limit in beyond] == [bob]


@pytest.mark.databases("sqlite", "postgresql")
@pytest.mark.parametrize(
    "path",
    [
        "",
        "?status=expired",
        "?status=alarm&device_type=web&country=DE",
        "?user={user}",
        "?held_by=services",
        "?end_reason__exact=kicked",
        "?q=nobody",
        "?q=a+b+c+d+e+f+g+h+i+j",
        "?q=192.0.2.*",
        "{session}/change/",
        "limits/",
        "overview/?per=week",
    ],
)
def test_no_page_takes_more_than_twenty_statements(boss, ada, path):
    first = open_many(ada, *map(str, range(30)))[0]
    with CaptureQueriesContext(connection) as asked:
        page = boss.get(LIST + path.format(user=ada.pk, session=first.session.pk))
    assert page.status_code == 200
    assert len(asked) <= 20
