-- Generated from migrations/ by "npm run generate", for review. Do not edit, do not run.

-- Tables

CREATE TABLE felucca.api_keys (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  name text NOT NULL,
  scope text NOT NULL,
  secret_hash bytea NOT NULL,
  created_at timestamp with time zone NOT NULL DEFAULT now(),
  revoked_at timestamp with time zone,
  CONSTRAINT api_keys_pkey PRIMARY KEY (tenant_id, id),
  CONSTRAINT api_keys_scope_check CHECK ((scope = ANY (ARRAY['platform'::text, 'organization'::text])))
);
CREATE TABLE felucca.audit (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
  actor text NOT NULL,
  action text NOT NULL,
  object text NOT NULL,
  detail jsonb NOT NULL DEFAULT '{}'::jsonb,
  CONSTRAINT audit_pkey PRIMARY KEY (tenant_id, id)
);
CREATE TABLE felucca.blueprints (
  name text NOT NULL,
  version text NOT NULL,
  digest text NOT NULL,
  spec jsonb NOT NULL,
  published_at timestamp with time zone NOT NULL DEFAULT now(),
  CONSTRAINT blueprints_pkey PRIMARY KEY (name, version)
);
CREATE TABLE felucca.data_planes (
  id uuid NOT NULL,
  name text NOT NULL,
  spec jsonb NOT NULL DEFAULT '{}'::jsonb,
  generation bigint NOT NULL DEFAULT 1,
  created_at timestamp with time zone NOT NULL DEFAULT now(),
  deleted_at timestamp with time zone,
  joined_at timestamp with time zone,
  operator_version text,
  sealing_key text,
  sealing_proof text,
  CONSTRAINT data_planes_pkey PRIMARY KEY (id)
);
CREATE TABLE felucca.desired (
  tenant_id uuid NOT NULL,
  data_plane_id uuid NOT NULL,
  kind text NOT NULL,
  key text NOT NULL,
  id text NOT NULL,
  rev bigint NOT NULL,
  generation bigint NOT NULL,
  hash text NOT NULL,
  spec jsonb,
  kid text NOT NULL,
  sig text NOT NULL,
  traceparent text,
  committed_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
  deleted_at timestamp with time zone,
  CONSTRAINT desired_pkey PRIMARY KEY (tenant_id, data_plane_id, kind, key, id),
  CONSTRAINT desired_data_plane_id_fkey FOREIGN KEY (data_plane_id) REFERENCES felucca.data_planes(id),
  CONSTRAINT desired_kind_check CHECK ((kind = ANY (ARRAY['DataPlane'::text, 'Blueprint'::text, 'Tenant'::text, 'Instance'::text])))
);
CREATE TABLE felucca.drift (
  tenant_id uuid NOT NULL,
  id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
  data_plane_id uuid NOT NULL,
  kind text NOT NULL,
  key text NOT NULL,
  object_id text NOT NULL,
  object text NOT NULL,
  path text NOT NULL,
  expected text NOT NULL,
  actual text NOT NULL,
  manager text NOT NULL,
  action text NOT NULL,
  detected_at timestamp with time zone NOT NULL,
  CONSTRAINT drift_tenant_id_data_plane_id_object_id_object_path_detecte_key UNIQUE (tenant_id, data_plane_id, object_id, object, path, detected_at),
  CONSTRAINT drift_pkey PRIMARY KEY (tenant_id, id),
  CONSTRAINT drift_data_plane_id_fkey FOREIGN KEY (data_plane_id) REFERENCES felucca.data_planes(id),
  CONSTRAINT drift_action_check CHECK ((action = ANY (ARRAY['corrected'::text, 'reported'::text])))
);
CREATE TABLE felucca.feed_heads (
  data_plane_id uuid NOT NULL,
  epoch text NOT NULL,
  head bigint NOT NULL DEFAULT 0,
  compacted bigint NOT NULL DEFAULT 0,
  digest_a bigint NOT NULL DEFAULT 0,
  digest_b bigint NOT NULL DEFAULT 0,
  live_count integer NOT NULL DEFAULT 0,
  epoch_base bigint NOT NULL DEFAULT 0,
  live_instances integer NOT NULL DEFAULT 0,
  window_began_at timestamp with time zone,
  window_deleted integer NOT NULL DEFAULT 0,
  CONSTRAINT feed_heads_pkey PRIMARY KEY (data_plane_id),
  CONSTRAINT feed_heads_data_plane_id_fkey FOREIGN KEY (data_plane_id) REFERENCES felucca.data_planes(id)
) WITH (fillfactor=50);
CREATE TABLE felucca.feed_lineage (
  singleton boolean NOT NULL DEFAULT true,
  system_identifier text NOT NULL,
  timeline integer NOT NULL,
  CONSTRAINT feed_lineage_pkey PRIMARY KEY (singleton),
  CONSTRAINT feed_lineage_singleton_check CHECK (singleton)
);
CREATE TABLE felucca.feed_sessions (
  data_plane_id uuid NOT NULL,
  session text NOT NULL,
  term bigint NOT NULL DEFAULT 0,
  started_at timestamp with time zone NOT NULL DEFAULT now(),
  ended_at timestamp with time zone,
  acked_epoch text,
  acked_cursor bigint NOT NULL DEFAULT 0,
  acked_at timestamp with time zone,
  last_seq bigint NOT NULL DEFAULT 0,
  last_reply jsonb,
  last_seen_at timestamp with time zone,
  operator_instance text,
  key_id text,
  key_joined_at timestamp with time zone NOT NULL DEFAULT '-infinity'::timestamp with time zone,
  CONSTRAINT feed_sessions_pkey PRIMARY KEY (data_plane_id),
  CONSTRAINT feed_sessions_data_plane_id_fkey FOREIGN KEY (data_plane_id) REFERENCES felucca.data_planes(id),
  CONSTRAINT feed_sessions_key_id_fkey FOREIGN KEY (key_id) REFERENCES felucca.operator_keys(id)
) WITH (fillfactor=50);
CREATE TABLE felucca.held_deletions (
  tenant_id uuid NOT NULL,
  data_plane_id uuid NOT NULL,
  kind text NOT NULL,
  key text NOT NULL,
  id text NOT NULL,
  generation bigint NOT NULL,
  traceparent text,
  message text NOT NULL,
  held_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT held_deletions_pkey PRIMARY KEY (tenant_id, data_plane_id, kind, key),
  CONSTRAINT held_deletions_data_plane_id_fkey FOREIGN KEY (data_plane_id) REFERENCES felucca.data_planes(id)
);
CREATE TABLE felucca.idempotency_keys (
  tenant_id uuid NOT NULL,
  key text NOT NULL,
  fingerprint text NOT NULL,
  status integer,
  headers jsonb,
  body jsonb,
  created_at timestamp with time zone NOT NULL DEFAULT now(),
  CONSTRAINT idempotency_keys_pkey PRIMARY KEY (tenant_id, key)
);
CREATE TABLE felucca.instances (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  name text NOT NULL,
  data_plane_id uuid NOT NULL,
  blueprint_name text NOT NULL,
  blueprint_version text NOT NULL,
  parameters jsonb NOT NULL,
  suspend boolean NOT NULL DEFAULT false,
  deletion_policy text NOT NULL DEFAULT 'Delete'::text,
  generation bigint NOT NULL DEFAULT 1,
  created_at timestamp with time zone NOT NULL DEFAULT now(),
  updated_at timestamp with time zone NOT NULL DEFAULT now(),
  deleted_at timestamp with time zone,
  CONSTRAINT instances_pkey PRIMARY KEY (tenant_id, id),
  CONSTRAINT instances_blueprint_name_blueprint_version_fkey FOREIGN KEY (blueprint_name, blueprint_version) REFERENCES felucca.blueprints(name, version),
  CONSTRAINT instances_data_plane_id_fkey FOREIGN KEY (data_plane_id) REFERENCES felucca.data_planes(id),
  CONSTRAINT instances_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES felucca.organizations(id),
  CONSTRAINT instances_deletion_policy_check CHECK ((deletion_policy = ANY (ARRAY['Delete'::text, 'Retain'::text, 'Orphan'::text])))
);
CREATE TABLE felucca.join_tokens (
  id uuid NOT NULL,
  data_plane_id uuid NOT NULL,
  secret_hash bytea NOT NULL,
  created_at timestamp with time zone NOT NULL DEFAULT now(),
  expires_at timestamp with time zone NOT NULL,
  used_at timestamp with time zone,
  used_by_key text,
  CONSTRAINT join_tokens_pkey PRIMARY KEY (id),
  CONSTRAINT join_tokens_data_plane_id_fkey FOREIGN KEY (data_plane_id) REFERENCES felucca.data_planes(id)
);
CREATE TABLE felucca.nacks (
  tenant_id uuid NOT NULL,
  data_plane_id uuid NOT NULL,
  kind text NOT NULL,
  key text NOT NULL,
  rev bigint NOT NULL,
  hash text NOT NULL,
  code text NOT NULL,
  message text NOT NULL,
  retryable boolean NOT NULL,
  at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
  id text NOT NULL,
  CONSTRAINT nacks_pkey PRIMARY KEY (tenant_id, data_plane_id, kind, key, id),
  CONSTRAINT nacks_data_plane_id_fkey FOREIGN KEY (data_plane_id) REFERENCES felucca.data_planes(id)
);
CREATE TABLE felucca.observed (
  tenant_id uuid NOT NULL,
  data_plane_id uuid NOT NULL,
  kind text NOT NULL,
  key text NOT NULL,
  id text NOT NULL,
  local boolean NOT NULL,
  generation bigint NOT NULL,
  session text NOT NULL,
  observed_seq bigint NOT NULL,
  digest text NOT NULL,
  conditions jsonb NOT NULL DEFAULT '[]'::jsonb,
  outputs jsonb NOT NULL DEFAULT '{}'::jsonb,
  blueprint text,
  drift_count integer NOT NULL DEFAULT 0,
  deleted boolean NOT NULL DEFAULT false,
  reported_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
  sealed_outputs jsonb NOT NULL DEFAULT '{}'::jsonb,
  CONSTRAINT observed_pkey PRIMARY KEY (tenant_id, data_plane_id, kind, key, id),
  CONSTRAINT observed_data_plane_id_fkey FOREIGN KEY (data_plane_id) REFERENCES felucca.data_planes(id)
) WITH (fillfactor=60);
CREATE TABLE felucca.operations (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  instance_id uuid NOT NULL,
  data_plane_id uuid NOT NULL,
  kind text NOT NULL,
  generation bigint NOT NULL,
  state text NOT NULL DEFAULT 'accepted'::text,
  message text NOT NULL DEFAULT ''::text,
  traceparent text,
  accepted_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
  delivered_at timestamp with time zone,
  applied_at timestamp with time zone,
  ready_at timestamp with time zone,
  ended_at timestamp with time zone,
  CONSTRAINT operations_pkey PRIMARY KEY (tenant_id, id),
  CONSTRAINT operations_tenant_id_instance_id_fkey FOREIGN KEY (tenant_id, instance_id) REFERENCES felucca.instances(tenant_id, id),
  CONSTRAINT operations_kind_check CHECK ((kind = ANY (ARRAY['create'::text, 'update'::text, 'delete'::text]))),
  CONSTRAINT operations_state_check CHECK ((state = ANY (ARRAY['accepted'::text, 'delivered'::text, 'applied'::text, 'ready'::text, 'failed'::text, 'superseded'::text])))
);
CREATE TABLE felucca.operator_keys (
  id text NOT NULL,
  data_plane_id uuid NOT NULL,
  public_key text NOT NULL,
  created_at timestamp with time zone NOT NULL DEFAULT now(),
  revoked_at timestamp with time zone,
  CONSTRAINT operator_keys_pkey PRIMARY KEY (id),
  CONSTRAINT operator_keys_data_plane_id_fkey FOREIGN KEY (data_plane_id) REFERENCES felucca.data_planes(id)
);
CREATE TABLE felucca.organizations (
  id uuid NOT NULL,
  name text NOT NULL,
  created_at timestamp with time zone NOT NULL DEFAULT now(),
  deleted_at timestamp with time zone,
  CONSTRAINT organizations_pkey PRIMARY KEY (id)
);
CREATE TABLE felucca.unknown_objects (
  tenant_id uuid NOT NULL,
  data_plane_id uuid NOT NULL,
  kind text NOT NULL,
  key text NOT NULL,
  id text NOT NULL,
  seen_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
  epoch text NOT NULL DEFAULT ''::text,
  generation bigint,
  hash text,
  spec jsonb,
  since timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT unknown_objects_pkey PRIMARY KEY (tenant_id, data_plane_id, kind, key, id),
  CONSTRAINT unknown_objects_data_plane_id_fkey FOREIGN KEY (data_plane_id) REFERENCES felucca.data_planes(id)
);

