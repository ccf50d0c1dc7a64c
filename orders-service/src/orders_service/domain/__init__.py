"""What an order is, when it is valid, and how a file of them is read: no I/O, no clock."""
