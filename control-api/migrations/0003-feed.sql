-- The feed of a data plane: one revision counter, and rows that each carry their last revision.
-- Measured: a bigserial cursor loses about a fifth of the events under concurrent writers; a counter bumped
-- as the last statement of the transaction loses none and is dense.

CREATE TABLE felucca.feed_heads (
  data_plane_id uuid PRIMARY KEY REFERENCES felucca.data_planes,
  epoch text NOT NULL,
  head bigint NOT NULL DEFAULT 0,
  -- Tombstones up to here may be gone: a cursor below it needs a snapshot.
  compacted bigint NOT NULL DEFAULT 0,
  -- XOR of the live rows' terms, high and low half.
  digest_a bigint NOT NULL DEFAULT 0,
  digest_b bigint NOT NULL DEFAULT 0,
  live_count int NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

-- State of the link: written by reports and connects, apart from the counter so that neither waits for the other.
CREATE TABLE felucca.feed_sessions (
  data_plane_id uuid PRIMARY KEY REFERENCES felucca.data_planes,
  session text NOT NULL,
  term bigint NOT NULL DEFAULT 0,
  started_at timestamptz NOT NULL DEFAULT now(),
  ended_at timestamptz,
  acked_epoch text,
  acked_cursor bigint NOT NULL DEFAULT 0,
  acked_at timestamptz,
  last_seq bigint NOT NULL DEFAULT 0,
  last_reply jsonb
) WITH (fillfactor = 50);

-- Identity of the server that the epochs were minted on; a restored or promoted one differs.
CREATE TABLE felucca.feed_lineage (
  singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  system_identifier text NOT NULL,
  timeline int NOT NULL
);

CREATE TABLE felucca.desired (
  -- Rows that belong to nobody (Blueprint, DataPlane) carry the platform's id, all zeros.
  tenant_id uuid NOT NULL,
  data_plane_id uuid NOT NULL REFERENCES felucca.data_planes,
  kind text NOT NULL CHECK (kind IN ('DataPlane', 'Blueprint', 'Tenant', 'Instance')),
  key text NOT NULL,
  -- In the key: a tombstone and the row that reuses its name both travel.
  id text NOT NULL,
  rev bigint NOT NULL,
  generation bigint NOT NULL,
  hash text NOT NULL,
  spec jsonb,
  kid text NOT NULL,
  sig text NOT NULL,
  traceparent text,
  committed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  deleted_at timestamptz,
  PRIMARY KEY (tenant_id, data_plane_id, kind, key, id)
);
CREATE UNIQUE INDEX desired_rev ON felucca.desired (data_plane_id, rev);
CREATE INDEX desired_tombstones ON felucca.desired (data_plane_id, rev) WHERE deleted_at IS NOT NULL;
-- Snapshots page by key: what changes meanwhile comes with the tail.
CREATE INDEX desired_live ON felucca.desired (data_plane_id, kind, key, id) WHERE deleted_at IS NULL;

CREATE TABLE felucca.observed (
  tenant_id uuid NOT NULL,
  data_plane_id uuid NOT NULL REFERENCES felucca.data_planes,
  kind text NOT NULL,
  key text NOT NULL,
  id text NOT NULL,
  local boolean NOT NULL,
  generation bigint NOT NULL,
  session text NOT NULL,
  observed_seq bigint NOT NULL,
  digest text NOT NULL,
  conditions jsonb NOT NULL DEFAULT '[]',
  outputs jsonb NOT NULL DEFAULT '{}',
  blueprint text,
  drift_count int NOT NULL DEFAULT 0,
  deleted boolean NOT NULL DEFAULT false,
  reported_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (tenant_id, data_plane_id, kind, key, id)
);

CREATE TABLE felucca.drift (
  tenant_id uuid NOT NULL,
  id bigint GENERATED ALWAYS AS IDENTITY,
  data_plane_id uuid NOT NULL REFERENCES felucca.data_planes,
  kind text NOT NULL,
  key text NOT NULL,
  object_id text NOT NULL,
  object text NOT NULL,
  path text NOT NULL,
  expected text NOT NULL,
  actual text NOT NULL,
  manager text NOT NULL,
  action text NOT NULL CHECK (action IN ('corrected', 'reported')),
  detected_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id),
  -- What makes a repeated report harmless.
  UNIQUE (tenant_id, data_plane_id, object_id, object, path, detected_at)
);
CREATE INDEX drift_object ON felucca.drift (tenant_id, object_id, id);

CREATE TABLE felucca.nacks (
  tenant_id uuid NOT NULL,
  data_plane_id uuid NOT NULL REFERENCES felucca.data_planes,
  kind text NOT NULL,
  key text NOT NULL,
  rev bigint NOT NULL,
  hash text NOT NULL,
  code text NOT NULL,
  message text NOT NULL,
  retryable boolean NOT NULL,
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (tenant_id, data_plane_id, kind, key)
);

-- Objects of ours in a cluster that a snapshot did not name. Shown; never deleted without a person.
CREATE TABLE felucca.unknown_objects (
  tenant_id uuid NOT NULL,
  data_plane_id uuid NOT NULL REFERENCES felucca.data_planes,
  kind text NOT NULL,
  key text NOT NULL,
  id text NOT NULL,
  seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (tenant_id, data_plane_id, kind, key, id)
);

-- High and low 64 bits of a live row's digest term; contract/src/feed.ts rowDigest() is the same in TypeScript.
CREATE FUNCTION felucca.row_digest(kind text, key text, rev bigint, hash text, OUT a bigint, OUT b bigint)
  LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
  RETURN (
    SELECT (('x' || substr(h, 1, 16))::bit(64)::bigint, ('x' || substr(h, 17, 16))::bit(64)::bigint)
    FROM encode(sha256(convert_to(kind || E'\n' || key || E'\n' || rev || E'\n' || hash, 'UTF8')), 'hex') AS h
  );

-- The last statement of every business transaction that changes a data plane. The counter's lock is taken
-- here and not earlier: taken first, and held over the transaction's work, it costs 8x on a busy data plane.
-- p_changes: [{tenant_id, kind, key, id, generation, hash, spec, kid, sig, deleted, traceparent}]
CREATE FUNCTION felucca.feed_commit(p_data_plane uuid, p_changes jsonb) RETURNS bigint
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
        SELECT * INTO term FROM row_digest(before.kind, before.key, before.rev, before.hash);
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
      SELECT * INTO term FROM row_digest(change.kind, change.key, counter.head, change.hash);
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
