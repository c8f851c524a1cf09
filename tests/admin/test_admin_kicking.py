"""authx.admin.kicking: whom a kick of many spares, superusers and whoever kicks."""

import re
from types import SimpleNamespace

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.template import Context, Template
from django.utils import translation

from authx.admin.kick_form import Chosen, KickForm
from authx.models import DeviceSession, NotBeforeMark, uuid7
from authx.sessions import open_session
from authx.sessions.kick_permissions import may_kick, may_kick_superusers, of_superusers
from tests.admin.test_admin import LIST, Form, boss, desk, said, sign_in, status_of  # noqa: F401

ACTIONS = ["kick", "kick_everywhere"]
PERMISSIONS = [f"{action}_devicesession" for action in ACTIONS]
OWN_ALONE = [
    ("kick", 1, "This is your own session. It ends only if you tick the box below."),
    ("kick", 2, "These 2 sessions are your own. They end only if you tick the box below."),
    ("kick_everywhere", 1, "These 2 sessions are your own. They end only if you tick the box below."),
]
BY_ACTION = pytest.mark.parametrize("action", ACTIONS)


@pytest.fixture
def kicker(desk, staff):  # noqa: F811
    return desk(staff, *PERMISSIONS)


@pytest.fixture
def stronger(desk, staff):  # noqa: F811
    return desk(staff, *PERMISSIONS, "kick_superuser_devicesession")


def own_sid(seat):
    return DeviceSession.objects.get(user=seat.user, device_label="Firefox on Linux", ended_at=None)


def is_live(row):
    row.refresh_from_db()
    return row.ended_reason() is None


# --- twice


@BY_ACTION
def test_a_second_click_ends_and_records_nothing(kicker, ada, action):
    phone = sign_in(ada)
    question = kicker.choose(action, phone.session)
    assert said(kicker.confirm(question)) == ["1 session was ended."]
    assert said(kicker.confirm(question)) == ["0 sessions were ended."]
    assert (LogEntry.objects.count(), phone.session.events.filter(kind="ended").count()) == (1, 1)


# --- superusers


@BY_ACTION
def test_a_superusers_session_takes_a_permission_of_its_own(kicker, admin, action):
    phone = sign_in(admin)
    question = kicker.choose(action, phone.session)
    assert "1 session of a superuser is left out" in question.content.decode()
    assert said(kicker.confirm(question)) == [
        "0 sessions were ended.",
        "1 session of a superuser was left out: you may not kick superusers out.",
    ]
    assert status_of(phone) == "live"
    assert not LogEntry.objects.exists()


@BY_ACTION
def test_without_asking_first_it_is_the_same(kicker, admin, action):
    phone = sign_in(admin)
    kicker.choose(action, phone.session, post="yes", reason="", include_own="on")
    assert status_of(phone) == "live"


@BY_ACTION
def test_who_has_it_kicks_superusers(stronger, admin, action):
    phone = sign_in(admin)
    question = stronger.choose(action, phone.session)
    assert "left out" not in question.content.decode()
    assert said(stronger.confirm(question)) == ["1 session was ended."]
    assert status_of(phone) == "kicked"


@BY_ACTION
def test_a_superuser_kicks_superusers(boss, make_user, action):  # noqa: F811
    phone = sign_in(make_user("other", is_superuser=True))
    assert said(boss.kick(phone.session, action=action)) == ["1 session was ended."]
    assert status_of(phone) == "kicked"


@pytest.mark.parametrize("held", PERMISSIONS)
def test_the_permission_alone_kicks_nobody(desk, staff, admin, ada, held):  # noqa: F811
    seat, phones = (
        desk(staff, "kick_superuser_devicesession", "view_devicesession"),
        (sign_in(admin), sign_in(ada)),
    )
    for action in ACTIONS:
        seat.choose(action, *[phone.session for phone in phones], post="yes", reason="")
    assert [status_of(phone) for phone in phones] == ["live", "live"]


