"""What the project measures of itself; docs/benchmarks.md says how to run and read it."""
