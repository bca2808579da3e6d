/* SPDX-License-Identifier: MIT */
/*
 * Proposals as a person writes them: strongSwan's words, joined by '-'.
 *
 * One table says what each word stands for.  Words for what must not or should not be used any more
 * are in it too, so that whoever brings an old configuration along reads why and what to write.
 *
 * strongSwan's rules hold: an IKE proposal without a PRF takes the HMACs of its integrity
 * algorithms, and integrity algorithms beside AEADs say nothing else (they are not offered).
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "base/mem.h"
#include "crypto/suite.h"

enum word_kind { WORD_ENCR, WORD_INTEG, WORD_PRF, WORD_GROUP, WORD_ESN, WORD_NO_ESN, WORD_REFUSED };

#define WHY_DES "DES must not be used (RFC 8247 section 2.1, RFC 8221 section 5); write aes128gcm16"
#define WHY_3DES                                                                                   \
	"3DES has blocks of 64 bits and should not be used (RFC 8221 section 5); write "           \
	"aes128gcm16"
#define WHY_OLD_CIPHER                                                                             \
	"this cipher is deprecated and must not be used (RFC 8221 section 5, RFC 9395); write "    \
	"aes128gcm16"
#define WHY_MD5                                                                                    \
	"HMAC-MD5 must not be used (RFC 8247 sections 2.2 and 2.3, RFC 8221 section 6); write "    \
	"sha256 or prfsha256"
#define WHY_MODP768                                                                                \
	"a group of 768 bits can be broken by many and must not be used (RFC 8247 section 2.4); "  \
	"write x25519, ecp256 or modp2048"
#define WHY_MODP1024                                                                               \
	"a group of 1024 bits can be broken by an attacker with means and should not be used "     \
	"(RFC 8247 section 2.4); write x25519, ecp256 or modp2048"
#define WHY_MODP1536                                                                               \
	"a group of 1536 bits is too small and should not be used (RFC 8247 section 2.4); write "  \
	"x25519, ecp256 or modp2048"
#define WHY_SUBGROUP                                                                               \
	"groups with a small subgroup (22, 23, 24) must not or should not be used (RFC 8247 "      \
	"section 2.4); write x25519, ecp256 or modp2048"
#define WHY_SHORT_ICV                                                                              \
	"GCM is here with the ICV of 16 octets only, which all must have (RFC 4106 section 6); "   \
	"write aes128gcm16 or aes256gcm16"

static const struct word {
	const char *word;
	enum word_kind kind;
	const char *name; /* in its registry; WORD_REFUSED: the reason */
} words[] = {
    {"aes128gcm16", WORD_ENCR, "aes128-gcm"},
    {"aes128gcm128", WORD_ENCR, "aes128-gcm"},
    {"aes192gcm16", WORD_ENCR, "aes192-gcm"},
    {"aes192gcm128", WORD_ENCR, "aes192-gcm"},
    {"aes256gcm16", WORD_ENCR, "aes256-gcm"},
    {"aes256gcm128", WORD_ENCR, "aes256-gcm"},
    {"chacha20poly1305", WORD_ENCR, "chacha20-poly1305"},
    {"aes128gmac", WORD_ENCR, "aes128-gmac"},
    {"aes192gmac", WORD_ENCR, "aes192-gmac"},
    {"aes256gmac", WORD_ENCR, "aes256-gmac"},
    {"aes", WORD_ENCR, "aes128-cbc"},
    {"aes128", WORD_ENCR, "aes128-cbc"},
    {"aes192", WORD_ENCR, "aes192-cbc"},
    {"aes256", WORD_ENCR, "aes256-cbc"},
    {"null", WORD_ENCR, "null"},
    {"sha256", WORD_INTEG, "hmac-sha-256-128"},
    {"sha2_256", WORD_INTEG, "hmac-sha-256-128"},
    {"sha384", WORD_INTEG, "hmac-sha-384-192"},
    {"sha2_384", WORD_INTEG, "hmac-sha-384-192"},
    {"sha512", WORD_INTEG, "hmac-sha-512-256"},
    {"sha2_512", WORD_INTEG, "hmac-sha-512-256"},
    {"sha", WORD_INTEG, "hmac-sha-1-96"},
    {"sha1", WORD_INTEG, "hmac-sha-1-96"},
    {"prfsha256", WORD_PRF, "prfsha256"},
    {"prfsha384", WORD_PRF, "prfsha384"},
    {"prfsha512", WORD_PRF, "prfsha512"},
    {"prfsha1", WORD_PRF, "prfsha1"},
    {"x25519", WORD_GROUP, "x25519"},
    {"curve25519", WORD_GROUP, "x25519"},
    {"ecp256", WORD_GROUP, "ecp256"},
    {"ecp384", WORD_GROUP, "ecp384"},
    {"ecp521", WORD_GROUP, "ecp521"},
    {"modp2048", WORD_GROUP, "modp2048"},
    {"modp3072", WORD_GROUP, "modp3072"},
    {"modp4096", WORD_GROUP, "modp4096"},
    {"esn", WORD_ESN, NULL},
    {"noesn", WORD_NO_ESN, NULL},
    {"des", WORD_REFUSED, WHY_DES},
    {"3des", WORD_REFUSED, WHY_3DES},
    {"cast128", WORD_REFUSED, WHY_OLD_CIPHER},
    {"blowfish", WORD_REFUSED, WHY_OLD_CIPHER},
    {"blowfish128", WORD_REFUSED, WHY_OLD_CIPHER},
    {"blowfish192", WORD_REFUSED, WHY_OLD_CIPHER},
    {"blowfish256", WORD_REFUSED, WHY_OLD_CIPHER},
    {"md5", WORD_REFUSED, WHY_MD5},
    {"md5_128", WORD_REFUSED, WHY_MD5},
    {"prfmd5", WORD_REFUSED, WHY_MD5},
    {"modp768", WORD_REFUSED, WHY_MODP768},
    {"modp1024", WORD_REFUSED, WHY_MODP1024},
    {"modp1536", WORD_REFUSED, WHY_MODP1536},
    {"modp1024s160", WORD_REFUSED, WHY_SUBGROUP},
    {"modp2048s224", WORD_REFUSED, WHY_SUBGROUP},
    {"modp2048s256", WORD_REFUSED, WHY_SUBGROUP},
    {"aes128gcm8", WORD_REFUSED, WHY_SHORT_ICV},
    {"aes128gcm64", WORD_REFUSED, WHY_SHORT_ICV},
    {"aes128gcm12", WORD_REFUSED, WHY_SHORT_ICV},
    {"aes128gcm96", WORD_REFUSED, WHY_SHORT_ICV},
    {"aes256gcm8", WORD_REFUSED, WHY_SHORT_ICV},
    {"aes256gcm64", WORD_REFUSED, WHY_SHORT_ICV},
    {"aes256gcm12", WORD_REFUSED, WHY_SHORT_ICV},
    {"aes256gcm96", WORD_REFUSED, WHY_SHORT_ICV},
};

