"""What the tests know of weir from the outside: how to drive it, and what its answers must be."""
