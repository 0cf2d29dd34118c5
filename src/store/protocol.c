/*
 * protocol.c: protocol numbers; see protocol.h.
 *
 * Runs in backends, workers and calls of other regions.  Reads what the others told from shared memory, under SdDatabase.lock.
 */
#include "compat.h"

#include "catalog/namespace.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "settings.h"
#include "shared.h"
#include "store/protocol.h"
#include "store/state.h"

/* ---- this region ---- */

bool
sd_store_has(const char *table)
{
	Oid			schema = get_namespace_oid("schemadrift_store", true);

	return OidIsValid(schema) && OidIsValid(get_relname_relid(table, schema));
}

char *
sd_store_objects_version(void)
{
	static SdStatement statement = {.sql = "SELECT extversion FROM pg_extension WHERE extname = 'schemadrift'"};

	sd_store_run(&statement, NULL, NULL, 1);
	return sd_store_text(0, 1);
}

int32
sd_protocol_own(void)
{
	/* one of the tables that came with protocol 2 */
	int32		protocol = sd_store_has("peer_address") ? SD_PROTOCOL : SD_PROTOCOL_OLDEST;

#ifdef SD_TESTING
	if (sd_testing_protocol > 0)
		protocol = sd_testing_protocol;
#endif
	return protocol;
}

char *
sd_protocol_text(void)
{
	return psprintf("%d", sd_protocol_own());
}

/* ---- what an entry needs ---- */

/*
 * What protocol 1 knows.  Anything else needs protocol 2: so who adds a kind, or a key that an older region would drop when
 * it changes the members, or would not obey, need not remember to say it here.
 */
static const char *const kinds_1[] = {"baseline", "migration", "revert", "supersede", "config", "policy", "noop", NULL};
static const char *const config_keys_1[] = {"members", "action", "region", NULL};
static const char *const member_keys_1[] = {
	"region", "incarnation", "role", "suspended", "priority", "conninfo", "wants", NULL
};
static const char *const policy_keys_1[] = {"mode", "local", NULL};

static bool
is_among(const char *name, const char *const *names)
{
	for (; *names; names++)
		if (strcmp(name, *names) == 0)
			return true;
	return false;
}

/* A key of the object that is not among these; NULL: none. */
static const char *
other_key(Jsonb *object, const char *const *names)
{
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	value;

	if (object == NULL || !JB_ROOT_IS_OBJECT(object))
		return NULL;
	iterator = JsonbIteratorInit(&object->root);
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		char	   *key;

		if (token != WJB_KEY)
			continue;
		key = pnstrdup(value.val.string.val, value.val.string.len);
		if (!is_among(key, names))
			return key;
	}
	return NULL;
}

static bool
is_witness(Jsonb *member, const char *key)
{
	char	   *role = sd_json_text(member, key);

	return role && strcmp(role, "witness") == 0;
}

static const char *
new_in_members(Jsonb *members)
{
	if (members == NULL || !JB_ROOT_IS_ARRAY(members))
		return NULL;
	for (uint32 i = 0; i < JB_ROOT_COUNT(members); i++)
	{
		Jsonb	   *member = JsonbValueToJsonb(getIthJsonbValueFromContainer(&members->root, i));
		const char *key = other_key(member, member_keys_1);

		if (sd_json_int64(member, "suspended", 0) != 0)
			return "a suspended region";
		if (is_witness(member, "role") || is_witness(member, "wants"))
			return "a witness";
		if (key)
			return strcmp(key, "stepped_down") == 0 ? "a region that stepped down" : psprintf("\"%s\" of a region", key);
	}
	return NULL;
}

int32
sd_protocol_needed(const char *kind, Jsonb *payload, const char **what)
{
	const char *key;

	*what = NULL;
	if (!is_among(kind, kinds_1))
		*what = psprintf("an entry of kind \"%s\"", kind);
	else if (strcmp(kind, SD_KIND_CONFIG) == 0)
	{
		*what = new_in_members(sd_json_object(payload, "members"));
		key = other_key(payload, config_keys_1);
		if (*what == NULL && key)
			*what = psprintf("\"%s\" of a change of the members", key);
	}
	else if (strcmp(kind, SD_KIND_POLICY) == 0)
	{
		key = other_key(sd_json_object(payload, "policy"), policy_keys_1);
		if (key)
			*what = psprintf("policy \"%s\"", key);
	}
	else if (sd_json_object(payload, "rows") || sd_json_object(payload, "undo_rows"))
		*what = "rows of a migration tool's history";
	return *what ? 2 : SD_PROTOCOL_OLDEST;
}

