-- The group's policy, key by key, in a group of one; what needs other regions is in t/200_policy.pl.
SELECT format('host=%s port=%s dbname=%s', :'HOST', :'PORT', :'DBNAME') AS me \gset
-- times, versions and who set it differ from run to run
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE FUNCTION public.refusal(statement text) RETURNS TABLE (code text, message text, detail text, hint text) LANGUAGE plpgsql AS $$
DECLARE
	d text;
	h text;
BEGIN
	EXECUTE statement;
	code := '00000';
	RETURN NEXT;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS d = PG_EXCEPTION_DETAIL, h = PG_EXCEPTION_HINT;
	code := SQLSTATE;
	message := SQLERRM;
	detail := regexp_replace(regexp_replace(replace(d, session_user::text, 'ME'), 'version \d+', 'version N', 'g'), 'at 20[0-9T:.+-]+', 'at TIME', 'g');
	hint := regexp_replace(replace(h, session_user::text, 'ME'), 'until 20[0-9T:.+-]+', 'until TIME');
	RETURN NEXT;
END $$;
SELECT schemadrift.init('us-east', :'me');
SELECT schemadrift.set_policy('{"mode": "coordinate"}') > 0;
CREATE SCHEMA billing;
CREATE SCHEMA app;
CREATE TABLE billing.invoice (id int PRIMARY KEY, what text);
CREATE TABLE app.orders (id int PRIMARY KEY, what text) PARTITION BY RANGE (id);
CREATE TABLE billing.orders_1 PARTITION OF app.orders FOR VALUES FROM (0) TO (100);
CREATE INDEX invoice_what ON billing.invoice (what);
CREATE FUNCTION billing.f() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE TYPE billing.kind AS ENUM ('a');
CREATE SEQUENCE billing.s;
CREATE VIEW app.v AS SELECT * FROM billing.invoice;

-- values: what is legal is kept, the rest is refused as a whole
SELECT schemadrift.set_policy('{"lock": {"all": true, "reason": "x", "until": "2001-01-01"}}');
\set VERBOSITY default
SELECT schemadrift.set_policy('{"quorum": "none"}');
SELECT schemadrift.set_policy('{"quorum": 2}');
SELECT schemadrift.set_policy('{"quorum": [""]}');
SELECT schemadrift.set_policy('{"lock": {"all": true}}');
SELECT schemadrift.set_policy('{"lock": {"reason": "x"}}');
SELECT schemadrift.set_policy('{"lock": {"all": true, "reason": " "}}');
SELECT schemadrift.set_policy('{"lock": {"tables": ["a.b"], "reason": "x"}}');
SELECT schemadrift.set_policy('{"lock": {"objects": ["orders"], "reason": "x"}}');
SELECT schemadrift.set_policy('{"lock": {"all": true, "reason": "x", "until": "some day"}}');
SELECT schemadrift.set_policy('{"require_down": "yes"}');
SELECT schemadrift.set_policy('{"ddl_hold_limit": "0"}');
SELECT schemadrift.set_policy('{"ddl_hold_limit": "soon"}');
SELECT schemadrift.set_policy('{"ddl_hold_limit": "1 year"}');
SELECT schemadrift.set_policy('{"auto_rejoin": null, "leadership": "mine"}');
SELECT schemadrift.set_policy('{"quorum": ["us-east", "eu-west"]}');
\set VERBOSITY terse
SELECT schemadrift.set_policy('{"quorum": ["us-east"], "ddl_hold_limit": "5 min", "auto_rejoin": false, "leadership": "priority"}') > 0;
SET TimeZone = 'Asia/Tokyo';
SELECT schemadrift.set_policy('{"lock": {"schemas": ["nothing"], "until": "2999-12-31 09:00", "reason": "the time zone is Tokyo''s"}}') > 0;
RESET TimeZone;
SELECT key, value, set_by = session_user AS by_me, set_at > now() - interval '1 hour' AS lately FROM schemadrift.policy ORDER BY key;
SELECT schemadrift.set_policy('{"quorum": null, "ddl_hold_limit": 1000, "auto_rejoin": null, "leadership": null, "lock": null}') > 0;
SELECT key, value FROM schemadrift.policy WHERE since_version IS NOT NULL ORDER BY key;

