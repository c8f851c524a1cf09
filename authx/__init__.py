"""One login on one device is one session, whatever carries it."""

__version__ = "0.1.0"
