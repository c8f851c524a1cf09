"""manage.py authx_prune, authx_end, authx_forget and authx_export: what they do, say and refuse."""

import json
import os
import stat
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.test import RequestFactory
from django.utils import timezone

from authx.models import DeviceSession, SessionEvent
from authx.sessions import Device, end_session, export, forget, open_session
from tests.faults_in_database import broken_database, outage
from tests.sessions.test_erasure import delete_by_sql

LONG_AGO = datetime(2024, 1, 1, tzinfo=UTC)


def run(name, *args, **options):
    """Run a command; what it printed, in lines."""
    printed = StringIO()
    call_command(name, *args, stdout=printed, **options)
    return printed.getvalue().splitlines()


def opened(user, days_ago=0):
    return open_session(user, now=timezone.now() - timedelta(days=days_ago)).session


def ended(user, days_ago):
    session = opened(user, days_ago)
    assert end_session(session, "kicked", now=session.created_at)
    return session


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "command",
    [
        ["authx_end", "--all"],
        ["authx_end", "--user", "ada"],
        ["authx_export", "--key", "1"],
        ["authx_export", "--user", "ada"],
        ["authx_forget", "--deleted"],
        ["authx_forget", "--user", "ada"],
        ["authx_keys", "list"],
        ["authx_keys", "rotate"],
        ["authx_limits"],
        ["authx_prune"],
        ["authx_services", "create", "billing"],
        ["authx_services", "list"],
    ],
    ids=" ".join,
)
def test_an_outage_is_told_in_a_line(command, settings):
    settings.AUTHX_SESSION_LIMITS = [{"limit": 1}]
    with outage(), pytest.raises(CommandError, match=r"The database cannot be asked\. Run it again"):
        run(*command)


# authx_end


def test_end_user_kicks_that_user_out_everywhere_and_says_how_often(ada, bob):
    first, second, theirs = opened(ada), opened(ada), opened(bob)
    assert run("authx_end", "--user", ada.get_username()) == ["2 sessions ended."]
    reasons = dict(DeviceSession.objects.values_list("pk", "end_reason"))
    assert reasons == {first.pk: "kicked", second.pk: "kicked", theirs.pk: ""}


def test_end_all_kicks_everybody_out(ada, bob):
    opened(ada), opened(bob), ended(bob, 1)
    assert run("authx_end", "--all") == ["2 sessions ended."]
    assert not DeviceSession.objects.live().exists()


def test_ending_those_who_are_not_there_ends_nobody(ada):
    assert run("authx_end", "--user", ada.get_username()) == ["0 sessions ended."]
    assert run("authx_end", "--all") == ["0 sessions ended."]


def test_the_reason_given_is_kept_in_the_audit_trail(ada):
    opened(ada)
    run("authx_end", "--all", "--note", "key\nleaked\u202e")
    event = SessionEvent.objects.get(kind="ended")
    assert (event.outcome, event.note, event.actor) == ("kicked", "key leaked", None)


def test_a_user_who_does_not_exist_is_an_error_that_names_them(db):
    with pytest.raises(CommandError, match="There is no user 'eve'"):
        run("authx_end", "--user", "eve")


@pytest.mark.parametrize("args", [[], ["--user", "ada", "--all"], ["--user"]], ids=" ".join)
def test_whom_to_end_must_be_said_and_only_once(ada, args):
    opened(ada)
    with pytest.raises(CommandError):
        run("authx_end", *args)
    assert DeviceSession.objects.live().count() == 1


# Whom a command means


COMMANDS = ["authx_end", "authx_forget", "authx_export"]


def meant(option, text):
    """The subject of whoever a command takes to be meant."""
    return json.loads("\n".join(run("authx_export", f"{option}={text}")))["subject"]


def test_a_user_is_meant_by_name_or_by_key(ada, bob):
    for user in (ada, bob):
        name, key = user.get_username(), str(user.pk)
        for option, text in (("--user", name), ("--user", key), ("--username", name), ("--key", key)):
            assert meant(option, text) == key


@pytest.mark.parametrize("command", COMMANDS)
def test_a_name_that_is_somebody_elses_key_means_neither(ada, bob, command):
    opened(ada), opened(bob)
    named_as(bob, str(ada.pk))
    with pytest.raises(
        CommandError, match=r"the username of one user and the key of another: say --username"
    ):
        run(command, "--user", str(ada.pk))
    assert DeviceSession.objects.live().count() == 2
    assert meant("--username", str(ada.pk)) == str(bob.pk)
    assert meant("--key", str(ada.pk)) == str(ada.pk)


def test_a_program_may_give_the_key_as_it_is(ada):
    opened(ada)
    assert run("authx_end", key=ada.pk) == ["1 session ended."]


