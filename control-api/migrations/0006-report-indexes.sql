-- A report asks by data plane and object before it knows the tenant: keys that begin with the tenant do not help it.
-- Not only of live rows: the end of an object is reported when its row is a tombstone. Snapshots page by it too.
CREATE INDEX desired_object ON felucca.desired (data_plane_id, kind, key, id);
DROP INDEX felucca.desired_live;
-- By id before key: operations are moved on by the ids of their Instances alone.
CREATE INDEX observed_object ON felucca.observed (data_plane_id, kind, id, key);
CREATE INDEX drift_of_data_plane ON felucca.drift (data_plane_id, object_id);
CREATE INDEX nacks_object ON felucca.nacks (data_plane_id, kind, key);
CREATE INDEX unknown_objects_object ON felucca.unknown_objects (data_plane_id, kind, key);
-- Whether a data plane is empty is asked across tenants, and within one tenant by nobody.
DROP INDEX felucca.instances_data_plane;
CREATE INDEX instances_data_plane ON felucca.instances (data_plane_id) WHERE deleted_at IS NULL;
-- Operations are listed by the name of an Instance, also of one that is deleted.
CREATE INDEX instances_any_name ON felucca.instances (tenant_id, name);
