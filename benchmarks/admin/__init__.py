"""How long the admin takes with a million sessions and ten million events."""
