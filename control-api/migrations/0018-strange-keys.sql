-- An API that had other keys for a while, as after a restore, leaves rows that no operator takes.

-- Whoever migrates looks whether the feed is signed with keys of its folder, before it sets a password that locks others out.
CREATE POLICY migrates ON felucca.desired FOR SELECT TO felucca_owner USING (true);

-- As before, but a Blueprint or Tenant, whose generation never moves, is written anew when its key is a strange one.
-- The last statement of every business transaction that changes a data plane. The counter's lock is taken
-- here and not earlier: taken first, and held over the transaction's work, it costs 8x on a busy data plane.
-- p_changes, each key at most once:
-- [{tenant_id, kind, key, id, generation, hash, spec, kid, sig, deleted, traceparent, resigned?, released?, known?}]
-- known: the kids that stand, absent where any does. Answers with the new head; what exceeds the deletion budget is in
-- felucca.held_deletions and not in the feed.
CREATE OR REPLACE FUNCTION felucca.feed_commit(p_data_plane uuid, p_changes jsonb) RETURNS bigint
  LANGUAGE plpgsql SECURITY INVOKER SET search_path = felucca, pg_catalog, pg_temp
AS $$
DECLARE
  counter feed_heads%ROWTYPE;
  change record;
  term text;
  percent integer;
  seconds integer;
BEGIN
  SELECT * INTO counter FROM feed_heads WHERE data_plane_id = p_data_plane FOR UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'data plane % has no feed', p_data_plane USING ERRCODE = 'foreign_key_violation';
  END IF;
  FOR change IN
    SELECT c.*, before.rev AS old_rev, before.generation AS old_generation, before.hash AS old_hash,
           before.rev IS NOT NULL AND before.deleted_at IS NULL AS was_live, held.id AS held_id
      FROM ROWS FROM (jsonb_to_recordset(p_changes) AS (
             tenant_id uuid, kind text, key text, id text, generation bigint, hash text, spec jsonb,
             kid text, sig text, deleted boolean, traceparent text, resigned boolean, released boolean, known jsonb))
           WITH ORDINALITY AS c(tenant_id, kind, key, id, generation, hash, spec, kid, sig, deleted, traceparent,
                                resigned, released, known, place)
      -- By its key, however large the table was when this was planned.
      LEFT JOIN LATERAL (
        SELECT d.rev, d.generation, d.hash, d.kid, d.deleted_at FROM desired d
         WHERE d.tenant_id = c.tenant_id AND d.data_plane_id = p_data_plane
           AND d.kind = c.kind AND d.key = c.key AND d.id = c.id LIMIT 1) before ON true
      LEFT JOIN LATERAL (
        SELECT h.id FROM held_deletions h
         WHERE h.tenant_id = c.tenant_id AND h.data_plane_id = p_data_plane AND h.kind = c.kind AND h.key = c.key
         LIMIT 1) held ON c.kind = 'Instance' AND c.resigned IS NOT TRUE
     WHERE CASE
       WHEN before.rev IS NULL THEN c.resigned IS NOT TRUE
       -- A late writer never takes a row back.
       WHEN before.generation > c.generation THEN false
       -- Nothing new to say. The signature of what is the same is written by a change of keys, or when it is of none that the
       -- writer knows: merely with another key, two processes would take turns while keys change.
       WHEN before.generation = c.generation AND before.hash = c.hash AND (before.deleted_at IS NOT NULL) = c.deleted
         THEN before.kid <> c.kid AND (c.resigned IS TRUE OR NOT c.known ? before.kid)
       ELSE c.resigned IS NOT TRUE END
     ORDER BY c.place
  LOOP
    IF change.held_id = change.id THEN
      -- Wanted again, released, or deleted in another way.
      DELETE FROM held_deletions h WHERE h.tenant_id = change.tenant_id AND h.data_plane_id = p_data_plane
        AND h.kind = change.kind AND h.key = change.key;
    ELSIF change.held_id IS NOT NULL THEN
      RAISE EXCEPTION 'the deletion of the former % % is held', change.kind, change.key
        USING ERRCODE = 'unique_violation', CONSTRAINT = 'held_deletions_pkey';
    END IF;
    IF change.was_live AND change.deleted AND change.kind = 'Instance' AND change.released IS NOT TRUE THEN
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
    IF change.was_live THEN
      term := encode(sha256(convert_to(change.kind || E'\n' || change.key || E'\n' || change.id || E'\n' || change.old_rev ||
        E'\n' || change.old_generation || E'\n' || change.old_hash, 'UTF8')), 'hex');
      counter.digest_a := counter.digest_a # ('x' || substr(term, 1, 16))::bit(64)::bigint;
      counter.digest_b := counter.digest_b # ('x' || substr(term, 17, 16))::bit(64)::bigint;
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
      term := encode(sha256(convert_to(change.kind || E'\n' || change.key || E'\n' || change.id || E'\n' || counter.head ||
        E'\n' || change.generation || E'\n' || change.hash, 'UTF8')), 'hex');
      counter.digest_a := counter.digest_a # ('x' || substr(term, 1, 16))::bit(64)::bigint;
      counter.digest_b := counter.digest_b # ('x' || substr(term, 17, 16))::bit(64)::bigint;
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