-- lock: a schema
SELECT schemadrift.set_policy('{"lock": {"schemas": ["billing"], "reason": "year-end"}}') > 0;
SELECT * FROM public.refusal('ALTER TABLE billing.invoice ADD COLUMN a int') \gx
ALTER TABLE billing.invoice ADD COLUMN a int;
CREATE TABLE billing.other ();
DROP TABLE billing.invoice;
DROP INDEX billing.invoice_what;
CREATE INDEX ON billing.invoice (id);
ALTER FUNCTION billing.f() VOLATILE;
DROP SCHEMA billing CASCADE;
ALTER SCHEMA billing RENAME TO other;
GRANT USAGE ON SCHEMA billing TO pg_monitor;
GRANT SELECT ON ALL TABLES IN SCHEMA billing TO pg_monitor;
COMMENT ON TABLE billing.invoice IS 'x';
ALTER TABLE app.v SET SCHEMA billing;
ALTER TYPE billing.kind ADD VALUE 'b';
-- names that say nothing of it
SET search_path = billing, public;
ALTER TABLE invoice ADD COLUMN a int;
DROP FUNCTION f();
COMMENT ON FUNCTION f() IS 'x';
GRANT EXECUTE ON FUNCTION f() TO pg_monitor;
ALTER TYPE kind RENAME TO sort;
CREATE TABLE here ();
RESET search_path;
-- reached from elsewhere: a partition, a foreign key's other side, a CASCADE
ALTER TABLE app.orders ADD COLUMN a int;
CREATE TABLE app.part (id int REFERENCES billing.invoice);
DROP TABLE app.orders CASCADE;
ALTER TABLE app.orders DETACH PARTITION billing.orders_1;
CREATE TABLE app.child () INHERITS (billing.invoice);
CREATE TABLE app.copy (LIKE billing.invoice);
DROP TABLE app.copy;
DO 'BEGIN EXECUTE ''DROP TABLE billing.invoice CASCADE''; END';
SELECT schemadrift.apply('locked', 'CREATE TABLE app.fine (); ALTER TABLE billing.invoice ADD COLUMN a int');
BEGIN;
CREATE TABLE app.fine (id int);
SAVEPOINT s;
ALTER TABLE billing.invoice ADD COLUMN a int;
ROLLBACK TO s;
COMMIT;
SELECT name = 'locked' AS wrong FROM schemadrift.migrations ORDER BY version DESC LIMIT 1;
-- what is not DDL of the group goes on, and so does the rest of the schema
INSERT INTO billing.invoice VALUES (1, 'x');
ANALYZE billing.invoice;
CREATE TEMPORARY TABLE invoice (id int);
DROP TABLE invoice;
DROP TABLE app.fine;
-- the emergency exit, and mode observe
SET schemadrift.ddl_mode = 'off';
SET schemadrift.bypass_reason = 'a test';
COMMENT ON TABLE billing.invoice IS 'bypassed';
RESET schemadrift.ddl_mode;
SELECT schemadrift.set_policy('{"mode": "observe"}') > 0;
COMMENT ON TABLE billing.invoice IS NULL;
SELECT schemadrift.set_policy('{"mode": "coordinate"}') > 0;
-- patterns
SELECT schemadrift.set_policy('{"lock": {"objects": ["billing.inv*", "app.v"], "until": "infinity", "reason": "audit"}}') > 0;
ALTER TABLE billing.invoice ADD COLUMN a int;
DROP VIEW app.v;
ALTER TABLE billing.orders_1 SET (fillfactor = 90);
CREATE TABLE app.invoices (id int NOT NULL, what text);
ALTER TABLE app.invoices INHERIT billing.invoice;
DROP SCHEMA billing CASCADE;
CREATE VIEW billing.invented AS SELECT 1 AS one;
ALTER VIEW app.v RENAME TO w;
CREATE VIEW app.w AS SELECT 1 AS one;
ALTER VIEW app.w RENAME TO v2;
-- all
SELECT schemadrift.set_policy('{"lock": {"all": true, "until": "2999-01-01 00:00+00", "reason": "freeze"}}') > 0;
SELECT * FROM public.refusal('CREATE ROLE x; CREATE TABLE app.x ()') \gx
CREATE COLLATION app.c FROM "C";
SELECT schemadrift.revert('us-east');
SELECT schemadrift.set_policy('{"lock": null}') > 0;
-- taking back is a change, too
SELECT schemadrift.apply('with down', 'CREATE TABLE billing.gone ()', 'DROP TABLE billing.gone') > 0;
SELECT schemadrift.set_policy('{"lock": {"schemas": ["billing"], "reason": "year-end"}}') > 0;
SELECT schemadrift.revert('with down');
SELECT schemadrift.set_policy('{"lock": null}') > 0;
SELECT schemadrift.revert('with down') > 0;

