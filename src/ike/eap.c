/* SPDX-License-Identifier: MIT */
/*
 * EAP, both sides (RFC 3748), as the conversation inside IKE_AUTH.
 *
 *   server                              client
 *   Request Identity           ->
 *                              <-       Response Identity
 *   Request of the method      ->
 *                              <-       Response of the method      ... the method's rounds
 *   Success or Failure         ->
 *
 * Here are packets, identifiers, rounds and what is common to the methods; a method is a row of
 * eap_methods and sees what stands behind the type octet.  One conversation has one method: a
 * client that wants another says so (Nak) and the server ends it, since nothing else is configured
 * for that peer; once the method began, neither side changes it.
 *
 * IKE keeps order and repeats messages, so a packet that does not fit ends a server's
 * conversation.  A client ignores it, as RFC 3748 wants, and IKE ends the conversation because
 * there is nothing to send.  A client believes EAP-Success only after the server proved itself.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "base/utf8.h"
#include "ike/eap_state.h"

static const struct {
	enum eap_method method;
	const struct eap_method_ops *ops;
} eap_methods[] = {
    {EAP_TLS, &eap_tls_ops},
    {EAP_MSCHAPV2, &eap_mschapv2_ops},
};

/* --- what methods use */

static void reason_set(struct eap *e, const char *fmt, va_list ap)
{
	if (!e->reason[0])
		vsnprintf(e->reason, sizeof(e->reason), fmt, ap);
}

enum eap_step eap_fail(struct eap *e, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	reason_set(e, fmt, ap);
	va_end(ap);
	return EAP_STEP_FAIL;
}

enum eap_step eap_ignore(struct eap *e, const char *why)
{
	(void)eap_fail(e, "%s", why);
	return EAP_STEP_IGNORE;
}

bool eap_read_name(struct reader *in, char out[EAP_IDENTITY_MAX])
{
	size_t len = reader_left(in);
	const uint8_t *p = reader_bytes(in, len);

	out[0] = '\0';
	if (!p || len >= EAP_IDENTITY_MAX)
		return false;
	struct reader text = reader_of(p, len);
	while (reader_left(&text) && !text.failed) {
		uint32_t c = utf8_read(&text);
		if (c < 0x20 || (c >= 0x7f && c < 0xa0))
			return false;
	}
	if (text.failed)
		return false;
	memcpy(out, p, len);
	out[len] = '\0';
	return true;
}

/* --- life */

static bool config_is_whole(const struct eap_config *c)
{
	if (!c->random || (c->server && !c->password_of))
		return false;
	return c->server || c->identity;
}

struct eap *eap_new(const struct eap_config *cfg)
{
	const struct eap_method_ops *ops = NULL;
	for (size_t i = 0; i < ARRAY_LEN(eap_methods); i++) {
		if (eap_methods[i].method == cfg->method)
			ops = eap_methods[i].ops;
	}
	if (!ops || !config_is_whole(cfg))
		return NULL;
	struct eap *e = mem_zalloc(sizeof(*e));
	e->cfg = *cfg;
	e->ops = ops;
	if (!ops->begin(e)) {
		eap_free(e);
		return NULL;
	}
	return e;
}

void eap_free(struct eap *e)
{
	if (!e)
		return;
	e->ops->end(e);
	mem_wipe(e, sizeof(*e));
	free(e);
}

/* --- packets */

/*  | code 1 | identifier 1 | length 2 | type 1 | ...  */
static struct writer packet_begin(uint8_t out[EAP_PACKET_MAX], enum eap_code code, uint8_t id,
				  uint8_t type)
{
	struct writer w = writer_of(out, EAP_PACKET_MAX);
	const uint8_t header[] = {(uint8_t)code, id, 0, 0, type};
	writer_bytes(&w, header, sizeof(header));
	return w;
}

static size_t packet_end(struct writer *w)
{
	if (w->failed)
		return 0;
	size_t len = writer_len(w);
	w->start[2] = (uint8_t)(len >> 8);
	w->start[3] = (uint8_t)len;
	return len;
}

