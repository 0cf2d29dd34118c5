-- What a member is, changed: arguments, refusals, and what a group of one can do.  t/170_membership.pl has the rest.
SELECT format('host=%s port=%s dbname=%s', :'HOST', :'PORT', :'DBNAME') AS me \gset

-- in no group
SELECT schemadrift.alter_region('us-east', priority => 1);
SELECT schemadrift.step_down();
SELECT schemadrift.step_up();
SELECT schemadrift.suspend_region('us-east', 'why');
SELECT schemadrift.resume_region('us-east');
SELECT schemadrift.set_peer_conninfo('us-east');
SELECT * FROM schemadrift.peer_conninfo;

SELECT schemadrift.init('us-east', :'me');
SELECT region, role, priority, suspended, reason FROM schemadrift.regions;
SELECT region, conninfo = in_log AS same, overridden FROM schemadrift.peer_conninfo;

-- nulls, names, values
SELECT schemadrift.alter_region(NULL);
SELECT schemadrift.alter_region('nowhere', priority => 1);
SELECT schemadrift.alter_region('us-east', priority => -1);
SELECT schemadrift.alter_region('us-east', priority => 1001);
SELECT schemadrift.alter_region('us-east', role => 'leader');
SELECT schemadrift.alter_region('us-east', conninfo => 'host=x password=secret');
SELECT schemadrift.alter_region('us-east', conninfo => 'host=x password=''secret');
SELECT schemadrift.alter_region('us-east', conninfo => 'host=x nonsense=1');
SELECT schemadrift.alter_region('us-east', conninfo => 'service=schemadrift_no_such_service');
SELECT schemadrift.suspend_region(NULL, 'why');
SELECT schemadrift.suspend_region('us-east', NULL);
SELECT schemadrift.suspend_region('us-east', '  ');
SELECT schemadrift.suspend_region('us-east', repeat('x', 201));
SELECT schemadrift.suspend_region('nowhere', 'why');
SELECT schemadrift.resume_region(NULL);
SELECT schemadrift.resume_region('nowhere');
SELECT schemadrift.resume_region('us-east');
SELECT schemadrift.set_peer_conninfo(NULL);
SELECT schemadrift.set_peer_conninfo('nowhere', 'host=x');
SELECT schemadrift.set_peer_conninfo('us-east', 'host=x');
SELECT schemadrift.set_peer_conninfo('nowhere');

-- the only voter, the only one that serves
SELECT schemadrift.step_down();
SELECT schemadrift.step_up();
SELECT schemadrift.alter_region('us-east', role => 'observer');
SELECT schemadrift.alter_region('us-east', role => 'witness');
SELECT schemadrift.suspend_region('us-east', 'why');

-- what changes nothing makes no entry
SELECT schemadrift.alter_region('us-east');
SELECT schemadrift.alter_region('us-east', :'me', 'voter', 0);
SELECT count(*) FROM schemadrift_store.log;

-- what changes something is an entry with all members
SELECT schemadrift.alter_region('us-east', priority => 7);
SELECT role, priority FROM schemadrift.regions;
SELECT version, kind, substring(convert_from(body, 'UTF8') FROM '"action":"\w+","region":"[\w-]+"') AS what
	FROM schemadrift_store.log ORDER BY version;
BEGIN;
SELECT schemadrift.alter_region('us-east', priority => 8);
ROLLBACK;
BEGIN;
SELECT schemadrift.alter_region('us-east', priority => 8);
SELECT schemadrift.alter_region('us-east', priority => 9);
ROLLBACK;
BEGIN;
CREATE TABLE public.first (id int);
SELECT schemadrift.alter_region('us-east', priority => 8);
ROLLBACK;
BEGIN;
SAVEPOINT s;
SELECT schemadrift.step_down();
ROLLBACK;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT schemadrift.suspend_region('us-east', 'why');
ROLLBACK;
SELECT priority FROM schemadrift.regions;

-- rights
CREATE ROLE regress_member;
SET ROLE regress_member;
SELECT schemadrift.alter_region('us-east', priority => 1);
SELECT schemadrift.step_down();
SELECT schemadrift.step_up();
SELECT schemadrift.suspend_region('us-east', 'why');
SELECT schemadrift.resume_region('us-east');
SELECT schemadrift.set_peer_conninfo('us-east');
SELECT * FROM schemadrift.peer_conninfo;
SELECT * FROM schemadrift_store.peer_address;
RESET ROLE;
GRANT schemadrift_monitor, schemadrift_migrator, schemadrift_peer TO regress_member;
SET ROLE regress_member;
SELECT schemadrift.alter_region('us-east', priority => 1);
SELECT region, priority FROM schemadrift.regions;
SELECT * FROM schemadrift.peer_conninfo;
RESET ROLE;
GRANT schemadrift_admin TO regress_member;
SET ROLE regress_member;
SELECT schemadrift.alter_region('us-east', priority => 1);
SELECT region, overridden FROM schemadrift.peer_conninfo;
SELECT * FROM schemadrift_store.peer_address;
RESET ROLE;

SELECT schemadrift.leave();
DROP ROLE regress_member;