def named_as(user, name):
    get_user_model()._default_manager.filter(pk=user.pk).update(**{get_user_model().USERNAME_FIELD: name})


def test_a_name_that_is_ones_own_key_means_that_user(ada):
    named_as(ada, str(ada.pk))
    assert meant("--user", str(ada.pk)) == str(ada.pk)


def test_a_name_that_is_the_key_of_somebody_gone_means_neither(ada, bob):
    opened(ada)
    subject = str(ada.pk)
    delete_by_sql(ada)
    named_as(bob, subject)
    with pytest.raises(CommandError, match="say --username or --key"):
        run("authx_forget", "--user", subject)
    assert run("authx_forget", "--key", subject)
    assert meant("--username", subject) == str(bob.pk)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("option", ["--user", "--username", "--key"])
@pytest.mark.parametrize(
    "text",
    ["eve", "0", "-1", "9" * 30, "1.0", " ", "", "nul\0", "\udc80", "a\u034fda", "ada ", "àda"],
    ids=ascii,
)
def test_whoever_is_not_there_is_nobody_else(make_user, command, option, text):
    """Not the user whose name only collates like it, nor whose key a number that reads alike is."""
    user = make_user("ada")
    named_as(user, "ada")
    opened(user)
    with pytest.raises(CommandError, match="There is no user"):
        run(command, f"{option}={text}")
    assert DeviceSession.objects.live().count() == 1


@pytest.mark.parametrize("spelling", [" {}", "{}.0", "0{}", "+{}", "{} "], ids=ascii)
def test_a_key_is_meant_as_it_is_written(ada, spelling):
    with pytest.raises(CommandError, match="There is no user"):
        run("authx_forget", f"--key={spelling.format(ada.pk)}")


def test_whoever_is_gone_can_be_forgotten_and_not_be_ended(ada):
    opened(ada)
    subject = str(ada.pk)
    delete_by_sql(ada)
    assert meant("--user", subject) == subject
    with pytest.raises(CommandError, match=r"There is no user .* any more"):
        run("authx_end", "--user", subject)


# authx_forget


@pytest.fixture
def known(ada):
    request = RequestFactory().get("/", REMOTE_ADDR="203.0.113.7", headers={"user-agent": "Fox/1"})
    return open_session(ada, request, Device(id="ada-phone", name="Ada's phone")).session


def test_forget_says_what_it_has_erased(ada, known):
    assert run("authx_forget", "--user", ada.get_username()) == [
        "Erased what is personal from 1 session, 1 event, 0 not-before marks"
        " and 0 entries of the admin's log."
    ]
    known.refresh_from_db()
    assert (known.device_name, known.ip, known.ended_at) == ("", None, None)
    assert run("authx_forget", "--user", ada.get_username())[0].startswith(
        "Erased what is personal from 0 sessions, 0 events, "
    )


def test_a_dry_run_of_forget_changes_nothing(ada, known):
    assert run("authx_forget", "--user", ada.get_username(), "--dry-run") == [
        "Would erase what is personal from 1 session, 1 event, 0 not-before marks"
        " and 0 entries of the admin's log; nothing was changed."
    ]
    known.refresh_from_db()
    assert (known.device_name, known.ip) == ("Ada's phone", "203.0.113.7")
    assert run("authx_forget", "--deleted", "--dry-run")[0].startswith(
        "Would erase what is personal from 0 sessions"
    )


def test_forget_finds_everybody_who_is_gone(ada, admin, bob, known):
    end_session(open_session(bob).session, "kicked", by=admin)
    delete_by_sql(ada)
    delete_by_sql(admin)
    counted = "what is personal from 1 session, 2 events, 0 not-before marks"
    assert run("authx_forget", "--deleted", "--dry-run")[0].startswith(f"Would erase {counted}")
    assert run("authx_forget", "--deleted")[0].startswith(f"Erased {counted}")
    known.refresh_from_db()
    assert (known.device_name, known.device_id, known.ip) == ("", "", None)
    assert SessionEvent.objects.exclude(actor_label="").values_list("actor_label", flat=True).get() == (
        bob.get_username()
    )


@pytest.mark.parametrize(
    "args", [[], ["--user", "ada", "--deleted"], ["--user", "ada", "--key", "1"], ["--all"]], ids=" ".join
)
def test_whom_to_forget_must_be_said_and_only_once(ada, known, args):
    with pytest.raises(CommandError):
        run("authx_forget", *args)
    known.refresh_from_db()
    assert known.device_name == "Ada's phone"


