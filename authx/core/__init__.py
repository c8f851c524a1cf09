"""Pure rules and values: no Django, no I/O, no clock of its own."""
