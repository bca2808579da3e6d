/* SPDX-License-Identifier: MIT */
/*
 * A peer's certificate: from octets out of the network to a key that is believed.
 *
 * OpenSSL builds and checks the chain (RFC 5280 6: signatures, times against the time that is
 * given, name constraints, path lengths, critical extensions that nobody knows).  What it leaves
 * open is checked behind it: a CA must say that it is one in basicConstraints, every key and
 * digest of the chain is of the few that are good, and the certificate itself may be used for
 * signatures and for IKE.  Then the CRLs are asked, each time anew.
 *
 * What was verified is kept in the trust's cache, found by its SHA-256, with the time in which the
 * whole chain is valid: the next time nothing is decoded and nothing verified but the CRLs and the
 * time.  Only a certificate that a believed CA issued gets there, so a stranger cannot fill it.
 */
#include <stdlib.h>
#include <string.h>
#include <openssl/err.h>
#include "base/mem.h"
#include "crypto/cert_state.h"
#include "crypto/fetched.h"

/* --- ownership */

void cert_peer_free(struct cert_peer *p)
{
	if (!p || --p->refs > 0)
		return;
	sk_X509_pop_free(p->chain, X509_free);
	GENERAL_NAMES_free(p->san);
	free(p);
}

static struct cert_peer **cache_slot(const struct cert_trust *t, const uint8_t *print)
{
	return &t->cache[(size_t)(print[0] << 8 | print[1]) % CERT_CACHE_SLOTS];
}

static struct cert_peer *cache_find(const struct cert_trust *t, const uint8_t *print,
				    uint64_t wall_us)
{
	struct cert_peer *p = *cache_slot(t, print);

	if (!p || memcmp(p->print, print, CERT_PRINT_LEN) != 0 || wall_us < p->from_us ||
	    wall_us >= p->until_us)
		return NULL;
	p->refs++;
	return p;
}

static void cache_put(const struct cert_trust *t, struct cert_peer *p)
{
	struct cert_peer **slot = cache_slot(t, p->print);

	cert_peer_free(*slot);
	p->refs++;
	*slot = p;
}

/* --- what OpenSSL leaves open */

static int check_link(X509 *x, bool issuer, bool anchor, struct err *err)
{
	char name[CERT_NAME_MAX];
	const X509_ALGOR *alg;
	struct err why = {{0}};

	if (issuer && !cert_is_ca(x))
		return err_set(err, "certificate %s issued another, but is not a CA's",
			       cert_name(x, name));
	X509_get0_signature(NULL, &alg, x);
	if (cert_key_kind(X509_get0_pubkey(x), &why) == CERT_KEY_NONE ||
	    (!anchor && !cert_digest_is_good(alg, &why)))
		return err_set(err, "certificate %s: %s", cert_name(x, name), why.text);
	return 0;
}

/* RFC 4945 5.1.3.12: what is there must allow it. */
static bool purpose_is_good(const X509 *x)
{
	static const char *const good[] = {"2.5.29.37.0", "1.3.6.1.5.5.7.3.17", "1.3.6.1.5.5.7.3.1",
					   "1.3.6.1.5.5.7.3.2"};
	char oid[64];
	bool found = false;

	if (X509_get_ext_by_NID(x, NID_ext_key_usage, -1) < 0)
		return true;
	EXTENDED_KEY_USAGE *list = X509_get_ext_d2i(x, NID_ext_key_usage, NULL, NULL);
	for (int i = 0; list && i < sk_ASN1_OBJECT_num(list); i++) {
		OBJ_obj2txt(oid, sizeof(oid), sk_ASN1_OBJECT_value(list, i), 1);
		for (size_t n = 0; n < ARRAY_LEN(good); n++)
			found |= !strcmp(oid, good[n]);
	}
	sk_ASN1_OBJECT_pop_free(list, ASN1_OBJECT_free);
	return found;
}

static int check_use(X509 *x, struct err *err)
{
	char name[CERT_NAME_MAX];

	if (!(X509_get_key_usage(x) & (KU_DIGITAL_SIGNATURE | KU_NON_REPUDIATION)))
		return err_set(err, "certificate %s: its keyUsage does not allow signatures",
			       cert_name(x, name));
	if (!purpose_is_good(x))
		return err_set(err,
			       "certificate %s: its extendedKeyUsage allows neither IKE nor "
			       "servers nor clients",
			       cert_name(x, name));
	return 0;
}

static int check_chain(const STACK_OF(X509) * chain, struct err *err)
{
	int n = sk_X509_num(chain);

	for (int i = 0; i < n; i++)
		if (check_link(sk_X509_value(chain, i), i > 0, i == n - 1, err) < 0)
			return -1;
	return check_use(sk_X509_value(chain, 0), err);
}

/* --- what OpenSSL said */

static int explain(X509_STORE_CTX *ctx, X509 *leaf, struct err *err)
{
	char name[CERT_NAME_MAX], issuer[CERT_NAME_MAX], when[CERT_TIME_MAX];
	int code = X509_STORE_CTX_get_error(ctx);
	X509 *x = X509_STORE_CTX_get_current_cert(ctx);

	if (!x)
		x = leaf;
	cert_name(x, name);
	switch (code) {
	case X509_V_ERR_CERT_HAS_EXPIRED:
		return err_set(err, "certificate %s expired at %s", name,
			       cert_time_text(X509_get0_notAfter(x), when));
	case X509_V_ERR_CERT_NOT_YET_VALID:
		return err_set(err, "certificate %s is not valid before %s", name,
			       cert_time_text(X509_get0_notBefore(x), when));
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
		return err_set(err,
			       "certificate %s: no CA that we believe issued it (its issuer "
			       "is %s)",
			       name, cert_issuer_name(x, issuer));
	case X509_V_ERR_INVALID_CA:
		return err_set(err, "certificate %s issued another, but is not a CA's", name);
	case X509_V_ERR_CERT_SIGNATURE_FAILURE:
		return err_set(err, "certificate %s: its issuer's signature is wrong (%s)", name,
			       cert_issuer_name(x, issuer));
	case X509_V_ERR_EE_KEY_TOO_SMALL:
	case X509_V_ERR_CA_KEY_TOO_SMALL:
	case X509_V_ERR_CA_MD_TOO_WEAK:
	case X509_V_ERR_EC_KEY_EXPLICIT_PARAMS:
		if (check_link(x, false, false, err) < 0)
			return -1;
		break;
	}
	return err_set(err, "certificate %s: %s", name, X509_verify_cert_error_string(code));
}

