/* SPDX-License-Identifier: MIT */
/*
 * Sealing and opening by the libraries alone, in the way that is fastest for each: what the packet
 * path's own calls are compared with.  Nonces, additional data and lengths are worked out before,
 * and whether an ICV is right is looked at by nobody unless the library does it.
 */
#include "crypto.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <string.h>
#include "base/mem.h"
#ifdef HAVE_IPSEC_MB
#include <intel-ipsec-mb.h>
#endif

struct bare {
	const struct alg *encr, *integ;
	bool seal;
	void (*run)(struct bare *b, struct bare_packet *packets, unsigned n);
	EVP_CIPHER *type;
	EVP_CIPHER_CTX *cipher;
	EVP_MAC *mac_type;
	EVP_MAC_CTX *mac;
#ifdef HAVE_IPSEC_MB
	IMB_MGR *mgr;
	aes_gcm_enc_dec_t gcm;
	struct gcm_context_data gcm_context;
	IMB_JOB job; /* what all packets have in common */
	_Alignas(64) struct gcm_key_data gcm_key;
	_Alignas(64) uint8_t enc_keys[15 * 16], dec_keys[15 * 16], ipad[64], opad[64];
	uint8_t key[32];
#endif
};

/* --- OpenSSL */

static void must(int ok)
{
	if (ok <= 0)
		die("OpenSSL refuses");
}

static void openssl_aead(struct bare *b, struct bare_packet *packets, unsigned n)
{
	int len = 0, icv_len = b->encr->icv_len;
	for (struct bare_packet *p = packets; p < packets + n; p++) {
		must(EVP_CipherInit_ex2(b->cipher, NULL, NULL, p->nonce, -1, NULL));
		if (!b->seal)
			must(
			    EVP_CIPHER_CTX_ctrl(b->cipher, EVP_CTRL_AEAD_SET_TAG, icv_len, p->icv));
		must(EVP_CipherUpdate(b->cipher, NULL, &len, p->aad, BARE_AAD_LEN));
		must(EVP_CipherUpdate(b->cipher, p->text, &len, p->text, (int)p->text_len));
		must(EVP_CipherFinal_ex(b->cipher, p->text + len, &len));
		if (b->seal)
			must(
			    EVP_CIPHER_CTX_ctrl(b->cipher, EVP_CTRL_AEAD_GET_TAG, icv_len, p->icv));
	}
}

static void openssl_cbc(struct bare *b, struct bare_packet *p)
{
	int len = 0;
	if (!b->cipher)
		return;
	must(EVP_CipherInit_ex2(b->cipher, NULL, NULL, p->iv, -1, NULL));
	must(EVP_CipherUpdate(b->cipher, p->text, &len, p->text, (int)p->text_len));
}

static void openssl_cbc_hmac(struct bare *b, struct bare_packet *packets, unsigned n)
{
	size_t mac_len;
	for (struct bare_packet *p = packets; p < packets + n; p++) {
		if (b->seal)
			openssl_cbc(b, p);
		must(EVP_MAC_init(b->mac, NULL, 0, NULL));
		must(EVP_MAC_update(b->mac, p->esp, p->hashed_len));
		must(EVP_MAC_final(b->mac, p->mac, &mac_len, sizeof(p->mac)));
		if (b->seal)
			memcpy(p->icv, p->mac, b->integ->icv_len);
		else
			openssl_cbc(b, p);
	}
}

static void openssl_init(struct bare *b, const uint8_t *key)
{
	b->run = b->integ ? openssl_cbc_hmac : openssl_aead;
	if (b->encr->openssl_name[0]) {
		b->type = EVP_CIPHER_fetch(NULL, b->encr->openssl_name, NULL);
		b->cipher = EVP_CIPHER_CTX_new();
		must(b->type && b->cipher);
		must(EVP_CipherInit_ex2(b->cipher, b->type, key, NULL, b->seal, NULL));
		must(EVP_CIPHER_CTX_set_padding(b->cipher, 0));
	}
	if (!b->integ)
		return;
	char digest[16];
	strncpy(digest, b->integ->openssl_name, sizeof(digest) - 1);
	digest[sizeof(digest) - 1] = '\0';
	OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
			       OSSL_PARAM_construct_end()};
	b->mac_type = EVP_MAC_fetch(NULL, "HMAC", NULL);
	b->mac = EVP_MAC_CTX_new(b->mac_type);
	must(b->mac && EVP_MAC_init(b->mac, key + b->encr->key_len, b->integ->key_len, params));
}

