"""docs/notices.md: each how-to is run as it stands there."""

import re
import sys
from types import ModuleType

import django
import pytest
from django.contrib.auth.models import Group
from django.core import mail

from authx.core.notice_kinds import NoticeKind
from authx.models import DeviceSession
from authx.notices import Notice
from authx.sessions import Device, open_session
from authx.signals import device_session_opened
from authx.signals import notice as notice_signal
from tests.documented import DOCS, documented

PAGE = "notices.md"
pytestmark = pytest.mark.django_db


@pytest.fixture
def mysite(monkeypatch):
    """A package of the site's own, into which blocks of the page are put as modules."""
    before = list(notice_signal.receivers)

    def put(name, holding):
        module = ModuleType(f"mysite.{name}")
        monkeypatch.setitem(sys.modules, module.__name__, module)
        exec(compile(documented(PAGE, "python", holding), f"mysite/{name}.py", "exec"), vars(module))
        return module

    monkeypatch.setitem(sys.modules, "mysite", ModuleType("mysite"))
    yield put
    notice_signal.receivers = before
    notice_signal.sender_receivers_cache.clear()


def arrive(user):
    session = open_session(user, device=Device(id="phone", name="Ada's phone")).session
    told = {"session": session, "user": user, "request": None, "is_new": True}
    for _receiver, error in device_session_opened.send_robust(DeviceSession, **told):
        if error is not None:
            raise error
    return session


def assert_mailed_once_to(user):
    (message,) = mail.outbox
    assert message.to == [user.email]
    assert "Ada's phone" in message.body
    assert "https://shop.example/account/not-me/" in message.body


def test_celery_carries_it(ada, at_site, mysite):
    """Through a broker in memory: what lies there is JSON, and what tools show of it has no link."""
    celery = pytest.importorskip("celery", reason="celery is not installed")
    app = celery.Celery("mysite", broker="memory://", set_as_current=False)
    app.set_current()
    mysite("tasks", "from celery import shared_task")
    mysite("queueing", "mail_notice.apply_async")
    arrive(ada)
    assert mail.outbox == []
    with app.connection_for_read() as connection:
        message = connection.default_channel.basic_get(app.conf.task_default_queue, no_ack=True)
        assert message is not None
        assert "not-me" not in message.headers["argsrepr"]
        assert message.content_type == "application/json"
        arguments, _, _ = message.decode()
    app.conf.update(task_always_eager=True, task_eager_propagates=True)
    app.tasks["mysite.tasks.mail_notice"].delay(*arguments)
    assert_mailed_once_to(ada)


if django.VERSION >= (6, 0):  # which brought django.tasks; elsewhere there is nothing to skip

    def test_djangos_tasks_carry_it(ada, at_site, mysite):
        mysite("tasks", "from django.tasks import task")
        mysite("queueing", "mail_notice.enqueue")
        arrive(ada)
        assert_mailed_once_to(ada)


def test_a_receiver_of_ones_own_gets_it(ada, mysite, monkeypatch):
    pushed = []
    module = mysite("receivers", "def push(")
    monkeypatch.setattr(module, "send_push", lambda user, text: pushed.append((user, text)), raising=False)
    arrive(ada)
    assert pushed == [(ada.pk, "New sign-in: Ada's phone")]


def test_the_language_is_the_users(ada, mailing, mysite):
    mysite("people", "def language_of")
    mailing.AUTHX_NOTICE_LANGUAGE = "mysite.people.language_of"
    cairo = Group.objects.create(name="Cairo")
    ada.groups.add(cairo)
    arrive(ada)
    ((html, _),) = mail.outbox[0].alternatives
    assert '<html lang="ar" dir="rtl">' in html


def test_the_table_has_every_member_and_every_kind():
    page = (DOCS / PAGE).read_text()
    table = re.findall(r"^\| (`.+?) \|", page.partition("| member | what it is |")[2], re.MULTILINE)
    named = {name for cell in table for name in re.findall(r"`(\w+)`", cell)}
    assert named == set(Notice.__dataclass_fields__)
    for kind in NoticeKind:
        assert f"\n- `{kind.value}`:" in page
