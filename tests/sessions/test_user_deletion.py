"""Deleting users, one or many: how many statements that costs, and what it does for each of them."""

from collections import Counter

import pytest
from django.contrib.admin import ModelAdmin, site
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import connection
from django.db.models import SET_NULL
from django.db.models.deletion import Collector
from django.db.models.signals import pre_delete
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from authx.core.actor import NOBODY
from authx.models import AuthorizationCode, Consent, DeviceSession, RevocationLogEntry, SessionEvent
from authx.sessions import Device, end_session, open_session
from authx.sessions.continuing import continue_session
from authx.signals import device_session_ended
from tests.granted import make_client

pytestmark = pytest.mark.django_db


def users_named(names):
    model = get_user_model()
    return model._default_manager.filter(pk__in=[user.pk for user in names])


def in_the_admin(users):
    """As its action "Delete selected users" does."""
    ModelAdmin(get_user_model(), site).delete_queryset(None, users_named(users))


def by_cascade(users):
    """As Django does it with the users of a row of the site's own, which goes and takes them with it."""
    collector = Collector(using=connection.alias, origin=Group(pk=1))
    collector.collect(users_named(users), source=Group)
    collector.delete()


def without_origin(users):
    collector = Collector(using=connection.alias)
    collector.collect(users_named(users))
    collector.delete()


WAYS = {
    "a queryset": lambda users: users_named(users).delete(),
    "the admin": in_the_admin,
    "a cascade": by_cascade,
    "a collector": without_origin,
}


@pytest.fixture
def make_life(make_user):
    """Make users with three sessions each, one of them ended, a consent and a code."""

    ContentType.objects.get_for_model(DeviceSession)  # each process asks once

    def make(count, prefix="u"):
        client = make_client(f"app-{prefix}")
        users = [make_user(f"{prefix}{number}") for number in range(count)]
        for user in users:
            opened = [open_session(user, device=Device(name="Secret")).session for _ in range(3)]
            end_session(opened[0], "logout")
            about = {"user": user, "client": client}
            Consent.objects.create(**about, at=timezone.now())
            AuthorizationCode.objects.create(
                **about,
                code_hash=user.pk,
                login=opened[1],
                expires_at=timezone.now(),
                session_id=opened[2].pk,
            )
        return users

    return make


def cost(act):
    with CaptureQueriesContext(connection) as asked:
        act()
    return [query["sql"].partition(" WHERE")[0] for query in asked.captured_queries]


@pytest.mark.parametrize("way", WAYS)
def test_many_cost_what_few_do(make_life, way):
    WAYS[way](make_life(2, "first"))  # what is asked once, such as content types
    few, many = make_life(2, "few"), make_life(12, "many")
    asked, asked_of_many = cost(lambda: WAYS[way](few)), cost(lambda: WAYS[way](many))
    assert [sql.split()[0] for sql in asked] == [sql.split()[0] for sql in asked_of_many]


@pytest.mark.parametrize("way", WAYS)
def test_each_is_ended_once_announced_once_and_forgotten(
    make_life, bob, way, django_capture_on_commit_callbacks
):
    users, others = make_life(4), open_session(bob)
    owned = DeviceSession.objects.filter(user__in=users)
    live = set(owned.filter(ended_at=None).values_list("pk", flat=True))
    every = set(owned.values_list("pk", flat=True))
    told = []

    def tell(session, reason, **kwargs):
        told.append((session.pk, reason))

    device_session_ended.connect(tell)
    try:
        with django_capture_on_commit_callbacks(execute=True):
            WAYS[way](users)
    finally:
        device_session_ended.disconnect(tell)
    assert sorted(told) == sorted((key, "user_deleted") for key in live)
    rows = DeviceSession.objects.filter(pk__in=every)
    assert Counter(rows.values_list("end_reason", "user", "device_name")) == {
        ("user_deleted", None, ""): 8,
        ("logout", None, ""): 4,
    }
    events = SessionEvent.objects.filter(session__in=every, kind="ended", outcome="user_deleted")
    assert Counter(events.values_list("session", flat=True)) == dict.fromkeys(live, 1)
    log = RevocationLogEntry.objects.filter(value="user_deleted")
    assert Counter(log.values_list("subject_key", flat=True)) == {str(key): 1 for key in live}
    assert not Consent.objects.exists()
    assert not AuthorizationCode.objects.exists()
    assert DeviceSession.objects.get(pk=others.session.pk).end_reason == ""


