"""Moving in from another package, with nobody logged out; see docs/moving.md. Out of use after the move.

``authx.contrib.moving`` in INSTALLED_APPS, and AUTHX_MOVING_UNTIL, are needed by each of its files.
"""