/* ---- the members ---- */

#define HINT_UPGRADE "Upgrade schemadrift there: install the newer package, restart the server, ALTER EXTENSION schemadrift UPDATE. Then run this again."

/* As it told last; 0: nothing since this server started.  One that tells no number is of the oldest. */
static int32
told_by(const char *region)
{
	SdDatabase *db = sd_shared_mine();
	int32		protocol = 0;

	if (db == NULL)
		return 0;
	LWLockAcquire(&db->lock, LW_SHARED);
	for (int i = 0; i < db->n_peers; i++)
		if (strcmp(db->peers[i].region, region) == 0 && db->peers[i].last_heard_us > 0)
			protocol = Max(db->peers[i].told.protocol, SD_PROTOCOL_OLDEST);
	LWLockRelease(&db->lock);
	return protocol;
}

/* What all members must know already: an entry that needs it is in the log. */
static int32
in_log(void)
{
	static SdStatement statement = {.sql = "SELECT max(protocol) FROM schemadrift_store.log"};

	sd_store_run(&statement, NULL, NULL, 1);
	return sd_store_int32(0, 1);
}

static void
require_own(int32 needed, const char *what)
{
	if (sd_protocol_own() >= needed)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("schemadrift in this region is too old for %s", what),
			 errdetail("Nothing happened. It needs protocol %d, and the SQL objects of this database are of version %s, which speaks %d.",
					   needed, sd_store_objects_version(), sd_protocol_own()),
			 errhint("ALTER EXTENSION schemadrift UPDATE; then run this again.")));
}

static void
append_old(StringInfo detail, const char *region, int32 speaks)
{
	if (speaks == 0)
		appendStringInfo(detail, "\nRegion %s: has told nothing since this server started.", region);
	else
		appendStringInfo(detail, "\nRegion %s: speaks protocol %d.", region, speaks);
}

void
sd_protocol_require(int32 needed, const char *what)
{
	SdSelf		self;
	SdMembers	members;
	StringInfoData detail;
	bool		old = false;

	if (needed <= SD_PROTOCOL_OLDEST)
		return;
	require_own(needed, what);
	if (in_log() >= needed || !sd_self_read(&self))
		return;
	sd_members_read(&members);
	initStringInfo(&detail);
	appendStringInfo(&detail, "Nothing happened. It needs protocol %d.", needed);
	for (int i = 0; i < members.config.n; i++)
	{
		const char *region = members.config.member[i].region;

		if (strcmp(region, self.region) == 0 || told_by(region) >= needed)
			continue;
		append_old(&detail, region, told_by(region));
		old = true;
	}
	if (old)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("schemadrift in another region is too old for %s", what),
				 errdetail("%s", detail.data),
				 errhint(HINT_UPGRADE)));
}

void
sd_protocol_require_region(const char *region, int32 needed, const char *what)
{
	int32		speaks = told_by(region);
	StringInfoData detail;

	if (speaks >= needed)
		return;
	initStringInfo(&detail);
	appendStringInfo(&detail, "It needs protocol %d.", needed);
	append_old(&detail, region, speaks);
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("schemadrift in region \"%s\" is too old for %s", region, what),
			 errdetail("%s", detail.data),
			 errhint(HINT_UPGRADE)));
}

void
sd_protocol_require_newcomer(const char *region, int32 speaks, int32 needed)
{
	needed = Max(needed, in_log());
	if (speaks < needed)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("schemadrift in region \"%s\" is too old for this group", region),
				 errdetail("It speaks protocol %d, and the group's log has or gets an entry that needs %d.", speaks, needed),
				 errhint(HINT_UPGRADE)));
}
