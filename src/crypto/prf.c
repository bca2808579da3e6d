/* SPDX-License-Identifier: MIT */
/*
 * Pseudorandom functions of IKEv2.
 *
 *   prf+ (K, S) = T1 | T2 | ...     T1 = prf(K, S | 0x01), Tn = prf(K, Tn-1 | S | n)
 *
 * All are HMACs (RFC 4868; RFC 2404's for old peers), so a key may have any length.  Constant
 * tables, no state: any thread.
 */
#include "crypto/prf.h"

#include <string.h>
#include <strings.h>
#include "base/mem.h"
#include "crypto/fetched.h"
#include "crypto/hmac.h"

#define PRF_PLUS_ROUNDS_MAX 255
#define PRF_PARTS_MAX	    16

static const struct prf prfs[] = {
    {.name = "prfsha256", .openssl_name = "SHA2-256", .ike_id = 5, .len = 32},
    {.name = "prfsha384", .openssl_name = "SHA2-384", .ike_id = 6, .len = 48},
    {.name = "prfsha512", .openssl_name = "SHA2-512", .ike_id = 7, .len = 64},
    {.name = "prfsha1", .openssl_name = "SHA1", .ike_id = 2, .len = 20},
};

const struct prf *prf_by_id(uint16_t ike_id)
{
	for (size_t i = 0; i < ARRAY_LEN(prfs); i++) {
		if (prfs[i].ike_id == ike_id)
			return &prfs[i];
	}
	return NULL;
}

const struct prf *prf_by_name(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(prfs); i++) {
		if (strcasecmp(prfs[i].name, name) == 0)
			return &prfs[i];
	}
	return NULL;
}

int prf_compute(const struct prf *p, const void *key, size_t key_len, const struct chunk *parts,
		size_t count, uint8_t out[PRF_LEN_MAX])
{
	return hmac_once(fetched_digest(p->openssl_name), key, key_len, parts, count, out) ? 0 : -1;
}

int prf_plus(const struct prf *p, const void *key, size_t key_len, const struct chunk *seed,
	     size_t count, uint8_t *out, size_t len)
{
	if (len > (size_t)PRF_PLUS_ROUNDS_MAX * p->len || count > PRF_PARTS_MAX)
		return -1;
	uint8_t t[PRF_LEN_MAX], n = 0;
	/* Tn-1, the seed's parts, n */
	struct chunk parts[PRF_PARTS_MAX + 2] = {{.data = t, .len = 0}};
	if (count)
		memcpy(parts + 1, seed, count * sizeof(*seed));
	parts[count + 1] = (struct chunk){.data = &n, .len = 1};

	struct hmac h;
	bool ok = hmac_begin(&h, fetched_digest(p->openssl_name), key, key_len);
	for (size_t done = 0; ok && done < len;) {
		n++;
		ok = hmac_compute(&h, parts, count + 2, t);
		parts[0].len = p->len;
		size_t take = len - done < p->len ? len - done : p->len;
		memcpy(out + done, t, take);
		done += take;
	}
	hmac_end(&h);
	mem_wipe(t, sizeof(t));
	if (!ok)
		mem_wipe(out, len);
	return ok ? 0 : -1;
}

int digest_compute(const char *openssl_name, const struct chunk *parts, size_t count, uint8_t *out,
		   size_t *out_len)
{
	const EVP_MD *md = fetched_digest(openssl_name);
	EVP_MD *own = md ? NULL : EVP_MD_fetch(NULL, openssl_name, NULL);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	unsigned len = 0;
	bool ok = ctx && (md || own) && EVP_DigestInit_ex2(ctx, md ? md : own, NULL);
	for (size_t i = 0; ok && i < count; i++)
		ok = !parts[i].len || EVP_DigestUpdate(ctx, parts[i].data, parts[i].len);
	ok = ok && EVP_DigestFinal_ex(ctx, out, &len);
	EVP_MD_CTX_free(ctx);
	EVP_MD_free(own);
	*out_len = ok ? len : 0;
	return ok ? 0 : -1;
}
