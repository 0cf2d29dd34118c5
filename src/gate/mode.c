/*
 * mode.c: how this session's DDL is treated now.
 *
 * Runs in a backend.  The group's policy is an entry of the log, so it is the same in every region; it is read
 * from our tables when a transaction's first statement asks and kept until the log has a newer head.
 */
#include "compat.h"

#include "access/xact.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/memutils.h"

#include "ddl/local.h"
#include "gate/mode.h"
#include "shared.h"
#include "store/policy.h"
#include "store/sql.h"
#include "store/state.h"

/* What the policy says, for the current transaction; the strings live in TopTransactionContext. */
static struct
{
	bool		known;
	int64		head;			/* of the log when it was read */
	SdDdlMode	mode;			/* SD_MODE_DEFAULT: in no group */
	SdPolicy	parsed;
}			policy;

/* This transaction may have: what a part of it that is rolled back wrote is to be read again. */
static bool policy_was_written = false;

static void forget_when_it_ends(void);

#ifdef SD_TESTING
static SdDdlMode testing_mode = SD_MODE_DEFAULT;

void
sd_testing_set_group_mode(SdDdlMode mode)
{
	testing_mode = mode;
}

void
sd_testing_set_local(const char *pattern)
{
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);

	forget_when_it_ends();
	policy.parsed.local = lappend(policy.parsed.local, pstrdup(pattern));
	MemoryContextSwitchTo(old);
}

bool
sd_testing_group_mode_is_set(void)
{
	return testing_mode != SD_MODE_DEFAULT;
}
#endif

static void
forget(void)
{
	memset(&policy, 0, sizeof(policy));
}

void
sd_gate_forget_policy(void)
{
	forget_when_it_ends();
	policy_was_written = true;
	forget();
}

static void
forget_at_end(XactEvent event, void *arg)
{
	(void) arg;
	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT && event != XACT_EVENT_PREPARE)
		return;
	policy_was_written = false;
	forget();
}

/* what this transaction wrote (init, join, set_policy) may be undone */
static void
forget_at_sub_end(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	(void) mine;
	(void) parent;
	(void) arg;
	/* of those that wrote nothing, such as those of analysis, whoever asked for it is in the midst of reading the policy */
	if (event == SUBXACT_EVENT_ABORT_SUB && policy_was_written)
		sd_gate_forget_policy();
}

/* From the first time that there is something to forget: transactions of sessions that run no DDL do not pay for it. */
static void
forget_when_it_ends(void)
{
	static bool registered = false;

	if (registered)
		return;
	RegisterXactCallback(forget_at_end, NULL);
	RegisterSubXactCallback(forget_at_sub_end, NULL);
	registered = true;
}

static int64
shared_head(void)
{
	SdDatabase *db = sd_shared_mine();
	int64		head = 0;

	if (db)
	{
		LWLockAcquire(&db->lock, LW_SHARED);
		head = db->head;
		LWLockRelease(&db->lock);
	}
	return head;
}

static void
read_policy(void)
{
	int64		head = shared_head();
	SdScope		scope;
	SdSelf		self;
	bool		joined;

	if (policy.known && policy.head == head)
		return;
	forget_when_it_ends();
	forget();
	sd_store_enter(&scope);
	joined = sd_self_read(&self);
	if (joined && sd_self_removed(&self) == 0)
	{
		Jsonb	   *json = sd_policy_read();
		MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);

		sd_policy_parse(json, &policy.parsed);
		MemoryContextSwitchTo(old);
		if (policy.parsed.unknown)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("the group's policy \"%s\" has a value that this version does not know", policy.parsed.unknown),
					 errhint("Upgrade schemadrift in this region.")));
		policy.mode = policy.parsed.mode;
	}
	else if (!joined && XactIsoLevel > XACT_READ_COMMITTED && sd_self_exists_now())
	{
		/* the group is younger than our snapshot, so what it wants is not seen; DDL is refused for its isolation level */
		policy.mode = SD_MODE_COORDINATE;
	}
	sd_store_leave(&scope);
	policy.head = head;
	policy.known = true;
}

SdDdlMode
sd_gate_group_mode(void)
{
#ifdef SD_TESTING
	if (testing_mode != SD_MODE_DEFAULT)
		return testing_mode;
#endif
	if (!OidIsValid(get_extension_oid("schemadrift", true)))
		return SD_MODE_DEFAULT;
	read_policy();
	return policy.mode;
}

bool
sd_gate_is_local_name(const char *schema, const char *name)
{
	return sd_local_matches(policy.parsed.local, schema, name);
}

const SdPolicy *
sd_gate_policy(void)
{
	/* of a test that set the mode by hand, or of a transaction that looked before there was a group */
	if (policy.parsed.says == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
		List	   *local = policy.parsed.local;

		sd_policy_parse(NULL, &policy.parsed);
		policy.parsed.local = local;
		MemoryContextSwitchTo(old);
	}
	return &policy.parsed;
}

/*
 * Whose session it is decides, as he set the mode, not whose SECURITY DEFINER function runs just now: with a superuser's he
 * could make changes of that function that the other regions never hear of.
 */
static void
check_bypass(void)
{
	Oid			admin = get_role_oid("schemadrift_admin", true);
	Oid			user = GetOuterUserId();

	if (!superuser_arg(user) && !(OidIsValid(admin) && has_privs_of_role(user, admin)))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to switch schemadrift off"),
				 errdetail("schemadrift.ddl_mode = off is for superusers and members of schemadrift_admin."),
				 errhint("RESET schemadrift.ddl_mode, or ask an administrator.")));
	if (sd_bypass_reason == NULL || sd_bypass_reason[strspn(sd_bypass_reason, " \t\r\n")] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("schemadrift cannot be switched off without a reason"),
				 errdetail("The change is recorded with its reason, and shown as drift until it is adopted or taken back."),
				 errhint("SET schemadrift.bypass_reason = '...' first.")));
}

SdDdlMode
sd_gate_mode(void)
{
	SdDdlMode	group = sd_gate_group_mode();

	if (group == SD_MODE_DEFAULT)
		return SD_MODE_DEFAULT;
	if (sd_ddl_mode == SD_MODE_OFF)
	{
		check_bypass();
		return SD_MODE_OFF;
	}
	/* the policy is the floor: a session may be stricter, not laxer */
	StaticAssertStmt(SD_MODE_DEFAULT < SD_MODE_OBSERVE && SD_MODE_OBSERVE < SD_MODE_COORDINATE &&
					 SD_MODE_COORDINATE < SD_MODE_REQUIRE_APPLY, "modes are ordered by strictness");
	return Max(group, (SdDdlMode) sd_ddl_mode);
}
