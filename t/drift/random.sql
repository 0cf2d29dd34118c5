-- Random changes of a schema, for t/244_drift_random.pl: what there is to pick from, a statement, a step, and what has to be true after it.
-- Picks are made in an order of their own, so that one seed is one sequence of statements.
CREATE SCHEMA fuzz;
CREATE TABLE fuzz.template (n serial PRIMARY KEY, t text);
CREATE TABLE fuzz.name (n text);
INSERT INTO fuzz.name VALUES ('a'), ('b'), ('c'), ('Mixed Case'), ('quo"te'), ('dot.name'), ('sélect'), ('select'), ('it''s; --'), ('back\slash'), (E'new\nline'), (repeat('long', 15) || 'xyz'), ('$$'), ('%s %I'), (' ');

-- One of what a query returns.
CREATE FUNCTION fuzz.one(q text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE r text[]; BEGIN EXECUTE 'SELECT array_agg(x::text ORDER BY x::text COLLATE "C") FROM (' || q || ') s(x)' INTO r; RETURN r[1 + floor(random() * array_length(r, 1))]; END $$;

-- For {what:kinds} in a statement; was: the relation or type that was picked last.
CREATE FUNCTION fuzz.pick(what text, was text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE s text := $q$ (SELECT oid FROM pg_namespace WHERE nspname LIKE 'fz%') $q$;
BEGIN
	RETURN CASE split_part(what, ':', 1)
	WHEN 'new' THEN fuzz.one('SELECT quote_ident(n) FROM fuzz.name')
	WHEN 'lit' THEN fuzz.one('SELECT quote_literal(n) FROM fuzz.name')
	WHEN 'n' THEN (1 + floor(random() * 9))::int::text
	WHEN 's' THEN fuzz.one('SELECT quote_ident(nspname) FROM pg_namespace WHERE nspname LIKE ''fz%''')
	WHEN 'role' THEN fuzz.one('SELECT quote_ident(rolname) FROM pg_roles WHERE rolname LIKE ''fz%''')
	WHEN 'rel' THEN fuzz.one('SELECT oid::regclass FROM pg_class WHERE relkind = ANY (''{' || split_part(what, ':', 2) || '}'') AND relnamespace IN ' || s)
	WHEN 'table' THEN fuzz.one('SELECT oid::regclass FROM pg_class WHERE relkind IN (''r'', ''p'') AND relnamespace IN ' || s)
	WHEN 'part' THEN fuzz.one('SELECT oid::regclass FROM pg_class WHERE relispartition AND relkind IN (''r'', ''p'') AND relnamespace IN ' || s)
	WHEN 'free' THEN fuzz.one('SELECT oid::regclass FROM pg_class WHERE NOT relispartition AND relkind IN (''r'', ''p'') AND relnamespace IN ' || s)
	-- of the relation picked before
	WHEN 'col' THEN fuzz.one('SELECT quote_ident(attname) FROM pg_attribute WHERE attnum > 0 AND NOT attisdropped AND attrelid = ' || quote_nullable(was) || '::regclass')
	WHEN 'con' THEN fuzz.one('SELECT quote_ident(conname) FROM pg_constraint WHERE conrelid = ' || quote_nullable(was) || '::regclass')
	WHEN 'idx' THEN fuzz.one('SELECT quote_ident(relname) FROM pg_class c JOIN pg_index i ON indexrelid = c.oid WHERE indrelid = ' || quote_nullable(was) || '::regclass')
	WHEN 'trg' THEN fuzz.one('SELECT quote_ident(tgname) FROM pg_trigger WHERE NOT tgisinternal AND tgrelid = ' || quote_nullable(was) || '::regclass')
	WHEN 'rule' THEN fuzz.one('SELECT quote_ident(rulename) FROM pg_rewrite WHERE ev_class = ' || quote_nullable(was) || '::regclass')
	WHEN 'pol' THEN fuzz.one('SELECT quote_ident(polname) FROM pg_policy WHERE polrelid = ' || quote_nullable(was) || '::regclass')
	WHEN 'type' THEN fuzz.one('SELECT oid::regtype FROM pg_type WHERE typtype = ANY (''{' || split_part(what, ':', 2) || '}'') AND typnamespace IN ' || s
		|| ' AND (typrelid = 0 OR (SELECT relkind FROM pg_class WHERE oid = typrelid) = ''c'')')
	WHEN 'any' THEN fuzz.one('SELECT unnest(''{int,text,bigint,date,"text[]"}''::text[]) UNION ALL SELECT oid::regtype::text FROM pg_type WHERE typcategory <> ''P'' AND typnamespace IN ' || s)
	WHEN 'label' THEN fuzz.one('SELECT quote_literal(enumlabel) FROM pg_enum WHERE enumtypid = ' || quote_nullable(was) || '::regtype')
	WHEN 'attr' THEN fuzz.one('SELECT quote_ident(attname) FROM pg_attribute WHERE attnum > 0 AND NOT attisdropped AND attrelid = (SELECT typrelid FROM pg_type WHERE oid = ' || quote_nullable(was) || '::regtype)')
	WHEN 'dcon' THEN fuzz.one('SELECT quote_ident(conname) FROM pg_constraint WHERE contypid = ' || quote_nullable(was) || '::regtype')
	WHEN 'func' THEN fuzz.one('SELECT oid::regprocedure FROM pg_proc WHERE prokind = ''f'' AND pronamespace IN ' || s)
	WHEN 'trgf' THEN fuzz.one('SELECT oid::regproc FROM pg_proc WHERE prorettype = ''trigger''::regtype AND pronamespace IN ' || s)
	WHEN 'seq' THEN fuzz.one('SELECT oid::regclass FROM pg_class WHERE relkind = ''S'' AND relnamespace IN ' || s)
	WHEN 'stat' THEN fuzz.one('SELECT format(''%s.%I'', stxnamespace::regnamespace, stxname) FROM pg_statistic_ext WHERE stxnamespace IN ' || s)
	WHEN 'opr' THEN fuzz.one('SELECT format(''%s.%s (int, int)'', oprnamespace::regnamespace, oprname) FROM pg_operator WHERE oprnamespace IN ' || s)
	WHEN 'coll' THEN fuzz.one('SELECT format(''%s.%I'', collnamespace::regnamespace, collname) FROM pg_collation WHERE collnamespace IN ' || s)
	WHEN 'tsc' THEN fuzz.one('SELECT format(''%s.%I'', cfgnamespace::regnamespace, cfgname) FROM pg_ts_config WHERE cfgnamespace IN ' || s)
	WHEN 'tsd' THEN fuzz.one('SELECT format(''%s.%I'', dictnamespace::regnamespace, dictname) FROM pg_ts_dict WHERE dictnamespace IN ' || s)
	WHEN 'evt' THEN fuzz.one('SELECT quote_ident(evtname) FROM pg_event_trigger WHERE evtname LIKE ''fz%''')
	WHEN 'srv' THEN fuzz.one('SELECT quote_ident(srvname) FROM pg_foreign_server WHERE srvname LIKE ''fz%''')
	WHEN 'fdw' THEN fuzz.one('SELECT quote_ident(fdwname) FROM pg_foreign_data_wrapper WHERE fdwname LIKE ''fz%''')
	WHEN 'cast' THEN fuzz.one('SELECT format(''(%s AS %s)'', castsource::regtype, casttarget::regtype) FROM pg_cast WHERE castsource IN (SELECT oid FROM pg_type WHERE typnamespace IN ' || s || ')')
	WHEN 'opf' THEN fuzz.one('SELECT format(''%s.%I USING btree'', opfnamespace::regnamespace, opfname) FROM pg_opfamily WHERE opfnamespace IN ' || s)
	WHEN 'ext' THEN fuzz.one('SELECT unnest(''{hstore,citext,pg_trgm}''::text[])')
	WHEN 'kind' THEN fuzz.one('SELECT unnest(''{TABLES,FUNCTIONS,SEQUENCES,TYPES}''::text[])')
	END;
END $$;

-- A statement, or null.  What destroys much is rarer than what makes it.
CREATE FUNCTION fuzz.statement() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	t text;
	what text;
	picked text;
	relation text;
BEGIN
	LOOP
		SELECT f.t INTO t FROM fuzz.template f WHERE n = 1 + floor(random() * (SELECT max(n) FROM fuzz.template));
		EXIT WHEN t !~ '^DROP (SCHEMA|OWNED|EXTENSION)|^DROP .* CASCADE' OR random() < 0.25;
	END LOOP;
	LOOP
		what := substring(t FROM '\{([a-z]+(?::[a-zA-Z,]+)?)\}');
		EXIT WHEN what IS NULL;
		picked := fuzz.pick(what, relation);
		IF picked IS NULL THEN
			RETURN NULL;
		END IF;
		IF what ~ '^(rel|table|part|free|type)' THEN
			relation := picked;
		END IF;
		t := overlay(t PLACING picked FROM position('{' || what || '}' IN t) FOR length(what) + 2);
	END LOOP;
	RETURN t;
END $$;

-- What was run, or as a comment what failed or was rolled back to before it.
CREATE FUNCTION fuzz.step() RETURNS text LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	t text;
BEGIN
	WHILE t IS NULL LOOP
		t := fuzz.statement();
	END LOOP;
	BEGIN
		EXECUTE t;
		IF random() < 0.1 THEN
			RAISE EXCEPTION 'rolled back' USING ERRCODE = 'XX999';
		END IF;
		RETURN t;
	EXCEPTION WHEN OTHERS THEN
		RETURN '-- ' || SQLSTATE || ' ' || SQLERRM || ': ' || t;
	END;
END $$;

-- An event trigger that does DDL of its own, in the middle of others' statements.
CREATE FUNCTION fuzz.event() RETURNS event_trigger LANGUAGE plpgsql AS $$
DECLARE
	made record;
BEGIN
	IF current_setting('fuzz.inside', true) = '1' THEN
		RETURN;
	END IF;
	PERFORM set_config('fuzz.inside', '1', true);
	FOR made IN SELECT * FROM pg_event_trigger_ddl_commands() WHERE object_type = 'table' AND schema_name LIKE 'fz%' LOOP
		EXECUTE format('COMMENT ON TABLE %s IS %L', made.object_identity, 'seen');
		EXECUTE format('GRANT SELECT ON %s TO PUBLIC', made.object_identity);
		EXECUTE format('CREATE VIEW %I.%I AS SELECT * FROM %s', made.schema_name, 'of ' || left(md5(made.object_identity), 4), made.object_identity);
	END LOOP;
	PERFORM set_config('fuzz.inside', '', true);
END $$;

-- The schema by the log, kept without any help: as it was at the beginning, and what entries have said since.
CREATE TABLE fuzz.logged (kind text COLLATE "C", identity text COLLATE "C", hash bytea, PRIMARY KEY (kind, identity));
CREATE TABLE fuzz.seen (version bigint);

CREATE FUNCTION fuzz.begin() RETURNS void LANGUAGE sql AS $$
	INSERT INTO fuzz.logged SELECT kind, identity, hash FROM schemadrift_store.digest_scan();
	INSERT INTO fuzz.seen SELECT max(version) FROM schemadrift_store.log;
$$;

CREATE FUNCTION fuzz.follow() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	entry record;
BEGIN
	FOR entry IN SELECT version, convert_from(substring(body FROM position('\x0a'::bytea IN body) + 1), 'UTF8')::jsonb->'objects' AS objects
			FROM schemadrift_store.log WHERE version > (SELECT max(version) FROM fuzz.seen) ORDER BY version LOOP
		DELETE FROM fuzz.logged l USING jsonb_to_recordset(entry.objects) o(kind text, identity text)
			WHERE l.kind = o.kind AND l.identity = o.identity;
		INSERT INTO fuzz.logged SELECT kind, identity, decode(hash, 'hex') FROM jsonb_to_recordset(entry.objects) o(kind text, identity text, hash text)
			WHERE hash IS NOT NULL;
		INSERT INTO fuzz.seen VALUES (entry.version);
	END LOOP;
END $$;

-- Whatever is not as it has to be.
CREATE FUNCTION fuzz.wrong() RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM fuzz.follow();
	CREATE TEMP TABLE IF NOT EXISTS scanned (kind text COLLATE "C", identity text COLLATE "C", hash bytea, definition text);
	DELETE FROM pg_temp.scanned;
	INSERT INTO pg_temp.scanned SELECT * FROM schemadrift_store.digest_scan();
	RETURN QUERY SELECT 'kept digest: ' || coalesce(o.kind, s.kind) || ' ' || coalesce(o.identity, s.identity) ||
			CASE WHEN o.kind IS NULL THEN ' has none' WHEN s.kind IS NULL THEN ' is gone' ELSE E' is otherwise:\n' || s.definition END
		FROM schemadrift_store.object o FULL JOIN pg_temp.scanned s USING (kind, identity) WHERE o.hash IS DISTINCT FROM s.hash;
	RETURN QUERY SELECT 'drift: ' || coalesce(d.kind, w.kind) || ' ' || coalesce(d.identity, w.identity) ||
			CASE WHEN d.kind IS NULL THEN ' has no row' WHEN w.kind IS NULL THEN ' has a row and is as the log says' ELSE ' has another row' END
		FROM (SELECT coalesce(l.kind, s.kind) AS kind, coalesce(l.identity, s.identity) AS identity, l.hash AS expected, s.hash AS actual
			FROM fuzz.logged l FULL JOIN pg_temp.scanned s USING (kind, identity) WHERE l.hash IS DISTINCT FROM s.hash) w
		FULL JOIN (SELECT * FROM schemadrift_store.drift WHERE NOT starts_with(kind, 'maintain on ')) d USING (kind, identity)
		WHERE d.expected IS DISTINCT FROM w.expected OR d.actual IS DISTINCT FROM w.actual;
	-- what no digest counts (17): its rows say what is kept, of objects that there are
	RETURN QUERY SELECT 'drift: ' || d.kind || ' ' || d.identity || ' is not what is kept'
		FROM schemadrift_store.drift d LEFT JOIN schemadrift_store.beside b ON b.kind = substr(d.kind, 13) AND b.identity = d.identity
			LEFT JOIN schemadrift_store.object o ON o.kind = substr(d.kind, 13) AND o.identity = d.identity
		WHERE starts_with(d.kind, 'maintain on ') AND (o.kind IS NULL OR d.actual_definition <> coalesce(b.definition, '') OR d.actual = d.expected);
	RETURN QUERY SELECT 'drift: ' || d.kind || ' ' || d.identity || ' has another definition than it has a digest'
		FROM schemadrift_store.drift d JOIN pg_temp.scanned s USING (kind, identity) WHERE d.actual_definition IS DISTINCT FROM s.definition;
	RETURN QUERY SELECT 'dot ' || n || ' is not settled, and nothing is left of it' FROM schemadrift_store.bypass b
		WHERE settled IS NULL AND NOT EXISTS (SELECT FROM schemadrift_store.drift d WHERE d.change = b.n);
	RETURN QUERY SELECT 'dot ' || n || ' is settled, and something is left of it' FROM schemadrift_store.bypass b
		WHERE settled IS NOT NULL AND EXISTS (SELECT FROM schemadrift_store.drift d WHERE d.change = b.n);
	RETURN QUERY SELECT 'dot ' || n || ' was found: ' || command FROM schemadrift_store.bypass WHERE mode = 'found';
END $$;
