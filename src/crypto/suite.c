/* SPDX-License-Identifier: MIT */
/*
 * Negotiation of algorithms: proposals as sets of transforms, and the choice among them.
 *
 * A proposal says AND of its transform types and OR of the transforms of one type (RFC 7296 3.3).
 * So a choice takes exactly one of each type that is offered, and each type that a use needs must
 * be there:
 *
 *            ENCR   PRF    INTEG              DH               ESN
 *   IKE      yes    yes    unless AEAD        yes              never
 *   ESP      yes    never  unless AEAD        as configured    absent means no ESN
 *   AH       never  never  yes                as configured    absent means no ESN
 *
 * A type that has no place (or that we do not know, RFC 9370's for instance) may be offered only
 * with NONE among its transforms.
 *
 * Pure functions over constant tables; suite_parse.c has the notation for people.
 */
#include "crypto/suite.h"

#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "wire/ike.h"

#define TRANSFORM_NONE 0
#define ESN_NO	       0
#define ESN_YES	       1

/* --- defaults */

static const char *const default_aeads[] = {"aes128-gcm", "aes256-gcm", "chacha20-poly1305"};
static const char *const default_ciphers[] = {"aes128-cbc", "aes256-cbc"};
static const char *const default_integs[] = {"hmac-sha-256-128", "hmac-sha-384-192",
					     "hmac-sha-512-256"};
static const char *const default_prfs[] = {"prfsha256", "prfsha384", "prfsha512"};
static const char *const default_groups[] = {"x25519",	 "ecp256",   "ecp384",	"ecp521",
					     "modp2048", "modp3072", "modp4096"};

static void suite_default(enum suite_use use, bool aead, struct suite_proposal *p)
{
	*p = (struct suite_proposal){.esn = use != SUITE_IKE, .no_esn = use != SUITE_IKE};
	if (use != SUITE_AH) {
		const char *const *names = aead ? default_aeads : default_ciphers;
		size_t count = aead ? ARRAY_LEN(default_aeads) : ARRAY_LEN(default_ciphers);
		for (size_t i = 0; i < count; i++)
			p->encr[p->encr_count++] = alg_find(names[i]);
	}
	for (size_t i = 0; !aead && i < ARRAY_LEN(default_integs); i++)
		p->integ[p->integ_count++] = alg_find(default_integs[i]);
	if (use != SUITE_IKE)
		return;
	for (size_t i = 0; i < ARRAY_LEN(default_prfs); i++)
		p->prf[p->prf_count++] = prf_by_name(default_prfs[i]);
	for (size_t i = 0; i < ARRAY_LEN(default_groups); i++)
		p->group[p->group_count++] = kex_by_name(default_groups[i]);
}

void suite_defaults(enum suite_use use, struct suite_list *out)
{
	out->count = 0;
	if (use != SUITE_AH)
		suite_default(use, true, &out->at[out->count++]);
	suite_default(use, false, &out->at[out->count++]);
}

/* --- for people */

const char *suite_format(enum suite_use use, const struct suite *s, char *buf)
{
	const char *encr = use != SUITE_AH && s->encr ? s->encr->name : NULL;
	const char *parts[] = {
	    encr,
	    s->integ ? s->integ->name : NULL,
	    s->prf ? s->prf->name : NULL,
	    s->group ? s->group->name : NULL,
	    s->esn ? "esn" : NULL,
	};
	size_t n = 0;
	buf[0] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		if (!parts[i])
			continue;
		/* GCM's name leaves its ICV open; there are three in the registry of IKEv2. */
		bool gcm = i == 0 && strstr(parts[i], "-gcm");
		int more = snprintf(buf + n, SUITE_TEXT_MAX - n, "%s%s%s", n ? "/" : "", parts[i],
				    gcm ? "16" : "");
		n += more > 0 ? (size_t)more : 0;
		if (n >= SUITE_TEXT_MAX)
			break;
	}
	return buf;
}

/* --- IANA numbers */

size_t suite_transforms(enum suite_use use, const struct suite_proposal *p, bool groups,
			struct suite_transform out[SUITE_TRANSFORMS_MAX])
{
	size_t n = 0;
	for (size_t i = 0; use != SUITE_AH && i < p->encr_count; i++)
		out[n++] = (struct suite_transform){IKE_TRANSFORM_ENCR, p->encr[i]->ike_id,
						    p->encr[i]->ike_key_bits};
	for (size_t i = 0; use == SUITE_IKE && i < p->prf_count; i++)
		out[n++] = (struct suite_transform){IKE_TRANSFORM_PRF, p->prf[i]->ike_id, 0};
	for (size_t i = 0; i < p->integ_count; i++)
		out[n++] = (struct suite_transform){IKE_TRANSFORM_INTEG, p->integ[i]->ike_id, 0};
	for (size_t i = 0; groups && i < p->group_count; i++)
		out[n++] = (struct suite_transform){IKE_TRANSFORM_DH, p->group[i]->ike_id, 0};
	if (use == SUITE_IKE)
		return n;
	if (p->esn)
		out[n++] = (struct suite_transform){IKE_TRANSFORM_ESN, ESN_YES, 0};
	if (p->no_esn)
		out[n++] = (struct suite_transform){IKE_TRANSFORM_ESN, ESN_NO, 0};
	return n;
}