def test_more_than_a_transaction_takes_at_once(make_life, monkeypatch):
    monkeypatch.setattr("authx.store.database.ROWS_PER_TRANSACTION", 2)
    users = make_life(5)
    users_named(users).delete()
    assert not DeviceSession.objects.filter(ended_at=None).exists()
    assert not DeviceSession.objects.exclude(device_name="").exists()


def test_sessions_that_have_expired_are_ended_by_nobody(make_life):
    users = make_life(3)
    DeviceSession.objects.filter(ended_at=None).update(expires_at=timezone.now())
    few = cost(lambda: users_named(users[:1]).delete())
    many = cost(lambda: users_named(users[1:]).delete())
    assert len(few) == len(many)
    assert set(DeviceSession.objects.values_list("end_reason", flat=True)) == {"logout", ""}


def test_what_continues_one_of_them_while_the_end_is_written_is_ended_too(transactional_db, ada, bob):
    """Between the reading and the writing of the others' end."""
    first, other, line = open_session(ada), open_session(bob), []

    def step_up_meanwhile(execute, sql, params, many, context):
        result = execute(sql, params, many, context)
        if sql.startswith("SELECT") and "notbeforemark" in sql and not line:
            line.append(None)
            line.append(continue_session(first.session, NOBODY, methods=["pwd"], came_back=True))
        return result

    with connection.execute_wrapper(step_up_meanwhile):
        users_named([ada, bob]).delete()
    found = [DeviceSession.objects.get(pk=one.session.pk) for one in (first, line[1], other)]
    assert [row.end_reason for row in found] == ["superseded", "user_deleted", "user_deleted"]
    assert SessionEvent.objects.filter(kind="ended").count() == 3


def test_who_is_only_listed_for_a_deletion_is_not_ended_with_another(ada, bob):
    """The admin's page that asks "Are you sure?" collects too."""
    kept = open_session(bob)
    listed = Collector(using=connection.alias)
    listed.collect([ada, bob])
    ada.delete()
    assert DeviceSession.objects.get(pk=kept.session.pk).ended_at is None
    assert listed.data


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("announced", [1, 2])
def test_a_deletion_that_fails_and_is_tried_again_ends_them_all(ada, bob, announced):
    open_session(ada), open_session(bob)
    calls = []

    def refuse(**kwargs):
        calls.append(kwargs["instance"])
        if len(calls) == announced:
            raise PermissionError("not now")

    collector = Collector(using=connection.alias)
    collector.collect(users_named([ada, bob]))
    pre_delete.connect(refuse, get_user_model())
    try:
        with pytest.raises(PermissionError):
            collector.delete()
        assert DeviceSession.objects.filter(ended_at=None).count() == 2
        collector.delete()
    finally:
        pre_delete.disconnect(refuse, get_user_model())
    assert set(DeviceSession.objects.values_list("end_reason", flat=True)) == {"user_deleted"}


def test_a_deletion_inside_another_ends_its_own(ada, bob, admin):
    """A receiver of the site's that deletes somebody else on the way."""
    for user in (ada, bob, admin):
        open_session(user)

    def take_along(instance, **kwargs):
        if instance.pk == ada.pk:
            get_user_model()._default_manager.get(pk=admin.pk).delete()

    pre_delete.connect(take_along, get_user_model())
    try:
        users_named([ada, bob]).delete()
    finally:
        pre_delete.disconnect(take_along, get_user_model())
    assert DeviceSession.objects.filter(end_reason="user_deleted", user=None).count() == 3


def test_migrations_see_a_key_as_django_s(db):
    _name, path, _args, kwargs = DeviceSession._meta.get_field("user").deconstruct()
    assert (path, kwargs["on_delete"]) == ("django.db.models.ForeignKey", SET_NULL)
    call_command("makemigrations", "authx", "--check", "--dry-run", verbosity=0)
