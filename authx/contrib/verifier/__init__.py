"""The app of a service that verifies another site's tokens: it adds the checks of its settings."""