static const struct {
	const char *integ, *prf;
} prf_of_integ[] = {
    {"hmac-sha-256-128", "prfsha256"},
    {"hmac-sha-384-192", "prfsha384"},
    {"hmac-sha-512-256", "prfsha512"},
    {"hmac-sha-1-96", "prfsha1"},
};

static const char *const use_texts[] = {
    [SUITE_IKE] = "IKE",
    [SUITE_ESP] = "ESP",
    [SUITE_AH] = "AH",
};

static const struct word *word_find(const char *text)
{
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (strcasecmp(words[i].word, text) == 0)
			return &words[i];
	}
	return NULL;
}

static const struct prf *prf_of(const struct alg *integ)
{
	size_t i = 0;
	while (i < ARRAY_LEN(prf_of_integ) - 1 && strcmp(prf_of_integ[i].integ, integ->name) != 0)
		i++;
	return prf_by_name(prf_of_integ[i].prf);
}

/* --- sets.  False: full.  What is there already stays where it is. */

static bool alg_add(const struct alg **at, uint8_t *count, const struct alg *a)
{
	for (size_t i = 0; i < *count; i++) {
		if (at[i] == a)
			return true;
	}
	if (*count == SUITE_LIST_MAX)
		return false;
	at[(*count)++] = a;
	return true;
}

static bool prf_add(struct suite_proposal *p, const struct prf *f)
{
	for (size_t i = 0; i < p->prf_count; i++) {
		if (p->prf[i] == f)
			return true;
	}
	if (p->prf_count == SUITE_LIST_MAX)
		return false;
	p->prf[p->prf_count++] = f;
	return true;
}

static bool group_add(struct suite_proposal *p, const struct kex_group *g)
{
	for (size_t i = 0; i < p->group_count; i++) {
		if (p->group[i] == g)
			return true;
	}
	if (p->group_count == SUITE_LIST_MAX)
		return false;
	p->group[p->group_count++] = g;
	return true;
}

/* --- one word */

static bool word_encrypts_nothing(const struct word *w)
{
	return strcmp(w->name, "null") == 0 || alg_find(w->name)->encrypts_nothing;
}

static int word_refuse_place(enum suite_use use, const struct word *w, struct err *err)
{
	if (w->kind == WORD_REFUSED)
		return err_set(err, "%s: %s", w->word, w->name);
	if (w->kind == WORD_ENCR && use == SUITE_AH)
		return err_set(err, "%s: AH encrypts nothing; leave the cipher away", w->word);
	if (w->kind == WORD_ENCR && use == SUITE_IKE && word_encrypts_nothing(w))
		return err_set(err,
			       "%s: IKE messages must be encrypted (RFC 8247 section 2.1); write "
			       "aes128gcm16",
			       w->word);
	if (w->kind == WORD_PRF && use != SUITE_IKE)
		return err_set(err, "%s: %s has no PRF, it belongs into the IKE proposal", w->word,
			       use_texts[use]);
	if ((w->kind == WORD_ESN || w->kind == WORD_NO_ESN) && use == SUITE_IKE)
		return err_set(err, "%s: IKE has no sequence numbers like ESP's; leave it away",
			       w->word);
	return 0;
}

