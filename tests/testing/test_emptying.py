"""What empties the database after a test that commits (``tests/site/management/commands/flush.py``)."""

import pytest
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from authx.sessions import end_session, open_session

pytestmark = pytest.mark.django_db(transaction=True)


def empty():
    """As Django asks for it when such a test is over."""
    call_command("flush", verbosity=0, interactive=False, reset_sequences=False)


@pytest.fixture
def rows():
    """How many rows each table has; nothing is in there but what Django has made."""

    def count():
        names = connection.introspection.django_table_names(only_existing=True)
        with connection.cursor() as cursor:
            found = {}
            for name in names:
                cursor.execute(f"SELECT COUNT(*) FROM {connection.ops.quote_name(name)}")
                (found[name],) = cursor.fetchone()
        return found

    call_command("flush", verbosity=0, interactive=False)
    return count


def fill(make_user):
    """Rows that refer to one another, in tables of Django's and of ours."""
    for name in ("ada", "bob"):
        user = make_user(name)
        user.groups.add(group := Group.objects.create(name=name))
        group.permissions.add(Permission.objects.first())
        end_session(open_session(user).session, "kicked")
        open_session(user)


def test_all_is_gone_and_what_django_makes_has_stayed(rows, make_user):
    before, permissions = rows(), [*Permission.objects.order_by("pk").values()]
    fill(make_user)
    assert sum(rows().values()) > sum(before.values())
    empty()
    assert rows() == before
    assert [*Permission.objects.order_by("pk").values()] == permissions


def test_where_nothing_was_written_two_statements_say_so(rows):
    empty()
    with CaptureQueriesContext(connection) as asked:
        empty()
    assert len(asked) == 2


@pytest.mark.parametrize("change", ["added", "deleted"])
def test_what_django_makes_is_as_it_was_where_a_test_has_changed_it(change, rows, make_user):
    before = rows()
    fill(make_user)
    if change == "added":
        kind = ContentType.objects.get_for_model(Group)
        Permission.objects.create(codename="sing", name="Can sing", content_type=kind)
    else:
        ContentType.objects.first().delete()
    empty()
    assert rows() == before
    assert not Permission.objects.filter(codename="sing").exists()
