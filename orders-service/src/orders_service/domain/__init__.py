"""Orders, the rules that validate them, and the parsing of CSV files: no I/O, no clock."""
