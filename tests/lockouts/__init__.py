"""Packages that lock logins out, with the real ones."""
