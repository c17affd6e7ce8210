-- The deletion budget of the control plane: beyond it a deletion does not reach the feed and waits for a person. The
-- operator has a budget of its own, which counts what reaches it; docs/adr/0013.

-- What is held. The Instance itself counts as deleted, its row in felucca.desired stays as it was.
CREATE TABLE felucca.held_deletions (
  tenant_id uuid NOT NULL,
  data_plane_id uuid NOT NULL REFERENCES felucca.data_planes,
  kind text NOT NULL,
  key text NOT NULL,
  id text NOT NULL,
  generation bigint NOT NULL,
  traceparent text,
  message text NOT NULL,
  held_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  -- A name whose former owner waits is not given anew.
  PRIMARY KEY (tenant_id, data_plane_id, kind, key)
);
CREATE INDEX held_deletions_data_plane ON felucca.held_deletions (data_plane_id, held_at);
ALTER TABLE felucca.held_deletions ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON felucca.held_deletions FOR ALL TO felucca_app
  USING (tenant_id = (SELECT felucca.current_tenant())) WITH CHECK (tenant_id = (SELECT felucca.current_tenant()));
CREATE POLICY feed ON felucca.held_deletions FOR ALL TO felucca_feed USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON felucca.held_deletions TO felucca_app;
GRANT SELECT, DELETE ON felucca.held_deletions TO felucca_feed;

-- Beside the counter, whose lock each deletion takes anyway: Instances that live, and the window in which some went.
ALTER TABLE felucca.feed_heads
  ADD COLUMN live_instances integer NOT NULL DEFAULT 0,
  ADD COLUMN window_began_at timestamptz,
  ADD COLUMN window_deleted integer NOT NULL DEFAULT 0;
-- Rows of all tenants: for this statement the owner is not bound by their policies.
ALTER TABLE felucca.desired NO FORCE ROW LEVEL SECURITY;
UPDATE felucca.feed_heads h SET live_instances = r.live
FROM (SELECT data_plane_id, count(*)::int AS live FROM felucca.desired
      WHERE kind = 'Instance' AND deleted_at IS NULL GROUP BY data_plane_id) r
WHERE r.data_plane_id = h.data_plane_id;
ALTER TABLE felucca.desired FORCE ROW LEVEL SECURITY;

-- How many of so many may go within one window; contract/src/resources/deletion-budget.ts is the same in TypeScript.
CREATE FUNCTION felucca.deletion_limit(lived integer, percent integer) RETURNS integer
  LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
  RETURN CASE WHEN percent = 0 THEN 0 ELSE greatest(5, lived * percent / 100) END;
