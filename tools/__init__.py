"""What is run beside the tests, by hand."""