-- require_down
SELECT schemadrift.set_policy('{"require_down": true}') > 0;
SELECT * FROM public.refusal('CREATE TABLE app.x ()') \gx
SELECT * FROM public.refusal($$SELECT schemadrift.apply('x', 'CREATE TABLE app.x ()')$$) \gx
SELECT schemadrift.apply('x', 'CREATE TABLE app.x ()', ' ');
SELECT schemadrift.apply('x', 'CREATE TABLE app.x ()', 'DROP TABLE app.x') > 0;
SELECT schemadrift.revert('x') > 0;
SELECT schemadrift.set_policy('{"require_down": null}') > 0;

-- require_dry_run: of the same texts, within the time
SELECT schemadrift.set_policy('{"require_dry_run": "soon"}');
SELECT schemadrift.set_policy('{"require_dry_run": 0}');
SELECT schemadrift.set_policy('{"require_dry_run": "1 year"}') > 0;
SELECT * FROM public.refusal('CREATE TABLE app.x ()') \gx
SELECT * FROM public.refusal($$SELECT schemadrift.apply('tried', 'CREATE TABLE app."it''s" ()', 'DROP TABLE app."it''s"', '{"allow": ["A1"]}')$$) \gx
SELECT status FROM schemadrift.dry_run('CREATE TABLE app.tried ()', 'DROP TABLE app.tried');
SELECT status FROM schemadrift.dry_run('CREATE TABLE app.other ()', 'DROP TABLE app.nothing');
SELECT schemadrift.apply('tried', 'CREATE TABLE app.tried ()');
SELECT schemadrift.apply('other', 'CREATE TABLE app.other ()', 'DROP TABLE app.nothing');
SELECT schemadrift.apply('tried', 'CREATE TABLE app.tried ()', 'DROP TABLE app.tried') > 0;
SELECT schemadrift.revert('tried') > 0;
SELECT schemadrift.set_policy('{"require_dry_run": 1}') > 0;
SELECT * FROM public.refusal($$SELECT schemadrift.apply('again', 'CREATE TABLE app.tried ()', 'DROP TABLE app.tried')$$) \gx
SELECT schemadrift.set_policy('{"require_dry_run": null}') > 0;

-- require_apply says who wants it
SELECT schemadrift.set_policy('{"mode": "require_apply"}') > 0;
SELECT * FROM public.refusal('CREATE TABLE app.x ()') \gx
SELECT schemadrift.set_policy('{"mode": "observe"}') > 0;
SELECT * FROM public.refusal($$SELECT schemadrift.apply('y', 'CREATE TABLE app.y ()')$$) \gx
SELECT schemadrift.set_policy('{"mode": "coordinate"}') > 0;

