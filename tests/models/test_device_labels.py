"""authx.models.device_labels: labels are stored in English, and read in the language of whoever looks."""

import pytest
from django.utils.translation import override

from authx.core.device import UNKNOWN, describe_user_agent, parts_of_label
from authx.models import DeviceSession
from authx.models.device_labels import shown_label
from tests.texts.marks import mark

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@pytest.fixture(autouse=True)
def _in_marks(monkeypatch):
    mark("de", monkeypatch)
    with override("de"):
        yield


@pytest.mark.parametrize(
    ("label", "read"),
    [
        (describe_user_agent(FIREFOX)[1], "⟦Firefox on Linux⟧"),
        ("Work on it on macOS", "⟦Work on it on macOS⟧"),
        ("curl", "curl"),
        ("", "⟦Unknown device⟧"),
        (UNKNOWN, "⟦Unknown device⟧"),
    ],
)
def test_a_label_is_read_in_the_language_of_whoever_looks(label, read):
    assert shown_label(label) == read
    assert DeviceSession(device_label=label).label == str(DeviceSession(device_label=label)) == read


def test_the_parts_of_a_label_are_told_by_the_last_joint():
    assert parts_of_label("Work on it on macOS") == ("Work on it", "macOS")
    assert parts_of_label("Windows") is None


def test_the_name_of_a_client_and_of_a_device_are_left_as_they_are():
    assert DeviceSession(device_label="Eyes on Me", client_id="c").label == "Eyes on Me"
    assert str(DeviceSession(device_label="Firefox on Linux", device_name="Desk on 4th")) == "Desk on 4th"
