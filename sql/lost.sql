-- Being void, and the ways back that a group of one can show.  t/180_lost_state.pl and t/181_restored.pl have the rest.
SELECT format('host=%s port=%s dbname=%s', :'HOST', :'PORT', :'DBNAME') AS me \gset
SET client_min_messages = warning;

-- in no group
SELECT schemadrift.rejoin();
SELECT schemadrift.void_identity();
SELECT schemadrift.confirm_failover();
SELECT schemadrift.force_new_group('us-east');

SELECT schemadrift.init('us-east', :'me');
SELECT schemadrift.set_policy('{"mode": "coordinate"}') > 0 AS coordinated;
CREATE TABLE public.before_lost (a int);

-- a sound one has nothing to come back from
SELECT schemadrift.rejoin();
SELECT schemadrift.confirm_failover();
SELECT schemadrift.force_new_group('us-east');
BEGIN;
SELECT schemadrift.rejoin();
ROLLBACK;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT schemadrift.void_identity('older snapshot');
ROLLBACK;

-- its life, kept since init
SELECT state, cause, reason, token IS NULL AS no_token, since FROM schemadrift_store.self, schemadrift_store.life;

-- a rollback takes the declaration back
BEGIN;
SELECT schemadrift.void_identity('not meant');
ROLLBACK;
SELECT state FROM schemadrift_store.self;

-- void
SELECT schemadrift.void_identity('restored');
SELECT state, cause, replace(reason, current_user, 'me') AS reason FROM schemadrift_store.self, schemadrift_store.life;
SELECT state, replace(reason, current_user, 'me') AS reason FROM schemadrift.status;
SELECT schemadrift.rejoin();
\set VERBOSITY terse
CREATE TABLE public.void_lost (a int);
SELECT schemadrift.confirm_failover();
\set VERBOSITY default

-- alone
SELECT schemadrift.force_new_group();
SELECT schemadrift.force_new_group('us-west');
SELECT schemadrift.force_new_group('us-east') > 0 AS forced;
SELECT generation, incarnation, vote_seq, state FROM schemadrift_store.self;
SELECT kind, origin, incarnation FROM schemadrift_store.log ORDER BY version DESC LIMIT 1;
CREATE TABLE public.after_lost (a int);
SELECT region, role, incarnation, state FROM schemadrift.regions;

-- settings
ALTER SYSTEM SET schemadrift.token_file = 'relative';

DROP TABLE public.before_lost, public.after_lost;
SELECT schemadrift.leave();
