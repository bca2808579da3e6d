/* SPDX-License-Identifier: MIT */
/* Identities of IKE (RFC 7296 3.5) as values and as text. */
#ifndef CRYPTO_IDENTITY_H
#define CRYPTO_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

enum identity_type {
	IDENTITY_NONE = 0, /* in a policy: any */
	IDENTITY_IP4 = 1,
	IDENTITY_FQDN = 2,
	IDENTITY_EMAIL = 3, /* RFC822_ADDR */
	IDENTITY_IP6 = 5,
	IDENTITY_DN = 9, /* DER of a distinguished name */
	IDENTITY_KEY_ID = 11,
};

#define IDENTITY_MAX 512

struct identity {
	uint8_t type;
	uint16_t len;
	uint8_t data[]; /* as the ID payload has it */
};

/* Owned by the caller (free).  NULL: longer than IDENTITY_MAX. */
struct identity *identity_new(uint8_t type, const void *data, size_t len);
struct identity *identity_copy(const struct identity *i);
/* By its form: an address; "C=.., CN=.."; "user@host", a leading "@@" taken off; "%any" (type
 * NONE);
 * "@#hex" (KEY_ID); else FQDN, a leading "@" taken off (strongSwan's notation).  NULL with err. */
struct identity *identity_parse(const char *text, struct err *err);
/* For people and logs: what is not printable becomes '?'.  Returns buf (size `room`). */
const char *identity_format(const struct identity *i, char *buf, size_t room);
bool identity_equal(const struct identity *a, const struct identity *b);
/* Does `i` fit a policy: equal; the policy is NONE; a policy "*.example.org" or "*@example.org"
 * fits by its end, never the bare end itself; names compare without case; DNs by RFC 5280 names,
 * "*" as an attribute's value fits any.  Constant policy, hostile `i`: a FQDN or address with a
 * "*" of its own fits NONE only. */
bool identity_matches(const struct identity *policy, const struct identity *i);
/* NUL octets, empty names, wrong lengths of addresses, malformed DER: refused before anything is
 * compared. */
bool identity_is_valid(uint8_t type, const void *data, size_t len);

#endif