REVOKE EXECUTE ON FUNCTION felucca.deletion_limit(integer, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION felucca.deletion_limit(integer, integer) TO felucca_app, felucca_feed;

-- The last statement of every business transaction that changes a data plane. The counter's lock is taken
-- here and not earlier: taken first, and held over the transaction's work, it costs 8x on a busy data plane.
-- p_changes: [{tenant_id, kind, key, id, generation, hash, spec, kid, sig, deleted, traceparent, resigned?, released?}]
-- Answers with the new head; what exceeds the deletion budget is in felucca.held_deletions and not in the feed.
CREATE OR REPLACE FUNCTION felucca.feed_commit(p_data_plane uuid, p_changes jsonb) RETURNS bigint
  LANGUAGE plpgsql SECURITY INVOKER SET search_path = felucca, pg_catalog, pg_temp
AS $$
DECLARE
  counter feed_heads%ROWTYPE;
  change record;
  before desired%ROWTYPE;
  term record;
  is_same boolean;
  was_live boolean;
  held_id text;
  percent integer;
  seconds integer;
BEGIN
  SELECT * INTO counter FROM feed_heads WHERE data_plane_id = p_data_plane FOR UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'data plane % has no feed', p_data_plane USING ERRCODE = 'foreign_key_violation';
  END IF;
  FOR change IN
    SELECT * FROM jsonb_to_recordset(p_changes) AS c(
      tenant_id uuid, kind text, key text, id text, generation bigint, hash text, spec jsonb,
      kid text, sig text, deleted boolean, traceparent text, resigned boolean, released boolean)
  LOOP
    SELECT * INTO before FROM desired d
      WHERE d.tenant_id = change.tenant_id AND d.data_plane_id = p_data_plane
        AND d.kind = change.kind AND d.key = change.key AND d.id = change.id;
    was_live := FOUND AND before.deleted_at IS NULL;
    IF FOUND THEN
      is_same := before.generation = change.generation AND before.hash = change.hash
        AND (before.deleted_at IS NOT NULL) = change.deleted;
      -- Something older: a late writer never takes a row back. Nothing new to say; of what is the same only a change of
      -- keys writes the signature: two processes with different keys would take turns.
      CONTINUE WHEN before.generation > change.generation OR is_same <> coalesce(change.resigned, false)
        OR (is_same AND before.kid = change.kid);
    ELSIF change.resigned THEN
      CONTINUE;
    END IF;
    IF change.kind = 'Instance' AND NOT coalesce(change.resigned, false) THEN
      SELECT h.id INTO held_id FROM held_deletions h
        WHERE h.tenant_id = change.tenant_id AND h.data_plane_id = p_data_plane AND h.kind = change.kind
          AND h.key = change.key;
      IF held_id = change.id THEN
        -- Wanted again, released, or deleted in another way.
        DELETE FROM held_deletions h WHERE h.tenant_id = change.tenant_id AND h.data_plane_id = p_data_plane
          AND h.kind = change.kind AND h.key = change.key;
      ELSIF held_id IS NOT NULL THEN
        RAISE EXCEPTION 'the deletion of the former % % is held', change.kind, change.key
          USING ERRCODE = 'unique_violation', CONSTRAINT = 'held_deletions_pkey';
      END IF;
    END IF;
    IF was_live AND change.deleted AND change.kind = 'Instance' AND NOT coalesce(change.released, false) THEN
      SELECT coalesce((p.spec ->> 'deletionBudgetPercent')::int, 5), coalesce((p.spec ->> 'deletionWindowSeconds')::int, 60)
        INTO percent, seconds FROM data_planes p WHERE p.id = p_data_plane;
      IF counter.window_began_at IS NULL
         OR clock_timestamp() >= counter.window_began_at + make_interval(secs => seconds) THEN
        counter.window_began_at := clock_timestamp();
        counter.window_deleted := 0;
      END IF;
      -- Of those that lived when the window began: a mass deletion does not lower its own bar.
      IF counter.window_deleted >= deletion_limit(counter.live_instances + counter.window_deleted, percent) THEN
        INSERT INTO held_deletions (tenant_id, data_plane_id, kind, key, id, generation, traceparent, message)
          VALUES (change.tenant_id, p_data_plane, change.kind, change.key, change.id, change.generation, change.traceparent,
            format('%s of %s Instances were deleted within %s s, which is all that the deletion budget of this data plane allows',
                   counter.window_deleted, counter.live_instances + counter.window_deleted, seconds));
        CONTINUE;
      END IF;
      counter.window_deleted := counter.window_deleted + 1;
    END IF;
    IF was_live THEN
      SELECT * INTO term FROM row_digest(before.kind, before.key, before.id, before.rev, before.generation,
                                      before.hash);
      counter.digest_a := counter.digest_a # term.a;
      counter.digest_b := counter.digest_b # term.b;
      counter.live_count := counter.live_count - 1;
      counter.live_instances := counter.live_instances - (change.kind = 'Instance')::int;
    END IF;
    counter.head := counter.head + 1;
    INSERT INTO desired AS d (tenant_id, data_plane_id, kind, key, id, rev, generation, hash, spec, kid, sig,
                              traceparent, deleted_at)
      VALUES (change.tenant_id, p_data_plane, change.kind, change.key, change.id, counter.head,
              change.generation, change.hash, CASE WHEN change.deleted THEN NULL ELSE change.spec END,
              change.kid, change.sig, change.traceparent,
              CASE WHEN change.deleted THEN clock_timestamp() END)
      ON CONFLICT (tenant_id, data_plane_id, kind, key, id) DO UPDATE SET
        rev = excluded.rev, generation = excluded.generation, hash = excluded.hash, spec = excluded.spec,
        kid = excluded.kid, sig = excluded.sig, traceparent = excluded.traceparent,
        deleted_at = CASE WHEN change.resigned THEN d.deleted_at ELSE excluded.deleted_at END,
        committed_at = clock_timestamp();
    IF NOT change.deleted THEN
      SELECT * INTO term FROM row_digest(change.kind, change.key, change.id, counter.head, change.generation,
                                      change.hash);
      counter.digest_a := counter.digest_a # term.a;
      counter.digest_b := counter.digest_b # term.b;
      counter.live_count := counter.live_count + 1;
      counter.live_instances := counter.live_instances + (change.kind = 'Instance')::int;
    END IF;
  END LOOP;
  UPDATE feed_heads SET head = counter.head, digest_a = counter.digest_a, digest_b = counter.digest_b,
                        live_count = counter.live_count, live_instances = counter.live_instances,
                        window_began_at = counter.window_began_at, window_deleted = counter.window_deleted
    WHERE data_plane_id = p_data_plane;
  RETURN counter.head;
END
$$;
