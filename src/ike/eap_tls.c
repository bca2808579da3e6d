/* SPDX-License-Identifier: MIT */
/*
 * EAP-TLS, both sides: RFC 5216 with TLS 1.2, RFC 9190 with TLS 1.3.
 *
 *   server                                     client
 *   Start                             ->
 *                                     <-       ClientHello
 *   ServerHello ... CertificateRequest ->
 *                                     <-       Certificate ... Finished
 *   Finished (1.2), or a zero octet
 *   of application data (1.3)         ->
 *                                     <-       nothing
 *
 *   | flags 1 | TLS message length 4, when L | TLS records ... |
 *
 * libssl speaks TLS between two memory BIOs; here are the fragments, whom we believe, and when it
 * is over.  Certificates are checked by cert_verify, as those of IKE are: the same chains, keys,
 * digests and CRLs are good, at the time the caller gives.  Only who has the names' answer from
 * the caller (server: is the user allowed?  client: is it the server?) gets through the handshake,
 * so that the refused side gets a TLS alert.
 *
 * Sessions are not resumed, and nobody renegotiates: a certificate is shown each time.
 */
#include <stdio.h>
#include <string.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include "base/mem.h"
#include "ike/eap_state.h"

#define FLAG_LENGTH 0x80
#define FLAG_MORE   0x40
#define FLAG_START  0x20

#define FRAGMENT_LEN	1024  /* of TLS data in a packet of ours */
#define TLS_MESSAGE_MAX 32768 /* what we take together */
#define KEY_MATERIAL	128   /* exported; the MSK is its first half */
#define SECURITY_LEVEL	2     /* OpenSSL's: 112 bits of strength */

#define CIPHERS_1_2 "ECDHE+AESGCM:ECDHE+CHACHA20"

struct eap_tls {
	SSL_CTX *ssl;
	struct cert_trust *trust;
	bool server;
};

struct tls_talk {
	SSL *ssl;
	BIO *in, *out;	     /* borrowed from ssl */
	bool sending;	     /* fragments of ours are left */
	bool receiving;	     /* fragments of theirs are */
	size_t total, taken; /* of the message being received */
	bool verified;	     /* the peer's certificate and name */
	bool finished;	     /* the handshake is over */
};

/* --- whom we believe */

/* RFC 5216 5.3: what extendedKeyUsage there is must allow this side of TLS, or IKE. */
static bool purpose_is_good(const X509 *x, bool of_server)
{
	bool found = false;

	if (X509_get_ext_by_NID(x, NID_ext_key_usage, -1) < 0)
		return true;
	EXTENDED_KEY_USAGE *list = X509_get_ext_d2i(x, NID_ext_key_usage, NULL, NULL);
	for (int i = 0; list && i < sk_ASN1_OBJECT_num(list); i++) {
		int nid = OBJ_obj2nid(sk_ASN1_OBJECT_value(list, i));
		found |= nid == NID_anyExtendedKeyUsage || nid == NID_ipsec_IKE ||
			 nid == (of_server ? NID_server_auth : NID_client_auth);
	}
	sk_ASN1_OBJECT_pop_free(list, ASN1_OBJECT_free);
	return found;
}

/* A name out of a certificate: is it an allowed user? */
static bool try_name(struct eap *e, const void *data, size_t len)
{
	char name[EAP_IDENTITY_MAX] = "";

	if (!len)
		return false;
	struct reader r = reader_of(data, len);
	if (!eap_read_name(&r, name) || !e->cfg.password_of(e->cfg.ctx, name))
		return false;
	memcpy(e->identity, name, sizeof(name));
	return true;
}

static bool try_alt_names(struct eap *e, const GENERAL_NAMES *names)
{
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		int kind;
		const ASN1_STRING *s =
		    GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &kind);
		if ((kind == GEN_EMAIL || kind == GEN_DNS) &&
		    try_name(e, ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s)))
			return true;
	}
	return false;
}

