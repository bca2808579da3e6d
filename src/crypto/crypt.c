/* SPDX-License-Identifier: MIT */
/*
 * Keys, their schedules, and batches of packets.
 *
 * A schedule is what a library makes of a key: a kilobyte that a packet needs, two for a connection
 * of which a home server may have a million.  So they are not the SAs'.  Each worker has a table
 * with one place for each low part of a key's id, and one place more: a key that finds another's
 * schedule in its place has its own made in that place more, and only when it comes again before
 * anybody else wanted the place does it take it.  What is used often stays; what is used once
 * drives nothing out.  Making one costs about what sealing a packet does.
 *
 * Neighbours in a batch under one key share the look-up, and where the library can, the work.
 *
 * Ownership: a worker belongs to one thread; keys are read by all.  Ids come from one counter of
 * the process and are never used again, so a schedule is never taken for another key's.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include "base/lines.h"
#include "base/mem.h"
#include "crypto/crypt_state.h"
#include "crypto/fetched.h"

#define CRYPT_KEY_AHEAD	  6 /* packets, where each has another key */
#define CRYPT_PLACE_AHEAD 3

static _Atomic uint64_t crypt_ids = 1;

size_t crypt_key_len(const struct alg *encr, const struct alg *integ)
{
	return (size_t)encr->key_len + (integ ? integ->key_len : 0u);
}

/* --- keys */

static int crypt_check_pair(const struct alg *encr, const struct alg *integ, size_t key_len,
			    struct err *err)
{
	if (encr->kind == ALG_INTEGRITY)
		return err_set(err, "%s is an integrity algorithm, not an encryption", encr->name);
	if (encr->status == ALG_FORBIDDEN)
		return err_set(err, "%s: %s", encr->name, encr->why);
	if (encr->kind == ALG_AEAD && integ)
		return err_set(err, "%s protects integrity itself: leave %s away", encr->name,
			       integ->name);
	if (encr->kind == ALG_ENCRYPTION && !integ)
		return err_set(err, "%s needs an integrity algorithm: add hmac-sha-256-128",
			       encr->name);
	if (integ && integ->kind != ALG_INTEGRITY)
		return err_set(err, "%s is not an integrity algorithm: use hmac-sha-256-128",
			       integ->name);
	if (integ && integ->status == ALG_FORBIDDEN)
		return err_set(err, "%s: %s", integ->name, integ->why);
	size_t want = crypt_key_len(encr, integ);
	if (key_len != want)
		return err_set(err, "the key for %s%s%s must have %zu bytes, not %zu", encr->name,
			       integ ? " with " : "", integ ? integ->name : "", want, key_len);
	return 0;
}

static int crypt_check_library(const struct alg *encr, const struct alg *integ, struct err *err)
{
	if (encr->openssl_name[0] && !fetched_cipher(encr->openssl_name))
		return err_set(err, "%s: the cryptographic library does not have it", encr->name);
	if (integ && !fetched_digest(integ->openssl_name))
		return err_set(err, "%s: the cryptographic library does not have it", integ->name);
	return 0;
}

struct crypt *crypt_new(const struct alg *encr, const struct alg *integ, const uint8_t *key,
			size_t key_len, enum crypt_direction direction, struct err *err)
{
	if (crypt_check_pair(encr, integ, key_len, err) != 0 ||
	    crypt_check_library(encr, integ, err) != 0)
		return NULL;
	struct crypt *c = lines_alloc(sizeof(*c) + key_len);
	c->id = atomic_fetch_add_explicit(&crypt_ids, 1, memory_order_relaxed);
	c->encr = encr;
	c->integ = integ;
	c->direction = direction;
	c->key_len = (uint16_t)key_len;
	c->icv_len = integ ? integ->icv_len : encr->icv_len;
	memcpy(c->key, key, key_len);
	return c;
}

/* Inside, HMAC goes with a cipher that does nothing, and AES-GMAC is one. */
struct crypt *crypt_new_ah(const struct alg *integ, const uint8_t *key, size_t key_len,
			   enum crypt_direction direction, struct err *err)
{
	if (integ->kind != ALG_INTEGRITY && !integ->encrypts_nothing) {
		err_set(err, "%s is not an integrity algorithm: use hmac-sha-256-128", integ->name);
		return NULL;
	}
	bool gmac = integ->kind == ALG_AEAD;
	struct crypt *c = crypt_new(gmac ? integ : alg_find("null"), gmac ? NULL : integ, key,
				    key_len, direction, err);
	if (c)
		c->ah = true;
	return c;
}

void crypt_free(struct crypt *c)
{
	if (!c)
		return;
	size_t len = sizeof(*c) + c->key_len;
	mem_wipe(c, len);
	lines_free(c, len);
}

