"""What tests of notices share: a receiver that remembers, and a site whose address is known."""

from __future__ import annotations

import pytest

from authx.signals import notice as notice_signal


@pytest.fixture
def heard():
    """The notices that a receiver has been sent."""
    told = []

    def hear(sender, notice, **kwargs):
        told.append(notice)

    notice_signal.connect(hear)
    yield told
    notice_signal.disconnect(hear)


@pytest.fixture
def at_site(settings):
    """The site as its notices know it."""
    settings.AUTHX_ISSUER = "https://shop.example"
    return settings


@pytest.fixture
def mailing(at_site):
    """The site mails all kinds of notices."""
    at_site.AUTHX_NOTICE_MAIL = True
    return at_site
