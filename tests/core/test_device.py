"""authx.core.device: one safe line, a type and a label."""

import subprocess
import sys
import time
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from authx.core.device import clean_text, describe_user_agent

MOZILLA = "Mozilla/5.0"
IPHONE = f"{MOZILLA} (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15"
IPAD = f"{MOZILLA} (iPad; CPU OS 16_6 like Mac OS X) AppleWebKit/605.1.15"
MAC = f"{MOZILLA} (Macintosh; Intel Mac OS X 10_15_7)"
WINDOWS = f"{MOZILLA} (Windows NT 10.0; Win64; x64)"
LINUX = f"{MOZILLA} (X11; Linux x86_64)"
ANDROID = f"{MOZILLA} (Linux; Android 10; K)"
GECKO = "(KHTML, like Gecko)"
CHROME = f"AppleWebKit/537.36 {GECKO} Chrome/126.0.0.0"

BROWSERS = {
    f"{MOZILLA} (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Firefox/128.0": ("Firefox on Windows"),
    f"{MOZILLA} (X11; Ubuntu; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0": ("Firefox on Ubuntu"),
    f"{MOZILLA} (Macintosh; Intel Mac OS X 10.15; rv:128.0) Gecko/20100101 Firefox/128.0": (
        "Firefox on macOS"
    ),
    f"{MOZILLA} (Android 14; Mobile; rv:127.0) Gecko/127.0 Firefox/127.0": "Firefox on Android",
    f"{IPHONE} {GECKO} FxiOS/127.0 Mobile/15E148 Safari/605.1.15": "Firefox on iPhone",
    f"{MAC} AppleWebKit/605.1.15 {GECKO} Version/17.5 Safari/605.1.15": "Safari on macOS",
    f"{IPHONE} {GECKO} Version/17.5 Mobile/15E148 Safari/604.1": "Safari on iPhone",
    f"{IPAD} {GECKO} Version/16.6 Mobile/15E148 Safari/604.1": "Safari on iPad",
    f"{IPHONE} {GECKO} Mobile/15E148": "Safari on iPhone",
    f"{WINDOWS} {CHROME} Safari/537.36": "Chrome on Windows",
    f"{LINUX} {CHROME} Safari/537.36": "Chrome on Linux",
    f"{ANDROID} {CHROME} Mobile Safari/537.36": "Chrome on Android",
    f"{IPHONE} {GECKO} CriOS/126.0.6478.54 Mobile/15E148 Safari/604.1": "Chrome on iPhone",
    f"{MOZILLA} (X11; CrOS x86_64 14541.0.0) {CHROME} Safari/537.36": "Chrome on ChromeOS",
    f"{MOZILLA} (Linux; Android 13; Pixel 7 Build/TQ3A; wv) AppleWebKit/537.36 {GECKO} Version/4.0"
    " Chrome/126.0.0.0 Mobile Safari/537.36": "Chrome on Android",
    f"{WINDOWS} {CHROME} Safari/537.36 Edg/126.0.0.0": "Edge on Windows",
    f"{ANDROID} {CHROME} Mobile Safari/537.36 EdgA/126.0.0.0": "Edge on Android",
    f"{WINDOWS} {CHROME} Safari/537.36 OPR/111.0.0.0": "Opera on Windows",
    "Opera/9.80 (Windows NT 6.1) Presto/2.12.388 Version/12.18": "Opera on Windows",
    f"{WINDOWS} {CHROME} Safari/537.36 Vivaldi/6.8": "Vivaldi on Windows",
    f"{MOZILLA} (Linux; Android 14; SM-S918B) AppleWebKit/537.36 {GECKO} SamsungBrowser/25.0"
    " Chrome/121.0.0.0 Mobile Safari/537.36": "Samsung Internet on Android",
    f"{MOZILLA} (Windows NT 6.1; WOW64; Trident/7.0; rv:11.0) like Gecko": "IE on Windows",
    "Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1)": "IE on Windows",
}
OTHERS = {
    "": "Unknown device",
    "   ": "Unknown device",
    "/": "Unknown device",
    "()": "Unknown device",
    "\0\n\u202e": "Unknown device",
    "Mozilla/5.0": "Unknown device",
    "curl/8.7.1": "curl",
    "Wget/1.21.4": "Wget",
    "python-requests/2.32.3": "python-requests",
    "python-httpx/0.27.0": "python-httpx",
    "okhttp/4.12.0": "okhttp",
    "Dart/3.4 (dart:io)": "Dart",
    "Go-http-client/2.0": "Go-http-client",
    "PostmanRuntime/7.39.0": "PostmanRuntime",
    "Apache-HttpClient/4.5.14 (Java/17)": "Apache-HttpClient",
    "MyApp/42 CFNetwork/1496.0.7 Darwin/23.5.0": "MyApp on iOS",
    "MyApp/1.2 (iPhone; iOS 17.5; Scale/3.00)": "MyApp on iPhone",
    "Dalvik/2.1.0 (Linux; U; Android 14; Pixel 8 Build/AP2A)": "Dalvik on Android",
    f"{MOZILLA} (Windows NT; Windows NT 10.0; en-US) WindowsPowerShell/5.1.19041": (
        "WindowsPowerShell on Windows"
    ),
    f"{MOZILLA} (compatible; Googlebot/2.1; +http://www.google.com/bot.html)": "Googlebot",
    f"{MOZILLA} (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm) {CHROME}": "bingbot",
    f"{MOZILLA} AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2)": "GPTBot",
    "facebookexternalhit/1.1 (+http://www.facebook.com/)": "facebookexternalhit",
    "/1.0 (iPhone; iOS 17.5)": "iPhone",
    "MyApp/1.0 (iPod touch; iOS 12.5)": "MyApp on iPod",
    "hello world": "hello world",
    "a" * 600: "a" * 100,
    "a" * 99 + " b": "a" * 99,
}


