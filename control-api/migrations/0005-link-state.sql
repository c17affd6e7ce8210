-- What changes with every connect and report belongs to the link's own row. On data_planes it met the locks of
-- orders, so that one slow order delayed the hello of its data plane and everybody's in the same batch.
ALTER TABLE felucca.feed_sessions ADD COLUMN last_seen_at timestamptz, ADD COLUMN operator_instance text;
UPDATE felucca.feed_sessions s SET last_seen_at = p.last_seen_at, operator_instance = p.operator_instance
  FROM felucca.data_planes p WHERE p.id = s.data_plane_id;
ALTER TABLE felucca.data_planes DROP COLUMN last_seen_at, DROP COLUMN operator_instance;
