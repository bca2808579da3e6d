/* SPDX-License-Identifier: MIT */
/*
 * Signatures of the AUTH payload.
 *
 *   method 14 (RFC 7427)         methods 9, 10, 11 (RFC 4754)
 *   | length 1 | AlgorithmIdentifier | signature |        | r | s |
 *
 * The AlgorithmIdentifiers are a table: what we make is sent from it as it stands, what comes is
 * read (the parameters of RSASSA-PSS have many spellings) and found in it.  The parts are hashed
 * first, so that one made-ready context serves every signature of a key; Ed25519 alone wants the
 * whole message.
 *
 * Method 1 is RSA with SHA-1 (RFC 7296 says so, and other implementations take nothing else): it
 * is neither made nor verified.
 */
#include <stdlib.h>
#include <string.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include "base/mem.h"
#include "crypto/cert_state.h"
#include "crypto/der.h"
#include "crypto/fetched.h"

#define PART_MAX    (1u << 20) /* octets of all parts: an IKE message has 65535 */
#define RAW_MAX	    132	       /* r | s of P-521 */
#define RAW_DER_MAX (RAW_MAX + 16)

/* --- the algorithms */

#define OID_RSA(n)   "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01" n
#define OID_ECDSA(n) "\x06\x08\x2a\x86\x48\xce\x3d\x04\x03" n
#define OID_SHA2(n)  "\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02" n
#define HASH_ID(n)   "\x30\x0d" OID_SHA2(n) "\x05\x00"
#define PSS_ID(n, salt)                                                                            \
	"\x30\x41" OID_RSA("\x0a") "\x30\x34\xa0\x0f" HASH_ID(n) "\xa1\x1c\x30\x1a" OID_RSA(       \
	    "\x08") HASH_ID(n) "\xa2\x03\x02\x01" salt

enum sig_family { SIG_PKCS1, SIG_PSS, SIG_ECDSA, SIG_ED25519 };

static const struct sig_alg {
	const char *id; /* AlgorithmIdentifier: RFC 7427 appendix A, RFC 8420 */
	uint8_t id_len;
	enum sig_family family;
	uint32_t hash; /* CERT_HASH_* */
} sig_algs[] = {
#define SIG_ALG(text, family, hash)                                                                \
	{                                                                                          \
		text, sizeof(text) - 1, family, hash                                               \
	}
    SIG_ALG("\x30\x0d" OID_RSA("\x0b") "\x05\x00", SIG_PKCS1, CERT_HASH_SHA256),
    SIG_ALG("\x30\x0d" OID_RSA("\x0c") "\x05\x00", SIG_PKCS1, CERT_HASH_SHA384),
    SIG_ALG("\x30\x0d" OID_RSA("\x0d") "\x05\x00", SIG_PKCS1, CERT_HASH_SHA512),
    SIG_ALG(PSS_ID("\x01", "\x20"), SIG_PSS, CERT_HASH_SHA256),
    SIG_ALG(PSS_ID("\x02", "\x30"), SIG_PSS, CERT_HASH_SHA384),
    SIG_ALG(PSS_ID("\x03", "\x40"), SIG_PSS, CERT_HASH_SHA512),
    SIG_ALG("\x30\x0a" OID_ECDSA("\x02"), SIG_ECDSA, CERT_HASH_SHA256),
    SIG_ALG("\x30\x0a" OID_ECDSA("\x03"), SIG_ECDSA, CERT_HASH_SHA384),
    SIG_ALG("\x30\x0a" OID_ECDSA("\x04"), SIG_ECDSA, CERT_HASH_SHA512),
    SIG_ALG("\x30\x05\x06\x03\x2b\x65\x70", SIG_ED25519, CERT_HASH_IDENTITY),
#undef SIG_ALG
};

