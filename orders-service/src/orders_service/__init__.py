"""Wine orders, imported from CSV files and validated against shipping rules."""
