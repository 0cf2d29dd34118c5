-- Making a group, its policy, leaving it: arguments, refusals, and a group of one.  t/030_group.pl has the rest.
SELECT format('host=%s port=%s dbname=%s', :'HOST', :'PORT', :'DBNAME') AS me \gset

-- init: names, roles, conninfo
SELECT schemadrift.init(NULL, 'host=x');
SELECT schemadrift.init('', 'host=x');
SELECT schemadrift.init('US-East', 'host=x');
SELECT schemadrift.init('-east', 'host=x');
SELECT schemadrift.init(repeat('a', 64), 'host=x');
SELECT schemadrift.init('us-east', 'host=x', 'observer');
SELECT schemadrift.init('us-east', 'host=x', 'witness');
SELECT schemadrift.init('us-east', 'host=x', 'leader');
SELECT schemadrift.init('us-east', 'host=x nonsense=1');
SELECT schemadrift.init('us-east', 'host=x password=secret');
SELECT schemadrift.init('us-east', 'postgresql://u:secret@x/db');
SELECT schemadrift.init('us-east', 'host=x password=''secret');
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT schemadrift.init('us-east', 'host=x');
ROLLBACK;
BEGIN;
SAVEPOINT s;
SELECT schemadrift.init('us-east', 'host=x');
ROLLBACK;

-- in no group: everything else says so
SELECT * FROM schemadrift.policy;
SELECT schemadrift.set_policy('{"mode": "observe"}');
SELECT schemadrift.remove_region('eu-west');
SELECT schemadrift.leave();
SELECT * FROM schemadrift.compare(:'me');
SELECT * FROM schemadrift.compare('host=/nonexistent');
SELECT * FROM schemadrift.compare('nonsense');
SELECT * FROM schemadrift_rpc.describe(1);
SELECT * FROM schemadrift_rpc.describe(99);

-- join: arguments
SELECT schemadrift.join(:'me', 'Eu', 'host=x');
SELECT schemadrift.join(:'me', 'eu-west', 'host=x password=secret');
SELECT schemadrift.join(:'me', 'eu-west', 'host=x', 'witness');
SELECT schemadrift.join(:'me', 'eu-west', 'host=x', options => '[]');
SELECT schemadrift.join(:'me', 'eu-west', 'host=x', options => '{"schemas": "equal"}');
SELECT schemadrift.join(:'me', 'eu-west', 'host=x', options => '{"schema": "other"}');
SELECT schemadrift.join(:'me', 'eu-west', 'host=x', options => '{"schema": "equal", "reason": "none"}');
SELECT schemadrift.join(:'me', 'eu-west', 'host=x');
CREATE FUNCTION public.something() RETURNS int LANGUAGE sql AS 'SELECT 1';
SELECT schemadrift.join(:'me', 'eu-west', 'host=x', options => '{"schema": "empty"}');
DROP FUNCTION public.something();
BEGIN;
SELECT schemadrift.join(:'me', 'eu-west', 'host=x');
ROLLBACK;

-- a rolled-back init leaves nothing
BEGIN;
SELECT schemadrift.init('us-east', :'me');
ROLLBACK;
SELECT count(*) FROM schemadrift_store.log;

-- a group of one; mode observe, because there is a table
CREATE TABLE public.t (id int);
SELECT schemadrift.init('us-east', :'me');
SELECT schemadrift.init('us-east', :'me');
SELECT version, kind, origin, incarnation, n, author = session_user AS by_me FROM schemadrift_store.log;
SELECT region, incarnation, generation, state FROM schemadrift_store.self;
SELECT a.version, a.chain = l.chain AS chained, a.digest = schemadrift_store.digest_root() AS digested,
	substring(convert_from(l.body, 'UTF8') FROM '"after":"(\w+)"') = encode(a.digest, 'hex') AS told
	FROM schemadrift_store.applied a JOIN schemadrift_store.log l USING (version);
SELECT key, value, since_version, set_by = session_user AS by_me, set_at IS NOT NULL AS at FROM schemadrift.policy ORDER BY key;
SELECT * FROM schemadrift.compare(:'me');
SELECT schemadrift.join(:'me', 'eu-west', 'host=x');
SELECT schemadrift.remove_region('eu-west');
SELECT schemadrift.remove_region('us-east');
SELECT region, head, applied, form FROM schemadrift_rpc.describe(1);
SELECT version FROM schemadrift_rpc.history(1, (SELECT group_id FROM schemadrift_store.self), 1, 1000);
SELECT version FROM schemadrift_rpc.history(1, '00000000-0000-0000-0000-000000000000', 1, 1000);