@BY_ACTION
def test_superusers_among_others_are_left_out_and_the_others_are_not(kicker, admin, make_user, ada, action):
    made = [sign_in(user) for user in (ada, admin, make_user("other", is_superuser=True), ada)]
    question = kicker.choose(action, *[each.session for each in made])
    text = question.content.decode()
    assert "2 sessions of superusers are left out" in text
    assert "<bdi>admin</bdi></th>" not in text
    assert "<li><bdi>admin</bdi></li>" not in text
    assert said(kicker.confirm(question)) == [
        "2 sessions were ended.",
        "2 sessions of superusers were left out: you may not kick superusers out.",
    ]
    assert [status_of(each) for each in made] == ["kicked", "live", "live", "kicked"]
    assert LogEntry.objects.count() == 2


@BY_ACTION
def test_all_pages_of_a_list_spare_superusers_and_oneself(kicker, admin, ada, action):
    made = [sign_in(ada) for _ in range(55)]
    phone, mine = sign_in(admin), sign_in(kicker.user, name="mine")
    question = kicker.choose(action, phone.session, mine.session, select_across="1")
    kicker.confirm(question, "all of them")
    assert {status_of(each) for each in made} == {"kicked"}
    assert (status_of(phone), status_of(mine)) == ("live", "live")
    assert kicker.get().status_code == 200


@BY_ACTION
def test_who_became_a_superuser_while_the_page_was_asking_is_one(kicker, ada, action):
    phone = sign_in(ada)
    question = kicker.choose(action, phone.session)
    type(ada).objects.filter(pk=ada.pk).update(is_superuser=True)
    kicker.confirm(question)
    assert status_of(phone) == "live"


@BY_ACTION
def test_a_session_without_a_user_is_no_superusers(kicker, admin, action):
    phone = sign_in(admin)
    DeviceSession.objects.filter(pk=phone.session.pk).update(user=None)
    assert said(kicker.kick(phone.session, action=action)) == ["1 session was ended."]
    assert not is_live(phone.session)


def test_kicking_everywhere_from_a_superusers_ended_session_spares_the_others(kicker, admin):
    over, phone = sign_in(admin), sign_in(admin)
    kicker.choose("kick_everywhere", over.session)
    DeviceSession.objects.filter(pk=over.session.pk).update(ended_at=over.session.created_at)
    kicker.kick(over.session, action="kick_everywhere")
    assert status_of(phone) == "live"


# --- oneself


@BY_ACTION
def test_ones_own_sessions_are_left_out_unless_a_box_is_ticked(kicker, ada, action):
    phone, mine = sign_in(ada), sign_in(kicker.user, name="mine")
    question = kicker.choose(action, phone.session, mine.session)
    text, own = question.content.decode(), {"kick": 1, "kick_everywhere": 2}[action]
    assert "include_own" in Form(question).names
    assert "Include my own sessions" in text
    assert "unless you tick the box" in text
    assert '<th scope="row" class="authx-address"><bdi>staff</bdi></th>' not in text
    answer = kicker.confirm(question)
    assert said(answer)[0] == "1 session was ended."
    assert said(answer)[1].startswith(f"{own} session")
    assert "of your own" in said(answer)[1]
    assert (status_of(phone), status_of(mine)) == ("kicked", "live")
    assert kicker.get().status_code == 200


@BY_ACTION
def test_with_the_box_ticked_they_go_too(kicker, ada, action):
    phone, mine = sign_in(ada), sign_in(kicker.user, name="mine")
    question = kicker.choose(action, phone.session, mine.session)
    kicker.client.post(LIST, Form(question).filled(reason="", include_own="on"))
    assert (status_of(phone), status_of(mine)) == ("kicked", "kicked")


