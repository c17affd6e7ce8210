-- A report changes reported_at of each row that it names. While that is in an index, each change is a new entry in every index
-- of the table; without, it stays within its page (HOT). The sweep of retention.ts finds what has ended by this one, too.
DROP INDEX felucca.observed_ended;
CREATE INDEX observed_ended ON felucca.observed (id) WHERE deleted;