const struct alg *crypt_encr(const struct crypt *c)
{
	return c->encr;
}

const struct alg *crypt_integ(const struct crypt *c)
{
	return c->integ;
}

bool crypt_is_long(const struct crypt *c)
{
	return sizeof(*c) + c->key_len > LINE_LEN;
}

uint64_t crypt_id(const struct crypt *c)
{
	return c->id;
}

/* --- workers and schedules */

bool crypt_library_usable(enum crypt_library library)
{
	return library != CRYPT_LIBRARY_IPSEC_MB || crypt_mb_usable();
}

struct crypt_worker *crypt_worker_new(enum crypt_library library, unsigned schedules,
				      struct err *err)
{
	struct crypt_mb *mb = NULL;
	if (library == CRYPT_LIBRARY_IPSEC_MB ||
	    (library == CRYPT_LIBRARY_BEST && crypt_mb_usable())) {
		mb = crypt_mb_new(err);
		if (!mb)
			return NULL;
	}
	struct crypt_worker *w = mem_zalloc(sizeof(*w));
	unsigned count = schedules ? schedules : CRYPT_SCHEDULES;
	w->mb = mb;
	w->schedule_mask = count - 1;
	w->schedules = mem_map((count + 1) * sizeof(struct crypt_schedule));
	w->tags = mem_zalloc((count + 1) * sizeof(struct crypt_tag));
	if (mb)
		crypt_mb_text(mb, w->library, sizeof(w->library));
	else
		(void)snprintf(w->library, sizeof(w->library), "OpenSSL %s",
			       OpenSSL_version(OPENSSL_VERSION_STRING));
	return w;
}

static void crypt_clear_place(struct crypt_worker *w, unsigned at)
{
	struct crypt_tag *t = &w->tags[at];
	if (t->method)
		t->method->clear(&w->schedules[at]);
	t->method = NULL;
	t->owner = 0;
}

void crypt_worker_free(struct crypt_worker *w)
{
	if (!w)
		return;
	for (unsigned i = 0; i <= w->schedule_mask + 1; i++)
		crypt_clear_place(w, i);
	crypt_mb_free(w->mb);
	mem_unmap(w->schedules, (w->schedule_mask + 2) * sizeof(struct crypt_schedule));
	free(w->tags);
	free(w);
}

const char *crypt_worker_library(const struct crypt_worker *w)
{
	return w->library;
}

static unsigned crypt_place(const struct crypt_worker *w, uint64_t id)
{
	return (unsigned)id & w->schedule_mask;
}

/* Of keys without one. */
static unsigned crypt_last_place(const struct crypt_worker *w)
{
	return w->schedule_mask + 1;
}

void crypt_worker_forget(struct crypt_worker *w, uint64_t id)
{
	const unsigned places[] = {crypt_place(w, id), crypt_last_place(w)};
	for (size_t i = 0; i < ARRAY_LEN(places); i++)
		if (w->tags[places[i]].owner == id)
			crypt_clear_place(w, places[i]);
}

static const struct crypt_method *crypt_method_of(const struct crypt_worker *w,
						  const struct crypt *c)
{
	if (c->ah)
		return &crypt_method_ah;
	const struct crypt_method *m = w->mb ? crypt_mb_method(c) : NULL;
	return m ? m : &crypt_method_openssl;
}

/* The place of its schedule; -1: out of memory, as a rule; the packet is not to be had, the next
 * one tries again. */
static int crypt_make(struct crypt_worker *w, const struct crypt *c)
{
	unsigned at = crypt_place(w, c->id);
	struct crypt_tag *t = &w->tags[at];
	if (t->owner && t->wanted != c->id) {
		t->wanted = c->id;
		at = crypt_last_place(w);
		t = &w->tags[at];
		if (t->owner == c->id)
			return (int)at;
	}
	const struct crypt_method *m = crypt_method_of(w, c);
	if (t->method != m)
		crypt_clear_place(w, at);
	t->method = m;
	t->owner = c->id;
	if (m->make(w, c, &w->schedules[at]))
		return (int)at;
	crypt_clear_place(w, at);
	return -1;
}

static int crypt_schedule_of(struct crypt_worker *w, const struct crypt *c)
{
	unsigned at = crypt_place(w, c->id);
	struct crypt_tag *t = &w->tags[at];
	if (t->owner != c->id)
		return crypt_make(w, c);
	if (t->wanted)
		t->wanted = 0; /* it is still in use */
	return (int)at;
}

/* --- batches */