@BY_ACTION
def test_a_box_that_was_ticked_stays_ticked_where_the_reason_is_asked_for_again(kicker, action):
    mine = sign_in(kicker.user, name="mine")
    question = kicker.choose(action, mine.session)
    again = kicker.client.post(LIST, Form(question).filled(reason="x" * 201, include_own="on"))
    text = again.content.decode()
    assert 'name="include_own"' in text
    assert "checked" in text
    assert '<th scope="row" class="authx-address"><bdi>staff</bdi></th>' in text
    assert status_of(mine) == "live"


def words_of(page):
    return " ".join(page.content.decode().split())


@pytest.mark.parametrize(("action", "more", "says"), OWN_ALONE)
def test_only_ones_own_is_called_that_and_takes_the_box(kicker, action, more, says):
    mine = [sign_in(kicker.user, name="mine") for _ in range(more)]
    question = kicker.choose(action, *[each.session for each in mine])
    text = words_of(question)
    assert says in text
    assert "Are you sure" not in text
    assert not re.search(r"\b0 (device )?(sessions|users)", text)
    assert re.search(r'<input type="checkbox" name="include_own"[^>]* required', text)
    again = kicker.confirm(question)
    assert "Tick this box to end sessions of your own." in again.content.decode()
    assert "required" in again.content.decode()
    assert {status_of(each) for each in mine} == {"live"}
    kicker.client.post(LIST, Form(again).filled(reason="", include_own="on"))
    assert {status_of(each) for each in mine} == {"kicked"}


@BY_ACTION
def test_of_others_nobody_is_asked_to_tick_it(kicker, ada, action):
    question = kicker.choose(action, sign_in(ada).session, sign_in(kicker.user).session)
    assert "required" not in question.content.decode()
    assert "authx-own-alone" not in question.content.decode()


@BY_ACTION
@pytest.mark.parametrize("left", ["nothing", "a superuser"])
def test_there_is_nothing_to_say_yes_to_where_nothing_can_end(kicker, ada, admin, action, left):
    phone = sign_in(admin if left == "a superuser" else ada)
    if left == "nothing":
        DeviceSession.objects.filter(pk=phone.session.pk).update(ended_at=phone.session.created_at)
    text = words_of(kicker.choose(action, phone.session))
    assert "Are you sure" not in text
    assert "Yes, sign" not in text
    assert "signed in any more." in text


@BY_ACTION
def test_ones_own_beside_a_superusers_are_told_apart(kicker, admin, action):
    text = words_of(kicker.choose(action, sign_in(admin).session, sign_in(kicker.user).session))
    assert "1 session of a superuser is left out" in text
    assert "left out unless you tick the box" in text
    assert "Are you sure" not in text


@BY_ACTION
def test_without_a_session_of_ones_own_there_is_no_box(kicker, ada, action):
    question = kicker.choose(action, sign_in(ada).session)
    assert "include_own" not in Form(question).names
    assert "your own" not in question.content.decode()


@BY_ACTION
def test_a_superuser_is_spared_by_their_own_kick_too(boss, ada, action):  # noqa: F811
    phone, mine = sign_in(ada), sign_in(boss.user, name="mine")
    boss.kick(phone.session, mine.session, action=action)
    assert (status_of(phone), status_of(mine)) == ("kicked", "live")


# --- user models that know no superusers, or know them otherwise


class Plain:
    """A user of a model without PermissionsMixin."""

    def has_perm(self, name):
        return name == "authx.kick_devicesession"


def test_a_user_model_may_have_no_superusers():
    assert may_kick(Plain(), Plain())
    assert not may_kick_superusers(Plain())


def test_superusers_may_be_told_by_a_property(ada, admin, monkeypatch):
    """As in Django's own example of a user model without PermissionsMixin."""
    sessions = [open_session(user).session for user in (ada, admin)]
    found = DeviceSession.objects.order_by("-created_at")
    assert list(found.filter(of_superusers(found))) == [sessions[1]]
    kept = get_user_model()._base_manager
    has_no_column = SimpleNamespace(concrete_fields=[])
    model = SimpleNamespace(_meta=has_no_column, _base_manager=kept, is_superuser=property(bool))
    monkeypatch.setattr("authx.sessions.kick_permissions.get_user_model", lambda: model)
    assert list(found.filter(of_superusers(found))) == [sessions[1]]
    assert list(found.exclude(of_superusers(found))) == [sessions[0]]
    del model.is_superuser
    assert not found.filter(of_superusers(found)).exists()
    assert found.exclude(of_superusers(found)).count() == 2


