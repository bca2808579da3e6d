/* SPDX-License-Identifier: MIT */
/* Distinguished names (X.501) as DER: validity, comparison by RFC 5280 7.1, and text. */
#ifndef CRYPTO_DN_H
#define CRYPTO_DN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

/* DER of a Name with at least one attribute; texts that decode and have no NUL character; no
 * attribute twice in one relative name. */
bool dn_is_valid(const uint8_t *der, size_t len);
/* Valid both, and the same: letters without case, runs of space as one, whatever string types. */
bool dn_equal(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len);
/* The same, and "*" as the whole value of an attribute of `policy` fits any value. */
bool dn_matches(const uint8_t *policy, size_t policy_len, const uint8_t *name, size_t name_len);
/* "C=CH, O=Example, CN=x" or "/C=CH/O=Example/CN=x", the first attribute first; a backslash takes
 * the next character, or two hexadecimal digits, literally.  Octets written, or 0 with err. */
size_t dn_parse(const char *text, uint8_t *out, size_t room, struct err *err);
/* As dn_parse reads it; what is not printable ASCII becomes '?'.  Returns buf (room > 0). */
const char *dn_format(const uint8_t *der, size_t len, char *buf, size_t room);

#endif
