"""What the tests of every service share."""