/* Success and Failure. */
static size_t packet_last(uint8_t out[EAP_PACKET_MAX], enum eap_code code, uint8_t id)
{
	struct writer w = writer_of(out, EAP_PACKET_MAX);
	writer_u8(&w, (uint8_t)code);
	writer_u8(&w, id);
	writer_u16(&w, EAP_HEADER_LEN);
	return writer_len(&w);
}

struct packet {
	uint8_t code, id, type;
	struct reader body; /* behind the type */
};

/* What stands behind the packet's own length is padding (RFC 3748 4.1). */
static bool packet_read(const uint8_t *data, size_t len, struct packet *p)
{
	if (!len || len > EAP_PACKET_MAX)
		return false;
	struct reader r = reader_of(data, len);
	p->code = reader_u8(&r);
	p->id = reader_u8(&r);
	uint16_t total = reader_u16(&r);
	if (r.failed || total < EAP_HEADER_LEN)
		return false;
	p->body = reader_sub(&r, total - EAP_HEADER_LEN);
	if (p->body.failed)
		return false;
	if (p->code == EAP_CODE_SUCCESS || p->code == EAP_CODE_FAILURE)
		return total == EAP_HEADER_LEN;
	p->type = reader_u8(&p->body);
	return !p->body.failed;
}

static enum eap_status end(struct eap *e, enum eap_stage stage)
{
	e->stage = stage;
	if (stage == EAP_STAGE_SUCCESS)
		return EAP_SUCCESS;
	mem_wipe(e->msk, sizeof(e->msk));
	e->has_msk = false;
	return EAP_FAILURE;
}

/* --- server */

size_t eap_begin(struct eap *e, uint8_t out[EAP_PACKET_MAX])
{
	e->cfg.random(e->cfg.random_ctx, &e->id, sizeof(e->id));
	struct writer w = packet_begin(out, EAP_CODE_REQUEST, e->id, EAP_TYPE_IDENTITY);
	return packet_end(&w);
}

static enum eap_step server_step(struct eap *e, struct packet *p, struct writer *w)
{
	if (p->code != EAP_CODE_RESPONSE || p->id != e->id)
		return eap_fail(e, "a packet that is no answer to ours");
	if (e->stage == EAP_STAGE_DOOMED)
		return EAP_STEP_FAIL;
	if (e->stage == EAP_STAGE_IDENTITY) {
		if (p->type != EAP_TYPE_IDENTITY || !eap_read_name(&p->body, e->claimed))
			return eap_fail(e, "no identity, or a malformed one");
		e->stage = EAP_STAGE_METHOD;
		return e->ops->start(e, w);
	}
	if (p->type == EAP_TYPE_NAK || p->type == EAP_TYPE_EXPANDED)
		return eap_fail(e, "the client wants another method (EAP type %u), not %u",
				p->type == EAP_TYPE_NAK ? reader_u8(&p->body) : p->type,
				(unsigned)e->cfg.method);
	if (p->type != e->cfg.method)
		return eap_fail(e, "the client answers with another EAP type (%u)", p->type);
	return e->ops->input(e, &p->body, w);
}

static enum eap_status server_input(struct eap *e, const uint8_t *data, size_t len, uint8_t *out,
				    size_t *out_len)
{
	struct packet p;
	struct writer w =
	    packet_begin(out, EAP_CODE_REQUEST, (uint8_t)(e->id + 1), (uint8_t)e->cfg.method);
	enum eap_step step = EAP_STEP_FAIL;

	if (e->rounds > EAP_ROUNDS_MAX)
		(void)eap_fail(e, "it does not end: %d rounds", EAP_ROUNDS_MAX);
	else if (!packet_read(data, len, &p))
		(void)eap_fail(e, "a malformed packet");
	else
		step = server_step(e, &p, &w);
	switch (step) {
	case EAP_STEP_SEND:
		*out_len = packet_end(&w);
		e->id++;
		if (*out_len)
			return EAP_GOES_ON;
		(void)eap_fail(e, "the next packet does not fit");
		break;
	case EAP_STEP_DONE:
		*out_len = packet_last(out, EAP_CODE_SUCCESS, e->id);
		return end(e, EAP_STAGE_SUCCESS);
	case EAP_STEP_FAIL:
	case EAP_STEP_IGNORE:
		break;
	}
	*out_len = packet_last(out, EAP_CODE_FAILURE, e->id);
	return end(e, EAP_STAGE_FAILURE);
}