/* What each kind of key makes: the hash it likes best first, and the old method. */
static const struct sig_key {
	enum sig_family family;
	uint32_t hashes[3];
	uint8_t old_method; /* 0 none */
	uint32_t old_hash;
	uint8_t order_len; /* octets of r and of s */
} sig_keys[] = {
    [CERT_KEY_NONE] = {0},
    [CERT_KEY_RSA] = {SIG_PKCS1, {CERT_HASH_SHA256, CERT_HASH_SHA384, CERT_HASH_SHA512}, 0, 0, 0},
    [CERT_KEY_RSA_PSS] = {SIG_PSS, {CERT_HASH_SHA256, CERT_HASH_SHA384, CERT_HASH_SHA512}, 0, 0, 0},
    [CERT_KEY_P256] = {SIG_ECDSA,
		       {CERT_HASH_SHA256, CERT_HASH_SHA384, CERT_HASH_SHA512},
		       CERT_AUTH_ECDSA_256,
		       CERT_HASH_SHA256,
		       32},
    [CERT_KEY_P384] = {SIG_ECDSA,
		       {CERT_HASH_SHA384, CERT_HASH_SHA512, CERT_HASH_SHA256},
		       CERT_AUTH_ECDSA_384,
		       CERT_HASH_SHA384,
		       48},
    [CERT_KEY_P521] = {SIG_ECDSA,
		       {CERT_HASH_SHA512, CERT_HASH_SHA384, CERT_HASH_SHA256},
		       CERT_AUTH_ECDSA_521,
		       CERT_HASH_SHA512,
		       66},
    [CERT_KEY_ED25519] = {SIG_ED25519, {CERT_HASH_IDENTITY}, 0, 0, 0},
};

static const struct sig_alg *sig_alg_of(enum sig_family family, uint32_t hash)
{
	for (size_t i = 0; i < ARRAY_LEN(sig_algs); i++)
		if (sig_algs[i].family == family && sig_algs[i].hash == hash)
			return &sig_algs[i];
	return NULL;
}

/* --- hashing */

static const EVP_MD *digest_of(uint32_t hash)
{
	return fetched_digest(hash == CERT_HASH_SHA256	 ? "SHA2-256"
			      : hash == CERT_HASH_SHA384 ? "SHA2-384"
							 : "SHA2-512");
}

static bool parts_hash(const EVP_MD *md, const struct chunk *parts, size_t count,
		       uint8_t out[EVP_MAX_MD_SIZE], size_t *len)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	unsigned n = 0;

	bool ok = md && ctx && EVP_DigestInit_ex2(ctx, md, NULL) == 1;
	for (size_t i = 0; ok && i < count; i++)
		ok = EVP_DigestUpdate(ctx, parts[i].data, parts[i].len) == 1;
	ok = ok && EVP_DigestFinal_ex(ctx, out, &n) == 1;
	EVP_MD_CTX_free(ctx);
	*len = n;
	return ok;
}

/* One after the other, owned by the caller (it holds a prf's output: to be wiped).  NULL. */
static uint8_t *parts_join(const struct chunk *parts, size_t count, size_t *len)
{
	*len = 0;
	for (size_t i = 0; i < count; i++) {
		if (parts[i].len > PART_MAX - *len)
			return NULL;
		*len += parts[i].len;
	}
	uint8_t *all = mem_zalloc(*len + 1);
	struct writer w = writer_of(all, *len);
	for (size_t i = 0; i < count; i++)
		writer_bytes(&w, parts[i].data, parts[i].len);
	return all;
}

static void parts_free(uint8_t *all, size_t len)
{
	if (all)
		mem_wipe(all, len);
	free(all);
}

/* --- ECDSA's two notations */

/* DER to r | s. */
static size_t raw_of_der(const uint8_t *der, size_t len, size_t order_len, uint8_t *raw)
{
	const unsigned char *p = der;
	ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &p, (long)len);
	size_t n = 0;

	if (sig && BN_bn2binpad(ECDSA_SIG_get0_r(sig), raw, (int)order_len) == (int)order_len &&
	    BN_bn2binpad(ECDSA_SIG_get0_s(sig), raw + order_len, (int)order_len) == (int)order_len)
		n = 2 * order_len;
	ECDSA_SIG_free(sig);
	return n;
}

/* INTEGER of a positive number with octets to spare in front. */
static void der_write_positive(struct writer *w, const uint8_t *p, size_t len)
{
	while (len > 1 && !*p)
		p++, len--;
	bool pad = *p & 0x80;
	der_write_header(w, DER_INTEGER, len + pad);
	writer_zero(w, pad);
	writer_bytes(w, p, len);
}

static size_t der_of_raw(const uint8_t *raw, size_t order_len, uint8_t der[RAW_DER_MAX])
{
	uint8_t numbers[RAW_DER_MAX];
	struct writer n = writer_of(numbers, sizeof(numbers)), w = writer_of(der, RAW_DER_MAX);

	der_write_positive(&n, raw, order_len);
	der_write_positive(&n, raw + order_len, order_len);
	der_write_header(&w, DER_SEQUENCE, writer_len(&n));
	writer_bytes(&w, numbers, writer_len(&n));
	return n.failed || w.failed ? 0 : writer_len(&w);
}

