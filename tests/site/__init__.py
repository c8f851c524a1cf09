"""A tiny site for the tests."""
