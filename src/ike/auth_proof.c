/* SPDX-License-Identifier: MIT */
/*
 * AUTH payloads: what each side signs of IKE_SA_INIT and of its identity (RFC 7296 2.15), by a
 * shared key, a certificate (RFC 7427 and the older methods), or EAP's key (2.16); and the mixing
 * in of a post-quantum pre-shared key (RFC 8784 3).
 *
 *   initiator:  message 1 | Nr | prf(SK_pi, IDi')       responder:  message 2 | Ni | prf(SK_pr,
 * IDr') by a key:   prf(prf(key, "Key Pad for IKEv2"), those octets)
 */
#include "ike/auth.h"
#include "base/mem.h"

static const char key_pad[] = "Key Pad for IKEv2"; /* without the final NUL */

#define CERT_X509_SIGNATURE 4 /* encoding (RFC 7296 3.6) */

/* What one side signs; mac holds the last part. */
static int signed_octets(const struct ike_sa *sa, const struct ike_sk *sk, bool initiators,
			 uint8_t mac[PRF_LEN_MAX], struct chunk parts[3])
{
	const struct half *h = sa->half;
	const struct auth *a = h->auth;
	const struct prf *prf = sa->suite.prf;
	struct chunk id = {initiators ? a->id_i : a->id_r, initiators ? a->id_i_len : a->id_r_len};
	if (prf_compute(prf, initiators ? sk->pi : sk->pr, prf->len, &id, 1, mac) != 0)
		return -1;
	parts[0] = initiators ? (struct chunk){h->msg_i, h->msg_i_len}
			      : (struct chunk){h->msg_r, h->msg_r_len};
	parts[1] = initiators ? (struct chunk){h->nonce_r, h->nonce_r_len}
			      : (struct chunk){h->nonce_i, h->nonce_i_len};
	parts[2] = (struct chunk){mac, prf->len};
	return 0;
}

static int by_key(const struct prf *prf, const void *key, size_t key_len,
		  const struct chunk parts[3], uint8_t out[PRF_LEN_MAX])
{
	uint8_t padded[PRF_LEN_MAX];
	struct chunk pad = {key_pad, sizeof(key_pad) - 1};
	int rc = prf_compute(prf, key, key_len, &pad, 1, padded);
	if (rc == 0)
		rc = prf_compute(prf, padded, prf->len, parts, 3, out);
	mem_wipe(padded, sizeof(padded));
	return rc;
}

/* The shared key in use: EAP's, or the configured one.  False: none. */
static bool shared_key(const struct ike_sa *sa, const uint8_t **key, size_t *len)
{
	const struct auth *a = sa->half->auth;
	*key = a->has_msk ? a->msk : sa->peer->psk;
	*len = a->has_msk ? sizeof(a->msk) : sa->peer->psk_len;
	return *key && *len;
}

int auth_proof_make(const struct ike_sa *sa, const struct ike_sk *sk, struct auth_proof *out,
		    struct err *err)
{
	uint8_t mac[PRF_LEN_MAX];
	struct chunk parts[3];
	if (signed_octets(sa, sk, sa->initiator, mac, parts) != 0)
		return err_set(err, "the crypto library failed");
	if (!sa->half->auth->has_msk && sa->peer->local_auth == IKE_BY_CERT) {
		if (!sa->peer->own)
			return err_set(err, "no certificate of our own is configured");
		return cert_sign(sa->peer->own, sa->hash_algorithms, sa->peer->rsa_pss, parts, 3,
				 &out->method, out->data, &out->len, err);
	}
	const uint8_t *key;
	size_t key_len;
	if (!shared_key(sa, &key, &key_len))
		return err_set(err, "no pre-shared key is configured");
	out->method = AUTH_SHARED_KEY;
	out->len = sa->suite.prf->len;
	if (by_key(sa->suite.prf, key, key_len, parts, out->data) != 0)
		return err_set(err, "the crypto library failed");
	return 0;
}