-- policy
SELECT schemadrift.set_policy(NULL);
SELECT schemadrift.set_policy('[]');
SELECT schemadrift.set_policy('{"mod": "observe"}');
SELECT schemadrift.set_policy('{"mode": "off"}');
SELECT schemadrift.set_policy('{"mode": 1}');
SELECT schemadrift.set_policy('{"local": "scratch.*"}');
SELECT schemadrift.set_policy('{"local": ["scratch"]}');
SELECT schemadrift.set_policy('{"local": [1]}');
SELECT schemadrift.set_policy('{"local": ["scratch.*", "public.tmp_*"]}');
SELECT schemadrift.set_policy('{"mode": "coordinate"}');
SELECT key, value, since_version FROM schemadrift.policy ORDER BY key;
SELECT schemadrift.set_policy('{"mode": null, "local": null}');
SELECT key, value, since_version FROM schemadrift.policy ORDER BY key;
SELECT version, kind FROM schemadrift_store.log ORDER BY version;
BEGIN;
SELECT schemadrift.set_policy('{"mode": "observe"}');
SELECT schemadrift.set_policy('{"mode": "observe"}');
ROLLBACK;
BEGIN;
SELECT schemadrift.set_policy('{"mode": "observe"}');
CREATE TABLE public.not_in_the_entry (id int);
ROLLBACK;
BEGIN;
SAVEPOINT s;
SELECT schemadrift.set_policy('{"mode": "observe"}');
ROLLBACK;
SELECT count(*) FROM schemadrift_store.log;

-- admission over there: names, limits
SELECT schemadrift_rpc.admit(1, '00000000-0000-0000-0000-000000000000', 'eu-west', 'host=x', 'voter');
SELECT schemadrift_rpc.admit(1, (SELECT group_id FROM schemadrift_store.self), 'us-east', 'host=x', 'voter');
SELECT schemadrift_rpc.admit(1, (SELECT group_id FROM schemadrift_store.self), 'eu-west', 'host=x password=secret', 'voter');
SELECT schemadrift_rpc.promote(1, (SELECT group_id FROM schemadrift_store.self), 1, 'us-east', 'eu-west', 1, 0);

-- rights
CREATE ROLE regress_nobody;
SET ROLE regress_nobody;
SELECT schemadrift.init('x', 'host=x');
SELECT schemadrift.set_policy('{}');
SELECT * FROM schemadrift.compare('');
SELECT * FROM schemadrift.policy;
SELECT schemadrift_rpc.describe(1);
SELECT count(*) FROM schemadrift_store.log;
RESET ROLE;
GRANT schemadrift_peer TO regress_nobody;
SET ROLE regress_nobody;
SELECT region FROM schemadrift_rpc.describe(1);
SELECT count(*) FROM schemadrift_store.log;
RESET ROLE;
GRANT schemadrift_monitor TO regress_nobody;
SET ROLE regress_nobody;
SELECT key FROM schemadrift.policy ORDER BY key;
RESET ROLE;
GRANT schemadrift_admin TO regress_nobody;
SET ROLE regress_nobody;
SELECT schemadrift.set_policy('{"mode": "observe"}');
RESET ROLE;
SELECT rolname, rolcanlogin, rolsuper FROM pg_roles WHERE rolname LIKE 'schemadrift%' ORDER BY 1;
SELECT p.oid::regprocedure FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
	WHERE a.grantee = 0 AND p.pronamespace IN ('schemadrift_store'::regnamespace, 'schemadrift_rpc'::regnamespace);
SELECT p.oid::regprocedure AS "has no comment" FROM pg_proc p
	WHERE p.pronamespace IN ('schemadrift'::regnamespace, 'schemadrift_store'::regnamespace, 'schemadrift_rpc'::regnamespace)
	AND obj_description(p.oid, 'pg_proc') IS NULL;

-- alone, one may leave at once
BEGIN;
SELECT schemadrift.leave();
ROLLBACK;
SELECT schemadrift.leave();
SELECT schemadrift.leave();
SELECT count(*) FROM schemadrift_store.log;
SELECT count(*) FROM schemadrift_store.self;
DROP TABLE public.t;
DROP ROLE regress_nobody;
