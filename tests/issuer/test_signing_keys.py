"""Managed signing keys: rotation refuses nobody, withdrawal everybody, and no row gives a key away."""

import base64
import os
import random
import re
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from threading import Event, Semaphore, Thread

import jwt
import pytest
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.asymmetric import ec
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection, transaction
from django.db.backends.signals import connection_created
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from authx.conf import conf, secret_keys
from authx.core.access_token import check_claims, read_signed, write_access_token
from authx.core.claims import AccessClaims
from authx.core.derivation import derive_secret
from authx.core.key_schedule import LEAD_TIME, POLL_INTERVAL, KeyState
from authx.core.keys import Key, KeySet
from authx.errors import KeyUnknown, StoreUnavailable
from authx.gate import shared_copy, verify_access_token
from authx.gate.keys import keyring
from authx.gate.keys.managed import (
    RETRY_SECONDS,
    TOO_OLD_SECONDS,
    UNKNOWN_KID_SECONDS,
    Keyring,
    verify_period,
)
from authx.gate.revocation import sources
from authx.gate.signature_cache import SignatureCache
from authx.gate.verify import read_claims
from authx.issuer import private_keys, signing_keys
from authx.issuer.key_rows import judge
from authx.issuer.signing_keys import KeyringRefused, rotate, withdraw
from authx.models import DeviceSession, SigningKey
from authx.sessions import open_session, recognize
from tests.faults_in_database import outage
from tests.gate.test_async_stores import ASKS, Heart, ask_all, slow_database
from tests.gate.test_stores import NAMES, QUICK, choose
from tests.pages.test_middleware import ACCESS, NAVIGATION, REFRESH
from tests.racing import race

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).parents[2]
START = datetime(2026, 3, 1, 12, tzinfo=UTC)
JWKS = "/.well-known/jwks.json"
ADMIN = "/admin/authx/signingkey/"
ALGORITHMS = ["ES256", "EdDSA", "RS256", "PS256"]


@pytest.fixture(autouse=True)
def _own_keyring():
    """This process begins and ends knowing of no managed key."""
    keyring.keyset_of.cache_clear()
    yield
    keyring.keyset_of.cache_clear()


class Process:
    """A process with a clock of its own: what it signs, and what it makes of others' tokens."""

    def __init__(self, at=START, skew=0.0):
        self.at, self.skew, self.loads = at, skew, 0
        self.keys = self.keyring()

    def keyring(self):
        secrets = secret_keys()
        return Keyring(KeySet([Key.derive(secret) for secret in secrets]), self.load, lambda: self.clock)

    def load(self, known, now):
        self.loads += 1
        return signing_keys.load(known, now)

    @property
    def clock(self):
        return self.at.timestamp() + self.skew

    def sign(self):
        return token(self.keys.signing, self.clock)

    def accepts(self, presented):
        claims, _key = read_signed(presented, self.keys)
        check_claims(
            claims,
            issuer=conf.ISSUER,
            audience=[conf.ISSUER],
            max_lifetime=conf.ACCESS_TOKEN_LIFETIME,
            leeway=conf.CLOCK_LEEWAY,
            now=self.clock,
        )
        return True

    def refuses(self, presented):
        with pytest.raises(KeyUnknown):
            self.accepts(presented)
        return True

    def after(self, **passed):
        self.at += timedelta(**passed)
        return self


def token(key, at):
    """An access token as a session would be given at a time."""
    claims = AccessClaims(
        iss=conf.ISSUER,
        sub="1",
        aud=(conf.ISSUER,),
        exp=int(at) + int(conf.ACCESS_TOKEN_LIFETIME.total_seconds()),
        iat=int(at),
        jti=f"{random.random()}",
        client_id=conf.CLIENT_ID,
        sid="0198f6a2-0000-7000-8000-000000000001",
        gen=1,
        auth_time=int(at),
        amr=("pwd",),
        did=None,
        dtp="web",
        extra={},
    )
    return write_access_token(claims, key)


def kid_of(presented):
    return jwt.get_unverified_header(presented)["kid"]


def derived():
    return Key.derive(secret_keys()[0])


@contextmanager
def counted():
    """The statements about signing keys on any connection that is opened meanwhile."""
    found = []

    def count(execute, sql, params, many, context):
        if SigningKey._meta.db_table in sql:
            found.append(sql)
        return execute(sql, params, many, context)

    def wrap(connection, **kwargs):
        connection.execute_wrappers.append(count)

    connection_created.connect(wrap)
    try:
        with connection.execute_wrapper(count):
            yield found
    finally:
        connection_created.disconnect(wrap)


def state_of(key, at):
    """What a key is for, by the rows that there are."""
    return judge(SigningKey.objects.all(), at).states[key.kid]


# Rotation


def test_a_rotated_key_is_published_then_signs_and_the_one_before_it_retires():
    process = Process()
    old = process.sign()
    key = rotate(now=START)
    assert (state_of(key, START), key.signs_at) == (KeyState.NEXT, START + LEAD_TIME)
    between = process.after(seconds=6).sign()
    assert kid_of(old) == kid_of(between) == derived().kid
    assert [each.kid for each in process.keys] == [derived().kid, key.kid]
    process.at = START + LEAD_TIME
    assert kid_of(process.sign()) == key.kid
    assert [each.kid for each in process.keys] == [key.kid, derived().kid]
    process.at = START + LEAD_TIME + verify_period()
    assert [each.kid for each in process.keys] == [key.kid]


def test_whoever_steals_the_secret_key_later_forges_no_access_token():
    process, fresh = Process(), Process()
    rotate(now=START)
    process.at = fresh.at = START + LEAD_TIME + verify_period()
    forged = token(derived(), process.clock)
    assert process.refuses(forged)
    # Also of a process that has neither signed nor seen a token before.
    assert fresh.refuses(forged)


def test_only_one_key_waits_and_the_refusal_says_until_when():
    key = rotate(now=START)
    with pytest.raises(KeyringRefused, match=rf"{key.kid} signs from 2026-03-01 12:10:00 UTC on"):
        rotate(now=START + LEAD_TIME - timedelta(seconds=1))
    assert rotate(now=START + LEAD_TIME).number == 2


