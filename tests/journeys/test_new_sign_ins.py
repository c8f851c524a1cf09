"""A new device signs in, and the old one is asked whose it was: in Chromium, with and without scripts."""

import pytest

from tests.journeys.demo import IPHONE, WITH_AND_WITHOUT, Profile, serving

pytestmark = [pytest.mark.browser, pytest.mark.slow]

QUESTION = "Was this you?"
LONG = "Averyveryverylongnameofadevicewithoutanyblankthatsomebodyhastyped"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("demo")) as found:
        yield found


@pytest.fixture(autouse=True)
def nobody_before(site):
    """Each test begins with an account that has never had a session."""
    yield
    for table in ("authx_sessionevent", "authx_revocationlogentry", "authx_devicesession"):
        site.query(f"DELETE FROM {table}")


@pytest.fixture
def open_profile(chromium, site):
    opened = []

    def open_one(**options):
        opened.append(Profile(chromium, site, **options))
        return opened[-1]

    yield open_one
    for profile in opened:
        profile.context.close()


@pytest.fixture
def both(open_profile):
    """Ada's laptop, then a phone that is new."""

    def sign_in(**options):
        laptop, phone = open_profile(**options), open_profile(user_agent=IPHONE, **options)
        laptop.sign_in("ada")
        phone.sign_in("ada")
        return laptop, phone

    return sign_in


def questions(profile):
    return profile.go("/account/devices/").page.get_by_role("region", name=QUESTION)


@WITH_AND_WITHOUT
def test_yes_it_was(both, site, script):
    laptop, phone = both(java_script_enabled=script)
    assert questions(phone).count() == 0
    (asked,) = questions(laptop).all()
    assert "Safari on iPhone" in asked.inner_text()
    asked.get_by_role("button", name="Yes, it was me Safari on iPhone").click()
    laptop.page.get_by_text("You will not be asked about Safari on iPhone again.").wait_for()
    assert laptop.page.get_by_role("region", name=QUESTION).count() == 0
    assert phone.is_signed_in
    assert not site.session(phone.sid)["is_unconfirmed"]
    assert laptop.page.get_by_text("You confirmed that this sign-in was you").count() == 1
    assert laptop.complaints == phone.complaints == []


@WITH_AND_WITHOUT
def test_no_it_was_not(both, site, script):
    laptop, phone = both(java_script_enabled=script)
    sid = phone.sid
    questions(laptop).get_by_role("button", name="No, secure my account Safari on iPhone").click()
    laptop.page.get_by_text("Safari on iPhone has been signed out.").wait_for()
    assert (laptop.path, laptop.heading) == ("/password/", "Change your password")
    assert site.session(sid)["end_reason"] == "ended_by_user"
    assert not phone.is_signed_in
    assert phone.notice[0] == "ended_by_user"
    assert laptop.is_signed_in


@WITH_AND_WITHOUT
def test_the_thief_who_signs_in_first_thing_after_it_is_asked_about_and_asked_nothing(both, script):
    laptop, phone = both(java_script_enabled=script)
    phone.page.context.clear_cookies(name="__Host-authx_access")
    phone.page.context.clear_cookies(name="__Host-authx_refresh")
    phone.page.context.clear_cookies(name="sessionid")
    phone.sign_in("ada")
    assert questions(phone).count() == 0
    assert questions(laptop).count() == 1


@pytest.mark.parametrize("width", [320, 390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_holds(both, site, width, scheme):
    """Under the strict policy of the demo, with names that do not break."""
    laptop, _phone = both(viewport={"width": width, "height": 800}, color_scheme=scheme)
    site.query("UPDATE authx_devicesession SET device_name = ?, country = 'FR'", LONG)
    page = laptop.go("/account/devices/").page
    assert page.evaluate("document.documentElement.scrollWidth") == width
    for part in page.locator(".authx-ask button, .authx-device button:visible, .authx-facts li").all():
        box = part.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width, part
    page.locator(".authx-more summary").last.click()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert laptop.complaints == []


def test_with_the_keyboard_alone(both):
    laptop, _phone = both()
    page = laptop.go("/account/devices/").page
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.value") == "no":
            break
    page.keyboard.press("Enter")
    page.wait_for_url("**/password/")
