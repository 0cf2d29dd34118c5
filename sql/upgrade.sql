-- An upgrade from each released version leaves the very objects that a fresh install makes: definitions, comments, rights.
-- When this fails, an object was added to a fragment of src/sql and not to src/sql/upgrade (docs/architecture.md, "Adding
-- an SQL object").
CREATE DATABASE regress_upgrade;
\c regress_upgrade
SET client_min_messages = warning;

-- A line for everything about the extension's objects that a person or a program could see.
CREATE FUNCTION acl(aclitem[]) RETURNS text LANGUAGE sql AS
	$$ SELECT coalesce(string_agg(a::text, ' ' ORDER BY a::text), 'default') FROM unnest($1) a $$;
CREATE FUNCTION shape() RETURNS SETOF text LANGUAGE sql AS $$
	WITH member AS (
		SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
		WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'schemadrift'
	), rel AS (
		SELECT c.*, c.oid::regclass::text AS name FROM pg_class c JOIN member m ON m.objid = c.oid AND m.classid = 'pg_class'::regclass
	), parts AS (
		SELECT classid, objid FROM member
		UNION ALL SELECT 'pg_class'::regclass, i.indexrelid FROM pg_index i JOIN rel ON rel.oid = i.indrelid
	)
	SELECT format('member %s: %s', pg_describe_object(classid, objid, 0), coalesce(obj_description(objid, relname), 'no comment'))
		FROM member JOIN pg_class c ON c.oid = classid
	UNION ALL SELECT format('function %s: %s rights %s', p.oid::regprocedure,
			CASE prokind WHEN 'a' THEN 'aggregate' ELSE pg_get_functiondef(p.oid) END, acl(proacl))
		FROM pg_proc p JOIN member m ON m.objid = p.oid AND m.classid = 'pg_proc'::regclass
	UNION ALL SELECT format('aggregate %s: %s of %s combines %s sort %s', aggfnoid::regprocedure, aggtransfn, aggtranstype::regtype, aggcombinefn, aggsortop::regoperator)
		FROM pg_aggregate JOIN member m ON m.objid = aggfnoid AND m.classid = 'pg_proc'::regclass
	UNION ALL SELECT format('type %s: length %s by value %s storage %s functions %s %s %s %s rights %s', t.oid::regtype, typlen, typbyval, typstorage,
			typinput, typoutput, typreceive, typsend, acl(typacl)) FROM pg_type t JOIN member m ON m.objid = t.oid AND m.classid = 'pg_type'::regclass
	UNION ALL SELECT format('operator %s: %s commutator %s negator %s hash %s merge %s estimates %s %s', o.oid::regoperator, oprcode, oprcom::regoperator,
			oprnegate::regoperator, oprcanhash, oprcanmerge, oprrest, oprjoin) FROM pg_operator o JOIN member m ON m.objid = o.oid AND m.classid = 'pg_operator'::regclass
	UNION ALL SELECT format('relation %s: kind %s options %s persistence %s row security %s rights %s', name, relkind, reloptions, relpersistence, relrowsecurity, acl(relacl)) FROM rel
	UNION ALL SELECT format('view %s: %s', name, pg_get_viewdef(oid)) FROM rel WHERE relkind = 'v'
	UNION ALL SELECT format('column %s.%s: number %s %s%s collation %s default %s rights %s comment %s', name, attname, attnum,
			format_type(atttypid, atttypmod), CASE WHEN attnotnull THEN ' not null' END, attcollation::regcollation,
			pg_get_expr(adbin, adrelid), acl(attacl), col_description(rel.oid, attnum))
		FROM rel JOIN pg_attribute ON attrelid = rel.oid AND attnum > 0 LEFT JOIN pg_attrdef ON adrelid = rel.oid AND adnum = attnum
	UNION ALL SELECT format('index %s', pg_get_indexdef(i.indexrelid)) FROM pg_index i JOIN rel ON rel.oid = i.indrelid
	UNION ALL SELECT format('constraint %s.%s %s', name, conname, pg_get_constraintdef(k.oid)) FROM pg_constraint k JOIN rel ON rel.oid = k.conrelid
	UNION ALL SELECT format('trigger %s enabled %s', pg_get_triggerdef(t.oid), tgenabled) FROM pg_trigger t JOIN rel ON rel.oid = t.tgrelid
	UNION ALL SELECT format('schema %s: rights %s', nspname, acl(nspacl)) FROM pg_namespace
		WHERE nspname LIKE 'schemadrift%'
	UNION ALL SELECT format('rights that a dump leaves out, %s: %s', pg_describe_object(i.classoid, i.objoid, i.objsubid), acl(initprivs))
		FROM pg_init_privs i JOIN parts p ON p.classid = i.classoid AND p.objid = i.objoid
	UNION ALL SELECT format('extension: version %s relocatable %s schema %s dumps %s', extversion, extrelocatable, extnamespace::regnamespace, extconfig)
		FROM pg_extension WHERE extname = 'schemadrift'
$$;

CREATE EXTENSION schemadrift;
CREATE TABLE fresh AS SELECT s FROM shape() s;
SELECT s ~ 'status' AS known, count(*) > 0 AS some FROM fresh WHERE s ~ '^(function|view|trigger|column)' GROUP BY 1 ORDER BY 1;

-- a released version can be installed still, and leads to the newest one
SELECT version FROM pg_available_extension_versions WHERE name = 'schemadrift' ORDER BY string_to_array(version, '.')::int[];
SELECT source, target, path FROM pg_extension_update_paths('schemadrift') WHERE path IS NOT NULL ORDER BY 1, 2;

DROP EXTENSION schemadrift;
DROP SCHEMA IF EXISTS schemadrift;
CREATE EXTENSION schemadrift VERSION '0.1';
SELECT count(*) > 0 AS "0.1 lacks something" FROM (SELECT s FROM fresh EXCEPT SELECT shape()) x(s) WHERE s ~ '^relation';
ALTER EXTENSION schemadrift UPDATE;
SELECT s AS "only in a fresh install" FROM (SELECT s FROM fresh EXCEPT ALL SELECT shape()) x(s) ORDER BY s COLLATE "C";
SELECT s AS "only after the upgrade" FROM (SELECT shape() EXCEPT ALL SELECT s FROM fresh) x(s) ORDER BY s COLLATE "C";

-- A released call between regions stays as it was: older regions make it, and count the columns of its answer.
CREATE TEMP TABLE rpc AS SELECT p.oid::regprocedure::text AS call, pg_get_function_result(p.oid) AS answer
	FROM pg_proc p WHERE pronamespace = 'schemadrift_rpc'::regnamespace;
DROP EXTENSION schemadrift;
CREATE EXTENSION schemadrift VERSION '0.1';
SELECT p.oid::regprocedure AS "changed" FROM pg_proc p LEFT JOIN rpc ON call = p.oid::regprocedure::text
	WHERE pronamespace = 'schemadrift_rpc'::regnamespace AND (call IS NULL OR answer <> pg_get_function_result(p.oid));

-- an upgrade in a transaction that is rolled back leaves the old objects
BEGIN;
ALTER EXTENSION schemadrift UPDATE;
SELECT extversion FROM pg_extension WHERE extname = 'schemadrift';
ROLLBACK;
SELECT extversion FROM pg_extension WHERE extname = 'schemadrift';

\c contrib_regression
DROP DATABASE regress_upgrade;