/* --- the whole */

static STACK_OF(X509) * parse_helpers(const struct cert_der *certs, size_t count)
{
	STACK_OF(X509) *helpers = sk_X509_new_null();

	for (size_t i = 1; helpers && i < count && i < CERT_CHAIN_MAX; i++) {
		X509 *x = cert_parse_der(certs[i].data, certs[i].len);
		if (x && !sk_X509_push(helpers, x))
			X509_free(x);
	}
	return helpers;
}

/* Owned by the caller; NULL with err. */
static STACK_OF(X509) * build_chain(const struct cert_trust *t, X509 *leaf,
				    STACK_OF(X509) * helpers, uint64_t wall_us, struct err *err)
{
	STACK_OF(X509) *chain = NULL;
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();

	if (!ctx || !helpers || X509_STORE_CTX_init(ctx, t->store, leaf, helpers) != 1) {
		err_set(err, "the cryptographic library failed");
		goto out;
	}
	X509_VERIFY_PARAM_set_time(X509_STORE_CTX_get0_param(ctx), (time_t)(wall_us / 1000000u));
	if (X509_verify_cert(ctx) != 1) {
		explain(ctx, leaf, err);
		goto out;
	}
	chain = X509_STORE_CTX_get1_chain(ctx);
	if (chain && check_chain(chain, err) < 0) {
		sk_X509_pop_free(chain, X509_free);
		chain = NULL;
	}
out:
	X509_STORE_CTX_free(ctx);
	ERR_clear_error();
	return chain;
}

/* Takes the chain. */
static struct cert_peer *peer_of_chain(STACK_OF(X509) * chain, const uint8_t *print)
{
	struct cert_peer *p = mem_zalloc(sizeof(*p));

	p->refs = 1;
	p->chain = chain;
	p->cert = sk_X509_value(chain, 0);
	p->key = X509_get0_pubkey(p->cert);
	p->kind = cert_key_kind(p->key, NULL);
	p->san = cert_alt_names(p->cert);
	p->until_us = UINT64_MAX;
	memcpy(p->print, print, CERT_PRINT_LEN);
	for (int i = 0; i < sk_X509_num(chain); i++) {
		const X509 *x = sk_X509_value(chain, i);
		uint64_t from_us = cert_time_us(X509_get0_notBefore(x));
		uint64_t until_us = cert_time_us(X509_get0_notAfter(x));
		p->from_us = from_us > p->from_us ? from_us : p->from_us;
		p->until_us = until_us < p->until_us ? until_us : p->until_us;
	}
	return p;
}

static struct cert_peer *verify_new(const struct cert_trust *t, const struct cert_der *certs,
				    size_t count, const uint8_t *print, uint64_t wall_us,
				    struct err *err)
{
	X509 *leaf = cert_parse_der(certs[0].data, certs[0].len);
	if (!leaf) {
		err_set(err, "the peer's certificate is malformed");
		return NULL;
	}
	STACK_OF(X509) *helpers = parse_helpers(certs, count);
	STACK_OF(X509) *chain = build_chain(t, leaf, helpers, wall_us, err);
	sk_X509_pop_free(helpers, X509_free);
	X509_free(leaf);
	return chain ? peer_of_chain(chain, print) : NULL;
}

struct cert_peer *cert_verify(const struct cert_trust *t, const struct cert_der *certs,
			      size_t count, uint64_t wall_us, struct err *err)
{
	uint8_t print[CERT_PRINT_LEN];

	if (count == 0) {
		err_set(err, "the peer sent no certificate");
		return NULL;
	}
	if (EVP_Digest(certs[0].data, certs[0].len, print, NULL, fetched_digest("SHA2-256"),
		       NULL) != 1) {
		err_set(err, "the cryptographic library failed");
		return NULL;
	}
	struct cert_peer *p = cache_find(t, print, wall_us);
	bool known = p != NULL;
	if (!known)
		p = verify_new(t, certs, count, print, wall_us, err);
	if (p && cert_trust_check_crls(t, p->chain, wall_us, err) < 0) {
		cert_peer_free(p);
		return NULL;
	}
	if (p && !known)
		cache_put(t, p);
	return p;
}

/* --- what it is good for */

bool cert_peer_has_identity(const struct cert_peer *p, const struct identity *i)
{
	return cert_has_identity(p->cert, p->san, i);
}

bool cert_peer_verify(const struct cert_peer *p, uint8_t method, const uint8_t *auth,
		      size_t auth_len, uint32_t allowed_hashes, const struct chunk *parts,
		      size_t count, struct err *err)
{
	struct chunk sig = {auth, auth_len};
	char name[CERT_NAME_MAX];

	return cert_key_verify(p->key, p->kind, cert_name(p->cert, name), method, &sig,
			       allowed_hashes, parts, count, err);
}