/* --- client */

static enum eap_step client_nak(struct eap *e, struct writer *w)
{
	w->start[4] = EAP_TYPE_NAK;
	writer_u8(w, (uint8_t)e->cfg.method);
	return EAP_STEP_SEND;
}

static enum eap_step client_request(struct eap *e, struct packet *p, struct writer *w)
{
	if (e->stage == EAP_STAGE_DOOMED)
		return eap_fail(e, "the server goes on after the end");
	if (e->stage == EAP_STAGE_PROVED)
		return eap_ignore(e, "a request after the end");
	w->start[4] = p->type;
	if (p->type == EAP_TYPE_NOTIFICATION)
		return EAP_STEP_SEND;
	if (p->type == e->cfg.method) {
		e->stage = EAP_STAGE_METHOD;
		return e->ops->input(e, &p->body, w);
	}
	if (e->stage == EAP_STAGE_METHOD)
		return eap_ignore(e, "the server changes the method");
	if (p->type != EAP_TYPE_IDENTITY)
		return client_nak(e, w);
	writer_bytes(w, e->cfg.identity, strlen(e->cfg.identity));
	return EAP_STEP_SEND;
}

static enum eap_step client_last(struct eap *e, const struct packet *p)
{
	if (e->answered && p->id != e->id)
		return eap_ignore(e, "an end that is not of this conversation");
	if (p->code == EAP_CODE_FAILURE)
		return eap_fail(e, "the server refused us and gave no reason");
	if (e->stage != EAP_STAGE_PROVED)
		return eap_fail(e, "success before the server proved itself");
	return EAP_STEP_DONE;
}

static enum eap_status client_input(struct eap *e, const uint8_t *data, size_t len, uint8_t *out,
				    size_t *out_len)
{
	struct packet p = {0};
	struct writer w = {0};
	enum eap_step step;

	if (e->rounds > EAP_ROUNDS_MAX) {
		step = eap_fail(e, "it does not end: %d rounds", EAP_ROUNDS_MAX);
	} else if (!packet_read(data, len, &p) || p.code == 0 || p.code == EAP_CODE_RESPONSE ||
		   p.code > EAP_CODE_FAILURE) {
		step = eap_ignore(e, "a malformed packet");
	} else if (p.code == EAP_CODE_REQUEST) {
		w = packet_begin(out, EAP_CODE_RESPONSE, p.id, 0);
		step = client_request(e, &p, &w);
	} else {
		step = client_last(e, &p);
	}
	switch (step) {
	case EAP_STEP_SEND:
		*out_len = packet_end(&w);
		e->id = p.id;
		e->answered = true;
		if (*out_len)
			return EAP_GOES_ON;
		(void)eap_fail(e, "the next packet does not fit");
		break;
	case EAP_STEP_DONE:
		return end(e, EAP_STAGE_SUCCESS);
	case EAP_STEP_IGNORE:
		return EAP_GOES_ON;
	case EAP_STEP_FAIL:
		break;
	}
	return end(e, EAP_STAGE_FAILURE);
}

/* --- the whole */

enum eap_status eap_input(struct eap *e, const uint8_t *packet, size_t len,
			  uint8_t out[EAP_PACKET_MAX], size_t *out_len)
{
	*out_len = 0;
	if (e->stage == EAP_STAGE_SUCCESS)
		return EAP_SUCCESS;
	if (e->stage == EAP_STAGE_FAILURE)
		return EAP_FAILURE;
	e->rounds++;
	return e->cfg.server ? server_input(e, packet, len, out, out_len)
			     : client_input(e, packet, len, out, out_len);
}

bool eap_msk(const struct eap *e, uint8_t out[EAP_MSK_LEN])
{
	if (e->stage != EAP_STAGE_SUCCESS || !e->has_msk)
		return false;
	memcpy(out, e->msk, EAP_MSK_LEN);
	return true;
}

const char *eap_identity(const struct eap *e)
{
	return e->identity[0] ? e->identity : e->claimed;
}

const char *eap_reason(const struct eap *e)
{
	return e->reason;
}