@pytest.mark.parametrize(("user_agent", "label"), BROWSERS.items())
def test_a_browser_is_a_web_device(user_agent, label):
    assert describe_user_agent(user_agent) == ("web", label)


@pytest.mark.parametrize(("user_agent", "label"), OTHERS.items())
def test_anything_else_is_not(user_agent, label):
    assert describe_user_agent(user_agent) == ("other", label)


@pytest.mark.parametrize(
    "user_agent",
    [
        "a" * 10_000_000,
        "Mozilla/5.0 (" + "Gecko " * 100_000,
        "Mozilla/5.0 " + "(" * 100_000,
        "Mozilla/5.0 (Linux; Android 10; " + " Build" * 100_000,
        "Mozilla/5.0 (Linux; Android " + "1." * 100_000,
        "Mozilla/5.0 " + "; " * 100_000,
        "Mozilla/5.0 (iPhone" + ";x-x_x.x" * 100_000,
        "\0" * 1_000_000,
    ],
    ids=lambda user_agent: user_agent[:30],
)
def test_a_hostile_user_agent_costs_little(user_agent):
    describe_user_agent("warm")
    start = time.process_time()
    _, label = describe_user_agent(user_agent)
    assert time.process_time() - start < 0.5
    assert len(label) <= 100


@given(st.text() | st.text(max_size=60).map(lambda text: f"{WINDOWS} {CHROME} {text}"))
def test_a_label_is_always_one_short_safe_line(user_agent):
    kind, label = describe_user_agent(user_agent)
    assert kind in {"web", "other"}
    assert 0 < len(label) <= 100
    assert label == clean_text(label, 100)


def test_the_parser_is_loaded_only_when_it_is_needed():
    code = "import sys, authx.core.device; assert 'ua_parser' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("value", [None, 0, 7, True, b"phone", ["phone"], {"name": "x"}, object()])