/* --- making */

static bool rsa_prepare(EVP_PKEY_CTX *ctx, const EVP_MD *md, bool pss, int salt_len)
{
	int padding = pss ? RSA_PKCS1_PSS_PADDING : RSA_PKCS1_PADDING;

	if (EVP_PKEY_CTX_set_rsa_padding(ctx, padding) <= 0 ||
	    EVP_PKEY_CTX_set_signature_md(ctx, md) <= 0)
		return false;
	return !pss || (EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, md) > 0 &&
			EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, salt_len) > 0);
}

static bool sign_hash(const struct cert_own *o, const struct sig_alg *a, const struct chunk *parts,
		      size_t count, uint8_t *sig, size_t *len)
{
	uint8_t hash[EVP_MAX_MD_SIZE];
	size_t hash_len;
	const EVP_MD *md = digest_of(a->hash);

	if (!parts_hash(md, parts, count, hash, &hash_len))
		return false;
	if (a->family == SIG_ECDSA)
		return EVP_PKEY_sign(o->ecdsa, sig, len, hash, hash_len) == 1;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(o->key, NULL);
	bool ok = ctx && EVP_PKEY_sign_init(ctx) == 1 &&
		  rsa_prepare(ctx, md, a->family == SIG_PSS, RSA_PSS_SALTLEN_DIGEST) &&
		  EVP_PKEY_sign(ctx, sig, len, hash, hash_len) == 1;
	EVP_PKEY_CTX_free(ctx);
	return ok;
}

static bool sign_whole(const struct cert_own *o, const struct chunk *parts, size_t count,
		       uint8_t *sig, size_t *len)
{
	size_t all_len;
	uint8_t *all = parts_join(parts, count, &all_len);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	bool ok = all && ctx && EVP_DigestSignInit(ctx, NULL, NULL, NULL, o->key) == 1 &&
		  EVP_DigestSign(ctx, sig, len, all, all_len) == 1;
	EVP_MD_CTX_free(ctx);
	parts_free(all, all_len);
	return ok;
}

static bool sign_parts(const struct cert_own *o, const struct sig_alg *a, const struct chunk *parts,
		       size_t count, uint8_t *sig, size_t *len)
{
	bool ok = a->family == SIG_ED25519 ? sign_whole(o, parts, count, sig, len)
					   : sign_hash(o, a, parts, count, sig, len);
	ERR_clear_error();
	return ok;
}

static int sign_old(const struct cert_own *o, const struct chunk *parts, size_t count,
		    uint8_t *method, uint8_t *out, size_t *out_len, struct err *err)
{
	const struct sig_key *k = &sig_keys[o->kind];
	uint8_t sig[RAW_DER_MAX];
	size_t len = sizeof(sig);

	if (!k->old_method)
		return err_set(err,
			       "our key is %s, and the peer announced no hash that goes with it "
			       "(RFC 7427)",
			       cert_key_kind_text(o->kind));
	const struct sig_alg *a = sig_alg_of(SIG_ECDSA, k->old_hash);
	if (!sign_parts(o, a, parts, count, sig, &len))
		return err_set(err, "the cryptographic library could not sign");
	*out_len = raw_of_der(sig, len, k->order_len, out);
	*method = k->old_method;
	return *out_len ? 0 : err_set(err, "the cryptographic library could not sign");
}

int cert_sign(const struct cert_own *o, uint32_t peer_hashes, bool rsa_pss,
	      const struct chunk *parts, size_t count, uint8_t *method,
	      uint8_t out[CERT_SIGNATURE_MAX], size_t *out_len, struct err *err)
{
	const struct sig_key *k = &sig_keys[o->kind];
	enum sig_family family = o->kind == CERT_KEY_RSA && rsa_pss ? SIG_PSS : k->family;
	const struct sig_alg *a = NULL;

	for (size_t i = 0; !a && i < ARRAY_LEN(k->hashes); i++)
		if (k->hashes[i] & peer_hashes)
			a = sig_alg_of(family, k->hashes[i]);
	if (!a)
		return sign_old(o, parts, count, method, out, out_len, err);
	struct writer w = writer_of(out, CERT_SIGNATURE_MAX);
	writer_u8(&w, a->id_len);
	writer_bytes(&w, a->id, a->id_len);
	size_t len = CERT_SIGNATURE_MAX - writer_len(&w);
	if (w.failed || !sign_parts(o, a, parts, count, w.p, &len))
		return err_set(err, "the cryptographic library could not sign");
	*out_len = writer_len(&w) + len;
	*method = CERT_AUTH_DIGITAL_SIGNATURE;
	return 0;
}

