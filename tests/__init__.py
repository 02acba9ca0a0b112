"""The test suites, one folder per layer."""