static int check_key(const struct ike_sa *sa, const struct ike_typed *auth,
		     const struct chunk parts[3], struct err *err)
{
	const uint8_t *key;
	size_t key_len, len = sa->suite.prf->len;
	uint8_t expected[PRF_LEN_MAX];
	if (auth->type != AUTH_SHARED_KEY)
		return err_set(err, "it proves itself by method %u, a shared key is configured",
			       auth->type);
	if (!shared_key(sa, &key, &key_len))
		return err_set(err, "no pre-shared key is configured");
	if (by_key(sa->suite.prf, key, key_len, parts, expected) != 0)
		return err_set(err, "the crypto library failed");
	bool ok = auth->len == len && mem_equal(auth->data, expected, len);
	mem_wipe(expected, sizeof(expected));
	return ok ? 0
		  : err_set(err, sa->half->auth->has_msk ? "the proof by EAP's key does not fit"
							 : "the pre-shared keys differ");
}

static size_t collect_certs(const struct ike_payloads *p, struct cert_der out[CERT_CHAIN_MAX])
{
	size_t n = 0;
	for (uint8_t i = 0; i < p->count && n < CERT_CHAIN_MAX; i++) {
		struct ike_typed c;
		if (p->at[i].type == IKE_PAYLOAD_CERT && ike_read_cert(&p->at[i], &c) &&
		    c.type == CERT_X509_SIGNATURE && c.len)
			out[n++] = (struct cert_der){c.data, c.len};
	}
	return n;
}

static int check_cert(const struct ike_sa *sa, const struct ike_typed *auth,
		      const struct ike_payloads *p, const struct chunk parts[3], struct err *err)
{
	const struct ike_ops *ops = &sa->engine->ops;
	struct cert_der certs[CERT_CHAIN_MAX];
	size_t n = collect_certs(p, certs);
	if (auth->type == AUTH_SHARED_KEY)
		return err_set(err, "it proves itself by a shared key, a certificate is required");
	if (!sa->peer->trust)
		return err_set(err, "no certificate authority is configured");
	if (n == 0)
		return err_set(err, "it sent no certificate");
	struct cert_peer *c = cert_verify(sa->peer->trust, certs, n, ops->wall_us(ops->ctx), err);
	if (!c)
		return -1;
	int rc = -1;
	if (!cert_peer_has_identity(c, sa->remote_id)) {
		char id[128];
		(void)err_set(err, "its certificate is not for the identity %s",
			      identity_format(sa->remote_id, id, sizeof(id)));
	} else if (cert_peer_verify(c, auth->type, auth->data, auth->len, CERT_HASHES_ALL, parts, 3,
				    err)) {
		rc = 0;
	}
	cert_peer_free(c);
	return rc;
}

int auth_proof_check(const struct ike_sa *sa, const struct ike_sk *sk, const struct ike_typed *auth,
		     const struct ike_payloads *p, struct err *err)
{
	uint8_t mac[PRF_LEN_MAX];
	struct chunk parts[3];
	if (signed_octets(sa, sk, !sa->initiator, mac, parts) != 0)
		return err_set(err, "the crypto library failed");
	if (sa->half->auth->has_msk || sa->peer->remote_auth == IKE_BY_PSK)
		return check_key(sa, auth, parts, err);
	if (sa->peer->remote_auth == IKE_BY_CERT)
		return check_cert(sa, auth, p, parts, err);
	return err_set(err, "EAP is required of it");
}

int auth_proof_mix_ppk(struct ike_sa *sa)
{
	struct half *h = sa->half;
	struct auth *a = h->auth;
	const struct ike_peer *peer = sa->peer;
	const struct prf *prf = sa->suite.prf;
	const struct {
		const uint8_t *from;
		uint8_t *to;
	} mixed[] = {
	    {sa->sk_d, a->ppk_sk_d},
	    {h->sk.pi, a->ppk_sk.pi},
	    {h->sk.pr, a->ppk_sk.pr},
	};
	for (size_t i = 0; i < ARRAY_LEN(mixed); i++) {
		struct chunk seed = {mixed[i].from, prf->len};
		if (prf_plus(prf, peer->ppk, peer->ppk_len, &seed, 1, mixed[i].to, prf->len) != 0)
			return -1;
	}
	return 0;
}
