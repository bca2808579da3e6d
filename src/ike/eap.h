/* SPDX-License-Identifier: MIT */
/*
 * EAP inside IKE_AUTH (RFC 7296 2.16, RFC 3748): EAP-TLS (RFC 5216, RFC 9190) and
 * EAP-MSCHAPv2 (draft-kamath-pppext-eap-mschapv2), server and client.  Sans-I/O: packets in,
 * packets out.
 */
#ifndef IKE_EAP_H
#define IKE_EAP_H

#include "base/clock.h"
#include "base/err.h"
#include "crypto/cert.h"

#define EAP_MSK_LEN	 64
#define EAP_PACKET_MAX	 4096 /* of one packet we make or take */
#define EAP_IDENTITY_MAX 256
#define EAP_ROUNDS_MAX	 64 /* then it fails */

enum eap_method { EAP_NONE = 0, EAP_TLS = 13, EAP_MSCHAPV2 = 26 };

/* TLS for EAP, made once for many conversations: our certificate and whom we believe (DER/PEM as
 * cert.h).  NULL with err. */
struct eap_tls;
struct eap_tls *eap_tls_new(const void *cert, size_t cert_len, const void *key, size_t key_len,
			    const void *ca, size_t ca_len, bool server, struct err *err);
void eap_tls_free(struct eap_tls *t);
/* As cert_trust_add_crl and cert_trust_require_crl.  0, or -1 with err. */
int eap_tls_add_crl(struct eap_tls *t, const void *crl, size_t len, struct err *err)
    __attribute__((warn_unused_result));
void eap_tls_require_crl(struct eap_tls *t, bool strict);
/* Loads what the methods load lazily, by a conversation of each with itself; before the process is
 * confined. */
void eap_warm_up(void);

struct eap_config {
	bool server;
	enum eap_method method;
	struct eap_tls *tls; /* borrowed; EAP_TLS */
	/* client */
	const char *identity, *password;
	/* client, EAP-TLS: the server's certificate must have this name; NULL: any of the CA's */
	const char *server_name;
	uint64_t wall_us; /* EAP_TLS: the time for the certificates' */
	/* server: the password of a user (borrowed until the next call), NULL: unknown.  Called
	 * once the user named himself; for EAP_TLS with the certificate's name, and non-NULL is
	 * "allowed". It has several names: each is asked for until one is allowed, the one the
	 * client gave for its identity first.  EAP_MSCHAPV2: nobody has the empty password, and
	 * "DOMAIN\user" is asked for as "user" too. */
	const char *(*password_of)(void *ctx, const char *user);
	void *ctx;
	void (*random)(void *ctx, void *out, size_t len);
	void *random_ctx;
};

enum eap_status { EAP_GOES_ON, EAP_SUCCESS, EAP_FAILURE };

struct eap;
/* cfg: copied, but what it borrows.  NULL: something of it is missing, or the library lacks what
 * the method needs. */
struct eap *eap_new(const struct eap_config *cfg);
void eap_free(struct eap *e); /* wipes */
/* Server: its first packet (an identity request).  Returns its length. */
size_t eap_begin(struct eap *e, uint8_t out[EAP_PACKET_MAX]);
/* One packet from the other side; *out_len is what to send (0: nothing).  The server's last packet
 * is EAP-Success or EAP-Failure, sent with the status; the client's status follows it. Malformed
 * packets and wrong identifiers are a failure (server) or ignored (client, nothing to send). */
enum eap_status eap_input(struct eap *e, const uint8_t *packet, size_t len,
			  uint8_t out[EAP_PACKET_MAX], size_t *out_len);
/* After success: the key for the AUTH payloads.  False: the method made none. */
bool eap_msk(const struct eap *e, uint8_t out[EAP_MSK_LEN]);
/* Server: who it was (MSCHAPv2: the user that proved itself, TLS: the certificate's name); "" not
 * known yet. */
const char *eap_identity(const struct eap *e);
/* Why it failed, for the log. */
const char *eap_reason(const struct eap *e);

#endif
