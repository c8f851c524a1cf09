"""What the bridge notes about old credentials: of use to it alone, and restored with the rest of a dump."""

import pytest
from django.contrib.auth.models import Group
from django.core.management import call_command
from rest_framework.authtoken.models import Token

from authx.contrib.moving import endings
from authx.models import DeviceSession, NotBeforeMark, SessionEvent
from authx.pages.activity import activity_of
from authx.sessions import end_everyone, end_user_sessions, open_session
from authx.sessions.queries import recent_events
from tests.moving.test_tokens import AUTHTOKEN, PHONE, post

pytestmark = pytest.mark.django_db


def change_password(user):
    user.set_password("another-horse-battery-staple")
    user.save()


@pytest.mark.parametrize("end", [lambda user: end_user_sessions(user, "kicked"), change_password])
def test_their_user_sees_what_happened_to_devices_alone(ada, end):
    end(ada)
    assert SessionEvent.objects.filter(session=None, kind="ended").exists()
    assert activity_of(ada, 10) == []
    open_session(ada)
    end(ada)
    found = recent_events(ada, SessionEvent.Kind.values, 10)
    assert found
    assert all(event.session for event in found)


@pytest.mark.parametrize(
    "end", [lambda user: end_user_sessions(user, "kicked"), lambda user: end_everyone("kicked")]
)
@pytest.mark.django_db(transaction=True)
def test_a_database_that_is_restored_from_a_dump_ends_nothing_again(ada, tmp_path, end):
    old = Token.objects.create(user=ada)
    end(ada)
    token = Token.objects.create(user=ada)
    tables = [NotBeforeMark, SessionEvent, DeviceSession, Token]
    rows = {table: sorted(map(str, table.objects.values_list("pk", flat=True))) for table in tables}
    path = str(tmp_path / "dump.json")
    call_command("dumpdata", "authtoken", "authx", output=path, verbosity=0)
    for table in tables:
        table._base_manager.all()._raw_delete("default")
    call_command("loaddata", path, verbosity=0)
    assert {table: sorted(map(str, table.objects.values_list("pk", flat=True))) for table in tables} == rows
    assert post(AUTHTOKEN, old.key, device=PHONE).status_code == 401
    assert post(AUTHTOKEN, token.key, device=PHONE).status_code == 200


def test_a_model_of_users_may_be_without_password_and_flag():
    one = Group.objects.create(name="one")
    endings.compare(Group, one)
    endings.note_change(Group, one)
    assert not SessionEvent.objects.exists()