/* The subject as text; and its common name, which counts only where nothing better is. */
static bool try_subject(struct eap *e, const X509 *x, bool common_name)
{
	char text[EAP_IDENTITY_MAX] = "";
	const unsigned char *der = NULL;
	size_t len = 0;
	X509_NAME *subject = X509_get_subject_name(x);

	if (X509_NAME_get0_der(subject, &der, &len) != 1 ||
	    !identity_is_valid(IDENTITY_DN, der, len))
		return false;
	struct identity *dn = identity_new(IDENTITY_DN, der, len);
	if (dn)
		identity_format(dn, text, sizeof(text));
	free(dn);
	bool good = try_name(e, text, strlen(text));
	int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
	if (good || !common_name || at < 0)
		return good;
	unsigned char *cn = NULL;
	int cn_len =
	    ASN1_STRING_to_UTF8(&cn, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
	good = cn_len > 0 && try_name(e, cn, (size_t)cn_len);
	OPENSSL_free(cn);
	return good;
}

/* Server: which of the certificate's names is allowed?  The claimed one first, when it is one. */
static bool user_is_allowed(struct eap *e, const struct cert_peer *peer, const X509 *x)
{
	struct identity *claimed = e->claimed[0] ? identity_parse(e->claimed, NULL) : NULL;
	bool good = claimed && cert_peer_has_identity(peer, claimed) &&
		    try_name(e, e->claimed, strlen(e->claimed));
	free(claimed);
	if (good)
		return true;
	GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	good = (names && try_alt_names(e, names)) || try_subject(e, x, !names);
	GENERAL_NAMES_free(names);
	if (!good)
		(void)eap_fail(e, "the certificate is good, but none of its names is a user's");
	return good;
}

static bool server_is_named(struct eap *e, const struct cert_peer *peer)
{
	if (!e->cfg.server_name)
		return true;
	struct identity *wanted = identity_parse(e->cfg.server_name, NULL);
	bool good = wanted && cert_peer_has_identity(peer, wanted);
	free(wanted);
	if (!good)
		(void)eap_fail(e, "the server's certificate does not name \"%.100s\"",
			       e->cfg.server_name);
	return good;
}

static bool peer_is_good(struct eap *e, X509_STORE_CTX *store)
{
	struct cert_der certs[CERT_CHAIN_MAX] = {0};
	uint8_t *ders[CERT_CHAIN_MAX] = {0};
	X509 *leaf = X509_STORE_CTX_get0_cert(store);
	STACK_OF(X509) *sent = X509_STORE_CTX_get0_untrusted(store);
	struct cert_peer *peer = NULL;
	struct err err = {{0}};
	size_t count = 0;

	for (int i = -1; leaf && i < sk_X509_num(sent) && count < CERT_CHAIN_MAX; i++) {
		X509 *x = i < 0 ? leaf : sk_X509_value(sent, i);
		int len = i >= 0 && x == leaf ? 0 : i2d_X509(x, &ders[count]);
		if (len > 0)
			certs[count] = (struct cert_der){ders[count], (size_t)len}, count++;
	}
	if (count)
		peer = cert_verify(e->cfg.tls->trust, certs, count, e->cfg.wall_us, &err);
	bool good = peer != NULL;
	if (!good)
		(void)eap_fail(e, "%s", err.text);
	else if (!(good = purpose_is_good(leaf, !e->cfg.server)))
		(void)eap_fail(e, "the certificate's extendedKeyUsage is not for this side of TLS");
	else
		good = e->cfg.server ? user_is_allowed(e, peer, leaf) : server_is_named(e, peer);
	cert_peer_free(peer);
	for (size_t i = 0; i < count; i++)
		OPENSSL_free(ders[i]);
	return good;
}

/* libssl's: instead of its own verification. */
static int verify(X509_STORE_CTX *store, void *arg)
{
	(void)arg;
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct eap *e = SSL_get_app_data(ssl);

	e->tls->verified = peer_is_good(e, store);
	ERR_clear_error();
	X509_STORE_CTX_set_error(store, e->tls->verified ? X509_V_OK : X509_V_ERR_CERT_REJECTED);
	return e->tls->verified;
}

/* libssl's: an alert that came says more than its error does. */
static void info(const SSL *ssl, int where, int value)
{
	struct eap *e = SSL_get_app_data(ssl);

	if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT && value >> 8 == SSL3_AL_FATAL)
		(void)eap_fail(e, "the other side's TLS says: %s",
			       SSL_alert_desc_string_long(value));
}

/* --- made once */

