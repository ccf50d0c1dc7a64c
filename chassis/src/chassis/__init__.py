"""What every service of Quintet stands on; knows no service."""
