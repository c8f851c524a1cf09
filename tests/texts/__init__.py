"""Texts: that they can be translated, and are."""