-- scope: local objects only
SET schemadrift.scope = 'here';
SELECT * FROM public.refusal('SET LOCAL schemadrift.scope = ''local''; CREATE TABLE app.x ()') \gx
SELECT schemadrift.set_policy('{"local": ["scratch.*", "public.tmp_*"]}') > 0;
CREATE SCHEMA scratch;
BEGIN;
SET LOCAL schemadrift.scope = 'local';
CREATE TABLE scratch.mine (id int);
CREATE TABLE public.tmp_mine (id int);
CREATE TEMPORARY TABLE t (id int);
COMMIT;
BEGIN;
SET LOCAL schemadrift.scope = 'local';
SELECT * FROM public.refusal('CREATE TABLE public.mine ()') \gx
SAVEPOINT s;
DROP TABLE scratch.mine, billing.invoice;
ROLLBACK TO s;
SELECT schemadrift.apply('z', 'CREATE TABLE scratch.z ()');
ROLLBACK;
SELECT max(version) AS head FROM schemadrift.migrations \gset
SET schemadrift.scope = 'local';
DROP TABLE scratch.mine, public.tmp_mine;
RESET schemadrift.scope;
SELECT max(version) = :head AS nothing_sent FROM schemadrift.migrations;

-- barrier and require, as far as one region goes
SELECT * FROM public.refusal($$SELECT schemadrift.apply('b', 'CREATE TABLE app.b ()', options => '{"barrier": 9999}')$$) \gx
SELECT * FROM public.refusal($$SELECT schemadrift.apply('b', 'CREATE TABLE app.b ()', options => '{"require": ["eu-west"]}')$$) \gx
SELECT schemadrift.apply('b', 'CREATE TABLE app.b ()', options => '{"barrier": "previous", "require": ["us-east"]}') - barrier AS one
	FROM (SELECT max(version) AS barrier FROM schemadrift.migrations) h;
SELECT barrier = version - 1 AS kept FROM schemadrift_store.log ORDER BY version DESC LIMIT 1;
SELECT schemadrift.apply('b2', 'CREATE TABLE app.b2 ()', options => '{"barrier": 1, "require": "all"}') > 0;
SELECT schemadrift.apply('b3', 'CREATE TABLE app.b3 ()', options => '{"barrier": false, "require": "majority"}') > 0;
SELECT name, barrier FROM schemadrift_store.log WHERE name IN ('b2', 'b3') ORDER BY version;
BEGIN;
SAVEPOINT s;
CREATE TABLE app.no ();
ROLLBACK TO s;
SELECT schemadrift.apply('b4', 'CREATE TABLE app.b4 ()', options => '{"barrier": 1}');
ROLLBACK;

