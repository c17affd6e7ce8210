-- What nobody needs any more is swept by the feed's role (src/feed/retention.ts), across tenants. The audit stays.
GRANT DELETE ON felucca.join_tokens, felucca.operations, felucca.instances TO felucca_feed;
-- Their age, not the answers they keep.
GRANT SELECT (tenant_id, key, created_at), DELETE ON felucca.idempotency_keys TO felucca_feed;
CREATE POLICY feed ON felucca.idempotency_keys TO felucca_feed USING (true) WITH CHECK (true);

CREATE INDEX join_tokens_expired ON felucca.join_tokens (expires_at);
CREATE INDEX operations_ended ON felucca.operations (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX instances_deleted ON felucca.instances (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX observed_ended ON felucca.observed (reported_at) WHERE deleted;
