"""Orders of wine, imported from CSV files and judged by the rules of shipping."""