def test_what_is_no_text_becomes_empty(value):
    assert clean_text(value, 10) == ""


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("Ada's phone", "Ada's phone"),
        ("Åsa ☃ 東京", "Åsa ☃ 東京"),
        ("  a   b  ", "a b"),
        ("a\r\nSet-Cookie: x", "a Set-Cookie: x"),
        ("a\n\n\tb", "a b"),
        ("a\0b", "a b"),
        ("a\x1b[31mb", "a [31mb"),
        ("a\x7fb\x85c\x9bd", "a b c d"),
        ("a\u2028b\u2029c", "a b c"),
        ("a\u00a0b\u3000c", "a b c"),
        ("gpj\u202eexe", "gpjexe"),
        ("a\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u2066\u2067\u2068\u2069b", "ab"),
        ("ad\u200bm\u200ci\u200dn\ufeff\u2060\u00ad", "admin"),
        ("a\ud800b\udfffc", "abc"),
        ("a\ue000b\U000f0000c", "abc"),
        ("a\u0378b\ufffec", "abc"),
        ("a\U000e0041b", "ab"),
        ("", ""),
        ("\u202e", ""),
        (" \n ", ""),
    ],
    ids=ascii,
)
def test_only_what_can_be_seen_is_kept_on_one_line(value, shown):
    assert clean_text(value, 40) == shown


def test_the_limit_counts_what_is_kept():
    assert clean_text("a" * 50, 10) == "a" * 10
    assert clean_text("\u200b" * 20 + "a" * 10, 10) == "a" * 10
    assert clean_text("123456789 123", 10) == "123456789"


def test_only_ten_times_the_limit_is_looked_at():
    assert clean_text("\u200b" * 90 + "a" * 20, 10) == "a" * 10
    assert clean_text("\u200b" * 91 + "a" * 20, 10) == "a" * 9


def test_only_512_characters_are_parsed():
    for length, kind in [(512, "web"), (513, "other")]:
        start, end = f"{MOZILLA} (X11) ", " Gecko"
        padding = "x" * (length - len(start) - len(end))
        assert describe_user_agent(start + padding + end)[0] == kind


@given(st.text(), st.integers(0, 50))
def test_a_cleaned_text_is_clean(value, limit):
    shown = clean_text(value, limit)
    assert len(shown) <= limit
    assert shown == shown.strip()
    assert all(c == " " or unicodedata.category(c)[0] not in "CZ" for c in shown)
    assert clean_text(shown, limit) == shown
    shown.encode()


def cleaned_by_character(text, limit):
    """The definition: each character judged by itself, whatever the others are."""
    shown = ""
    for character in text[: 10 * limit]:
        category = unicodedata.category(character)
        shown += " " if category == "Cc" else "" if category.startswith("C") else character
    return " ".join(shown.split())[:limit].rstrip()


@given(
    st.text(
        st.one_of(st.characters(), st.sampled_from("a  \t\n\0\x7f\x85\xa0\xad\u2003\u2028\u200b\ufeff\ue000"))
    ),
    st.integers(1, 40),
)
@example("two  spaces ", 11)
@example("no\xa0break", 40)
@example("\ud800", 5)
def test_a_text_is_cleaned_alike_whether_or_not_each_character_has_to_be_looked_at(text, limit):
    assert clean_text(text, limit) == cleaned_by_character(text, limit)


def test_every_character_by_itself_and_between_others():
    for number in range(sys.maxunicode + 1):
        text = f"a{chr(number)}b "
        if clean_text(text, 9) != cleaned_by_character(text, 9):
            pytest.fail(f"U+{number:04X}")


@pytest.mark.parametrize("user_agent", [*BROWSERS, "Firefox für Löwen", ""])
def test_no_character_of_a_usual_user_agent_is_looked_at(user_agent):
    looked_at = []

    def notice(frame, event, called):
        if event == "c_call" and called is unicodedata.category:
            looked_at.append(frame)

    sys.setprofile(notice)
    try:
        clean_text(user_agent, 512)
        assert not looked_at
        clean_text(f"{user_agent}\n", 512)
    finally:
        sys.setprofile(None)
    assert len(looked_at) == len(user_agent) + 1
