"""The demo in another language, in Chromium: chosen by a form, without JavaScript, and right-to-left."""

import pytest

from tests.journeys.demo import Profile, serving

# The demo is the same whatever site the other journeys are made on.
pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("demo")) as found:
        yield found


@pytest.fixture
def visitor(chromium, site):
    found = Profile(chromium, site, java_script_enabled=False, locale="en-GB")
    yield found
    found.context.close()


def html(visitor):
    root = visitor.page.locator("html")
    return root.get_attribute("lang"), root.get_attribute("dir")


def choose(visitor, code, button):
    visitor.page.locator("#language").select_option(code)
    return visitor.click(button)


def test_a_visitor_chooses_a_language_and_comes_back_to_the_page(visitor):
    visitor.sign_in("ada").go("/account/devices/")
    assert html(visitor) == ("en", "ltr")
    assert choose(visitor, "ar", "Change").path == "/account/devices/"
    assert html(visitor) == ("ar", "rtl")
    assert (
        visitor.page.get_by_role("link", name="الأجهزة", exact=True).get_attribute("aria-current") == "page"
    )
    choose(visitor.go("/account/activity/"), "zh-hans", "تغيير")
    assert html(visitor) == ("zh-hans", "ltr")
    assert visitor.page.get_by_label("语言").input_value() == "zh-hans"
    assert visitor.complaints == []


def test_every_language_is_named_in_itself(visitor):
    visitor.go("/")
    names = visitor.page.locator("#language option").all_inner_texts()
    assert names == ["English", "简体中文", "العربية", "Deutsch", "français", "español", "日本語"]


def test_what_the_demo_says_in_english_alone_is_marked_so(visitor):
    choose(visitor.go("/"), "ar", "Change")
    around = visitor.page.get_by_role("heading", level=1).locator("xpath=ancestor::*[@lang][1]")
    assert (around.get_attribute("lang"), around.get_attribute("dir")) == ("en", "ltr")


def test_the_language_of_the_browser_is_the_first(chromium, site):
    visitor = Profile(chromium, site, locale="de-AT")
    visitor.go("/account/login/")
    assert html(visitor) == ("de", "ltr")
    visitor.context.close()
