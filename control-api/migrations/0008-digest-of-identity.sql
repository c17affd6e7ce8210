-- The digest of a row covers its id and its generation too. A restored database gives revisions a second time: without them
-- an order that is placed anew after the restore has the same kind, key, revision and content as the one that got lost, the
-- digests are equal, and the operator is never sent the row whose id is another. An operator of an earlier build has other
-- digests, and compares all buckets at each connection until it is upgraded.
DROP FUNCTION felucca.row_digest(text, text, bigint, text);

-- High and low 64 bits of a live row's digest term; contract/src/digest.ts rowDigest() is the same in TypeScript.
CREATE FUNCTION felucca.row_digest(kind text, key text, id text, rev bigint, generation bigint, hash text,
                                   OUT a bigint, OUT b bigint)
  LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
  RETURN (
    SELECT (('x' || substr(h, 1, 16))::bit(64)::bigint, ('x' || substr(h, 17, 16))::bit(64)::bigint)
    FROM encode(sha256(convert_to(
      kind || E'\n' || key || E'\n' || id || E'\n' || rev || E'\n' || generation || E'\n' || hash, 'UTF8')), 'hex') AS h
  );
REVOKE EXECUTE ON FUNCTION felucca.row_digest(text, text, text, bigint, bigint, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION felucca.row_digest(text, text, text, bigint, bigint, text) TO felucca_app, felucca_feed;

-- The last statement of every business transaction that changes a data plane. The counter's lock is taken
-- here and not earlier: taken first, and held over the transaction's work, it costs 8x on a busy data plane.
-- p_changes: [{tenant_id, kind, key, id, generation, hash, spec, kid, sig, deleted, traceparent}]
CREATE OR REPLACE FUNCTION felucca.feed_commit(p_data_plane uuid, p_changes jsonb) RETURNS bigint
  LANGUAGE plpgsql SECURITY INVOKER SET search_path = felucca, pg_catalog, pg_temp
AS $$
DECLARE
  counter feed_heads%ROWTYPE;
  change record;
  before desired%ROWTYPE;
  term record;
BEGIN
  SELECT * INTO counter FROM feed_heads WHERE data_plane_id = p_data_plane FOR UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'data plane % has no feed', p_data_plane USING ERRCODE = 'foreign_key_violation';
  END IF;
  FOR change IN
    SELECT * FROM jsonb_to_recordset(p_changes) AS c(
      tenant_id uuid, kind text, key text, id text, generation bigint, hash text, spec jsonb,
      kid text, sig text, deleted boolean, traceparent text)
  LOOP
    SELECT * INTO before FROM desired d
      WHERE d.tenant_id = change.tenant_id AND d.data_plane_id = p_data_plane
        AND d.kind = change.kind AND d.key = change.key AND d.id = change.id;
    IF FOUND THEN
      -- Nothing new to say, or something older: a late writer never takes a row back.
      CONTINUE WHEN before.generation > change.generation
        OR (before.generation = change.generation AND before.hash = change.hash
            AND (before.deleted_at IS NOT NULL) = change.deleted);
      IF before.deleted_at IS NULL THEN
        SELECT * INTO term FROM row_digest(before.kind, before.key, before.id, before.rev, before.generation,
                                        before.hash);
        counter.digest_a := counter.digest_a # term.a;
        counter.digest_b := counter.digest_b # term.b;
        counter.live_count := counter.live_count - 1;
      END IF;
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
        deleted_at = excluded.deleted_at, committed_at = clock_timestamp();
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

-- Rows of all tenants: for this statement the owner is not bound by their policies.
ALTER TABLE felucca.desired NO FORCE ROW LEVEL SECURITY;
UPDATE felucca.feed_heads h
SET digest_a = coalesce(r.a, 0), digest_b = coalesce(r.b, 0)
FROM (SELECT d.data_plane_id, bit_xor(t.a) AS a, bit_xor(t.b) AS b
      FROM felucca.desired d, felucca.row_digest(d.kind, d.key, d.id, d.rev, d.generation, d.hash) t
      WHERE d.deleted_at IS NULL GROUP BY d.data_plane_id) r
WHERE r.data_plane_id = h.data_plane_id;
ALTER TABLE felucca.desired FORCE ROW LEVEL SECURITY;