/* --- choice */

struct offer {
	const struct suite_transform *at;
	size_t count;
};

static bool offer_has_type(const struct offer *o, uint8_t type)
{
	for (size_t i = 0; i < o->count; i++) {
		if (o->at[i].type == type)
			return true;
	}
	return false;
}

static bool offer_has(const struct offer *o, uint8_t type, uint16_t id, uint16_t key_bits)
{
	for (size_t i = 0; i < o->count; i++) {
		const struct suite_transform *t = &o->at[i];
		if (t->type == type && t->id == id && t->key_bits == key_bits)
			return true;
	}
	return false;
}

/* A type that takes no part in the suite: absent, or NONE is among its transforms. */
static bool offer_lets_go(const struct offer *o, uint8_t type)
{
	return !offer_has_type(o, type) || offer_has(o, type, TRANSFORM_NONE, 0);
}

/* NONE says nothing for ENCR, PRF and ESN, where 0 is reserved or means something. */
static bool offer_has_only_known(enum suite_use use, const struct offer *o)
{
	for (size_t i = 0; i < o->count; i++) {
		uint8_t type = o->at[i].type;
		switch (type) {
		case IKE_TRANSFORM_ENCR:
			if (use == SUITE_AH)
				return false;
			break;
		case IKE_TRANSFORM_PRF:
			if (use != SUITE_IKE)
				return false;
			break;
		case IKE_TRANSFORM_INTEG:
		case IKE_TRANSFORM_DH:
			break;
		case IKE_TRANSFORM_ESN:
			if (use == SUITE_IKE)
				return false;
			break;
		default: /* of the network's numbers, not of our enum */
			if (!offer_lets_go(o, type))
				return false;
		}
	}
	return true;
}

static const struct alg *choose_alg(const struct alg *const *ours, size_t count,
				    const struct offer *o, uint8_t type)
{
	for (size_t i = 0; i < count; i++) {
		if (offer_has(o, type, ours[i]->ike_id, ours[i]->ike_key_bits))
			return ours[i];
	}
	return NULL;
}

/* An AEAD that was chosen goes without integrity, so the offer must let that type go; when it does
 * not (another cipher in the offer needs it), our next cipher may fit. */
static bool choose_protection(enum suite_use use, const struct suite_proposal *ours,
			      const struct offer *o, struct suite *out)
{
	out->integ = choose_alg(ours->integ, ours->integ_count, o, IKE_TRANSFORM_INTEG);
	if (use == SUITE_AH)
		return out->integ != NULL;
	for (size_t i = 0; i < ours->encr_count; i++) {
		const struct alg *e = ours->encr[i];
		bool aead = e->kind == ALG_AEAD;
		if (!offer_has(o, IKE_TRANSFORM_ENCR, e->ike_id, e->ike_key_bits) ||
		    (aead ? !offer_lets_go(o, IKE_TRANSFORM_INTEG) : !out->integ))
			continue;
		out->encr = e;
		if (aead)
			out->integ = NULL;
		return true;
	}
	return false;
}

static bool choose_prf(const struct suite_proposal *ours, const struct offer *o, struct suite *out)
{
	for (size_t i = 0; i < ours->prf_count && !out->prf; i++) {
		if (offer_has(o, IKE_TRANSFORM_PRF, ours->prf[i]->ike_id, 0))
			out->prf = ours->prf[i];
	}
	return out->prf != NULL;
}

static bool choose_group(const struct suite_proposal *ours, const struct offer *o,
			 const struct kex_group *preferred, struct suite *out)
{
	if (ours->group_count == 0)
		return offer_lets_go(o, IKE_TRANSFORM_DH);
	for (size_t i = 0; i < ours->group_count; i++) {
		const struct kex_group *g = ours->group[i];
		if (!offer_has(o, IKE_TRANSFORM_DH, g->ike_id, 0))
			continue;
		if (!out->group || g == preferred)
			out->group = g;
	}
	return out->group != NULL;
}

static bool choose_esn(const struct suite_proposal *ours, const struct offer *o, struct suite *out)
{
	bool absent = !offer_has_type(o, IKE_TRANSFORM_ESN);
	out->esn = ours->esn && offer_has(o, IKE_TRANSFORM_ESN, ESN_YES, 0);
	return out->esn || (ours->no_esn && (absent || offer_has(o, IKE_TRANSFORM_ESN, ESN_NO, 0)));
}

bool suite_choose(enum suite_use use, const struct suite_proposal *ours,
		  const struct suite_transform *offered, size_t count, bool groups,
		  const struct kex_group *group, struct suite *out)
{
	struct offer o = {.at = offered, .count = count};
	struct suite s = {0};
	bool ok = offer_has_only_known(use, &o) && choose_protection(use, ours, &o, &s) &&
		  (use != SUITE_IKE || choose_prf(ours, &o, &s)) &&
		  (!groups || choose_group(ours, &o, group, &s)) &&
		  (use == SUITE_IKE || choose_esn(ours, &o, &s));
	if (ok)
		*out = s;
	return ok;
}