static int load_own(struct eap_tls *t, const void *cert, size_t cert_len, const void *key_data,
		    size_t key_len, struct err *err)
{
	struct cert_own *own = cert_own_new(cert, cert_len, key_data, key_len, err);
	const uint8_t *der;
	size_t len;

	if (!own)
		return -1;
	bool ok = true;
	for (unsigned i = 0; ok && (der = cert_own_der(own, i, &len)); i++) {
		X509 *x = d2i_X509(NULL, &der, (long)len);
		ok = x && (i ? SSL_CTX_add1_chain_cert(t->ssl, x)
			     : SSL_CTX_use_certificate(t->ssl, x)) == 1;
		X509_free(x);
	}
	cert_own_free(own);
	EVP_PKEY *key = NULL;
	if (*(const uint8_t *)key_data == 0x30) {
		const unsigned char *p = key_data;
		key = d2i_AutoPrivateKey(NULL, &p, (long)key_len);
	} else {
		BIO *bio = BIO_new_mem_buf(key_data, (int)key_len);
		key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, "") : NULL;
		BIO_free(bio);
	}
	ok = ok && key && SSL_CTX_use_PrivateKey(t->ssl, key) == 1;
	EVP_PKEY_free(key);
	return ok ? 0 : err_set(err, "TLS takes our certificate or its key for too weak");
}

/* The names of CAs that the server tells, by which clients choose a certificate. */
static void tell_cas(struct eap_tls *t, const void *ca, size_t len)
{
	X509 *x;

	if (*(const uint8_t *)ca == 0x30) {
		const unsigned char *p = ca;
		x = d2i_X509(NULL, &p, (long)len);
		if (x)
			(void)SSL_CTX_add_client_CA(t->ssl, x);
		X509_free(x);
		return;
	}
	BIO *bio = BIO_new_mem_buf(ca, (int)len);
	while (bio && (x = PEM_read_bio_X509(bio, NULL, NULL, ""))) {
		(void)SSL_CTX_add_client_CA(t->ssl, x);
		X509_free(x);
	}
	BIO_free(bio);
}

