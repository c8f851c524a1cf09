"""authx.sessions.notice_turns: of many at once one is sent, and none of the others is lost."""

from datetime import timedelta

import pytest
from django.utils import timezone

from authx.conf import conf
from authx.models import SentNotice
from authx.sessions.notice_turns import MAX_LISTED, PERIOD, Turn, prune_turns, take_turn
from tests.racing import race

pytestmark = pytest.mark.django_db(transaction=True)
MANY = 8


@pytest.fixture
def start():
    return timezone.now()


def taking(user, number, at):
    def take():
        return take_turn(user.pk, "copied", "phone", [{"number": number}], now=at)

    return take


def numbers(turns):
    return sorted(entry["number"] for turn in turns for entry in turn.held_back)


@pytest.mark.parametrize("round_", range(3))
def test_of_many_at_once_one_is_first_and_the_others_are_held_back(ada, start, round_):
    turns = race(*(taking(ada, number, start) for number in range(MANY)))
    assert sorted(turns, key=bool) == [None] * (MANY - 1) + [Turn()]
    row = SentNotice.objects.get()
    first = turns.index(Turn())
    assert row.held_back_count == MANY - 1
    assert sorted(entry["number"] for entry in row.held_back) == [n for n in range(MANY) if n != first]


def test_when_the_hour_is_over_one_brings_what_was_held_back(ada, start):
    for number in range(3):
        taking(ada, number, start)()
    turns = race(*(taking(ada, 10 + number, start + PERIOD) for number in range(MANY)))
    sent = [turn for turn in turns if turn is not None]
    assert len(sent) == 1
    assert (numbers(sent), sent[0].held_back_count) == ([1, 2], 2)
    row = SentNotice.objects.get()
    assert row.held_back_count == MANY - 1
    assert row.sent_at == start + PERIOD


def test_nothing_is_lost_where_hours_end_while_others_come(ada, start):
    """Each is sent, or stands in one that is sent, or waits in the row: exactly once."""
    taking(ada, 0, start)()
    actors = [taking(ada, number, start + PERIOD * (number % 3)) for number in range(1, 13)]
    turns = race(*actors)
    sent = {number for number, turn in enumerate(turns, 1) if turn is not None}
    waiting = [entry["number"] for entry in SentNotice.objects.get().held_back or ()]
    carried = numbers(turn for turn in turns if turn is not None)
    assert sorted([*sent, *waiting, *carried]) == list(range(1, 13))


def test_a_user_who_is_gone_has_no_turn(ada, start):
    take = taking(ada, 1, start)
    ada.delete()
    assert take() is None
    assert not SentNotice.objects.exists()


def test_a_device_is_kept_as_a_hash_alone(ada, start):
    take_turn(ada.pk, "copied", "a name of 300 characters " * 12, [{}], now=start)
    assert len(SentNotice.objects.get().device) == 64


def test_the_list_is_bounded_and_the_count_is_not(ada, start):
    for number in range(MAX_LISTED + 5):
        taking(ada, number, start)()
    turn = taking(ada, 99, start + PERIOD)()
    assert (len(turn.held_back), turn.held_back_count) == (MAX_LISTED, MAX_LISTED + 4)


def test_what_loses_too_often_is_counted_all_the_same(ada, start, monkeypatch):
    taking(ada, 0, start)()
    monkeypatch.setattr("authx.sessions.notice_turns._MAX_ATTEMPTS", 0)
    assert take_turn(ada.pk, "copied", "phone", [{}, {}], now=start) is None
    row = SentNotice.objects.get()
    assert (row.held_back, row.held_back_count) == (None, 2)


def test_pruning_leaves_what_is_still_needed(ada, start):
    take_turn(ada.pk, "copied", "done", [{}], now=start)
    for number in range(2):
        take_turn(ada.pk, "copied", "waiting", [{"number": number}], now=start)
    take_turn(ada.pk, "copied", "young", [{}], now=start + PERIOD)
    assert sum(prune_turns(10, now=start + PERIOD)) == 0
    assert sum(prune_turns(10, now=start + PERIOD + timedelta(seconds=1))) == 1
    assert take_turn(ada.pk, "copied", "waiting", [{}], now=start + 2 * PERIOD).held_back_count == 1
    for number in range(2):
        take_turn(ada.pk, "copied", "waiting", [{"number": number}], now=start + 2 * PERIOD)
    assert sum(prune_turns(1, now=start + conf.RETENTION + 3 * PERIOD)) == 2
    assert not SentNotice.objects.exists()


def test_the_command_prunes_them(ada, start):
    from django.core.management import call_command

    take_turn(ada.pk, "copied", "done", [{}], now=start - 2 * PERIOD)
    call_command("authx_prune", pause=0)
    assert not SentNotice.objects.exists()