/* --- reading an AlgorithmIdentifier */

struct sig_read {
	enum sig_family family;
	uint32_t hash;
	int salt_len; /* PSS */
};

/* An AlgorithmIdentifier's OID, and its parameters without a NULL. */
static bool read_alg(struct reader *r, struct reader *oid, struct reader *params)
{
	struct reader seq = der_take(r, DER_SEQUENCE);
	*oid = der_take(&seq, DER_OID);
	*params = seq;
	if (reader_left(&seq) && *seq.p == DER_NULL) {
		struct reader null = der_take(params, DER_NULL);
		if (reader_left(&null) || !reader_done(params))
			return false;
	}
	return !seq.failed && !oid->failed && !params->failed;
}

/* `with_header` as the macros above have it. */
static bool oid_is(const struct reader *oid, const char *with_header, size_t len)
{
	return reader_left(oid) + 2 == len && !memcmp(oid->p, with_header + 2, len - 2);
}
#define OID_IS(oid, text) oid_is(oid, text, sizeof(text) - 1)

static uint32_t read_hash(struct reader *r)
{
	struct reader oid, params;

	if (!read_alg(r, &oid, &params) || reader_left(&params))
		return 0;
	return OID_IS(&oid, OID_SHA2("\x01"))	? CERT_HASH_SHA256
	       : OID_IS(&oid, OID_SHA2("\x02")) ? CERT_HASH_SHA384
	       : OID_IS(&oid, OID_SHA2("\x03")) ? CERT_HASH_SHA512
						: 0;
}

/* A small number in [n]; `absent` when it is not there. */
static int read_number(struct reader *r, uint8_t tag, int absent)
{
	if (!reader_left(r) || *r->p != tag)
		return absent;
	struct reader outer = der_take(r, tag);
	struct reader number = der_take(&outer, DER_INTEGER);
	size_t len = reader_left(&number);
	int v = (int)reader_uint(&number, len < 3 ? len : 2);
	if (!reader_done(&outer) || !reader_done(&number) || !len || v > INT16_MAX ||
	    (len == 1 ? v > 0x7f : v < 0x80))
		r->failed = true;
	return v;
}

/* RSASSA-PSS-params (RFC 4055 3.1).  What is absent means SHA-1, so both hashes must be there. */
static bool read_pss(struct reader params, struct sig_read *s)
{
	struct reader p = der_take(&params, DER_SEQUENCE), oid, mgf_params;
	struct reader hash = der_take(&p, DER_CONTEXT(0));
	struct reader mgf = der_take(&p, DER_CONTEXT(1));

	if (!reader_done(&params) || p.failed)
		return false;
	s->hash = read_hash(&hash);
	if (!s->hash || !reader_done(&hash))
		return false;
	if (!read_alg(&mgf, &oid, &mgf_params) || !OID_IS(&oid, OID_RSA("\x08")) ||
	    read_hash(&mgf_params) != s->hash || !reader_done(&mgf_params) || !reader_done(&mgf))
		return false;
	s->salt_len = read_number(&p, DER_CONTEXT(2), 20);
	return read_number(&p, DER_CONTEXT(3), 1) == 1 && reader_done(&p);
}

static bool read_sig_alg(struct reader id, struct sig_read *s)
{
	struct reader oid, params;

	if (!read_alg(&id, &oid, &params) || !reader_done(&id))
		return false;
	if (OID_IS(&oid, OID_RSA("\x0a"))) {
		s->family = SIG_PSS;
		return read_pss(params, s);
	}
	for (size_t i = 0; i < ARRAY_LEN(sig_algs); i++) {
		const struct sig_alg *a = &sig_algs[i];
		if (a->family == SIG_PSS || reader_left(&params) ||
		    reader_left(&oid) != (size_t)(uint8_t)a->id[3] ||
		    memcmp(oid.p, a->id + 4, reader_left(&oid)) != 0)
			continue;
		s->family = a->family;
		s->hash = a->hash;
		return true;
	}
	return false;
}

