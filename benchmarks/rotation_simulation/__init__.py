"""Replay owners by habit, a bad network and thieves that learn against rules for refresh tokens.

    .venv/bin/python -m benchmarks.rotation_simulation

A discrete-event simulation, one session at a time, and two searches of all schedules; no Django, no database.
docs/rotation-simulation.md says what it models, and what it leaves out. Times are seconds since the login.
"""
