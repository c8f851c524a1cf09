"""The overview of sign-ins, endings and alarms, in figures and charts."""