/* --- intel-ipsec-mb */

#ifdef HAVE_IPSEC_MB

static void mb_gcm(struct bare *b, struct bare_packet *packets, unsigned n)
{
	for (struct bare_packet *p = packets; p < packets + n; p++)
		b->gcm(&b->gcm_key, &b->gcm_context, p->text, p->text, p->text_len, p->nonce,
		       p->aad, BARE_AAD_LEN, b->seal ? p->icv : p->mac, b->encr->icv_len);
}

static void mb_gcm_init(struct bare *b, const uint8_t *key)
{
	IMB_MGR *m = b->mgr;
	b->run = mb_gcm;
	if (b->encr->ike_key_bits == 128) {
		IMB_AES128_GCM_PRE(m, key, &b->gcm_key);
		b->gcm = b->seal ? m->gcm128_enc : m->gcm128_dec;
	} else if (b->encr->ike_key_bits == 192) {
		IMB_AES192_GCM_PRE(m, key, &b->gcm_key);
		b->gcm = b->seal ? m->gcm192_enc : m->gcm192_dec;
	} else {
		IMB_AES256_GCM_PRE(m, key, &b->gcm_key);
		b->gcm = b->seal ? m->gcm256_enc : m->gcm256_dec;
	}
}

static void mb_check(const IMB_JOB *j)
{
	if (j->status != IMB_STATUS_COMPLETED)
		die("intel-ipsec-mb refuses");
}

static void mb_jobs(struct bare *b, struct bare_packet *packets, unsigned n)
{
	IMB_JOB *j;
	for (struct bare_packet *p = packets; p < packets + n; p++) {
		j = IMB_GET_NEXT_JOB(b->mgr);
		*j = b->job;
		j->src = p->esp;
		j->dst = p->text;
		j->cipher_start_src_offset_in_bytes = (uint64_t)(p->text - p->esp);
		j->msg_len_to_cipher_in_bytes = p->text_len;
		j->auth_tag_output = b->seal ? p->icv : p->mac;
		if (b->integ) {
			j->iv = p->iv;
			j->msg_len_to_hash_in_bytes = p->hashed_len;
		} else {
			j->iv = p->nonce;
			j->u.CHACHA20_POLY1305.aad = p->aad;
			j->hash_start_src_offset_in_bytes = (uint64_t)(p->text - p->esp);
			j->msg_len_to_hash_in_bytes = p->text_len;
		}
		for (j = IMB_SUBMIT_JOB_NOCHECK(b->mgr); j; j = IMB_GET_COMPLETED_JOB(b->mgr))
			mb_check(j);
	}
	while ((j = IMB_FLUSH_JOB(b->mgr)))
		mb_check(j);
}

static void mb_job_init(struct bare *b)
{
	b->run = mb_jobs;
	b->job.cipher_direction = b->seal ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT;
	b->job.chain_order = b->seal ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
	b->job.key_len_in_bytes = b->encr->key_len - (uint64_t)b->encr->salt_len;
	b->job.iv_len_in_bytes = b->integ ? b->encr->iv_len : BARE_NONCE_LEN;
	b->job.auth_tag_output_len_in_bytes = b->integ ? b->integ->icv_len : b->encr->icv_len;
}

static void mb_chacha_init(struct bare *b, const uint8_t *key)
{
	mb_job_init(b);
	memcpy(b->key, key, sizeof(b->key));
	b->job.enc_keys = b->job.dec_keys = b->key;
	b->job.cipher_mode = IMB_CIPHER_CHACHA20_POLY1305;
	b->job.hash_alg = IMB_AUTH_CHACHA20_POLY1305;
	b->job.u.CHACHA20_POLY1305.aad_len_in_bytes = BARE_AAD_LEN;
}

