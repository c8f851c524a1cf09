"""Authlib's authorization server for Django, put together as its documentation shows."""