def test_an_emergency_waits_for_nobody():
    waiting = rotate(now=START)
    urgent = rotate(at_once=True, now=START + timedelta(seconds=30))
    assert state_of(urgent, START + timedelta(seconds=30)) is KeyState.SIGNING
    process = Process(START + timedelta(seconds=30))
    assert kid_of(process.sign()) == urgent.kid
    assert kid_of(process.after(seconds=600).sign()) == waiting.kid


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_key_of_each_algorithm_signs_and_any_library_verifies_it_by_what_is_published(alg, ada):
    made = rotate(alg=alg, at_once=True)
    opened = open_session(ada)
    assert kid_of(opened.access_token) == made.kid
    assert recognize(opened.access_token).pk == opened.session.pk
    published = jwt.PyJWKSet.from_dict(Client().get(JWKS).json())
    claims = jwt.decode(opened.access_token, published[made.kid], [alg], audience="authx", issuer="authx")
    assert claims["sid"] == str(opened.session.pk)
    assert made.public_key.startswith("-----BEGIN PUBLIC KEY-----")


def test_another_algorithm_is_refused():
    with pytest.raises(KeyringRefused, match="HS256 is none of ES256, EdDSA, RS256, PS256"):
        rotate(alg="HS256")
    assert not SigningKey.objects.exists()


@pytest.mark.parametrize("seed", range(8))
def test_rotation_refuses_no_unexpired_token(seed):
    """Processes whose clocks differ by up to the leeway, each looking only as often as it does."""
    dice = random.Random(seed)
    settle = int(conf.CLOCK_LEEWAY.total_seconds())
    # A token from the future is refused beyond the leeway: no two clocks differ by more.
    fleet = [Process(skew=dice.uniform(-settle / 2, settle / 2)) for _ in range(4)]
    now, live, kids, urgent_at = START, [], set(), START
    for _ in range(120):
        now += timedelta(seconds=dice.choice([0.2, 1, 4, 7, 60, 240]) * dice.random())
        for process in fleet:
            process.at = now
        if dice.random() < 0.1:
            urgent = dice.random() < 0.3 and now > urgent_at + 2 * POLL_INTERVAL
            try:
                rotate(at_once=urgent, now=now)
                urgent_at = now if urgent else urgent_at
            except KeyringRefused:
                assert not urgent
        issued = dice.choice(fleet).sign()
        kids.add(kid_of(issued))
        expires = datetime.fromtimestamp(jwt.decode(issued, options={"verify_signature": False})["exp"], UTC)
        live.append((issued, expires))
        # To the last second of it, by any clock, while nobody's leeway is needed.
        live = [(each, end) for each, end in live if now + timedelta(seconds=settle) < end]
        for each, _end in dice.sample(live, min(len(live), 12)):
            assert dice.choice(fleet).accepts(each)
    assert len(kids) >= 3
    assert all(process.accepts(each) for process in fleet for each, _end in live)


def test_a_token_is_good_to_its_last_second_after_its_key_was_superseded():
    key = rotate(now=START)
    stale = Process(START + LEAD_TIME - timedelta(seconds=1), skew=-float(conf.CLOCK_LEEWAY.total_seconds()))
    verifier = Process(START, skew=float(conf.CLOCK_LEEWAY.total_seconds()) - 1)
    last = stale.after(seconds=conf.CLOCK_LEEWAY.total_seconds()).sign()
    assert kid_of(last) == derived().kid  # by its own clock, the turn of the new key has not come
    expires = jwt.decode(last, options={"verify_signature": False})["exp"]
    verifier.at = datetime.fromtimestamp(expires, UTC) - timedelta(seconds=verifier.skew)
    assert kid_of(verifier.sign()) == key.kid
    assert verifier.accepts(last)


# Withdrawal


def test_a_withdrawn_keys_tokens_are_refused_at_once_in_this_process(ada):
    made = rotate(at_once=True)
    opened = open_session(ada)
    assert verify_access_token(opened.access_token)  # and its signature is remembered
    _row, successor = withdraw(made.kid)
    with pytest.raises(KeyUnknown):
        verify_access_token(opened.access_token)
    again = open_session(ada)
    assert kid_of(again.access_token) == successor.kid != made.kid
    assert verify_access_token(again.access_token)
    assert made.kid not in [key["kid"] for key in Client().get(JWKS).json()["keys"]]


def test_elsewhere_it_is_refused_within_the_poll():
    made = rotate(at_once=True, now=START)
    other = Process()
    memory, presented = SignatureCache(), other.sign()
    assert memory.read(presented, other.keys, now=other.clock)
    withdraw(made.kid, now=START)
    assert other.after(seconds=4.9).accepts(presented)
    other.after(seconds=0.1)
    with pytest.raises(KeyUnknown):
        memory.read(presented, other.keys, now=other.clock)
    assert other.refuses(presented)


LISTENER = """
import sys
import django
django.setup()
from authx.errors import KeyUnknown
from authx.gate import verify_access_token
for line in sys.stdin:
    try:
        verify_access_token(line.strip())
        print("good", flush=True)
    except KeyUnknown:
        print("key_unknown", flush=True)
"""


@contextmanager
def another_process():
    """Ask another process, on the same database, what it makes of a token."""
    environment = {**os.environ, "AUTHX_TEST_DATABASE_NAME": str(connection.settings_dict["NAME"])}
    environment |= {"DJANGO_SETTINGS_MODULE": os.environ["DJANGO_SETTINGS_MODULE"], "PYTHONPATH": str(ROOT)}
    command, pipe = [sys.executable, "-c", LISTENER], subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True, bufsize=1) as process:

        def ask(presented):
            process.stdin.write(f"{presented}\n")
            return process.stdout.readline().strip()

        try:
            yield ask
        finally:
            process.kill()


def withdraw_elsewhere(key):
    """Withdraw it as another process does: this one's keyring is not told."""
    looked, keyring.keyset().reload = keyring.keyset().reload, lambda: None
    try:
        withdraw(key.kid)
    finally:
        keyring.keyset().reload = looked
    assert keyring.keyset().find(key.kid)


@pytest.fixture(params=[("database", timedelta(0)), *QUICK], ids=["database", *NAMES])
def each_store(request, settings):
    choose(settings, *request.param)
    sources._copies.clear()
    yield
    sources._copies.clear()


def test_what_another_process_has_withdrawn_is_refused_at_once(each_store, ada):
    made = rotate(at_once=True)
    opened = open_session(ada)
    assert verify_access_token(opened.access_token)
    withdraw_elsewhere(made)
    with pytest.raises(KeyUnknown):
        verify_access_token(opened.access_token)
    again = open_session(ada)
    assert verify_access_token(again.access_token)


