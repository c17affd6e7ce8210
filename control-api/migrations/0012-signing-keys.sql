-- The key that signs desired rows can change: the same content is then signed anew, as a row that comes with the feed.

-- The last statement of every business transaction that changes a data plane. The counter's lock is taken
-- here and not earlier: taken first, and held over the transaction's work, it costs 8x on a busy data plane.
-- p_changes: [{tenant_id, kind, key, id, generation, hash, spec, kid, sig, deleted, traceparent, resigned?}]
CREATE OR REPLACE FUNCTION felucca.feed_commit(p_data_plane uuid, p_changes jsonb) RETURNS bigint
  LANGUAGE plpgsql SECURITY INVOKER SET search_path = felucca, pg_catalog, pg_temp
AS $$
DECLARE
  counter feed_heads%ROWTYPE;
  change record;
  before desired%ROWTYPE;
  term record;
  is_same boolean;
BEGIN
  SELECT * INTO counter FROM feed_heads WHERE data_plane_id = p_data_plane FOR UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'data plane % has no feed', p_data_plane USING ERRCODE = 'foreign_key_violation';
  END IF;
  FOR change IN
    SELECT * FROM jsonb_to_recordset(p_changes) AS c(
      tenant_id uuid, kind text, key text, id text, generation bigint, hash text, spec jsonb,
      kid text, sig text, deleted boolean, traceparent text, resigned boolean)
  LOOP
    SELECT * INTO before FROM desired d
      WHERE d.tenant_id = change.tenant_id AND d.data_plane_id = p_data_plane
        AND d.kind = change.kind AND d.key = change.key AND d.id = change.id;
    IF FOUND THEN
      is_same := before.generation = change.generation AND before.hash = change.hash
        AND (before.deleted_at IS NOT NULL) = change.deleted;
      -- Something older: a late writer never takes a row back. Nothing new to say; of what is the same only a change of
      -- keys writes the signature: two processes with different keys would take turns.
      CONTINUE WHEN before.generation > change.generation OR is_same <> coalesce(change.resigned, false)
        OR (is_same AND before.kid = change.kid);
      IF before.deleted_at IS NULL THEN
        SELECT * INTO term FROM row_digest(before.kind, before.key, before.id, before.rev, before.generation,
                                        before.hash);
        counter.digest_a := counter.digest_a # term.a;
        counter.digest_b := counter.digest_b # term.b;
        counter.live_count := counter.live_count - 1;
      END IF;
    ELSIF change.resigned THEN
      CONTINUE;
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
    END IF;
  END LOOP;
  UPDATE feed_heads SET head = counter.head, digest_a = counter.digest_a, digest_b = counter.digest_b,
                        live_count = counter.live_count
    WHERE data_plane_id = p_data_plane;
  RETURN counter.head;
END
$$;