static void mb_pad(struct bare *b, const uint8_t *key, uint8_t pad, uint8_t *state)
{
	uint8_t block[128];
	memset(block, pad, sizeof(block));
	for (unsigned i = 0; i < b->integ->key_len; i++)
		block[i] ^= key[i];
	switch (b->job.hash_alg) {
	case IMB_AUTH_HMAC_SHA_1:
		IMB_SHA1_ONE_BLOCK(b->mgr, block, state);
		break;
	case IMB_AUTH_HMAC_SHA_256:
		IMB_SHA256_ONE_BLOCK(b->mgr, block, state);
		break;
	case IMB_AUTH_HMAC_SHA_384:
		IMB_SHA384_ONE_BLOCK(b->mgr, block, state);
		break;
	default: /* the library's enum; there is no other here */
		IMB_SHA512_ONE_BLOCK(b->mgr, block, state);
		break;
	}
}

static void mb_cbc_hmac_init(struct bare *b, const uint8_t *key)
{
	static const struct {
		uint8_t key_len;
		IMB_HASH_ALG hash;
	} hashes[] = {{20, IMB_AUTH_HMAC_SHA_1},
		      {32, IMB_AUTH_HMAC_SHA_256},
		      {48, IMB_AUTH_HMAC_SHA_384},
		      {64, IMB_AUTH_HMAC_SHA_512}};
	mb_job_init(b);
	for (unsigned i = 0; i < ARRAY_LEN(hashes); i++)
		if (hashes[i].key_len == b->integ->key_len)
			b->job.hash_alg = hashes[i].hash;
	b->job.cipher_mode = b->encr->key_len ? IMB_CIPHER_CBC : IMB_CIPHER_NULL;
	b->job.enc_keys = b->enc_keys;
	b->job.dec_keys = b->dec_keys;
	b->job.u.HMAC._hashed_auth_key_xor_ipad = b->ipad;
	b->job.u.HMAC._hashed_auth_key_xor_opad = b->opad;
	if (b->encr->ike_key_bits == 128)
		IMB_AES_KEYEXP_128(b->mgr, key, b->enc_keys, b->dec_keys);
	else if (b->encr->ike_key_bits == 192)
		IMB_AES_KEYEXP_192(b->mgr, key, b->enc_keys, b->dec_keys);
	else if (b->encr->ike_key_bits == 256)
		IMB_AES_KEYEXP_256(b->mgr, key, b->enc_keys, b->dec_keys);
	mb_pad(b, key + b->encr->key_len, 0x36, b->ipad);
	mb_pad(b, key + b->encr->key_len, 0x5c, b->opad);
}

static void mb_init(struct bare *b, const uint8_t *key)
{
	b->mgr = alloc_mb_mgr(0);
	if (!b->mgr)
		die("intel-ipsec-mb: no manager");
	init_mb_mgr_auto(b->mgr, NULL);
	if (b->integ)
		mb_cbc_hmac_init(b, key);
	else if (b->encr->ike_key_bits)
		mb_gcm_init(b, key);
	else
		mb_chacha_init(b, key);
}

#endif

/* --- either */

struct bare *bare_new(enum crypt_library library, const struct alg *encr, const struct alg *integ,
		      const uint8_t *key, enum crypt_direction direction)
{
	if (!crypt_library_usable(library))
		return NULL;
	struct bare *b = aligned_alloc(64, (sizeof(*b) + 63) & ~(size_t)63);
	if (!b)
		die("out of memory");
	memset(b, 0, sizeof(*b));
	b->encr = encr;
	b->integ = integ;
	b->seal = direction == CRYPT_SEAL;
#ifdef HAVE_IPSEC_MB
	if (library == CRYPT_LIBRARY_IPSEC_MB) {
		mb_init(b, key);
		return b;
	}
#endif
	openssl_init(b, key);
	return b;
}

void bare_free(struct bare *b)
{
	if (!b)
		return;
	EVP_CIPHER_CTX_free(b->cipher);
	EVP_CIPHER_free(b->type);
	EVP_MAC_CTX_free(b->mac);
	EVP_MAC_free(b->mac_type);
#ifdef HAVE_IPSEC_MB
	if (b->mgr)
		free_mb_mgr(b->mgr);
#endif
	free(b);
}

void bare_run(struct bare *b, struct bare_packet *packets, unsigned n)
{
	b->run(b, packets, n);
}