-- what analysis says: unsafe refuses in apply(), warns of plain DDL
CREATE TABLE app.judged (id int PRIMARY KEY, what text, n int, n4 int, m int, o int, p int, q int, r int, s int, u int);
INSERT INTO app.judged (id) VALUES (1);
SET schemadrift.large_table = 0;
SELECT * FROM public.refusal($$SELECT schemadrift.apply('j1', 'CREATE TABLE app.fine (); ALTER TABLE app.judged ALTER n TYPE bigint')$$) \gx
SELECT to_regclass('app.fine') IS NULL AS nothing_ran;
\set VERBOSITY default
ALTER TABLE app.judged ALTER n TYPE bigint;
\set VERBOSITY terse
-- not of what the server refuses, nor of a table that the transaction itself made, nor of one that the script makes
SELECT code FROM public.refusal($$SELECT schemadrift.apply('j2', 'ALTER TABLE app.judged ADD COLUMN id int')$$);
BEGIN;
CREATE TABLE app.new_one (n int);
ALTER TABLE app.new_one ALTER n TYPE bigint;
ROLLBACK;
SELECT schemadrift.apply('j3', 'CREATE TABLE app.new_one (n int); ALTER TABLE app.new_one ALTER n TYPE bigint') > 0;
-- allow
SELECT schemadrift.apply('j4', 'CREATE TABLE app.x ()', options => '{"allow": "C11"}');
SELECT schemadrift.apply('j4', 'CREATE TABLE app.x ()', options => '{"allow": [7]}');
SELECT schemadrift.apply('j4', 'CREATE TABLE app.x ()', options => '{"allow": {"C11": null}}');
SELECT schemadrift.apply('j4', 'CREATE TABLE app.x ()', options => '{"allow": ["C11", "C1177"]}');
SELECT code FROM public.refusal($$SELECT schemadrift.apply('j4', 'ALTER TABLE app.judged ALTER n4 TYPE bigint', options => '{"allow": ["C8"]}')$$);
SELECT schemadrift.apply('j4', 'ALTER TABLE app.judged ALTER n4 TYPE bigint', options => '{"allow": ["C11"]}') > 0;
SELECT schemadrift.apply('j5', 'ALTER TABLE app.judged ALTER m TYPE bigint', options => '{"allow": {"C11": "an empty table"}}') > 0;
SELECT kind, subject, outcome, replace(reason, session_user, 'ME') AS reason FROM schemadrift.decisions WHERE kind = 'exception' ORDER BY at;
-- each rule of a statement has to be allowed
SELECT * FROM public.refusal($$SELECT schemadrift.apply('j6', 'ALTER TABLE app.judged ALTER u TYPE bigint, ADD CONSTRAINT c CHECK (m > 0)', options => '{"allow": ["C11"]}')$$) \gx
-- exceptions: by rule, objects, time
SELECT schemadrift.set_policy('{"exceptions": [{"rule": "C11"}]}');
SELECT schemadrift.set_policy('{"exceptions": [{"rule": "C11", "reason": "x", "objects": ["judged"]}]}');
SELECT schemadrift.set_policy('{"exceptions": [{"rule": "C11", "reason": "x", "why": "y"}]}');
SELECT schemadrift.set_policy('{"exceptions": [{"rule": "C1177", "reason": "x"}]}');
SELECT schemadrift.set_policy('{"exceptions": [{"rule": "C11", "objects": ["app.other*"], "reason": "elsewhere"}, {"rule": "C11", "until": "2001-01-01", "reason": "over"}]}') > 0;
SELECT code FROM public.refusal($$SELECT schemadrift.apply('j7', 'ALTER TABLE app.judged ALTER o TYPE bigint')$$);
SELECT schemadrift.set_policy('{"exceptions": [{"rule": "C11", "objects": ["app.jud*"], "until": "2999-01-01 00:00+00", "reason": "small"}]}') > 0;
SELECT value FROM schemadrift.policy WHERE key = 'exceptions';
SELECT schemadrift.apply('j7', 'ALTER TABLE app.judged ALTER o TYPE bigint') > 0;
ALTER TABLE app.judged ALTER p TYPE bigint;
SELECT subject, replace(reason, session_user, 'ME') AS reason FROM schemadrift.decisions WHERE kind = 'exception' ORDER BY at DESC LIMIT 2;
SELECT schemadrift.set_policy('{"exceptions": null}') > 0;
-- by way, and for caution
SELECT schemadrift.set_policy('{"on_unsafe": "never"}');
SELECT schemadrift.set_policy('{"on_unsafe": {}}');
SELECT schemadrift.set_policy('{"on_unsafe": {"apply": "warn", "psql": "warn"}}');
SELECT schemadrift.set_policy('{"on_unsafe": {"plain": "refuse", "apply": "warn"}}') > 0;
SELECT * FROM public.refusal('ALTER TABLE app.judged ALTER q TYPE bigint') \gx
SELECT schemadrift.apply('j8', 'ALTER TABLE app.judged ALTER q TYPE bigint') > 0;
SELECT schemadrift.set_policy('{"on_unsafe": "pass", "on_caution": {"apply": "refuse"}}') > 0;
ALTER TABLE app.judged ALTER r TYPE bigint;
SELECT * FROM public.refusal($$SELECT schemadrift.apply('j9', 'ALTER TABLE app.judged DROP COLUMN q')$$) \gx
SELECT schemadrift.apply('j9', 'ALTER TABLE app.judged DROP COLUMN q', 'ALTER TABLE app.judged ADD COLUMN q int', '{"allow": ["B1"]}') > 0;
-- taking back is not judged
SELECT schemadrift.set_policy('{"on_unsafe": "refuse", "on_caution": "refuse"}') > 0;
SELECT schemadrift.revert('j9') > 0;
SELECT schemadrift.set_policy('{"on_unsafe": null, "on_caution": null}') > 0;
-- nor is anything in mode observe or off
CREATE TABLE app.outside (s int);
INSERT INTO app.outside VALUES (1);
SET schemadrift.ddl_mode = 'off';
ALTER TABLE app.outside ALTER s TYPE bigint;
RESET schemadrift.ddl_mode;
RESET schemadrift.large_table;