-- Indexes

CREATE INDEX api_keys_id ON felucca.api_keys USING btree (id);
CREATE UNIQUE INDEX data_planes_name ON felucca.data_planes USING btree (name) WHERE (deleted_at IS NULL);
CREATE INDEX desired_object ON felucca.desired USING btree (data_plane_id, kind, key, id);
CREATE UNIQUE INDEX desired_rev ON felucca.desired USING btree (data_plane_id, rev);
CREATE INDEX desired_tombstones ON felucca.desired USING btree (data_plane_id, rev) WHERE (deleted_at IS NOT NULL);
CREATE INDEX drift_object ON felucca.drift USING btree (tenant_id, object_id, id);
CREATE INDEX drift_of_data_plane ON felucca.drift USING btree (data_plane_id, object_id);
CREATE INDEX held_deletions_data_plane ON felucca.held_deletions USING btree (data_plane_id, held_at);
CREATE INDEX idempotency_keys_age ON felucca.idempotency_keys USING btree (created_at);
CREATE INDEX instances_any_name ON felucca.instances USING btree (tenant_id, name);
CREATE INDEX instances_data_plane ON felucca.instances USING btree (data_plane_id) WHERE (deleted_at IS NULL);
CREATE INDEX instances_deleted ON felucca.instances USING btree (deleted_at) WHERE (deleted_at IS NOT NULL);
CREATE UNIQUE INDEX instances_name ON felucca.instances USING btree (tenant_id, name) WHERE (deleted_at IS NULL);
CREATE INDEX join_tokens_expired ON felucca.join_tokens USING btree (expires_at);
CREATE INDEX nacks_object ON felucca.nacks USING btree (data_plane_id, kind, key);
CREATE INDEX observed_ended ON felucca.observed USING btree (id) WHERE deleted;
CREATE INDEX observed_object ON felucca.observed USING btree (data_plane_id, kind, id, key);
CREATE INDEX operations_ended ON felucca.operations USING btree (ended_at) WHERE (ended_at IS NOT NULL);
CREATE INDEX operations_instance ON felucca.operations USING btree (tenant_id, instance_id, id);
CREATE INDEX operations_unsettled ON felucca.operations USING btree (data_plane_id, instance_id) WHERE (state = ANY (ARRAY['accepted'::text, 'delivered'::text, 'applied'::text, 'failed'::text]));
CREATE INDEX operator_keys_data_plane ON felucca.operator_keys USING btree (data_plane_id);
CREATE UNIQUE INDEX organizations_name ON felucca.organizations USING btree (name) WHERE (deleted_at IS NULL);
CREATE INDEX unknown_objects_id ON felucca.unknown_objects USING btree (tenant_id, id);
CREATE INDEX unknown_objects_object ON felucca.unknown_objects USING btree (data_plane_id, kind, key);

