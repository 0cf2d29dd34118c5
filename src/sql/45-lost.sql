-- A region that may have lost votes: what proves that it has not, and the ways back.

CREATE TABLE schemadrift_store.life
(
	one boolean PRIMARY KEY DEFAULT true CHECK (one),
	life uuid NOT NULL,
	since bigint NOT NULL,
	begun timestamptz NOT NULL,
	token bytea,
	replicated boolean NOT NULL,
	cause text,
	reason text,
	system_identifier bigint,
	timeline integer,
	database oid
) WITH (fillfactor = 50);
COMMENT ON TABLE schemadrift_store.life IS 'this region''s present life, and why it is void if it is; empty before init or join';
COMMENT ON COLUMN schemadrift_store.life.life IS 'random; of a void region: in whose name it asks to be admitted again';
COMMENT ON COLUMN schemadrift_store.life.since IS 'version of the entry that began this incarnation';
COMMENT ON COLUMN schemadrift_store.life.begun IS 'when this database became a region';
COMMENT ON COLUMN schemadrift_store.life.token IS 'SHA-256 of the contents of schemadrift.token_file; null: none';
COMMENT ON COLUMN schemadrift_store.life.replicated IS
	'each vote of this incarnation was committed while a synchronous standby was configured';
COMMENT ON COLUMN schemadrift_store.life.cause IS 'of being void, in a word; null: it is not';
COMMENT ON COLUMN schemadrift_store.life.reason IS 'of being void, in words';
COMMENT ON COLUMN schemadrift_store.life.system_identifier IS 'of a void region: of the server that made its life';
COMMENT ON COLUMN schemadrift_store.life.timeline IS 'of a void region: on which that was';
COMMENT ON COLUMN schemadrift_store.life.database IS 'of a void region: in which that was';

CREATE FUNCTION schemadrift_rpc.readmit(protocol integer, group_id uuid, generation integer, callee text,
	caller text, caller_incarnation integer, known_vote_seq bigint,
	life uuid, head bigint, chain bytea)
	RETURNS bigint LANGUAGE c VOLATILE SECURITY DEFINER PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'sd_rpc_readmit';
COMMENT ON FUNCTION schemadrift_rpc.readmit IS 'a void region asks to go on as a new incarnation';

CREATE FUNCTION schemadrift.rejoin() RETURNS integer
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sd_rejoin';
COMMENT ON FUNCTION schemadrift.rejoin() IS
	'this void region asks the others, now, to go on as a new incarnation, which is returned; with policy "auto_rejoin" it asks by itself';

CREATE FUNCTION schemadrift.void_identity(reason text DEFAULT NULL) RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sd_void_identity';
COMMENT ON FUNCTION schemadrift.void_identity(text) IS
	'declares that this database may have lost votes (it was restored, say): it votes again only as a new incarnation';

CREATE FUNCTION schemadrift.confirm_failover() RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sd_confirm_failover';
COMMENT ON FUNCTION schemadrift.confirm_failover() IS
	'after the promotion of a synchronous standby: keeps this region''s incarnation if it is proven that no vote is lost';

CREATE FUNCTION schemadrift.force_new_group(confirm text DEFAULT NULL) RETURNS bigint
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sd_force_new_group';
COMMENT ON FUNCTION schemadrift.force_new_group(text) IS
	'the majority is lost for ever: this region goes on alone as a new generation of the group; says what may be lost; confirm: its name';

REVOKE ALL ON FUNCTION schemadrift.rejoin(), schemadrift.void_identity(text), schemadrift.confirm_failover(),
	schemadrift.force_new_group(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION schemadrift.rejoin(), schemadrift.void_identity(text), schemadrift.confirm_failover()
	TO schemadrift_admin;
