"""Whether a session is over is answered in one place, for Python and for queries, whoever asks."""

import ast
import re
from dataclasses import FrozenInstanceError
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.db.models import F
from django.utils import timezone

import authx
from authx.core import reasons
from authx.issuer.introspection import introspect
from authx.models import DeviceSession, EndReason
from authx.sessions import end_user_sessions, open_session
from authx.sessions.lookup import find_by_sid

ROOT = Path(authx.__file__).parent
#: Where the parts of the answer are, and who may put them together.
ANSWERS = {
    "sessions/liveness.py",  # the answer
    "models/device_sessions.py",  # its parts
    "core/rotation.py",  # the state machine, which writes what it decides in its own swap
    "sessions/refresh_verdicts.py",
    "identity/password_change.py",  # which of the reasons it was, of a session known to be over
    "admin/columns.py",  # a list, judged row by row by the same method
    "admin/exporting.py",  # the same list as a file
    "admin/session_page.py",
    "sessions/not_before.py",  # what a mark has found live when it was made
}


def places(pattern):
    found = re.compile(pattern)
    return {
        str(path.relative_to(ROOT))
        for path in ROOT.rglob("*.py")
        if "migrations" not in path.parts and found.search(path.read_text())
    }


def test_nobody_else_decides_it_again():
    asked = places(r"\.ended_reason\(|\buser_end\(|\.expiry_reason\(")
    assert asked <= ANSWERS


def test_no_query_defines_it_again():
    defined = places(r"idle_expires_at__(gt|lt)e?\b|\bexpires_at__(gt|lt)e?\b")
    of_login_proofs, of_codes = "sessions/choosing.py", "sessions/code_pruning.py"
    of_sessions = {"models/device_session_queries.py", "sessions/not_before.py", "sessions/pruning.py"}
    of_history = {
        "sessions/turnover.py",  # in which hour a limit was reached
        "admin/overview/counting.py",  # and which limit it was
        "admin/filters.py",  # a bound for the index, beside the answer
    }
    assert defined <= of_sessions | {of_login_proofs, of_codes} | of_history


def test_every_reason_is_written_in_one_place():
    """As a word of its own; ``logout`` and ``expired`` are also those of a route and of a filter."""
    words = [reason for reason in EndReason if reason not in ("logout", "expired")]
    written = places(rf"""(["'])({"|".join(words)})\1""")
    others = {
        "core/rotation.py",  # ``reused`` is a refusal too
        "core/notice_kinds.py",  # ``kicked`` is a kind of notice too
        "admin/overview/charts.py",  # and a part of a bar
    }
    assert written - others == {"core/reasons.py"}


@pytest.mark.parametrize(
    ("pattern", "home"),
    [
        (r"\bmin\([^)]*(idle|IDLE|expires_at)", "core/time_limits.py"),
        (r"\.exp - \S*\biat\b", "core/claims.py"),
    ],
    ids=["earlier limit", "life of a token"],
)
def test_no_figure_of_a_sessions_life_is_worked_out_twice(pattern, home):
    assert places(pattern) == {home}


def test_the_reasons_with_messages_are_those_of_core():
    assert EndReason.values == list(reasons.EndReason)
    assert EndReason.names == [reason.name for reason in reasons.EndReason]


def test_only_messages_take_the_reasons_from_the_models():
    taken = places(r"from authx\.models(\.end_reasons)? import [^\n]*\bEndReason\b")
    assert taken == {"models/__init__.py", "models/device_sessions.py", "pages/texts.py"}


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
@pytest.mark.parametrize("change", [{"is_active": False}, {"password": "!"}])
def test_whoever_notices_that_the_users_state_has_ended_it_writes_it_down(kind, change, ada):
    credentials = open_session(ada)
    get_user_model()._base_manager.filter(pk=ada.pk).update(**change)
    assert introspect(getattr(credentials, kind)) is None
    ended = DeviceSession.objects.get()
    assert ended.end_reason == ("user_disabled" if "is_active" in change else "password_changed")


def test_a_session_that_a_mark_has_ended_has_not_expired_later(ada):
    session = open_session(ada).session
    end_user_sessions(ada, "kicked")
    DeviceSession.objects.update(ended_at=None, end_reason="")  # its row has not caught up
    later = timezone.now() + timedelta(days=60)
    for queryset, is_there in (("live", False), ("expired", False)):
        assert getattr(DeviceSession.objects, queryset)(later).filter(pk=session.pk).exists() is is_there
    assert DeviceSession.objects.ended().filter(pk=session.pk).exists()


def test_every_session_is_one_of_three(ada):
    opened = [open_session(ada).session for _ in range(4)]
    now = timezone.now()
    rows = DeviceSession.objects
    rows.filter(pk=opened[0].pk).update(idle_expires_at=now - timedelta(1))
    rows.filter(pk=opened[1].pk).update(expires_at=now - timedelta(1), idle_expires_at=F("idle_expires_at"))
    rows.filter(pk=opened[2].pk).update(ended_at=now, end_reason="kicked", expires_at=now - timedelta(1))
    found = [set(each.values_list("pk", flat=True)) for each in (rows.live(), rows.ended(), rows.expired())]
    assert [len(keys) for keys in found] == [1, 1, 2]
    assert set.union(*found) == {session.pk for session in opened}


def test_a_session_holds_its_row_whoever_has_read_it():
    """The clock, the mark and the key that it is judged by are in the snapshot."""
    assert not vars(DeviceSession).get("__annotations__")


def test_nothing_is_patched_on_to_a_session_or_an_error():
    columns = {field.attname for field in DeviceSession._meta.concrete_fields}
    trees = {path: ast.walk(ast.parse(path.read_text())) for path in ROOT.rglob("*.py")}
    patched = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.value.id}.{node.attr}"
        for path, nodes in trees.items()
        for node in nodes
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
        if isinstance(node.value, ast.Name) and re.search(r"session$|^error$|^exc$", node.value.id)
        if node.attr not in columns
    ]
    assert patched == []


def test_a_snapshot_cannot_be_changed(ada):
    found = find_by_sid(open_session(ada).session.pk)
    with pytest.raises(FrozenInstanceError):
        found.now = timezone.now()
