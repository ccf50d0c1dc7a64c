"""A mixed load on all services, faults during it, and a checker that reads the results as a client does."""