# --- many


@pytest.fixture
def many(make_user):
    """120 users with two sessions each."""
    model = get_user_model()
    users = [model(username=f"u{number:03}") for number in range(120)]
    users = model.objects.bulk_create(users)
    return [sign_in(user) for user in users for _ in range(2)]


def across(seat, action, made):
    return seat.choose(action, made[0].session, select_across="1", path=f"{LIST}?status=live")


def text_of(response):
    return " ".join(response.content.decode().split())


def answer(seat, question, **filled):
    path = f"{LIST}?status=live"
    return seat.client.post(path, Form(question).filled(reason="", **filled), follow=True)


def test_everybody_who_is_hit_is_counted_and_not_only_those_who_are_listed(kicker, many):
    question = text_of(across(kicker, "kick_everywhere", many))
    assert "sign these 120 users out everywhere?" in question
    assert "240 sessions end." in question
    assert 'value="Yes, sign 120 users out everywhere"' in question
    more = 120 - len(re.findall(r"<li><bdi>u\d+</bdi></li>", question))
    assert more > 0  # a hundred sessions are listed
    assert f"and {more} more" in question


def test_many_end_only_if_their_number_is_typed(kicker, many):
    question = across(kicker, "kick_everywhere", many)
    for wrong in ("", "24", "2400", "120", "-240", "many"):
        assert "error" in text_of(answer(kicker, question, number=wrong)), wrong
    assert {status_of(each) for each in many} == {"live"}
    assert said(answer(kicker, question, number="240"))[0] == "240 sessions were ended."
    assert {status_of(each) for each in many} == {"kicked"}
    assert LogEntry.objects.count() == 240


def test_few_are_not_asked_for_a_number(kicker, many):
    question = kicker.choose("kick", *[each.session for each in many[:5]])
    assert "number" not in Form(question).names
    assert said(kicker.confirm(question)) == ["5 sessions were ended."]


def test_the_number_may_differ_by_those_who_come_and_go_meanwhile(kicker, many):
    question = across(kicker, "kick", many)
    more = [sign_in(many[0].session.user) for _ in range(20)]
    assert said(answer(kicker, question, number="240"))[0] == "260 sessions were ended."
    assert {status_of(each) for each in more} == {"kicked"}


def test_where_many_more_have_come_it_is_asked_again(kicker, many):
    question = across(kicker, "kick", many)
    for _ in range(30):
        sign_in(many[0].session.user)
    again = answer(kicker, question, number="240")
    assert "That is not how many sessions end now." in text_of(again)
    assert "these 270 device sessions" in text_of(again)
    assert said(answer(kicker, again, number="270"))[0] == "270 sessions were ended."


def test_each_user_is_ended_by_one_write(kicker, many):
    question = across(kicker, "kick_everywhere", many)
    answer(kicker, question, number="240")
    assert NotBeforeMark.objects.filter(number__gt=0).count() == 120


LANGUAGES = ["en", "ar", "zh-hans", "de", "fr", "es", "ja", "de-ch", "hi", "fa", "pl"]
TOTAL = 19_801


def refused(typed, total=TOTAL):
    """What the form says of a number that is typed where so many sessions are to end."""
    form = KickForm({"number": typed})
    if form.is_valid():
        form.agrees_with(Chosen(DeviceSession.objects.none(), own=0, superusers=0, total=total, users=1))
    return [str(error) for error in form.errors.get("number", [])]


