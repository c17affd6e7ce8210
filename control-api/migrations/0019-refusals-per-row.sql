-- A refusal is of one row, and a name may have several: that of the deletion that is held of its former owner, and those of what was
-- ordered since. By name alone the newer would hide the other. A process of before fails at reports that refuse something, which
-- their operators repeat until it is replaced.
ALTER TABLE felucca.nacks ADD COLUMN id text;

-- Rows of all tenants: for these statements the owner is not bound by their policies.
ALTER TABLE felucca.desired NO FORCE ROW LEVEL SECURITY;
ALTER TABLE felucca.nacks NO FORCE ROW LEVEL SECURITY;
UPDATE felucca.nacks k SET id = (
  SELECT d.id FROM felucca.desired d
  WHERE d.tenant_id = k.tenant_id AND d.data_plane_id = k.data_plane_id AND d.kind = k.kind AND d.key = k.key
  ORDER BY d.rev = k.rev DESC, (d.deleted_at IS NOT NULL) = (k.code = 'MASS_DELETE_HELD') DESC, d.rev DESC LIMIT 1);
DELETE FROM felucca.nacks WHERE id IS NULL;
ALTER TABLE felucca.desired FORCE ROW LEVEL SECURITY;
ALTER TABLE felucca.nacks FORCE ROW LEVEL SECURITY;

ALTER TABLE felucca.nacks ALTER COLUMN id SET NOT NULL;
ALTER TABLE felucca.nacks DROP CONSTRAINT nacks_pkey;
ALTER TABLE felucca.nacks ADD CONSTRAINT nacks_pkey PRIMARY KEY (tenant_id, data_plane_id, kind, key, id);