static bool crypt_fits_ah(const struct crypt_op *op, enum crypt_direction direction)
{
	const struct crypt *c = op->crypt;
	uint32_t icv_end = (uint32_t)op->icv_at + c->encr->iv_len + c->icv_len;
	return c->ah && c->direction == direction && op->len <= CRYPT_LEN_MAX &&
	       op->icv_at >= CRYPT_NUMBER_LEN && op->len >= icv_end;
}

/* A whole, non-empty number of blocks fits in this length, and the key is for this direction. */
static bool crypt_fits(const struct crypt_op *op, enum crypt_direction direction)
{
	const struct crypt *c = op->crypt;
	if (__builtin_expect(op->icv_at != 0, 0))
		return crypt_fits_ah(op, direction);
	uint32_t around = (uint32_t)ESP_FIXED_LEN + c->encr->iv_len + c->icv_len;
	return !c->ah && c->direction == direction && op->len <= CRYPT_LEN_MAX &&
	       op->len > around && ((op->len - around) & (c->encr->block_len - 1u)) == 0;
}

/* Neighbours from ops[0] under its key that fit; when that does not, their ok is false. */
static size_t crypt_run(struct crypt_op *ops, size_t n, enum crypt_direction direction)
{
	size_t i = 0;
	bool fits = crypt_fits(&ops[0], direction);
	do
		ops[i++].ok = fits;
	while (i < n && ops[i].crypt == ops[0].crypt && crypt_fits(&ops[i], direction) == fits);
	return i;
}

static void crypt_fail(struct crypt_op *ops, size_t n)
{
	for (size_t i = 0; i < n; i++)
		ops[i].ok = false;
}

/* IVs that nobody can foresee (RFC 3602 3). */
static bool crypt_draw_ivs(struct crypt_worker *w, struct crypt_op *ops, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (w->ivs_left == 0) {
			if (RAND_bytes(w->ivs[0], sizeof(w->ivs)) != 1)
				return false;
			w->ivs_left = CRYPT_IVS;
		}
		memcpy(crypt_iv(&ops[i]), w->ivs[--w->ivs_left], CBC_IV_LEN);
	}
	return true;
}

/* The number is the IV (RFC 4106 3.1, RFC 7634 2). */
static void crypt_number_ivs(struct crypt_op *ops, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint8_t *iv = ops[i].esp + (ops[i].icv_at ? ops[i].icv_at : ESP_FIXED_LEN);
		struct writer w = writer_of(iv, 8);
		writer_u32(&w, ops[i].esn ? ops[i].seq_hi : 0);
		writer_bytes(&w, iv - CRYPT_NUMBER_LEN, CRYPT_NUMBER_LEN);
	}
}

/*
 * Fetches keys and places in the table ahead of where ops[i] is, which is under another key than
 * its neighbour: with very many connections these are in no cache, and it takes longer to wait for
 * them than to seal a packet.
 */
static void crypt_fetch_ahead(const struct crypt_worker *w, const struct crypt_op *ops, size_t i,
			      size_t n)
{
	if (n - i > CRYPT_KEY_AHEAD)
		__builtin_prefetch(ops[i + CRYPT_KEY_AHEAD].crypt);
	if (n - i > CRYPT_PLACE_AHEAD)
		__builtin_prefetch(&w->tags[crypt_place(w, ops[i + CRYPT_PLACE_AHEAD].crypt->id)]);
}

void crypt_seal(struct crypt_worker *w, struct crypt_op *ops, size_t n)
{
	for (size_t i = 0, run; i < n; i += run) {
		crypt_fetch_ahead(w, ops, i, n);
		const struct crypt *c = ops[i].crypt;
		run = crypt_run(ops + i, n - i, CRYPT_SEAL);
		if (!ops[i].ok)
			continue;
		int at = crypt_schedule_of(w, c);
		if (crypt_is_aead(c))
			crypt_number_ivs(ops + i, run);
		if (at < 0 || (c->encr->iv_len == CBC_IV_LEN && !crypt_draw_ivs(w, ops + i, run)))
			crypt_fail(ops + i, run);
		else
			w->tags[at].method->seal(w, &w->schedules[at], ops + i, run);
	}
}

void crypt_open(struct crypt_worker *w, struct crypt_op *ops, size_t n)
{
	for (size_t i = 0, run; i < n; i += run) {
		crypt_fetch_ahead(w, ops, i, n);
		run = crypt_run(ops + i, n - i, CRYPT_OPEN);
		if (!ops[i].ok)
			continue;
		int at = crypt_schedule_of(w, ops[i].crypt);
		if (at < 0)
			crypt_fail(ops + i, run);
		else
			w->tags[at].method->open(w, &w->schedules[at], ops + i, run);
	}
}
