"""A custom user model, for one variant of the settings."""
