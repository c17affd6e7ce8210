-- Tenant tables carry tenant_id first in every key: row-level security, and later partitioning or
-- sharding, need it there. text + CHECK instead of enums: enum equality is not leak-proof, so it would
-- lose its index under row-level security.

-- The tenant of a transaction. NULL when unset or '' (what SET LOCAL leaves behind): then no row is visible.
CREATE FUNCTION felucca.current_tenant() RETURNS uuid
  LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
  RETURN nullif(current_setting('app.tenant_id', true), '')::uuid;

-- Platform tables ------------------------------------------------------------------------------------------

CREATE TABLE felucca.organizations (
  id uuid PRIMARY KEY,
  name text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  deleted_at timestamptz
);
CREATE UNIQUE INDEX organizations_name ON felucca.organizations (name) WHERE deleted_at IS NULL;

CREATE TABLE felucca.data_planes (
  id uuid PRIMARY KEY,
  name text NOT NULL,
  spec jsonb NOT NULL DEFAULT '{}',
  generation bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL DEFAULT now(),
  deleted_at timestamptz,
  joined_at timestamptz,
  last_seen_at timestamptz,
  operator_version text,
  operator_instance text
);
CREATE UNIQUE INDEX data_planes_name ON felucca.data_planes (name) WHERE deleted_at IS NULL;

CREATE TABLE felucca.join_tokens (
  id uuid PRIMARY KEY,
  data_plane_id uuid NOT NULL REFERENCES felucca.data_planes,
  secret_hash bytea NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz NOT NULL,
  used_at timestamptz,
  -- Key that redeemed it: the same operator may repeat a join whose answer got lost.
  used_by_key text
);

CREATE TABLE felucca.operator_keys (
  id text PRIMARY KEY,
  data_plane_id uuid NOT NULL REFERENCES felucca.data_planes,
  public_key text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  revoked_at timestamptz
);
CREATE INDEX operator_keys_data_plane ON felucca.operator_keys (data_plane_id);

CREATE TABLE felucca.blueprints (
  name text NOT NULL,
  version text NOT NULL,
  digest text NOT NULL,
  spec jsonb NOT NULL,
  published_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (name, version)
);

-- Tenant tables --------------------------------------------------------------------------------------------

CREATE TABLE felucca.api_keys (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  name text NOT NULL,
  scope text NOT NULL CHECK (scope IN ('platform', 'organization')),
  secret_hash bytea NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  revoked_at timestamptz,
  PRIMARY KEY (tenant_id, id)
);
CREATE INDEX api_keys_id ON felucca.api_keys (id);

CREATE TABLE felucca.instances (
  tenant_id uuid NOT NULL REFERENCES felucca.organizations,
  id uuid NOT NULL,
  name text NOT NULL,
  data_plane_id uuid NOT NULL REFERENCES felucca.data_planes,
  blueprint_name text NOT NULL,
  blueprint_version text NOT NULL,
  parameters jsonb NOT NULL,
  suspend boolean NOT NULL DEFAULT false,
  deletion_policy text NOT NULL DEFAULT 'Delete' CHECK (deletion_policy IN ('Delete', 'Retain', 'Orphan')),
  generation bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  deleted_at timestamptz,
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (blueprint_name, blueprint_version) REFERENCES felucca.blueprints (name, version)
);
CREATE UNIQUE INDEX instances_name ON felucca.instances (tenant_id, name) WHERE deleted_at IS NULL;
CREATE INDEX instances_data_plane ON felucca.instances (tenant_id, data_plane_id) WHERE deleted_at IS NULL;

CREATE TABLE felucca.operations (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  instance_id uuid NOT NULL,
  data_plane_id uuid NOT NULL,
  kind text NOT NULL CHECK (kind IN ('create', 'update', 'delete')),
  generation bigint NOT NULL,
  state text NOT NULL DEFAULT 'accepted'
    CHECK (state IN ('accepted', 'delivered', 'applied', 'ready', 'failed', 'superseded')),
  message text NOT NULL DEFAULT '',
  traceparent text,
  accepted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  delivered_at timestamptz,
  applied_at timestamptz,
  ready_at timestamptz,
  ended_at timestamptz,
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, instance_id) REFERENCES felucca.instances (tenant_id, id)
);
CREATE INDEX operations_instance ON felucca.operations (tenant_id, instance_id, id);
CREATE INDEX operations_open ON felucca.operations (data_plane_id, instance_id)
  WHERE state IN ('accepted', 'delivered', 'applied');

CREATE TABLE felucca.audit (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  actor text NOT NULL,
  action text NOT NULL,
  object text NOT NULL,
  detail jsonb NOT NULL DEFAULT '{}',
  PRIMARY KEY (tenant_id, id)
);

CREATE TABLE felucca.idempotency_keys (
  tenant_id uuid NOT NULL,
  key text NOT NULL,
  fingerprint text NOT NULL,
  status int,
  headers jsonb,
  body jsonb,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, key)
);
CREATE INDEX idempotency_keys_age ON felucca.idempotency_keys (created_at);
