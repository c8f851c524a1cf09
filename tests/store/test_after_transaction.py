"""authx.store.after_transaction: what is left for after a transaction, and that nothing is taken for left."""

import gc
from contextlib import suppress
from threading import Thread

import pytest
from django.db import connection, connections, transaction

from authx.store.after_transaction import has_pending, run_even_on_rollback, run_pending

pytestmark = pytest.mark.django_db(transaction=True)


class Undone(Exception):
    """Rolls a transaction back."""


@pytest.fixture
def done():
    return []


def undone(done):
    with suppress(Undone), transaction.atomic():
        run_even_on_rollback(lambda: done.append("after all"))
        raise Undone


def test_outside_a_transaction_it_runs_at_once(done):
    run_even_on_rollback(lambda: done.append("now"))
    assert (done, has_pending()) == (["now"], False)


def test_after_a_commit_nothing_is_left(done):
    with transaction.atomic():
        run_even_on_rollback(lambda: done.append("committed"))
        assert (done, has_pending()) == ([], True)
    assert (done, has_pending()) == (["committed"], False)
    run_pending()
    assert done == ["committed"]


def test_after_a_rollback_it_runs_once_the_request_is_over(done):
    undone(done)
    assert (done, has_pending()) == ([], True)
    run_pending()
    run_pending()
    assert (done, has_pending()) == (["after all"], False)


def test_what_a_thread_leaves_that_ends_without_a_request_is_left_to_nobody(done):
    """Else each request after it would change threads to look for something to run."""

    def work():
        undone(done)
        connections.close_all()

    thread = Thread(target=work)
    thread.start()
    thread.join()
    del thread
    gc.collect()
    assert (done, has_pending()) == ([], False)


def test_a_connection_is_watched_once_however_often_it_is_used(done):
    from weakref import finalize

    undone(done)
    run_pending()
    watched = len(finalize._registry)
    for _ in range(50):
        undone(done)
        run_pending()
    assert len(finalize._registry) == watched
    assert connection.is_usable()