@pytest.mark.parametrize("lag", [timedelta(0), timedelta(seconds=1)], ids=["redis", "redis, lag"])
def test_a_withdrawal_that_the_database_does_not_know_of_is_none(settings, ada, lag):
    """It was restored to before that; as with endings, it has the last word."""
    choose(settings, "redis", lag)
    sources._copies.clear()
    opened = open_session(ada)
    kid = verify_access_token(opened.access_token).kid
    sources.publish({f"!{kid}": ""})
    assert verify_access_token(opened.access_token)
    sources._copies.clear()


def test_a_copy_of_another_process_learns_it_within_the_lag(settings, ada):
    """Where nothing is published into this process: from the log, as it learns of endings."""
    choose(settings, "database", timedelta(milliseconds=1))
    sources._copies.clear()
    made = rotate(at_once=True)
    opened = open_session(ada)
    assert verify_access_token(opened.access_token)
    publish, sources.publish = sources.publish, lambda told: None
    try:
        withdraw_elsewhere(made)
    finally:
        sources.publish = publish
    time.sleep(0.002)
    with pytest.raises(KeyUnknown):
        verify_access_token(opened.access_token)


def test_a_page_goes_on_by_its_refresh_cookie(ada, password):
    made = rotate(at_once=True)
    client = Client()
    client.post("/account/login/", {"username": ada.get_username(), "password": password})
    assert kid_of(client.cookies[ACCESS].value) == made.kid
    assert client.get("/whoami/").json()["user"] == "ada"
    withdraw_elsewhere(made)
    assert client.get("/whoami/").json()["user"] == "ada"  # found out as it is looked up
    assert client.get("/whoami/").json()["user"] == "ada"  # known before, from now on: renewed
    assert kid_of(client.cookies[ACCESS].value) != made.kid
    assert verify_access_token(client.cookies[ACCESS].value)


def test_a_spent_refresh_cookie_does_not_help_a_withdrawn_access_token(ada, password):
    made = rotate(at_once=True)
    client = Client()
    client.post("/account/login/", {"username": ada.get_username(), "password": password})
    assert client.get("/whoami/").json()["user"] == "ada"
    DeviceSession.objects.update(generation=3, confirmed_generation=3)
    withdraw_elsewhere(made)
    assert client.get("/whoami/").json()["user"] is None


def test_a_real_other_process_learns_of_rotation_and_withdrawal_without_a_restart(ada):
    with another_process() as ask:
        before = open_session(ada).access_token
        assert ask(before) == "good"
        made = rotate(at_once=True)
        after = open_session(ada).access_token
        assert kid_of(after) == made.kid
        assert (ask(after), ask(before)) == ("good", "good")
        withdraw(made.kid)
        assert ask(after) == "key_unknown"
        assert ask(open_session(ada).access_token) == "good"


def test_the_waiting_key_takes_the_place_of_the_withdrawn_one():
    first = rotate(at_once=True, now=START - timedelta(hours=1))
    waiting = rotate(now=START)
    at = START + timedelta(seconds=10)
    _row, successor = withdraw(first.kid, now=at)
    assert (successor.kid, successor.signs_at, state_of(successor, at)) == (waiting.kid, at, KeyState.SIGNING)
    assert kid_of(Process(at).sign()) == waiting.kid
    # And a process whose clock is behind agrees.
    assert kid_of(Process(at, skew=-60).sign()) == waiting.kid
    assert SigningKey.objects.count() == 2


def test_a_new_key_of_the_same_kind_takes_its_place_where_none_is_waiting():
    first = rotate(alg="EdDSA", at_once=True, now=START)
    _row, successor = withdraw(first.kid, now=START)
    assert (successor.alg, successor.number, successor.signs_at) == ("EdDSA", 2, START)


def test_to_withdraw_a_key_that_does_not_sign_makes_no_other():
    waiting = rotate(now=START)
    assert withdraw(waiting.kid, now=START)[1] is None
    assert kid_of(Process(START + 2 * LEAD_TIME).sign()) == derived().kid
    assert state_of(rotate(now=START), START) is KeyState.NEXT


def test_what_cannot_be_withdrawn_is_refused_with_the_reason():
    made = rotate(now=START)
    withdraw(made.kid, now=START)
    with pytest.raises(KeyringRefused, match="was withdrawn on 2026-03-01 12:00:00 UTC"):
        withdraw(made.kid, now=START)
    with pytest.raises(KeyringRefused, match="is a key of the settings"):
        withdraw(derived().kid)
    with pytest.raises(KeyringRefused, match="no managed key unheard-of"):
        withdraw("unheard-of")


def test_what_is_rolled_back_has_not_happened():
    with transaction.atomic():
        rotate(at_once=True)
        keyring.keyset().reload()
        assert [key.kid for key in keyring.keyset()] == [derived().kid]
        transaction.set_rollback(True)
    assert [key.kid for key in keyring.keyset()] == [derived().kid]


def test_a_key_made_inside_a_transaction_signs_once_that_has_committed(ada):
    keyring.keyset().reload()
    with transaction.atomic():
        made = rotate(at_once=True)
        assert kid_of(open_session(ada).access_token) == derived().kid
    assert kid_of(open_session(ada).access_token) == made.kid


# Many at once


def test_two_who_rotate_at_once_make_one_next_key():
    results = race(*[rotate] * 6)
    made = [result for result in results if isinstance(result, SigningKey)]
    assert len(made) == 1, results
    assert all(isinstance(result, KeyringRefused) for result in results if result is not made[0]), results
    assert SigningKey.objects.count() == 1


def test_two_who_withdraw_at_once_leave_one_that_signs():
    first = rotate(at_once=True)
    waiting = rotate()
    race(lambda: withdraw(first.kid), lambda: withdraw(waiting.kid))
    keyring.keyset().reload()
    signing = keyring.keyset().signing.kid
    assert signing not in {first.kid, waiting.kid, derived().kid}
    assert SigningKey.objects.filter(withdrawn_at=None).count() == 1


def test_one_thread_looks_while_the_others_go_on(ada):
    """Whoever verifies does not wait for a slow database; whoever meets an unknown key does."""
    slow, looking = Event(), Event()
    process = Process()
    made = rotate(at_once=True, now=START)
    presented = process.sign()
    plain = process.load

    def stall(known, now):
        looking.set()
        assert slow.wait(10)
        return plain(known, now)

    process.keys._load = stall
    newer = rotate(at_once=True, now=START + timedelta(seconds=6))
    process.after(seconds=6)
    with_new, answers = token(private_keys.key_of(newer, {}), process.clock), []
    first = Thread(target=lambda: answers.append(process.accepts(presented)))
    first.start()
    assert looking.wait(10)
    assert process.accepts(presented)  # the one before, while the other thread waits for the database
    second = Thread(target=lambda: answers.append(process.accepts(with_new)))
    second.start()
    slow.set()
    first.join(10), second.join(10)
    assert answers == [True, True]
    assert kid_of(presented) == made.kid


