-- What a cluster holds and the feed does not account for, with the row that it was made of: enough to take it back.
-- Generation and what follows are NULL where the operator did not tell them, or no key of ours signed them.
ALTER TABLE felucca.unknown_objects
  ADD COLUMN epoch text NOT NULL DEFAULT '',
  ADD COLUMN generation bigint,
  ADD COLUMN hash text,
  ADD COLUMN spec jsonb,
  ADD COLUMN since timestamptz NOT NULL DEFAULT clock_timestamp();

-- The head when the epoch began. A row above it was ordered in this epoch, one below may be older than the cluster.
ALTER TABLE felucca.feed_heads ADD COLUMN epoch_base bigint NOT NULL DEFAULT 0;

-- Each order asks for the generation that the cluster holds of its Instance.
CREATE INDEX unknown_objects_id ON felucca.unknown_objects (tenant_id, id);
