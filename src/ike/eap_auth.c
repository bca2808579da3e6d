/* SPDX-License-Identifier: MIT */
/*
 * EAP in IKE_AUTH (RFC 7296 2.16): the initiator left AUTH out, and the responder has proved itself
 * by its certificate or key before the first EAP packet goes either way.
 *
 *   initiator                         responder
 *   IDi, SA, TSi, TSr ...      ->
 *                              <-     IDr, CERT, AUTH, EAP
 *   EAP                        ->
 *                              <-     EAP             ... until it is EAP-Success
 *   AUTH                       ->                     both by EAP's key
 *                              <-     AUTH, SA, TSi, TSr
 *
 * The rounds and their order are eap.c's; here its packets go into payloads and its key into the
 * proofs.  The user that proved itself decides which entry of the configuration the peer is.
 */
#include "ike/auth.h"
#include "base/mem.h"

/* RFC 3748 4: codes. */
enum eap_code { EAP_CODE_FAILURE = 4 };

static void engine_random(void *ctx, void *out, size_t len)
{
	struct ike *e = ctx;
	e->ops.random(e->ops.ctx, out, len);
}

static const char *password_of(void *ctx, const char *user)
{
	struct ike_sa *sa = ctx;
	const struct ike_ops *ops = &sa->engine->ops;
	const char *password = NULL;
	const struct ike_peer *found =
	    ops->find_eap ? ops->find_eap(ops->ctx, sa->peer, user, &password) : NULL;
	sa->half->auth->eap_peer = found;
	if (!found)
		return NULL;
	return password ? password : "";
}

static bool take_msk(struct auth *a)
{
	a->has_msk = eap_msk(a->eap, a->msk);
	return a->has_msk;
}

/* --- server */

bool eap_auth_begin(struct ike_sa *sa)
{
	struct auth *a = sa->half->auth;
	const struct eap_config cfg = {
	    .server = true,
	    .method = sa->peer->eap,
	    .tls = sa->peer->eap_tls,
	    .wall_us = sa->engine->ops.wall_us(sa->engine->ops.ctx),
	    .password_of = password_of,
	    .ctx = sa,
	    .random = engine_random,
	    .random_ctx = sa->engine,
	};
	if (cfg.method == EAP_NONE)
		return false;
	a->eap = eap_new(&cfg);
	if (!a->eap)
		return false;
	a->packet = mem_zalloc(EAP_PACKET_MAX);
	a->packet_len = eap_begin(a->eap, a->packet);
	a->stage = AUTH_EAP;
	return a->packet_len > 0;
}

static enum outcome proved(struct ike_sa *sa, struct ike_builder *b)
{
	struct auth *a = sa->half->auth;
	if (!a->eap_peer || !take_msk(a))
		return auth_refuse(sa, b, IKE_N_AUTHENTICATION_FAILED, "EAP made no key");
	sa_set_peer(sa, a->eap_peer);
	free(sa->eap_identity);
	sa->eap_identity = mem_strdup(eap_identity(a->eap));
	a->stage = AUTH_LAST;
	return DONE;
}

static enum outcome server_failed(struct ike_sa *sa, const char *why)
{
	sa->engine->counters.auth_failed++;
	return sa_fail(sa, IKE_N_AUTHENTICATION_FAILED, "EAP of user \"%s\" failed: %s",
		       eap_identity(sa->half->auth->eap), why);
}

enum outcome eap_auth_request(struct ike_sa *sa, const struct inbound *in, struct ike_builder *b)
{
	struct auth *a = sa->half->auth;
	const struct ike_payload *p = ike_find_payload(in->p, IKE_PAYLOAD_EAP);
	if (!p)
		return auth_refuse(sa, b, IKE_N_AUTHENTICATION_FAILED, "EAP goes on without EAP");
	uint8_t out[EAP_PACKET_MAX];
	size_t len = 0;
	bool refused = eap_reason(a->eap)[0] != '\0';
	enum eap_status status = eap_input(a->eap, p->body, p->len, out, &len);
	/* Its end may not come: some clients go without a word when they are told. */
	if (status == EAP_GOES_ON && !refused && eap_reason(a->eap)[0])
		sa_log(sa, LOG_LEVEL_WARN, "refused why=\"EAP of user \"%s\": %s\"",
		       eap_identity(a->eap), eap_reason(a->eap));
	if (len)
		ike_put_bytes(b, IKE_PAYLOAD_EAP, out, len);
	mem_wipe(out, sizeof(out));
	switch (status) {
	case EAP_GOES_ON:
		return DONE;
	case EAP_SUCCESS:
		return proved(sa, b);
	case EAP_FAILURE:
		break;
	}
	return server_failed(sa, eap_reason(a->eap));
}

bool eap_auth_is_under_way(const struct ike_sa *sa)
{
	return !sa->initiator && sa->half && sa->half->auth && sa->half->auth->eap;
}

enum outcome eap_auth_given_up(struct ike_sa *sa)
{
	const char *why = eap_reason(sa->half->auth->eap);
	return server_failed(sa, why[0] ? why : "the client gave up");
}

/* --- client */

static bool client_begin(struct ike_sa *sa)
{
	const struct eap_config cfg = {
	    .method = sa->peer->eap,
	    .tls = sa->peer->eap_tls,
	    .identity = sa->peer->eap_identity,
	    .password = sa->peer->eap_password,
	    .wall_us = sa->engine->ops.wall_us(sa->engine->ops.ctx),
	    .random = engine_random,
	    .random_ctx = sa->engine,
	};
	if (cfg.method == EAP_NONE)
		return false;
	sa->half->auth->eap = eap_new(&cfg);
	return sa->half->auth->eap != NULL;
}

enum outcome eap_auth_response(struct ike_sa *sa, const struct inbound *in)
{
	struct auth *a = sa->half->auth;
	const struct ike_payload *p = ike_find_payload(in->p, IKE_PAYLOAD_EAP);
	if (!p)
		return auth_give_up(sa, IKE_N_AUTHENTICATION_FAILED,
				    "the peer does not go on with EAP");
	if (!a->eap && !client_begin(sa))
		return auth_give_up(sa, IKE_N_AUTHENTICATION_FAILED, "no EAP method is configured");
	if (!a->packet)
		a->packet = mem_zalloc(EAP_PACKET_MAX);
	a->packet_len = 0;
	switch (eap_input(a->eap, p->body, p->len, a->packet, &a->packet_len)) {
	case EAP_GOES_ON:
		a->stage = AUTH_EAP;
		if (a->packet_len)
			return AGAIN;
		break;
	case EAP_SUCCESS:
		a->stage = AUTH_LAST;
		if (take_msk(a))
			return AGAIN;
		break;
	case EAP_FAILURE:
		break;
	}
	bool told = p->len && p->body[0] == EAP_CODE_FAILURE;
	if (!told)
		return auth_give_up(sa, IKE_N_AUTHENTICATION_FAILED, "EAP failed: %s",
				    eap_reason(a->eap));
	sa->engine->counters.auth_failed++;
	return sa_fail(sa, IKE_N_AUTHENTICATION_FAILED, "the peer says that EAP failed: %s",
		       eap_reason(a->eap));
}