def test_prune_erases_what_is_left_of_users_deleted_by_sql(ada, known):
    delete_by_sql(ada)
    assert run("authx_prune", pause=0, verbosity=2)[0] == "2 rows of deleted users erased ..."
    known.refresh_from_db()
    assert (known.device_name, known.device_id, known.ip) == ("", "", None)
    assert len(run("authx_prune", pause=0, verbosity=2)) == 1


# authx_export


def test_export_prints_the_document(ada, known):
    printed = json.loads("\n".join(run("authx_export", "--user", ada.get_username())))
    expected = json.loads("".join(export(ada)))
    assert printed | {"exported_at": ""} == expected | {"exported_at": ""}
    assert printed["sessions"][0]["device"]["name"] == "Ada's phone"


def test_export_writes_a_file_that_only_its_owner_reads(ada, known, tmp_path):
    path = tmp_path / "ada.json"
    umask = os.umask(0)
    try:
        assert run("authx_export", "--user", ada.get_username(), "--output", str(path)) == []
    finally:
        os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text())["subject"] == str(ada.pk)


def test_export_overwrites_nothing(ada, tmp_path):
    path = tmp_path / "ada.json"
    path.write_text("somebody else's")
    with pytest.raises(CommandError, match="cannot be written: File exists"):
        run("authx_export", "--user", ada.get_username(), "--output", str(path))
    assert path.read_text() == "somebody else's"


def test_export_tells_that_a_folder_is_not_there(ada, tmp_path):
    with pytest.raises(CommandError, match="cannot be written: No such file"):
        run("authx_export", "--user", ada.get_username(), "--output", str(tmp_path / "no" / "ada.json"))


@pytest.mark.django_db(transaction=True)
def test_an_export_that_the_database_cuts_short_leaves_no_file(ada, known, tmp_path):
    path = tmp_path / "ada.json"
    name = ada.get_username()

    refused = pytest.raises(CommandError, match="The database cannot be asked")
    with broken_database("authx_sessionevent"), refused:
        run("authx_export", "--user", name, "--output", str(path))
    assert not path.exists()


def test_an_export_after_forgetting_holds_nothing_personal(ada, known):
    forget(ada)
    printed = "\n".join(run("authx_export", "--key", str(ada.pk)))
    assert "203.0.113.7" not in printed
    assert "Ada's phone" not in printed


# authx_prune


def test_prune_marks_what_has_expired_and_forgets_what_is_old(ada):
    live, idle = opened(ada), opened(ada, 8)
    recent = ended(ada, 89)
    ended(ada, 91)
    assert run("authx_prune", pause=0) == ["1 expired sessions marked, 1 old sessions deleted."]
    assert set(DeviceSession.objects.all()) == {live, idle, recent}
    idle.refresh_from_db()
    assert idle.end_reason == "idle"


def test_prune_keeps_for_as_long_as_the_setting_says(ada, settings):
    settings.AUTHX_RETENTION = timedelta(days=1)
    ended(ada, 2)
    assert run("authx_prune", pause=0) == ["0 expired sessions marked, 1 old sessions deleted."]


def test_or_for_as_long_as_the_command_says(ada):
    ended(ada, 2)
    assert run("authx_prune", "--days", "3", pause=0)[-1].endswith("0 old sessions deleted.")
    assert run("authx_prune", "--days", "1", pause=0)[-1].endswith("1 old sessions deleted.")


def test_to_keep_nothing_forgets_all_that_has_ended_and_nothing_else(ada):
    live = opened(ada)
    ended(ada, 1)
    run("authx_prune", "--days", "0", pause=0)
    assert list(DeviceSession.objects.all()) == [live]


def test_what_was_just_marked_is_kept_from_now_on(ada):
    long_idle = open_session(ada, now=LONG_AGO).session
    assert run("authx_prune", pause=0) == ["1 expired sessions marked, 0 old sessions deleted."]
    assert DeviceSession.objects.get() == long_idle


def test_prune_tells_how_far_it_is_to_whoever_asks(ada):
    for _ in range(3):
        ended(ada, 100)
    assert run("authx_prune", "--batch", "2", verbosity=2, pause=0) == [
        "2 deleted ...",
        "3 deleted ...",
        "0 expired sessions marked, 3 old sessions deleted.",
    ]


@pytest.mark.parametrize(
    "args",
    [
        ["--batch", "0"],
        ["--batch", "-5"],
        ["--days", "-1"],
        ["--days", "36501"],
        ["--days", "soon"],
        ["--pause", "-1"],
        ["--pause", "61"],
        ["--pause", "nan"],
    ],
    ids=" ".join,
)
def test_prune_refuses_what_makes_no_sense_and_changes_nothing(ada, args):
    ended(ada, 100)
    with pytest.raises(CommandError):
        run("authx_prune", *[f"{args[0]}={args[1]}"])
    assert DeviceSession.objects.count() == 1
