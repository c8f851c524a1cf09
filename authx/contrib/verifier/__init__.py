"""A service that verifies another site's tokens: in INSTALLED_APPS it adds the checks of its settings."""
