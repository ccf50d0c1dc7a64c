-- For a file of production: its factory, and the number that orders it among all production that was sent.
ALTER TABLE loads ADD COLUMN production_factory_id bigint, ADD COLUMN sent bigint;
