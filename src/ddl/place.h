/*
 * place.h: where an object that a statement touched lives; targets.h tells it from names, before the statement.
 */
#ifndef SD_DDL_PLACE_H
#define SD_DDL_PLACE_H

#include "catalog/objectaddress.h"

typedef enum SdPlace
{
	SD_PLACE_UNKNOWN,			/* not visible (yet) */
	SD_PLACE_TEMPORARY,
	SD_PLACE_ORDINARY,
	SD_PLACE_WITH_TABLE,		/* where its table is, which says nothing new */
	SD_PLACE_OTHER
} SdPlace;

extern SdPlace sd_place_of(Oid class_id, Oid object_id);

/*
 * Does this object, given as OAT_POST_CREATE and POST_ALTER name it, need a temporary one without being one?  *on says
 * which; *object is then the address that others know it by.
 */
extern bool sd_place_leans_on_temporary(ObjectAddress *object, ObjectAddress *on);

#endif							/* SD_DDL_PLACE_H */
