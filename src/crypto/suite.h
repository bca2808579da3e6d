/* SPDX-License-Identifier: MIT */
/*
 * What IKE can negotiate, and how a person writes it: proposals in strongSwan's notation
 * ("aes128gcm16-prfsha256-x25519", "aes256-sha384-ecp384-esn"), as sets of transforms, and the
 * choice among them (RFC 7296 2.7, 3.3).  RFC 8247 and RFC 8221 say what the defaults are.
 */
#ifndef CRYPTO_SUITE_H
#define CRYPTO_SUITE_H

#include "base/err.h"
#include "crypto/alg.h"
#include "crypto/kex.h"
#include "crypto/prf.h"

#define SUITE_LIST_MAX	    8 /* algorithms of one kind in one proposal */
#define SUITE_PROPOSALS_MAX 8

enum suite_use { SUITE_IKE, SUITE_ESP, SUITE_AH };

/* One proposal: any one of each kind, the first preferred. */
struct suite_proposal {
	uint8_t encr_count, integ_count, prf_count, group_count;
	const struct alg *encr[SUITE_LIST_MAX];	       /* AH: none */
	const struct alg *integ[SUITE_LIST_MAX];       /* none with AEADs */
	const struct prf *prf[SUITE_LIST_MAX];	       /* IKE only */
	const struct kex_group *group[SUITE_LIST_MAX]; /* ESP, AH: none is no key exchange */
	bool esn, no_esn;			       /* ESP, AH: which are offered (esn first) */
};
struct suite_list {
	uint8_t count;
	struct suite_proposal at[SUITE_PROPOSALS_MAX];
};

/* One word list of strongSwan's notation; appended to `out`.  0, or -1 with err: an unknown word, a
 * mix of AEAD and other ciphers, no cipher, one that RFC 8247/8221 forbids (with the reason).
 * IKE without a PRF: HMACs of the integrity algorithms (strongSwan's rule), an AEAD needs one.
 * ESP and AH: "esn" and "noesn"; neither told: both, ESN first. */
int suite_parse(enum suite_use use, const char *text, struct suite_list *out, struct err *err)
    __attribute__((warn_unused_result));
/* AEAD first, then CBC with SHA-2; x25519, ecp256, ecp384, modp2048, ... */
void suite_defaults(enum suite_use use, struct suite_list *out);

/* What was chosen. */
struct suite {
	const struct alg *encr, *integ;
	const struct prf *prf;
	const struct kex_group *group; /* NULL: none */
	bool esn;
};
/* "aes128-gcm16/prfsha256/x25519".  Returns buf. */
#define SUITE_TEXT_MAX 96
const char *suite_format(enum suite_use use, const struct suite *s, char *buf);

/* IANA numbers, both ways.  transform types 1..5 as wire/ike.h has them. */
struct suite_transform {
	uint8_t type;
	uint16_t id, key_bits;
};
/* Every transform of a proposal, in order of preference; returns the count.
 * `groups`: leave the key exchange out when false (an ESP proposal in IKE_AUTH). */
#define SUITE_TRANSFORMS_MAX (4 * SUITE_LIST_MAX + 2)
size_t suite_transforms(enum suite_use use, const struct suite_proposal *p, bool groups,
			struct suite_transform out[SUITE_TRANSFORMS_MAX]);
/* Chooses from offered transforms by our preference.  In IKE_AUTH (`groups` false) offered groups
 * are ignored.  `group`: when not NULL, take this one if the offer has it and we allow it (the
 * peer's KE payload fits).  False: an offered type cannot be satisfied, or a type of ours is not
 * offered.  RFC 7296 3.3.3: mandatory and optional types (no integrity with AEADs: NONE or absent;
 * DH NONE or absent is none; ESN absent is no ESN). */
bool suite_choose(enum suite_use use, const struct suite_proposal *ours,
		  const struct suite_transform *offered, size_t count, bool groups,
		  const struct kex_group *group, struct suite *out);

#endif
