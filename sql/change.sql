-- Functions that change the schema, in a database that is in no group: what they refuse, and in which words.
-- The rest needs regions: t/040_apply.pl.

-- arguments
SELECT schemadrift.apply(NULL, 'SELECT 1');
SELECT schemadrift.apply('', 'SELECT 1');
SELECT schemadrift.apply(repeat('x', 201), 'SELECT 1');
SELECT schemadrift.apply(E'two\nlines', 'SELECT 1');
SELECT schemadrift.apply('a', NULL);
SELECT schemadrift.apply('a', E' \n\t');
SELECT schemadrift.apply('a', 'SELECT 1', options => '[]');
SELECT schemadrift.apply('a', 'SELECT 1', options => '{"timout": 1}');
SELECT schemadrift.apply('a', 'SELECT 1', options => '{"feature": "x"}');
SELECT schemadrift.apply('a', 'SELECT 1', options => '{"barrier": -1}');
SELECT schemadrift.apply('a', 'SELECT 1', options => '{"barrier": 1.5}');
SELECT schemadrift.apply('a', 'SELECT 1', options => '{"barrier": "next"}');
SELECT schemadrift.apply('a', 'SELECT 1', options => '{"require": "some"}');
SELECT schemadrift.apply('a', 'SELECT 1', options => '{"require": ["*"]}');
SELECT schemadrift.apply('a', 'SELECT 1', options => '{"require": [1]}');
SELECT schemadrift.apply('a', 'SELECT 1', options => '{"timeout": true}');
SELECT schemadrift.apply('a', 'SELECT 1', options => '{"timeout": "-1s"}');
SELECT schemadrift.apply('a', 'SELECT 1', options => '{"timeout": "soon"}');
SET schemadrift.max_entry_size = '64kB';
SELECT schemadrift.apply('a', repeat('SELECT 1;', 10000));
RESET schemadrift.max_entry_size;

-- no group
SELECT schemadrift.apply('a', 'SELECT 1');
SELECT schemadrift.apply('a', 'SELECT 1', NULL, '{"timeout": "30s"}');
SELECT schemadrift.revert('a');
SELECT schemadrift.retry();
SELECT schemadrift.retry('a');
SELECT schemadrift.mark_applied('a', '');
SELECT schemadrift.mark_applied('a', 'done');
CALL schemadrift.wait_for(NULL);
CALL schemadrift.wait_for(1);
CALL schemadrift.wait_for(1, timeout => '-1s');

-- nothing was ever heard of
SELECT schemadrift.outcome('a') IS NULL AS by_name,
	schemadrift.outcome('00000000-0000-0000-0000-000000000000'::uuid) IS NULL AS by_id;

-- views answer in every state
SELECT region, state, version, head, mode, blocked_by, reason, remedy FROM schemadrift.status;
SELECT count(*) FROM schemadrift.regions;
SELECT count(*) FROM schemadrift.migrations;
SELECT count(*) FROM schemadrift.migration_status;
SELECT count(*) FROM schemadrift.decisions;

-- who may
CREATE ROLE regress_nobody;
CREATE ROLE regress_migrator IN ROLE schemadrift_migrator;
CREATE ROLE regress_monitor IN ROLE schemadrift_monitor;
SET ROLE regress_nobody;
SELECT schemadrift.apply('a', 'SELECT 1');
SELECT schemadrift.retry();
SELECT state FROM schemadrift.status;
SELECT schemadrift.outcome('a') IS NULL AS by_name;
SET ROLE regress_monitor;
SELECT schemadrift.apply('a', 'SELECT 1');
SELECT state FROM schemadrift.status;
SELECT count(*) FROM schemadrift.migration_status;
SELECT count(*) FROM schemadrift_store.log;
SET ROLE regress_migrator;
SELECT schemadrift.apply('a', 'SELECT 1');
SELECT schemadrift.mark_applied('a', 'done');
RESET ROLE;
DROP ROLE regress_nobody, regress_migrator, regress_monitor;

-- everything is described
SELECT p.oid::regprocedure FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
	WHERE n.nspname = 'schemadrift' AND obj_description(p.oid, 'pg_proc') IS NULL;
SELECT c.relname, a.attname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
	JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
	WHERE n.nspname = 'schemadrift' AND c.relkind = 'v'
		AND (obj_description(c.oid, 'pg_class') IS NULL OR col_description(c.oid, a.attnum) IS NULL);
