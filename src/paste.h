/*
 * paste.h: names and other people's words in text that a person shall paste into psql: remedies, advice, HINTs.
 *
 * Whoever may make an object, or prepare a transaction, chooses its name, line breaks included; the end of a line is the end of a comment,
 * so behind "--" the rest of such a name would be a statement.  So a name in text to paste is in one line, and words are a comment, each
 * line of them.
 */
#ifndef SD_PASTE_H
#define SD_PASTE_H

/* As quote_literal_cstr() and quote_identifier() have it, and with control characters as E'..\n..' and U&"..\000a..". */
extern char *sd_paste_literal(const char *text);
extern const char *sd_paste_identifier(const char *name);
extern char *sd_paste_qualified(const char *schema, const char *name);

/* "-- " before each line. */
extern char *sd_paste_comment(const char *words);

#endif							/* SD_PASTE_H */