@pytest.mark.parametrize("is_separated", [False, True])
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("total", [101, TOTAL, 1_234_567])
def test_the_number_may_be_typed_as_the_page_shows_it(settings, language, is_separated, total):
    settings.USE_THOUSAND_SEPARATOR = is_separated
    with translation.override(language):
        shown = Template("{{ total }}").render(Context({"total": total}))
        assert refused(shown, total) == []
        assert refused(str(total), total) == []


@pytest.mark.parametrize("grouping", [(3, 2, 0), 4, 3])
@pytest.mark.parametrize("separator", ["·", " ", ",", ", "])
def test_a_site_may_part_thousands_in_its_own_way(settings, grouping, separator):
    settings.USE_THOUSAND_SEPARATOR, settings.THOUSAND_SEPARATOR = True, separator
    settings.NUMBER_GROUPING = grouping
    with translation.override(None):
        shown = Template("{{ total }}").render(Context({"total": 1_234_567}))
        assert not shown.isdigit()
        assert refused(shown, 1_234_567) == []


@pytest.mark.parametrize("is_separated", [False, True])
@pytest.mark.parametrize("language", ["en", "de", "ar"])
@pytest.mark.parametrize(
    "typed",
    [
        *(
            "19801",
            "19,801",
            "19.801",
            "19 801",
            "19\xa0801",
            "19\u202f801",
            "19\u2009801",
            "19'801",
            "19’801",  # noqa: RUF001
        ),
        *("١٩٨٠١", "١٩٬٨٠١", "١٩،٨٠١", "۱۹٬۸۰۱", "१९,८०१", "１９，８０１", "19、801"),  # noqa: RUF001
        *(" 19,801 ", "\u200f19.801\u200f", "\u206819.801\u2069", "\u202a19801\u202c"),
    ],
)
def test_digits_and_separators_are_those_of_any_keyboard(settings, language, is_separated, typed):
    settings.USE_THOUSAND_SEPARATOR = is_separated
    with translation.override(language):
        assert refused(typed) == []


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ("", "So many sessions end only if you type their number."),
        *(
            (wrong, "That is not how many sessions end now.")
            for wrong in ("1,980", "198,010", "١٩٨٠", "0", "9" * 18)
        ),
        *(
            (wrong, "Enter a whole number.")
            for wrong in (
                "many",
                "-19801",
                "19,80,1",
                "19,8",
                "1,9,8,0,1",
                "19,801.0",
                "1.9801e4",
                "19801 sessions",
            )
        ),
        *(
            (wrong, "Enter a whole number.")
            for wrong in ("½", ",", "19,,801", ",19801", "9" * 5000, "19\n801", "\x00")
        ),
    ],
)
@pytest.mark.parametrize("is_separated", [False, True])
def test_a_wrong_number_is_refused_in_words(settings, typed, why, is_separated):
    settings.USE_THOUSAND_SEPARATOR = is_separated
    (error,) = refused(typed)
    assert error.startswith(why)


@pytest.mark.parametrize("language", ["en", "de", "fr"])
def test_what_the_page_says_is_what_it_takes(kicker, many, settings, language):
    """Above a thousand: with the separators of the language, which are copied from the question."""
    settings.USE_THOUSAND_SEPARATOR = True
    first = many[0].session
    rows = [DeviceSession(**{**columns_of(first), "id": uuid7(), "login_key": None}) for _ in range(1000)]
    DeviceSession.objects.bulk_create(rows)
    settings.LANGUAGE_CODE = language
    question = across(kicker, "kick", many)
    with translation.override(language):
        shown = Template("{{ total }}").render(Context({"total": 1240}))
    assert not shown.isdigit()
    assert shown in question.content.decode()
    again = answer(kicker, question, number=f"{shown}0")
    assert "errorlist" in again.content.decode()
    answer(kicker, again, number=shown)
    assert not DeviceSession.objects.exclude(user=kicker.user).filter(ended_at=None).exists()


def columns_of(session):
    return {field.attname: getattr(session, field.attname) for field in session._meta.concrete_fields}
