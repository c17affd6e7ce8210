-- What sensitive values are sealed to: the X25519 key of the data plane's operator, and proof that this control plane
-- took it from that operator. The key of the proof is not in the database: whoever can only write here can not have
-- values sealed to a key of their own.
ALTER TABLE felucca.data_planes ADD COLUMN sealing_key text, ADD COLUMN sealing_proof text;

-- Values of sensitive outputs, sealed by the operator to a key of the API that is not in the database, by name.
ALTER TABLE felucca.observed ADD COLUMN sealed_outputs jsonb NOT NULL DEFAULT '{}';
