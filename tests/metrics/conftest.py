"""A site that counts."""

import pytest

from authx.metrics import reporting

TALLY = "tests.metrics.meters.Tally"


@pytest.fixture
def tally(settings, monkeypatch):
    """What has been counted since the test began, by name and labels."""
    monkeypatch.setattr(reporting, "_reporter", reporting.Reporter())
    settings.AUTHX_METRICS = TALLY
    return reporting._reporter.meter(TALLY).values


def counted(tally, name):
    """The counts of one metric that are not 0, by its labels."""
    return {key[1:]: value for key, value in tally.items() if key[0] == name and value}