static int word_add(enum suite_use use, const struct word *w, struct suite_proposal *p,
		    struct err *err)
{
	if (word_refuse_place(use, w, err) != 0)
		return -1;
	bool fits = true;
	switch (w->kind) {
	case WORD_ENCR:
		fits = alg_add(p->encr, &p->encr_count, alg_find(w->name));
		break;
	case WORD_INTEG:
		fits = alg_add(p->integ, &p->integ_count, alg_find(w->name));
		break;
	case WORD_PRF:
		fits = prf_add(p, prf_by_name(w->name));
		break;
	case WORD_GROUP:
		fits = group_add(p, kex_by_name(w->name));
		break;
	case WORD_ESN:
		p->esn = true;
		break;
	case WORD_NO_ESN:
		p->no_esn = true;
		break;
	case WORD_REFUSED:
		break;
	}
	return fits ? 0
		    : err_set(err, "%s: one proposal takes %d of a kind; write a second one",
			      w->word, SUITE_LIST_MAX);
}

static int words_add(enum suite_use use, const char *text, struct suite_proposal *p,
		     struct err *err)
{
	for (const char *from = text; from;
	     from = strchr(from, '-') ? strchr(from, '-') + 1 : NULL) {
		char one[32];
		size_t len = strcspn(from, "-");
		const struct word *w = NULL;
		if (len < sizeof(one)) {
			memcpy(one, from, len);
			one[len] = '\0';
			w = word_find(one);
		}
		if (!w)
			return err_set(err,
				       "\"%.*s\" is no algorithm that %s knows; write words like "
				       "aes128gcm16, aes256, sha256%s, x25519, joined by '-'",
				       (int)(len < 40 ? len : 40), from, use_texts[use],
				       use == SUITE_IKE ? ", prfsha256" : "");
		if (word_add(use, w, p, err) != 0)
			return -1;
	}
	return 0;
}

/* --- the whole */

static int suite_check_ciphers(enum suite_use use, const char *text, struct suite_proposal *p,
			       struct err *err)
{
	size_t aeads = 0;
	for (size_t i = 0; i < p->encr_count; i++)
		aeads += p->encr[i]->kind == ALG_AEAD;
	if (use != SUITE_AH && !p->encr_count)
		return err_set(err, "%s: no cipher; add aes128gcm16", text);
	if (aeads && aeads != p->encr_count)
		return err_set(
		    err,
		    "%s: AEADs (gcm, gmac, chacha20poly1305) and other ciphers can't be in one "
		    "proposal (RFC 5282 section 8); write two",
		    text);
	if (!aeads && !p->integ_count)
		return err_set(err, "%s: no integrity algorithm; add sha256", text);
	if (aeads && use != SUITE_IKE)
		p->integ_count = 0;
	return 0;
}

static int suite_check_ike(const char *text, struct suite_proposal *p, struct err *err)
{
	bool told = p->prf_count > 0;
	for (size_t i = 0; !told && i < p->integ_count; i++)
		(void)prf_add(p, prf_of(p->integ[i]));
	if (!p->prf_count)
		return err_set(err, "%s: IKE needs a PRF; add prfsha256", text);
	if (!p->group_count)
		return err_set(err, "%s: IKE needs a key exchange; add x25519", text);
	if (p->encr[0]->kind == ALG_AEAD)
		p->integ_count = 0;
	return 0;
}

static int suite_append(struct suite_list *out, const struct suite_proposal *p, struct err *err)
{
	if (out->count == SUITE_PROPOSALS_MAX)
		return err_set(err, "there are more than %d proposals", SUITE_PROPOSALS_MAX);
	out->at[out->count++] = *p;
	return 0;
}

static int suite_append_defaults(enum suite_use use, struct suite_list *out, struct err *err)
{
	struct suite_list all;
	suite_defaults(use, &all);
	if (out->count + all.count > SUITE_PROPOSALS_MAX)
		return err_set(err, "there are more than %d proposals", SUITE_PROPOSALS_MAX);
	for (size_t i = 0; i < all.count; i++)
		out->at[out->count++] = all.at[i];
	return 0;
}

int suite_parse(enum suite_use use, const char *text, struct suite_list *out, struct err *err)
{
	struct suite_proposal p = {0};
	if (strcasecmp(text, "default") == 0)
		return suite_append_defaults(use, out, err);
	if (words_add(use, text, &p, err) != 0 || suite_check_ciphers(use, text, &p, err) != 0 ||
	    (use == SUITE_IKE && suite_check_ike(text, &p, err) != 0))
		return -1;
	if (use != SUITE_IKE && !p.esn && !p.no_esn)
		p.esn = p.no_esn = true;
	return suite_append(out, &p, err);
}