-- barriers: what forbids or takes away waits; an explicit one stays
SELECT schemadrift.set_policy('{"barriers": "yes"}');
SELECT schemadrift.set_policy('{"barriers": "gate"}') > 0;
SELECT schemadrift.apply('g1', 'ALTER TABLE app.judged ADD COLUMN t int') > 0;
SELECT schemadrift.apply('g2', 'ALTER TABLE app.judged DROP COLUMN t') > 0;
SELECT schemadrift.apply('g3', 'ALTER TABLE app.judged DROP COLUMN p', options => '{"barrier": 1}') > 0;
SELECT code, message FROM public.refusal($$SELECT schemadrift.apply('g4', 'ALTER TABLE app.judged DROP COLUMN o', options => '{"barrier": 9999}')$$);
SELECT schemadrift.apply('g5', 'CREATE TABLE app.g5 (id int); ALTER TABLE app.g5 DROP COLUMN id', options => '{"barrier": 1}') > 0;
SELECT name, CASE barrier WHEN version - 1 THEN 'the version before' ELSE barrier::text END AS barrier FROM schemadrift_store.log WHERE name ~ '^g[0-9]' ORDER BY version;
ALTER TABLE app.judged DROP COLUMN o;
SELECT barrier = version - 1 AS plain FROM schemadrift_store.log ORDER BY version DESC LIMIT 1;
BEGIN;
CREATE TABLE app.g6 (id int);
SELECT * FROM public.refusal('ALTER TABLE app.judged DROP COLUMN m') \gx
ROLLBACK;
SELECT schemadrift.set_policy('{"barriers": null}') > 0;

-- max_lock_wait: the shorter one counts
SELECT schemadrift.set_policy('{"max_lock_wait": "never"}');
SELECT schemadrift.set_policy('{"max_lock_wait": "2 s"}') > 0;
CREATE FUNCTION app.told() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN RAISE WARNING 'lock_timeout is %', current_setting('lock_timeout'); END$$;
CREATE EVENT TRIGGER told ON ddl_command_start EXECUTE FUNCTION app.told();
CREATE TABLE app.w1 ();
SELECT schemadrift.apply('w2', 'CREATE TABLE app.w2 ()') > 0;
SET lock_timeout = '1s';
CREATE TABLE app.w3 ();
SET lock_timeout = '1min';
SELECT schemadrift.apply('w4', 'CREATE TABLE app.w4 ()') > 0;
SHOW lock_timeout;
RESET lock_timeout;
DROP EVENT TRIGGER told;
SELECT schemadrift.set_policy('{"max_lock_wait": null}') > 0;

-- allowed_roles, of the region where the change is made
CREATE ROLE regress_super SUPERUSER;
CREATE ROLE regress_plain;
GRANT CREATE ON SCHEMA app TO regress_plain;
SHOW schemadrift.allowed_roles;
SET schemadrift.allowed_roles = 'x';
SET ROLE regress_super;
SELECT * FROM public.refusal('CREATE TABLE app.by_super ()') \gx
SELECT code, message FROM public.refusal($$SELECT schemadrift.apply('s', 'CREATE TABLE app.by_super ()')$$);
CREATE TEMPORARY TABLE its_own ();
DROP TABLE its_own;
RESET ROLE;
SET ROLE regress_plain;
CREATE TABLE app.by_plain ();
RESET ROLE;
ALTER SYSTEM SET schemadrift.allowed_roles = 'one two';
SELECT schemadrift.leave();
DROP SCHEMA app, billing, scratch CASCADE;
DROP FUNCTION public.refusal(text);
DROP OWNED BY regress_super, regress_plain;
DROP ROLE regress_super, regress_plain;
