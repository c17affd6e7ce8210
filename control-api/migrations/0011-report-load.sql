-- A status is written again and again, and none of its indexed columns changes: with room beside it the new version stays
-- on its page, and no index has to be told.
ALTER TABLE felucca.observed SET (fillfactor = 60);
-- A report asks for what its Instances may still move on, which is most often nothing.
DROP INDEX felucca.operations_open;
CREATE INDEX operations_unsettled ON felucca.operations (data_plane_id, instance_id)
  WHERE state IN ('accepted', 'delivered', 'applied', 'failed');
