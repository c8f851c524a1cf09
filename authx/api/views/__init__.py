"""The API's views, by subject."""
