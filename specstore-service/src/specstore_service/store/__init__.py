"""Every statement that this service sends to Postgres, and the object store."""
