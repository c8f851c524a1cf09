"""Facts: pure Python, no Django, no I/O, no clock of its own."""
