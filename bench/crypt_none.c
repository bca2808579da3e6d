/* SPDX-License-Identifier: MIT */
/*
 * In the place of crypto/crypt.c for the benchmarks' limit: packets are numbered and cut, sent and
 * taken as always, but neither encrypted nor authenticated.  Linked into nothing that is installed.
 */
#include "base/mem.h"
#include "crypto/crypt.h"

struct crypt {
	uint8_t around; /* fixed part, IV and ICV */
};

struct crypt_worker {
	char unused;
};

size_t crypt_key_len(const struct alg *encr, const struct alg *integ)
{
	return (size_t)encr->key_len + (integ ? integ->key_len : 0u);
}

struct crypt *crypt_new(const struct alg *encr, const struct alg *integ, const uint8_t *key,
			size_t key_len, enum crypt_direction direction, struct err *err)
{
	(void)key;
	(void)key_len;
	(void)direction;
	(void)err;
	struct crypt *c = mem_zalloc(sizeof(*c));
	c->around = (uint8_t)(8 + encr->iv_len + (integ ? integ->icv_len : encr->icv_len));
	return c;
}

struct crypt *crypt_new_ah(const struct alg *integ, const uint8_t *key, size_t key_len,
			   enum crypt_direction direction, struct err *err)
{
	return crypt_new(alg_find("null"), integ, key, key_len, direction, err);
}

void crypt_free(struct crypt *c)
{
	free(c);
}

bool crypt_library_usable(enum crypt_library library)
{
	(void)library;
	return true;
}

struct crypt_worker *crypt_worker_new(enum crypt_library library, unsigned schedules,
				      struct err *err)
{
	(void)library;
	(void)schedules;
	(void)err;
	return mem_zalloc(sizeof(struct crypt_worker));
}

void crypt_worker_free(struct crypt_worker *w)
{
	free(w);
}

const char *crypt_worker_library(const struct crypt_worker *w)
{
	(void)w;
	return "none: for benchmarks only";
}

void crypt_worker_forget(struct crypt_worker *w, uint64_t id)
{
	(void)w;
	(void)id;
}

const struct alg *crypt_encr(const struct crypt *c)
{
	(void)c;
	return alg_find("null");
}

const struct alg *crypt_integ(const struct crypt *c)
{
	(void)c;
	return NULL;
}

bool crypt_is_long(const struct crypt *c)
{
	(void)c;
	return false;
}

uint64_t crypt_id(const struct crypt *c)
{
	(void)c;
	return 0;
}

static void pass(struct crypt_op *ops, size_t n)
{
	for (size_t i = 0; i < n; i++)
		ops[i].ok = ops[i].len > ops[i].crypt->around;
}

void crypt_seal(struct crypt_worker *w, struct crypt_op *ops, size_t n)
{
	(void)w;
	pass(ops, n);
}

void crypt_open(struct crypt_worker *w, struct crypt_op *ops, size_t n)
{
	(void)w;
	pass(ops, n);
}