def test_a_look_that_began_before_a_key_was_made_does_not_answer_for_it():
    """The other thread has read the table and is slow to say so; meanwhile comes a token of a newer key."""
    process, has_read, go_on, answers = Process(), Event(), Event(), []
    rotate(at_once=True, now=START - timedelta(hours=1))
    presented, plain = process.sign(), process.load

    def dawdle(known, now):
        found = plain(known, now)
        has_read.set()
        assert go_on.wait(10)
        return found

    process.keys._load = dawdle
    process.after(seconds=6)
    first = Thread(target=lambda: answers.append(process.accepts(presented)))
    first.start()
    assert has_read.wait(10)
    newer = rotate(at_once=True, now=process.at)
    process.after(seconds=0.1)
    with_new = token(private_keys.key_of(newer, {}), process.clock)
    second = Thread(target=lambda: answers.append(process.accepts(with_new)))
    second.start()
    while not process.keys._copy.lock.locked():
        time.sleep(0.001)
    go_on.set()
    first.join(10), second.join(10)
    assert answers == [True, True]


def test_a_clock_put_back_does_not_hide_new_keys_from_who_only_verifies():
    process, signer = Process(), Process(START - timedelta(days=1))
    process.sign()
    rotate(at_once=True, now=signer.at)
    process.at = signer.at
    assert process.accepts(signer.sign())


def test_a_forked_process_does_not_wait_for_its_parents_lock():
    process = Process()
    process.sign()
    before = process.keys._copy.lock
    with before:
        shared_copy._after_fork()
    assert process.keys._copy.lock is not before
    with before:
        assert process.after(seconds=6).sign()


# What it costs


def test_without_managed_keys_verifying_costs_no_statement(ada):
    opened = open_session(ada)
    with counted() as asked:
        for _ in range(50):
            keyring.keyset()._copy.forget()  # however long ago it was
            assert read_claims(opened.access_token)
    assert asked == []


def test_without_managed_keys_a_look_is_taken_before_signing_once_in_a_while():
    process = Process()
    for _ in range(10):
        process.sign()
    assert process.loads == 1
    process.after(seconds=4.9).sign()
    assert process.loads == 1
    process.after(seconds=0.1).sign()
    assert process.loads == 2


def test_with_managed_keys_one_statement_in_a_while():
    rotate(at_once=True, now=START)
    process = Process()
    presented = process.sign()
    with counted() as asked:
        for _ in range(100):
            process.after(seconds=0.1).accepts(presented)
    assert len(asked) == 2  # 10 seconds
    assert all(sql.startswith("SELECT") for sql in asked)


@pytest.mark.parametrize("managed", [False, True], ids=["derived", "managed"])
def test_a_flood_of_unknown_kids_causes_one_look_in_a_while(managed):
    if managed:
        rotate(at_once=True, now=START)
    process = Process()
    process.sign()
    stranger = Key.load(pem(ec.generate_private_key(ec.SECP256R1())))
    process.after(seconds=10).sign()
    process.loads = 0
    for number in range(1000):
        process.after(seconds=0.02)
        kid = f"{number:043d}" if number % 2 else stranger.kid
        assert process.keys.find(kid) is None
    assert process.loads <= 20 / UNKNOWN_KID_SECONDS


def test_rotations_at_once_every_two_seconds_refuse_nothing():
    signer, verifier = Process(), Process()
    signer.sign(), verifier.sign()
    for _ in range(10):
        rotate(at_once=True, now=signer.after(seconds=2).at)
        signer.keys.reload()
        verifier.after(seconds=2)
        presented = signer.sign()
        assert verifier.accepts(presented)


