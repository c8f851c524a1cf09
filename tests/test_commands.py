"""manage.py authx_prune and authx_end: what they do, what they say, and what they refuse."""

from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from authx.models import DeviceSession, SessionEvent
from authx.sessions import end_session, open_session
from tests.faults_in_database import outage

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
