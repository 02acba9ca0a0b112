"""What we use of libraries beyond their public interface, a module per library:
tests/wiring/test_compat.py tells of an update that takes it away. Nothing else in the product
touches a private name of a library."""
