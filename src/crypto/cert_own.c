/* SPDX-License-Identifier: MIT */
/*
 * What proves us: a certificate, its chain and the private key.
 *
 * A struct cert_own is made at the start, from bytes that were read before the process was
 * confined, and used by one thread.  It owns OpenSSL's objects; the key's octets stay the
 * caller's to wipe.  Whether the key really is the certificate's is not believed but tried: one
 * signature is made and verified.
 */
#include <stdlib.h>
#include <string.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include "base/mem.h"
#include "crypto/cert_state.h"

static EVP_PKEY *own_read_key(const void *data, size_t len, struct err *err)
{
	EVP_PKEY *key = NULL;

	if (len == 0 || len > INT32_MAX) {
		err_set(err, "the private key is empty");
		return NULL;
	}
	if (*(const uint8_t *)data == 0x30) {
		const unsigned char *p = data;
		key = d2i_AutoPrivateKey(NULL, &p, (long)len);
	} else {
		BIO *bio = BIO_new_mem_buf(data, (int)len);
		key = bio ? PEM_read_bio_PrivateKey(bio, NULL, cert_no_password, NULL) : NULL;
		BIO_free(bio);
	}
	ERR_clear_error();
	if (!key)
		err_set(err,
			"the private key cannot be read: it must be PEM or DER, not encrypted");
	return key;
}

static int own_take_certs(struct cert_own *o, STACK_OF(X509) * all, struct err *err)
{
	char name[CERT_NAME_MAX];

	if (sk_X509_num(all) > CERT_CHAIN_MAX)
		return err_set(err, "%d certificates: at most %d can be sent", sk_X509_num(all),
			       CERT_CHAIN_MAX);
	for (int n = 0; n < sk_X509_num(all); n++) {
		X509 *x = sk_X509_value(all, n);
		int len = i2d_X509(x, &o->der[o->count]);
		if (len <= 0 || len > UINT16_MAX)
			return err_set(err, "certificate %s: too long", cert_name(x, name));
		o->der_len[o->count] = (size_t)len;
		X509_up_ref(x);
		o->certs[o->count++] = x;
	}
	return 0;
}

/* The peer learns the cause of none of these: so they are looked at here. */
static int own_check(struct cert_own *o, struct err *err)
{
	static const struct chunk part = {"does the key fit?", 17};
	char name[CERT_NAME_MAX];
	uint8_t method, auth[CERT_SIGNATURE_MAX];
	size_t len;
	struct err why = {{0}};

	cert_name(o->certs[0], name);
	o->kind = cert_key_kind(X509_get0_pubkey(o->certs[0]), &why);
	if (o->kind == CERT_KEY_NONE)
		return err_set(err, "certificate %s: %s", name, why.text);
	if (X509_check_private_key(o->certs[0], o->key) != 1)
		return err_set(err, "the private key is not that of certificate %s", name);
	if (o->kind >= CERT_KEY_P256 && o->kind <= CERT_KEY_P521) {
		o->ecdsa = EVP_PKEY_CTX_new(o->key, NULL);
		if (!o->ecdsa || EVP_PKEY_sign_init(o->ecdsa) != 1)
			return err_set(err, "certificate %s: its key cannot sign", name);
	}
	if (cert_sign(o, CERT_HASHES_ALL, false, &part, 1, &method, auth, &len, err) < 0)
		return -1;
	struct chunk sig = {auth, len};
	if (!cert_key_verify(X509_get0_pubkey(o->certs[0]), o->kind, name, method, &sig,
			     CERT_HASHES_ALL, &part, 1, &why))
		return err_set(err, "the private key is not that of certificate %s", name);
	return 0;
}

struct cert_own *cert_own_new(const void *cert, size_t cert_len, const void *key, size_t key_len,
			      struct err *err)
{
	struct cert_own *o = mem_zalloc(sizeof(*o));
	STACK_OF(X509) *all = cert_parse_all(cert, cert_len, err);

	if (!all || own_take_certs(o, all, err) < 0)
		goto fail;
	o->key = own_read_key(key, key_len, err);
	if (!o->key)
		goto fail;
	o->san = cert_alt_names(o->certs[0]);
	if (own_check(o, err) < 0)
		goto fail;
	sk_X509_pop_free(all, X509_free);
	ERR_clear_error();
	return o;
fail:
	sk_X509_pop_free(all, X509_free);
	cert_own_free(o);
	ERR_clear_error();
	return NULL;
}

void cert_own_free(struct cert_own *o)
{
	if (!o)
		return;
	for (unsigned i = 0; i < CERT_CHAIN_MAX; i++) {
		X509_free(o->certs[i]);
		OPENSSL_free(o->der[i]);
	}
	EVP_PKEY_CTX_free(o->ecdsa);
	EVP_PKEY_free(o->key);
	GENERAL_NAMES_free(o->san);
	free(o);
}

const uint8_t *cert_own_der(const struct cert_own *o, unsigned i, size_t *len)
{
	if (i >= o->count)
		return NULL;
	*len = o->der_len[i];
	return o->der[i];
}

bool cert_own_has_identity(const struct cert_own *o, const struct identity *i)
{
	return cert_has_identity(o->certs[0], o->san, i);
}

struct identity *cert_own_subject(const struct cert_own *o)
{
	const unsigned char *der = NULL;
	size_t len = 0;

	if (X509_NAME_get0_der(X509_get_subject_name(o->certs[0]), &der, &len) != 1)
		return NULL;
	return identity_is_valid(IDENTITY_DN, der, len) ? identity_new(IDENTITY_DN, der, len)
							: NULL;
}

bool cert_own_is_rsa(const struct cert_own *o)
{
	return o->kind == CERT_KEY_RSA || o->kind == CERT_KEY_RSA_PSS;
}