def test_after_a_long_rest_nobody_goes_on_with_keys_that_may_have_been_withdrawn():
    """One takes the look, and the others wait for it."""
    made = rotate(at_once=True, now=START)
    process = Process()
    assert process.keys.find(made.kid)
    process.after(seconds=TOO_OLD_SECONDS)
    answered, told = Semaphore(0), []

    def slow(known, now):
        answered.acquire(timeout=0.2)  # until the other has an answer: if it waits for this, it has none
        return []

    def ask():
        told.append(process.keys.find(made.kid))
        answered.release()

    process.keys._load = slow
    threads = [Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told == [None, None]


def test_a_flood_from_many_threads_too():
    process = Process()
    process.sign()
    process.after(seconds=10).loads = 0
    race(*[lambda: process.keys.find("unheard-of")] * 8)
    assert process.loads == 1


def test_a_key_made_at_once_is_known_at_once_where_its_token_comes():
    process, other = Process(), Process()
    other.sign(), process.sign()
    for number in range(3):
        process.after(seconds=1), other.after(seconds=1)  # no look is due
        rotate(at_once=True, now=process.at)
        process.keys.reload()
        issued = process.sign()
        assert other.accepts(issued), number
        process.after(seconds=6), other.after(seconds=6)


def test_the_key_objects_stay_the_same_while_the_keys_do():
    rotate(at_once=True, now=START)
    process = Process()
    first = process.keys.signing
    process.after(seconds=6)
    assert process.keys.signing is first
    rotate(at_once=True, now=process.at)
    process.after(seconds=6)
    assert process.keys.find(first.kid) is first
    assert process.keys.signing is not first


# A database that does not answer


def test_what_cannot_be_read_takes_no_key_away(caplog):
    made = rotate(at_once=True, now=START)
    process = Process()
    presented, plain = process.sign(), process.load

    def fail(known, now):
        process.loads += 1
        raise OperationalError("gone away, and its password was canary")

    process.keys._load, process.loads = fail, 0
    for _ in range(60):
        assert process.after(seconds=1).accepts(presented)
        assert kid_of(process.sign()) == made.kid
    assert process.loads == 12
    assert "could not be read: OperationalError" in caplog.text
    assert "canary" not in caplog.text
    process.keys._load = plain
    withdraw(made.kid, now=process.at)
    assert process.after(seconds=5).refuses(presented)


@pytest.fixture
def no_table():
    """A database to which the migration has not come."""
    with connection.schema_editor() as editor:
        editor.delete_model(SigningKey)
    yield
    with connection.schema_editor() as editor:
        editor.create_model(SigningKey)


def test_before_the_table_is_there_nothing_breaks(no_table, ada, caplog):
    assert read_claims(open_session(ada).access_token)
    with transaction.atomic():
        assert read_claims(open_session(ada).access_token)
    with pytest.raises(KeyUnknown):
        verify_access_token(token(Key.derive("another"), time.time()))
    assert Client().get(JWKS).json()["keys"] == [derived().public_jwk()]
    assert caplog.text == ""


def test_a_clock_put_back_does_not_stop_the_looking():
    process = Process()
    process.sign()
    made = rotate(at_once=True, now=START - timedelta(days=2))
    process.at = START - timedelta(days=1)
    assert kid_of(process.sign()) == made.kid


# At rest


def pem(key):
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def every_spelling_of(row):
    """The private half of a row in every spelling it might be found in."""
    key = private_keys.key_of(row, {})
    private = pem(key._private)
    body = base64.b64decode("".join(private.decode().splitlines()[1:-1]))
    found = {private.decode(), private.hex(), body.hex(), base64.b64encode(body).decode()}
    found |= set(private.decode().splitlines()[1:-1])
    if row.alg == "ES256":
        number = key._private.private_numbers().private_value
        found |= {str(number), f"{number:x}", base64.urlsafe_b64encode(number.to_bytes(32)).decode()[:43]}
    elif row.alg == "EdDSA":
        raw = key._private.private_bytes_raw()
        found |= {raw.hex(), base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode()[:43]}
    return found


def dump():
    """All that the table holds, as text."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {SigningKey._meta.db_table}")
        return "\n".join(str(value) for row in cursor.fetchall() for value in row)


@pytest.mark.parametrize("alg", ["ES256", "EdDSA", "RS256"])
def test_a_dump_of_the_table_and_the_source_give_no_key(alg, settings):
    row = rotate(alg=alg)
    rows = dump()
    assert row.kid in rows
    for spelling in every_spelling_of(row):
        assert spelling not in rows
    # Whoever has the dump and this source still lacks the SECRET_KEY.
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "a guess", []
    assert private_keys.key_of(SigningKey.objects.get(), {}) is None
    assert signing_keys.load({}, datetime.now(UTC))[0].key is None
    for purpose in ("cookie", "refresh-token", "device", "signing"):
        secret = derive_secret("a guess", purpose)
        with pytest.raises(InvalidToken):
            Fernet(base64.urlsafe_b64encode(secret)).decrypt(row.encrypted_private_key)


def test_the_wrong_secret_key_fails_closed_and_says_what_to_do(ada, settings, caplog):
    made = rotate(at_once=True)
    opened = open_session(ada)
    settings.SECRET_KEY = "another, and the old one was forgotten"
    with pytest.raises(StoreUnavailable, match="into SECRET_KEY_FALLBACKS, or make another"):
        open_session(ada)
    with pytest.raises(KeyUnknown):
        verify_access_token(opened.access_token)
    assert f"{made.kid} cannot be decrypted" in caplog.text
    assert made.encrypted_private_key not in caplog.text
    keyring.keyset().reload()
    assert caplog.text.count(f"{made.kid} cannot be decrypted") == 1
    rotate(at_once=True)
    assert verify_access_token(open_session(ada).access_token)


def test_a_lost_secret_key_is_told_and_mended_by_one_rotation_at_once(ada, settings):
    rotate(at_once=True)
    open_session(ada)
    rotate()
    settings.SECRET_KEY = "another, and the old one was forgotten"
    ready = Client().get("/.well-known/authx-ready")
    assert (ready.status_code, ready.json()["ready"]) == (503, False)
    assert Client().get(JWKS).status_code == 503
    listed = run("list").splitlines()
    assert [line.endswith("cannot be decrypted with SECRET_KEY or a fallback") for line in listed] == [
        False,
        True,
        True,
    ]
    with pytest.raises(KeyringRefused, match="is this the SECRET_KEY of all workers"):
        rotate()
    made = rotate(at_once=True)
    assert Client().get("/.well-known/authx-ready").status_code == 200
    assert made.kid in [key["kid"] for key in Client().get(JWKS).json()["keys"]]
    later = Process(datetime.now(UTC)).after(hours=1)
    assert kid_of(later.sign()) == made.kid


def test_a_waiting_key_that_is_lost_inherits_nothing(ada, settings):
    old = rotate(at_once=True)
    lost = rotate()
    SigningKey.objects.filter(kid=lost.kid).update(encrypted_private_key="lost")
    _, successor = withdraw(old.kid)
    assert successor.kid != lost.kid
    assert verify_access_token(open_session(ada).access_token).kid == successor.kid
    assert kid_of(Process(datetime.now(UTC)).after(hours=1).sign()) == successor.kid


def test_a_worker_that_cannot_read_the_waiting_key_withdraws_another_and_leaves_it(settings):
    retiring, waiting = rotate(at_once=True, now=START), rotate(now=START + timedelta(days=1))
    signing = rotate(at_once=True, now=START + timedelta(hours=1))
    settings.SECRET_KEY = "of this worker alone"
    withdraw(retiring.kid, now=START + timedelta(hours=2))
    withdrawn = dict(SigningKey.objects.values_list("kid", "withdrawn_at"))
    assert (withdrawn[waiting.kid], withdrawn[signing.kid]) == (None, None)
    assert withdrawn[retiring.kid] is not None


def test_a_rotation_that_is_refused_encrypts_anew_all_the_same(settings):
    rotate(at_once=True)
    rotate()
    before = dict(SigningKey.objects.values_list("kid", "encrypted_private_key"))
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "the new one", [settings.SECRET_KEY]
    with pytest.raises(KeyringRefused, match="A key is waiting already"):
        rotate()
    settings.SECRET_KEY_FALLBACKS = []
    assert all(private_keys.key_of(row, {}) for row in SigningKey.objects.all())
    assert not set(before.values()) & set(SigningKey.objects.values_list("encrypted_private_key", flat=True))


def test_a_key_that_cannot_be_decrypted_signs_nobody_out(ada, password, client, api):
    rotate(at_once=True)
    opened = open_session(ada)
    row = SigningKey.objects.get()
    SigningKey.objects.update(encrypted_private_key="lost")
    keyring.keyset_of.cache_clear()
    login = {"username": ada.get_username(), "password": password}
    assert api.post("/api/auth/login/", login).status_code == 503
    assert api.post("/api/auth/refresh/", {"refresh_token": opened.refresh_token}).status_code == 503
    for path in ("/whoami/", "/account/login/"):
        client.cookies[ACCESS], client.cookies[REFRESH] = opened.access_token, opened.refresh_token
        answer = client.get(path, headers=NAVIGATION)
        assert (answer.status_code, set(answer.cookies)) == (503, set())
    SigningKey.objects.update(encrypted_private_key=row.encrypted_private_key)
    keyring.keyset_of.cache_clear()
    assert client.get("/whoami/").json()["user"] == str(ada)


def test_keys_of_the_settings_that_are_broken_sign_nobody_out(ada, settings, client):
    opened = open_session(ada)
    settings.AUTHX_SIGNING_KEYS = ["broken"]
    client.cookies[ACCESS], client.cookies[REFRESH] = opened.access_token, opened.refresh_token
    client.raise_request_exception = False
    pages = [client.get(path, headers=NAVIGATION) for path in ("/whoami/", "/account/login/")]
    assert [page.status_code for page in pages] == [500, 200]  # the login page is there for whoever can help
    assert not {ACCESS, REFRESH} & {name for page in pages for name in page.cookies}


def test_a_new_secret_key_with_the_old_one_as_a_fallback_changes_nothing(ada, settings):
    made = rotate(at_once=True)
    opened, before = open_session(ada), settings.SECRET_KEY
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "the new one", [before]
    assert verify_access_token(opened.access_token)
    assert kid_of(open_session(ada).access_token) == made.kid
    rotate()
    assert SigningKey.objects.get(kid=made.kid).encrypted_private_key != made.encrypted_private_key
    settings.SECRET_KEY_FALLBACKS = []  # the rotation has encrypted it anew
    assert read_claims(opened.access_token)
    assert kid_of(open_session(ada).access_token) == made.kid


def test_what_is_encrypted_under_the_first_secret_key_stays_as_it_is():
    made = rotate(at_once=True)
    rotate()
    assert SigningKey.objects.get(kid=made.kid).encrypted_private_key == made.encrypted_private_key


def test_a_key_that_somebody_put_into_the_table_is_none_of_ours():
    """Who can write the database, and nothing else, cannot make us believe his signatures."""
    ours = rotate(at_once=True, now=START)
    theirs = ec.generate_private_key(ec.SECP256R1())
    key = Key.load(pem(theirs))
    for number, encrypted in enumerate(
        [
            ours.encrypted_private_key,
            pem(theirs).decode(),
            Fernet(Fernet.generate_key()).encrypt(pem(theirs)).decode(),
        ]
    ):
        row = replace_columns(ours, number=number + 2, kid=key.kid, encrypted_private_key=encrypted)
        process = Process(START)
        assert process.refuses(token(key, process.clock))
        row.delete()


def replace_columns(row, **columns):
    values = {field.attname: getattr(row, field.attname) for field in SigningKey._meta.fields}
    return SigningKey.objects.create(**(values | columns))


def test_no_repr_and_no_error_says_a_private_byte(ada):
    made = rotate(at_once=True)
    keys = keyring.keyset()
    said = [repr(made), str(made), repr(keys), repr(list(keys)), repr(keys.jwks()), repr(keys._rows)]
    said += [repr(vars(keys)), repr(signing_keys.load({}, datetime.now(UTC)))]
    for spelling in {*every_spelling_of(made), made.encrypted_private_key}:
        assert not [text for text in said if spelling in text]
    assert made.kid in said[0]


def test_old_keys_are_forgotten_by_rotation_and_the_derived_one_stays_retired(settings):
    settings.AUTHX_RETENTION = timedelta(days=30)
    first = rotate(at_once=True, now=START)
    second = rotate(at_once=True, now=START + timedelta(days=40))
    rotate(at_once=True, now=START + timedelta(days=60))
    assert SigningKey.objects.filter(kid=first.kid).exists()
    fourth = rotate(at_once=True, now=START + timedelta(days=80))
    assert not SigningKey.objects.filter(kid=first.kid).exists()
    assert SigningKey.objects.filter(kid=second.kid).exists()
    assert fourth.number == 4
    process = Process(START + timedelta(days=80))
    assert process.refuses(token(derived(), process.clock))


# Published


def jwks():
    response = Client().get(JWKS)
    assert response.status_code == 200
    return response, response.json()["keys"]


def test_what_waits_signs_and_retires_is_published_and_nothing_else():
    first, alone = jwks()
    assert [key["kid"] for key in alone] == [derived().kid]
    gone = rotate(at_once=True)
    signing = rotate(alg="EdDSA", at_once=True)
    waiting = rotate(alg="RS256")
    withdraw(gone.kid)
    response, keys = jwks()
    assert [key["kid"] for key in keys] == [signing.kid, waiting.kid, derived().kid]
    assert [key["alg"] for key in keys] == ["EdDSA", "RS256", "ES256"]
    for key in keys:
        assert key["use"] == "sig"
        assert not {"d", "p", "q", "dp", "dq", "qi", "k"} & key.keys()
    assert response["ETag"] != first["ETag"]
    assert response["Cache-Control"] == first["Cache-Control"]
    assert {part.strip() for part in response["Cache-Control"].split(",")} == {"public", "max-age=300"}


def test_the_etag_changes_with_the_set():
    tags = [jwks()[0]["ETag"]]
    made = rotate(at_once=True)
    tags.append(jwks()[0]["ETag"])
    rotate()
    tags.append(jwks()[0]["ETag"])
    withdraw(made.kid)
    tags.append(jwks()[0]["ETag"])
    assert len(set(tags)) == 4
    assert Client().get(JWKS, headers={"If-None-Match": tags[-1]}).status_code == 304
    assert Client().get(JWKS, headers={"If-None-Match": tags[-2]}).status_code == 200


def test_the_set_of_a_process_that_neither_signs_nor_verifies_is_no_older_than_the_poll():
    process = Process()
    list(process.keys)
    made = rotate(now=START)
    process.after(seconds=5)
    assert made.kid in [key["kid"] for key in process.keys.jwks()["keys"]]


# The admin


@pytest.fixture
def desk(staff, password):
    """A staff member's browser, with these permissions."""

    def sit_down(*names):
        staff.user_permissions.add(*Permission.objects.filter(codename__in=names))
        client = Client(enforce_csrf_checks=True)
        client.get("/admin/login/")
        sent = {"username": "staff", "password": password, "next": "/admin/"}
        answer = client.post("/admin/login/", {**sent, **csrf(client)})
        assert answer.status_code == 302
        return client

    return sit_down


def csrf(client):
    return {"csrfmiddlewaretoken": client.cookies["csrftoken"].value}


def act(client, page, **sent):
    """Open the page that asks, and say yes."""
    assert client.get(page).status_code == 200
    answer = client.post(page, {**sent, **csrf(client)}, follow=True)
    return [str(message) for message in answer.context["messages"]]


@pytest.fixture
def several():
    """One managed key in each of four states, by state."""
    withdrawn, retiring, signing = (rotate(at_once=True) for _ in range(3))
    withdraw(withdrawn.kid)
    return {"Withdrawn": withdrawn, "Retiring": retiring, "Signing": signing, "Next": rotate(alg="EdDSA")}


def test_the_list_shows_states_and_dates_and_never_private_bytes(desk, several):
    page = desk("view_signingkey").get(ADMIN).content.decode()
    rows = re.findall(r"<tr>.*?</tr>", page, re.DOTALL)
    for state, key in several.items():
        (row,) = (row for row in rows if key.kid in row)
        assert f">{state}<" in row
    assert derived().kid in page
    for key in SigningKey.objects.all():
        detail = desk("view_signingkey").get(f"{ADMIN}{key.number}/change/").content.decode()
        assert key.kid in detail
        assert "BEGIN PUBLIC KEY" in detail
        for spelling in {*every_spelling_of(key), key.encrypted_private_key}:
            assert spelling not in page
            assert spelling not in detail


def test_the_list_costs_the_same_however_many_keys_there_are(desk, several, django_assert_num_queries):
    client = desk("view_signingkey")
    with CaptureQueriesContext(connection) as few:
        client.get(ADMIN)
    for _ in range(10):
        rotate(at_once=True)
    with CaptureQueriesContext(connection) as many:
        client.get(ADMIN)
    assert len(many) <= len(few)


def test_rotate_now_asks_and_makes_the_next_key(desk, staff):
    client = desk("manage_signing_keys")
    assert "rotate/" in client.get(ADMIN).content.decode()
    (said,) = act(client, f"{ADMIN}rotate/", alg="EdDSA")
    row = SigningKey.objects.get()
    assert said.startswith(f"The key {row.kid} is published, and signs from ")
    assert (row.alg, row.created_by, row.signs_at - row.created_at) == ("EdDSA", staff, LEAD_TIME)
    assert LogEntry.objects.get().object_id == "1"
    (said,) = act(client, f"{ADMIN}rotate/", alg="ES256")
    assert said.startswith("A key is waiting already")
    (said,) = act(client, f"{ADMIN}rotate/", alg="ES256", at_once="on")
    assert keyring.keyset().signing.kid == SigningKey.objects.get(number=2).kid


def test_withdraw_asks_and_withdraws(desk, staff, several):
    client, key = desk("manage_signing_keys"), several["Signing"]
    assert "/withdraw/" in client.get(f"{ADMIN}{key.number}/change/").content.decode()
    page = f"{ADMIN}{key.number}/withdraw/"
    said = act(client, page)
    instead = several["Next"].kid
    assert said == [
        f"The key {key.kid} is withdrawn: its tokens are refused. The key {instead} signs from now on."
    ]
    key.refresh_from_db()
    assert key.withdrawn_by == staff
    assert keyring.keyset().find(key.kid) is None
    assert "/withdraw/" not in client.get(f"{ADMIN}{key.number}/change/").content.decode()
    (said,) = act(client, page)
    assert "was withdrawn on" in said


def test_to_ask_changes_nothing(desk, several):
    client, before = desk("manage_signing_keys"), dump()
    client.get(f"{ADMIN}rotate/")
    client.get(f"{ADMIN}{several['Signing'].number}/withdraw/")
    assert (
        client.post(f"{ADMIN}rotate/", {"alg": "ES256", "at_once": "on"}).status_code == 403
    )  # no CSRF token
    assert client.post(f"{ADMIN}rotate/", {"alg": "none", **csrf(client)}).status_code == 200
    assert dump() == before


@pytest.mark.parametrize("permission", [None, "view_signingkey", "kick_everywhere_devicesession"])
def test_without_the_permission_nobody_rotates_or_withdraws(desk, several, permission):
    client, before = desk(*filter(None, [permission])), dump()
    for page in (f"{ADMIN}rotate/", f"{ADMIN}{several['Signing'].number}/withdraw/", f"{ADMIN}99/withdraw/"):
        assert client.get(page).status_code == 403
        assert client.post(page, {"alg": "ES256", **csrf(client)}).status_code == 403
    assert client.get(ADMIN).status_code == (200 if permission == "view_signingkey" else 403)
    assert "rotate/" not in client.get(ADMIN).content.decode()
    assert dump() == before


def test_nobody_adds_edits_or_deletes_and_nobody_guesses_by_filters(desk, several):
    client, before = desk("manage_signing_keys"), dump()
    key = several["Signing"]
    assert client.get(f"{ADMIN}add/").status_code == 403
    assert client.get(f"{ADMIN}{key.number}/delete/").status_code == 403
    assert client.post(f"{ADMIN}{key.number}/change/", {"kid": "x", **csrf(client)}).status_code == 403
    guess = key.encrypted_private_key[:10]
    answer = client.get(ADMIN, {"encrypted_private_key__startswith": guess})
    assert answer.status_code == 400
    assert dump() == before


def test_a_sign_in_too_long_ago_does_not_do(desk, settings):
    client = desk("manage_signing_keys")
    settings.AUTHX_STAFF_MAX_AUTH_AGE = timedelta(minutes=10)
    DeviceSession.objects.update(auth_time=timezone.now() - timedelta(minutes=11))
    (said,) = act(client, f"{ADMIN}rotate/", alg="ES256")
    assert "too long ago" in said
    assert not SigningKey.objects.exists()


# manage.py authx_keys


def run(*args):
    printed = StringIO()
    call_command("authx_keys", *args, stdout=printed)
    return printed.getvalue()


def test_list_says_what_each_key_is_for_and_when():
    assert re.fullmatch(rf"{derived().kid} +ES256 +signing +from the settings\n", run("list"))
    signing = rotate(at_once=True)
    waiting = rotate(alg="EdDSA")
    withdrawn = rotate(alg="RS256", at_once=True)
    withdraw(withdrawn.kid)
    lines = run("list").splitlines()
    assert len(lines) == 4
    assert lines[0] == f"{derived().kid}  ES256  retiring   from the settings"
    date = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"
    assert re.fullmatch(rf"{signing.kid}  ES256  retiring   published {date}, signs from {date}", lines[1])
    assert re.fullmatch(rf"{waiting.kid}  EdDSA  signing    published {date}, signs from {date}", lines[2])
    assert re.fullmatch(
        rf"{withdrawn.kid}  RS256  withdrawn  published {date}, signs from {date}, withdrawn {date}", lines[3]
    )
    for secret in SigningKey.objects.values_list("encrypted_private_key", flat=True):
        assert secret not in "\n".join(lines)


def test_rotate_says_which_key_and_from_when_it_signs():
    said = run("rotate", "--alg", "EdDSA")
    row = SigningKey.objects.get()
    assert (
        said == f"{row.kid} (EdDSA) is published, and signs from {row.signs_at:%Y-%m-%d %H:%M:%S} UTC on.\n"
    )
    assert row.signs_at - row.created_at == LEAD_TIME
    with pytest.raises(CommandError, match=f"A key is waiting already: {row.kid} signs from"):
        run("rotate")
    said = run("rotate", "--now")
    row = SigningKey.objects.get(number=2)
    assert said == f"{row.kid} (ES256) is published, and signs from now on.\n"


def test_withdraw_says_which_key_signs_instead():
    run("rotate", "--now")
    first = SigningKey.objects.get()
    said = run("withdraw", first.kid)
    second = SigningKey.objects.get(number=2)
    assert said == f"{first.kid} is withdrawn: its tokens are refused. {second.kid} signs from now on.\n"
    run("rotate")
    waiting = SigningKey.objects.get(number=3)
    assert run("withdraw", waiting.kid) == f"{waiting.kid} is withdrawn: its tokens are refused.\n"
    for kid, error in [
        (waiting.kid, "was withdrawn"),
        ("x", "no managed key x"),
        (derived().kid, "settings"),
    ]:
        with pytest.raises(CommandError, match=error):
            run("withdraw", kid)


def test_no_kid_looks_like_an_option_of_a_command():
    kids = [private_keys.generate("EdDSA")[0].kid for _ in range(500)]
    assert not [kid for kid in kids if kid.startswith("-")]  # of 64, one would


@pytest.mark.parametrize("args", [[], ["forget"], ["withdraw"], ["rotate", "--alg", "none"]], ids=" ".join)
def test_the_command_refuses_what_it_does_not_know(args):
    with pytest.raises(CommandError):
        run(*args)
    assert not SigningKey.objects.exists()


# Under ASGI


@pytest.mark.parametrize("asked", ASKS)
def test_a_look_does_not_hold_the_event_loop_up(asked, ada, monkeypatch):
    rotate(at_once=True)
    opened = open_session(ada)
    (path, headers), heart = ASKS[asked], Heart()
    ask_all((path, headers(opened)))
    keyring.keyset()._copy.forget()  # a look is due
    with slow_database(heart, monkeypatch):
        ((status, said),) = ask_all((path, headers(opened)), heart=heart)
    assert (status, said["user"] in {ada.get_username(), str(ada.pk)}) == (200, True)
    assert keyring.keyset()._copy.history.read_at > 0
    assert heart.waits
    assert not heart.has_missed


# A process that begins while the database cannot be asked


@pytest.fixture
def cold(ada):
    """A keyring that has read nothing yet, where a managed key signs and the settings' key has retired."""
    rotate(at_once=True, now=START - timedelta(days=30))
    made = rotate(at_once=True, now=START - timedelta(days=1))
    process = Process()
    process.down = True
    load = process.load

    def read(known, now):
        if process.down:
            raise StoreUnavailable("the database cannot be asked")
        return load(known, now)

    process.load = read
    process.keys = process.keyring()
    return process, made


def test_it_neither_signs_nor_verifies_nor_publishes_with_what_may_have_retired(cold):
    process, made = cold
    for ask in (process.sign, lambda: process.keys.find(made.kid), process.keys.jwks):
        with pytest.raises(StoreUnavailable):
            ask()
    assert process.keys.given  # which are known, and not used


def test_it_reads_them_as_soon_as_it_can(cold):
    process, made = cold
    with pytest.raises(StoreUnavailable):
        process.sign()
    process.down = False
    with pytest.raises(StoreUnavailable):
        process.sign()  # one try in a while
    process.after(seconds=RETRY_SECONDS)
    assert kid_of(process.sign()) == made.kid
    assert derived().kid not in [key["kid"] for key in process.keys.jwks()["keys"]]


def test_one_that_can_start_no_thread_to_read_them_has_not(cold, monkeypatch):
    process, made = cold
    process.down = False

    def refuse(thread):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(connection, "is_in_memory_db", lambda: False, raising=False)
        patch.setattr(Thread, "start", refuse)
        with pytest.raises(StoreUnavailable):
            process.sign()
    assert kid_of(process.after(seconds=RETRY_SECONDS).sign()) == made.kid


def test_one_that_has_read_them_goes_on_with_what_it_knows(cold):
    process, made = cold
    process.down = False
    assert kid_of(process.sign()) == made.kid
    process.down = True
    process.after(seconds=60)
    assert kid_of(process.sign()) == made.kid
    assert process.keys.find(made.kid)


@pytest.mark.parametrize("path", [JWKS, "/.well-known/oauth-authorization-server"])
def test_what_nobody_knows_is_not_published(path, settings, ada):
    settings.AUTHX_ISSUER = "https://id.example"
    rotate(at_once=True)
    keyring.keyset_of.cache_clear()
    with outage():
        answer = Client().get(path)
    assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
    assert (answer["Retry-After"], answer["Cache-Control"]) == ("5", "no-store")


def test_a_good_token_is_503_and_not_401_meanwhile(settings, ada, api):
    choose(settings, "redis")  # which would answer
    rotate(at_once=True)
    opened = open_session(ada)
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {opened.access_token}")
    assert api.get("/api/whoami/").status_code == 200
    keyring.keyset_of.cache_clear()
    with outage():
        assert api.get("/api/whoami/").status_code == 503


def test_nor_is_a_page_an_error_meanwhile(ada, password):
    rotate(at_once=True)
    client = Client()
    client.post("/account/login/", {"username": ada.get_username(), "password": password})
    assert client.get("/whoami/").json()["user"] == "ada"
    keyring.keyset_of.cache_clear()
    with outage():
        assert client.get("/whoami/").status_code == 503
        keyring.keyset_of.cache_clear()
        assert client.get("/untouched/").status_code == 200
        assert client.get("/nowhere/").status_code == 404
        assert client.get(JWKS).status_code == 503
        assert client.get("/api/whoami/").status_code == 503
    keyring.keyset_of.cache_clear()  # rather than to wait half a second
    assert client.get("/whoami/").json()["user"] == "ada"
