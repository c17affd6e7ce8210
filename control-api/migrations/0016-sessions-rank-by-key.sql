-- Which key opened the session, and when that joined: a session ranks by its key before its term. By the term alone, whoever
-- had stolen a key claimed the highest one there is, and no operator got in again, also after the key was revoked.
ALTER TABLE felucca.feed_sessions ADD COLUMN key_id text REFERENCES felucca.operator_keys,
  ADD COLUMN key_joined_at timestamptz NOT NULL DEFAULT '-infinity';
-- A session that is there counts as of the newest key that is good.
UPDATE felucca.feed_sessions s SET key_id = k.id, key_joined_at = k.created_at
  FROM (SELECT DISTINCT ON (data_plane_id) data_plane_id, id, created_at FROM felucca.operator_keys
        WHERE revoked_at IS NULL ORDER BY data_plane_id, created_at DESC) k
  WHERE k.data_plane_id = s.data_plane_id;
