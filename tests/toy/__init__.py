"""The smallest channel and its provider: what CONTRIBUTING.md asks for, followed literally."""