-- Functions

CREATE OR REPLACE FUNCTION felucca.current_tenant()
 RETURNS uuid
 LANGUAGE sql
 STABLE PARALLEL SAFE
RETURN (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid
;
CREATE OR REPLACE FUNCTION felucca.deletion_limit(lived integer, percent integer)
 RETURNS integer
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN (percent = 0) THEN 0 ELSE GREATEST(5, ((lived * percent) / 100)) END
;
CREATE OR REPLACE FUNCTION felucca.feed_commit(p_data_plane uuid, p_changes jsonb)
 RETURNS bigint
 LANGUAGE plpgsql
 SET search_path TO 'felucca', 'pg_catalog', 'pg_temp'
AS $function$
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
$function$
;
CREATE OR REPLACE FUNCTION felucca.row_digest(kind text, key text, id text, rev bigint, generation bigint, hash text, OUT a bigint, OUT b bigint)
 RETURNS record
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN (SELECT ROW(((('x'::text || substr(h.h, 1, 16)))::bit(64))::bigint, ((('x'::text || substr(h.h, 17, 16)))::bit(64))::bigint) AS "row" FROM encode(sha256(convert_to(((((((((((row_digest.kind || '
'::text) || row_digest.key) || '
'::text) || row_digest.id) || '
'::text) || row_digest.rev) || '
'::text) || row_digest.generation) || '
'::text) || row_digest.hash), 'UTF8'::name)), 'hex'::text) h(h))
;

-- Row-level security

ALTER TABLE felucca.api_keys ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY presented ON felucca.api_keys FOR SELECT TO felucca_app USING ((id = ( SELECT (NULLIF(current_setting('app.key_id'::text, true), ''::text))::uuid AS "nullif")));
CREATE POLICY tenant ON felucca.api_keys FOR ALL TO felucca_app USING ((tenant_id = ( SELECT felucca.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT felucca.current_tenant() AS current_tenant)));
ALTER TABLE felucca.audit ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY feed ON felucca.audit FOR ALL TO felucca_feed USING (true) WITH CHECK (true);
CREATE POLICY tenant ON felucca.audit FOR ALL TO felucca_app USING ((tenant_id = ( SELECT felucca.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT felucca.current_tenant() AS current_tenant)));
ALTER TABLE felucca.desired ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY feed ON felucca.desired FOR ALL TO felucca_feed USING (true) WITH CHECK (true);
CREATE POLICY migrates ON felucca.desired FOR SELECT TO felucca_owner USING (true);
CREATE POLICY platform ON felucca.desired FOR ALL TO felucca_app USING ((tenant_id = '00000000-0000-0000-0000-000000000000'::uuid)) WITH CHECK (((tenant_id = '00000000-0000-0000-0000-000000000000'::uuid) AND (kind = ANY (ARRAY['Blueprint'::text, 'DataPlane'::text]))));
CREATE POLICY tenant ON felucca.desired FOR ALL TO felucca_app USING ((tenant_id = ( SELECT felucca.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT felucca.current_tenant() AS current_tenant)));
ALTER TABLE felucca.drift ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY feed ON felucca.drift FOR ALL TO felucca_feed USING (true) WITH CHECK (true);
CREATE POLICY tenant ON felucca.drift FOR ALL TO felucca_app USING ((tenant_id = ( SELECT felucca.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT felucca.current_tenant() AS current_tenant)));
ALTER TABLE felucca.held_deletions ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY feed ON felucca.held_deletions FOR ALL TO felucca_feed USING (true) WITH CHECK (true);
CREATE POLICY tenant ON felucca.held_deletions FOR ALL TO felucca_app USING ((tenant_id = ( SELECT felucca.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT felucca.current_tenant() AS current_tenant)));
ALTER TABLE felucca.idempotency_keys ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY feed ON felucca.idempotency_keys FOR ALL TO felucca_feed USING (true) WITH CHECK (true);
CREATE POLICY tenant ON felucca.idempotency_keys FOR ALL TO felucca_app USING ((tenant_id = ( SELECT felucca.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT felucca.current_tenant() AS current_tenant)));
ALTER TABLE felucca.instances ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY feed ON felucca.instances FOR ALL TO felucca_feed USING (true) WITH CHECK (true);
CREATE POLICY tenant ON felucca.instances FOR ALL TO felucca_app USING ((tenant_id = ( SELECT felucca.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT felucca.current_tenant() AS current_tenant)));
ALTER TABLE felucca.nacks ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY feed ON felucca.nacks FOR ALL TO felucca_feed USING (true) WITH CHECK (true);
CREATE POLICY tenant ON felucca.nacks FOR ALL TO felucca_app USING ((tenant_id = ( SELECT felucca.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT felucca.current_tenant() AS current_tenant)));
ALTER TABLE felucca.observed ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY feed ON felucca.observed FOR ALL TO felucca_feed USING (true) WITH CHECK (true);
CREATE POLICY tenant ON felucca.observed FOR ALL TO felucca_app USING ((tenant_id = ( SELECT felucca.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT felucca.current_tenant() AS current_tenant)));
ALTER TABLE felucca.operations ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY feed ON felucca.operations FOR ALL TO felucca_feed USING (true) WITH CHECK (true);
CREATE POLICY tenant ON felucca.operations FOR ALL TO felucca_app USING ((tenant_id = ( SELECT felucca.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT felucca.current_tenant() AS current_tenant)));
ALTER TABLE felucca.unknown_objects ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY feed ON felucca.unknown_objects FOR ALL TO felucca_feed USING (true) WITH CHECK (true);
CREATE POLICY tenant ON felucca.unknown_objects FOR ALL TO felucca_app USING ((tenant_id = ( SELECT felucca.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT felucca.current_tenant() AS current_tenant)));

-- Grants

GRANT INSERT, SELECT, UPDATE ON felucca.api_keys TO felucca_app;
GRANT INSERT, SELECT ON felucca.audit TO felucca_app;
GRANT INSERT ON felucca.audit TO felucca_feed;
GRANT INSERT, SELECT ON felucca.blueprints TO felucca_app;
GRANT INSERT, SELECT, UPDATE ON felucca.data_planes TO felucca_app;
GRANT SELECT, UPDATE ON felucca.data_planes TO felucca_feed;
GRANT INSERT, SELECT, UPDATE ON felucca.desired TO felucca_app;
GRANT DELETE, SELECT ON felucca.desired TO felucca_feed;
GRANT SELECT ON felucca.drift TO felucca_app;
GRANT DELETE, INSERT, SELECT, UPDATE ON felucca.drift TO felucca_feed;
GRANT INSERT, SELECT, UPDATE ON felucca.feed_heads TO felucca_app;
GRANT SELECT, UPDATE ON felucca.feed_heads TO felucca_feed;
GRANT INSERT, SELECT, UPDATE ON felucca.feed_lineage TO felucca_feed;
GRANT SELECT ON felucca.feed_sessions TO felucca_app;
GRANT INSERT, SELECT, UPDATE ON felucca.feed_sessions TO felucca_feed;
GRANT DELETE, INSERT, SELECT, UPDATE ON felucca.held_deletions TO felucca_app;
GRANT DELETE, SELECT ON felucca.held_deletions TO felucca_feed;
GRANT DELETE, INSERT, SELECT, UPDATE ON felucca.idempotency_keys TO felucca_app;
GRANT DELETE ON felucca.idempotency_keys TO felucca_feed;
GRANT INSERT, SELECT, UPDATE ON felucca.instances TO felucca_app;
GRANT DELETE, SELECT ON felucca.instances TO felucca_feed;
GRANT DELETE, INSERT, SELECT ON felucca.join_tokens TO felucca_app;
GRANT DELETE, SELECT, UPDATE ON felucca.join_tokens TO felucca_feed;
GRANT SELECT ON felucca.nacks TO felucca_app;
GRANT DELETE, INSERT, SELECT, UPDATE ON felucca.nacks TO felucca_feed;
GRANT SELECT ON felucca.observed TO felucca_app;
GRANT DELETE, INSERT, SELECT, UPDATE ON felucca.observed TO felucca_feed;
GRANT INSERT, SELECT, UPDATE ON felucca.operations TO felucca_app;
GRANT DELETE, SELECT, UPDATE ON felucca.operations TO felucca_feed;
GRANT SELECT ON felucca.operator_keys TO felucca_app;
GRANT INSERT, SELECT, UPDATE ON felucca.operator_keys TO felucca_feed;
GRANT INSERT, SELECT, UPDATE ON felucca.organizations TO felucca_app;
GRANT SELECT ON felucca.organizations TO felucca_feed;
GRANT SELECT ON felucca.unknown_objects TO felucca_app;
GRANT DELETE, INSERT, SELECT, UPDATE ON felucca.unknown_objects TO felucca_feed;
