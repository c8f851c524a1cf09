"""The tests; a package so that no `tests` in site-packages can stand in its place."""