static bool set_rules(struct eap_tls *t)
{
	int verify_mode = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;

	/* Nobody renegotiates here, so a server that does not know RFC 5746 (strongSwan's) is no
	 * worse. */
	SSL_CTX_set_options(t->ssl, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION |
					SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
					SSL_OP_LEGACY_SERVER_CONNECT);
	SSL_CTX_set_session_cache_mode(t->ssl, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_security_level(t->ssl, SECURITY_LEVEL);
	SSL_CTX_set_verify(t->ssl, verify_mode, NULL);
	SSL_CTX_set_cert_verify_callback(t->ssl, verify, NULL);
	SSL_CTX_set_info_callback(t->ssl, info);
	SSL_CTX_set_max_cert_list(t->ssl, TLS_MESSAGE_MAX);
	return SSL_CTX_set_num_tickets(t->ssl, 0) == 1 &&
	       SSL_CTX_set_min_proto_version(t->ssl, TLS1_2_VERSION) == 1 &&
	       SSL_CTX_set_max_proto_version(t->ssl, TLS1_3_VERSION) == 1 &&
	       SSL_CTX_set_cipher_list(t->ssl, CIPHERS_1_2) == 1;
}

struct eap_tls *eap_tls_new(const void *cert, size_t cert_len, const void *key, size_t key_len,
			    const void *ca, size_t ca_len, bool server, struct err *err)
{
	struct eap_tls *t = mem_zalloc(sizeof(*t));

	t->server = server;
	t->ssl = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
	t->trust = cert_trust_new();
	if (!t->ssl || !t->trust || !set_rules(t)) {
		err_set(err, "the TLS library does not work");
		goto fail;
	}
	if (load_own(t, cert, cert_len, key, key_len, err) < 0 ||
	    cert_trust_add_ca(t->trust, ca, ca_len, err) < 0)
		goto fail;
	if (server)
		tell_cas(t, ca, ca_len);
	ERR_clear_error();
	return t;
fail:
	ERR_clear_error();
	eap_tls_free(t);
	return NULL;
}

void eap_tls_free(struct eap_tls *t)
{
	if (!t)
		return;
	SSL_CTX_free(t->ssl);
	cert_trust_free(t->trust);
	free(t);
}

int eap_tls_add_crl(struct eap_tls *t, const void *crl, size_t len, struct err *err)
{
	return cert_trust_add_crl(t->trust, crl, len, err);
}

void eap_tls_require_crl(struct eap_tls *t, bool strict)
{
	cert_trust_require_crl(t->trust, strict);
}

SSL_CTX *eap_tls_context(struct eap_tls *t)
{
	return t->ssl;
}

/* --- life of a conversation */

static bool tls_begin(struct eap *e)
{
	if (!e->cfg.tls || e->cfg.tls->server != e->cfg.server)
		return false;
	struct tls_talk *t = e->tls = mem_zalloc(sizeof(*t));
	BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
	t->ssl = SSL_new(e->cfg.tls->ssl);
	if (!t->ssl || !in || !out) {
		BIO_free(in);
		BIO_free(out);
		return false;
	}
	SSL_set_bio(t->ssl, in, out);
	t->in = in;
	t->out = out;
	SSL_set_app_data(t->ssl, e);
	if (e->cfg.server)
		SSL_set_accept_state(t->ssl);
	else
		SSL_set_connect_state(t->ssl);
	return true;
}

static void tls_end(struct eap *e)
{
	if (e->tls)
		SSL_free(e->tls->ssl);
	free(e->tls);
	e->tls = NULL;
}

/* --- fragments */

/* What TLS wants to say, or the next part of it; nothing to say is a packet too. */
static enum eap_step put_fragment(struct tls_talk *t, struct writer *w)
{
	size_t left = BIO_ctrl_pending(t->out);
	size_t len = left < FRAGMENT_LEN ? left : FRAGMENT_LEN;
	bool more = left > len, announce = more && !t->sending;

	writer_u8(w, (uint8_t)((more ? FLAG_MORE : 0) | (announce ? FLAG_LENGTH : 0)));
	if (announce)
		writer_u32(w, (uint32_t)left);
	uint8_t *room = writer_room(w, len);
	if (len && (!room || BIO_read(t->out, room, (int)len) != (int)len))
		w->failed = true;
	t->sending = more;
	return EAP_STEP_SEND;
}

enum taken { TAKEN_WHOLE, TAKEN_PART, TAKEN_BAD };

/* Into TLS's hands; `flags` was read. */
static enum taken take_fragment(struct tls_talk *t, uint8_t flags, struct reader *in)
{
	bool more = flags & FLAG_MORE;
	size_t announced = flags & FLAG_LENGTH ? reader_u32(in) : 0, len = reader_left(in);

	if (in->failed || (!t->receiving && more && !(flags & FLAG_LENGTH)))
		return TAKEN_BAD;
	if (!t->receiving) {
		t->total = flags & FLAG_LENGTH ? announced : len;
		t->taken = 0;
	} else if (flags & FLAG_LENGTH && announced != t->total) {
		return TAKEN_BAD;
	}
	if (t->total > TLS_MESSAGE_MAX || len > t->total - t->taken)
		return TAKEN_BAD;
	t->taken += len;
	if (more ? !len || t->taken == t->total : t->taken != t->total)
		return TAKEN_BAD;
	if (len && BIO_write(t->in, reader_bytes(in, len), (int)len) != (int)len)
		return TAKEN_BAD;
	t->receiving = more;
	return more ? TAKEN_PART : TAKEN_WHOLE;
}

/* --- the handshake */

static void explain(struct eap *e)
{
	const char *why = ERR_reason_error_string(ERR_peek_error());
	(void)eap_fail(e, "TLS: %s", why ? why : "the handshake failed");
	ERR_clear_error();
}

/* It failed.  The other side gets our alert, or (client) an answer that has nothing in it. */
static enum eap_step give_up(struct eap *e, struct writer *w)
{
	struct tls_talk *t = e->tls;

	explain(e);
	if (e->cfg.server && !BIO_ctrl_pending(t->out))
		return EAP_STEP_FAIL;
	e->stage = EAP_STAGE_DOOMED;
	return put_fragment(t, w);
}

static bool is_1_3(const struct tls_talk *t)
{
	return SSL_version(t->ssl) >= TLS1_3_VERSION;
}

/* RFC 5216 2.3, RFC 9190 2.3. */
static bool make_msk(struct eap *e)
{
	static const char old_label[] = "client EAP encryption";
	static const char new_label[] = "EXPORTER_EAP_TLS_Key_Material";
	static const uint8_t type = EAP_TLS;
	uint8_t keys[KEY_MATERIAL];
	SSL *ssl = e->tls->ssl;
	int ok = is_1_3(e->tls)
		     ? SSL_export_keying_material(ssl, keys, sizeof(keys), new_label,
						  sizeof(new_label) - 1, &type, sizeof(type), 1)
		     : SSL_export_keying_material(ssl, keys, sizeof(keys), old_label,
						  sizeof(old_label) - 1, NULL, 0, 0);
	if (ok == 1)
		memcpy(e->msk, keys, EAP_MSK_LEN);
	mem_wipe(keys, sizeof(keys));
	e->has_msk = ok == 1;
	return e->has_msk;
}

static enum eap_step handshake_over(struct eap *e, struct writer *w)
{
	static const uint8_t committed = 0;
	struct tls_talk *t = e->tls;

	t->finished = true;
	if (!t->verified || !make_msk(e))
		return eap_fail(e, "TLS made no key");
	if (e->cfg.server) {
		if (is_1_3(t) && SSL_write(t->ssl, &committed, 1) != 1)
			return give_up(e, w);
	} else if (!is_1_3(t)) {
		e->stage = EAP_STAGE_PROVED;
	}
	return put_fragment(t, w);
}

static enum eap_step advance(struct eap *e, struct writer *w)
{
	struct tls_talk *t = e->tls;

	ERR_clear_error();
	int r = SSL_do_handshake(t->ssl);
	if (r == 1)
		return handshake_over(e, w);
	if (SSL_get_error(t->ssl, r) != SSL_ERROR_WANT_READ)
		return give_up(e, w);
	if (e->cfg.server && !BIO_ctrl_pending(t->out))
		return eap_fail(e, "the client's TLS message has no end");
	return put_fragment(t, w);
}

/* Client, TLS 1.3: the zero octet says that the server has nothing more to say (RFC 9190 2.5). */
static enum eap_step await_commitment(struct eap *e, struct writer *w)
{
	struct tls_talk *t = e->tls;
	uint8_t octets[2] = {0};

	ERR_clear_error();
	int n = SSL_read(t->ssl, octets, sizeof(octets));
	if (n <= 0 && SSL_get_error(t->ssl, n) != SSL_ERROR_WANT_READ)
		return give_up(e, w);
	if (n > 0) {
		if (n != 1 || octets[0] != 0 || BIO_ctrl_pending(t->in))
			return eap_fail(e, "the server sends data instead of the end");
		e->stage = EAP_STAGE_PROVED;
	}
	return put_fragment(t, w);
}

/* Server: only an acknowledgement may come now; an alert is worth knowing. */
static enum eap_step await_acknowledgement(struct eap *e, size_t len)
{
	uint8_t octet;

	if (len == 0)
		return EAP_STEP_DONE;
	ERR_clear_error();
	(void)SSL_read(e->tls->ssl, &octet, 1);
	ERR_clear_error();
	return eap_fail(e, "the client sends TLS data after the handshake");
}

/* --- packets */

static enum eap_step tls_start(struct eap *e, struct writer *out)
{
	(void)e;
	writer_u8(out, FLAG_START);
	return EAP_STEP_SEND;
}

static enum eap_step malformed(struct eap *e)
{
	return eap_fail(e, "a malformed EAP-TLS packet");
}

/* Client: the first packet says Start, and no other does. */
static enum eap_step tls_input(struct eap *e, struct reader *in, struct writer *out)
{
	struct tls_talk *t = e->tls;
	uint8_t flags = reader_u8(in);
	bool begins = !e->cfg.server && SSL_in_before(t->ssl);

	if (in->failed || begins != ((flags & FLAG_START) != 0))
		return malformed(e);
	if (begins)
		return reader_left(in) ? malformed(e) : advance(e, out);
	if (t->sending)
		return flags & (FLAG_LENGTH | FLAG_MORE) || reader_left(in) ? malformed(e)
									    : put_fragment(t, out);
	switch (take_fragment(t, flags, in)) {
	case TAKEN_WHOLE:
		break;
	case TAKEN_PART:
		writer_u8(out, 0);
		return EAP_STEP_SEND;
	case TAKEN_BAD:
		return malformed(e);
	}
	if (!t->finished)
		return advance(e, out);
	return e->cfg.server ? await_acknowledgement(e, t->taken) : await_commitment(e, out);
}

const struct eap_method_ops eap_tls_ops = {
    .begin = tls_begin,
    .end = tls_end,
    .start = tls_start,
    .input = tls_input,
};