/* --- verifying */

static bool verify_hash(EVP_PKEY *key, const struct sig_read *s, const uint8_t *sig, size_t sig_len,
			const struct chunk *parts, size_t count)
{
	uint8_t hash[EVP_MAX_MD_SIZE];
	size_t hash_len;
	const EVP_MD *md = digest_of(s->hash);

	if (!parts_hash(md, parts, count, hash, &hash_len))
		return false;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
	bool ok =
	    ctx && EVP_PKEY_verify_init(ctx) == 1 &&
	    (s->family == SIG_ECDSA || rsa_prepare(ctx, md, s->family == SIG_PSS, s->salt_len)) &&
	    EVP_PKEY_verify(ctx, sig, sig_len, hash, hash_len) == 1;
	EVP_PKEY_CTX_free(ctx);
	return ok;
}

static bool verify_whole(EVP_PKEY *key, const uint8_t *sig, size_t sig_len,
			 const struct chunk *parts, size_t count)
{
	size_t all_len;
	uint8_t *all = parts_join(parts, count, &all_len);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	bool ok = all && ctx && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) == 1 &&
		  EVP_DigestVerify(ctx, sig, sig_len, all, all_len) == 1;
	EVP_MD_CTX_free(ctx);
	parts_free(all, all_len);
	return ok;
}

static bool family_fits(enum sig_family family, enum cert_key_kind kind)
{
	return family == sig_keys[kind].family || (family == SIG_PSS && kind == CERT_KEY_RSA);
}

/* Reads what stands before the signature; -1 with err. */
static int verify_read(enum cert_key_kind kind, uint8_t method, uint32_t allowed, const char *name,
		       struct reader *r, struct sig_read *s, struct err *err)
{
	if (method == CERT_AUTH_RSA_SHA1)
		return err_set(err,
			       "certificate %s: it signed with RSA and SHA-1, which is not "
			       "accepted: use RFC 7427 signatures",
			       name);
	if (method != CERT_AUTH_DIGITAL_SIGNATURE) {
		if (kind == CERT_KEY_NONE || !method || sig_keys[kind].old_method != method)
			return err_set(err,
				       "certificate %s: its key is %s, its signature of "
				       "method %u",
				       name, cert_key_kind_text(kind), method);
		*s = (struct sig_read){.family = SIG_ECDSA, .hash = sig_keys[kind].old_hash};
		return 0;
	}
	struct reader id = reader_sub(r, reader_u8(r));
	if (r->failed || !read_sig_alg(id, s))
		return err_set(err,
			       "certificate %s: its signature's algorithm is malformed or "
			       "not one we know",
			       name);
	if (!family_fits(s->family, kind))
		return err_set(err, "certificate %s: its key is %s, its signature is not", name,
			       cert_key_kind_text(kind));
	if (!(s->hash & allowed))
		return err_set(err,
			       "certificate %s: it signed with a hash that was not "
			       "announced",
			       name);
	return 0;
}

bool cert_key_verify(EVP_PKEY *key, enum cert_key_kind kind, const char *name, uint8_t method,
		     const struct chunk *auth, uint32_t allowed_hashes, const struct chunk *parts,
		     size_t count, struct err *err)
{
	struct reader r = reader_of(auth->data, auth->len);
	struct sig_read s = {0};
	uint8_t der[RAW_DER_MAX];

	if (verify_read(kind, method, allowed_hashes, name, &r, &s, err) < 0)
		return false;
	const uint8_t *sig = r.p;
	size_t len = reader_left(&r);
	bool ok = len > 0 && len <= CERT_SIGNATURE_MAX;
	if (ok && method != CERT_AUTH_DIGITAL_SIGNATURE) {
		size_t order_len = sig_keys[kind].order_len;
		ok = len == 2 * order_len;
		len = ok ? der_of_raw(sig, order_len, der) : 0;
		sig = der;
	}
	if (ok && s.family == SIG_ED25519)
		ok = verify_whole(key, sig, len, parts, count);
	else if (ok)
		ok = verify_hash(key, &s, sig, len, parts, count);
	ERR_clear_error();
	if (!ok)
		err_set(err, "certificate %s: its signature is wrong", name);
	return ok;
}
