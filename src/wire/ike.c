/* SPDX-License-Identifier: MIT */
/*
 * IKEv2 messages, the outer shape: header, chain of payloads, and the names of numbers
 * (RFC 7296 3.1, 3.2).  Insides are read in ike_read.c and written in ike_write.c; traffic
 * selectors as sets are in ike_ts.c.
 *
 * What is refused and what is passed over: a length that does not fit the octets that are there
 * is refused, whatever it belongs to, because nobody can say where the next thing begins.  A
 * number from a registry that is not known here (a payload without the critical bit, an
 * attribute, a kind of selector) is passed over, as 2.5 asks.  Reserved octets are not looked at.
 *
 * Pure functions; what is read borrows from the message; any thread.
 */
#include "wire/ike.h"

const char *ike_exchange_text(enum ike_exchange e)
{
	switch (e) {
	case IKE_SA_INIT:
		return "IKE_SA_INIT";
	case IKE_AUTH:
		return "IKE_AUTH";
	case IKE_CREATE_CHILD_SA:
		return "CREATE_CHILD_SA";
	case IKE_INFORMATIONAL:
		return "INFORMATIONAL";
	}
	return "unknown";
}

const char *ike_notify_text(uint16_t type)
{
#define NOTIFY(name)                                                                               \
	{                                                                                          \
		IKE_N_##name, #name                                                                \
	}
	static const struct {
		uint16_t type;
		const char *text;
	} table[] = {
	    NOTIFY(UNSUPPORTED_CRITICAL_PAYLOAD),
	    NOTIFY(INVALID_IKE_SPI),
	    NOTIFY(INVALID_MAJOR_VERSION),
	    NOTIFY(INVALID_SYNTAX),
	    NOTIFY(INVALID_MESSAGE_ID),
	    NOTIFY(INVALID_SPI),
	    NOTIFY(NO_PROPOSAL_CHOSEN),
	    NOTIFY(INVALID_KE_PAYLOAD),
	    NOTIFY(AUTHENTICATION_FAILED),
	    NOTIFY(SINGLE_PAIR_REQUIRED),
	    NOTIFY(NO_ADDITIONAL_SAS),
	    NOTIFY(INTERNAL_ADDRESS_FAILURE),
	    NOTIFY(FAILED_CP_REQUIRED),
	    NOTIFY(TS_UNACCEPTABLE),
	    NOTIFY(INVALID_SELECTORS),
	    NOTIFY(UNACCEPTABLE_ADDRESSES),
	    NOTIFY(UNEXPECTED_NAT_DETECTED),
	    NOTIFY(TEMPORARY_FAILURE),
	    NOTIFY(CHILD_SA_NOT_FOUND),
	    NOTIFY(INITIAL_CONTACT),
	    NOTIFY(SET_WINDOW_SIZE),
	    NOTIFY(ADDITIONAL_TS_POSSIBLE),
	    NOTIFY(IPCOMP_SUPPORTED),
	    NOTIFY(NAT_DETECTION_SOURCE_IP),
	    NOTIFY(NAT_DETECTION_DESTINATION_IP),
	    NOTIFY(COOKIE),
	    NOTIFY(USE_TRANSPORT_MODE),
	    NOTIFY(HTTP_CERT_LOOKUP_SUPPORTED),
	    NOTIFY(REKEY_SA),
	    NOTIFY(ESP_TFC_PADDING_NOT_SUPPORTED),
	    NOTIFY(NON_FIRST_FRAGMENTS_ALSO),
	    NOTIFY(MOBIKE_SUPPORTED),
	    NOTIFY(ADDITIONAL_IP4_ADDRESS),
	    NOTIFY(ADDITIONAL_IP6_ADDRESS),
	    NOTIFY(NO_ADDITIONAL_ADDRESSES),
	    NOTIFY(UPDATE_SA_ADDRESSES),
	    NOTIFY(COOKIE2),
	    NOTIFY(NO_NATS_ALLOWED),
	    NOTIFY(AUTH_LIFETIME),
	    NOTIFY(EAP_ONLY_AUTHENTICATION),
	    NOTIFY(CHILDLESS_IKEV2_SUPPORTED),
	    NOTIFY(FRAGMENTATION_SUPPORTED),
	    NOTIFY(SIGNATURE_HASH_ALGORITHMS),
	    NOTIFY(USE_PPK),
	    NOTIFY(PPK_IDENTITY),
	    NOTIFY(NO_PPK_AUTH),
	};
#undef NOTIFY

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (table[i].type == type)
			return table[i].text;
	}
	return "notify";
}

bool ike_read_header(const uint8_t *msg, size_t len, struct ike_header *h)
{
	struct reader r = reader_of(msg, len);

	reader_copy(&r, h->spi_i, sizeof(h->spi_i));
	reader_copy(&r, h->spi_r, sizeof(h->spi_r));
	h->next = reader_u8(&r);
	h->version = reader_u8(&r);
	h->exchange = reader_u8(&r);
	h->flags = reader_u8(&r);
	h->message_id = reader_u32(&r);
	h->length = reader_u32(&r);
	return !r.failed && h->length == len;
}

static bool payload_is_known(uint8_t type)
{
	return (type >= IKE_PAYLOAD_SA && type <= IKE_PAYLOAD_EAP) || type == IKE_PAYLOAD_SKF;
}

/* The payload of type `type` that begins at r, which is moved behind it. */
static bool read_payload(struct reader *r, uint8_t type, struct ike_payload *out)
{
	out->type = type;
	out->start = r->p;
	out->next = reader_u8(r);
	out->critical = reader_u8(r) & 0x80;
	uint16_t length = reader_u16(r);
	if (r->failed || length < IKE_PAYLOAD_LEN)
		return false;
	out->len = (uint16_t)(length - IKE_PAYLOAD_LEN);
	out->body = reader_bytes(r, out->len);
	return !r->failed;
}

static enum ike_verdict read_chain(uint8_t type, struct reader *r, struct ike_payloads *out)
{
	struct ike_payload p;

	while (type != IKE_PAYLOAD_NONE) {
		if (!read_payload(r, type, &p))
			return IKE_MALFORMED;
		if (!payload_is_known(type)) {
			if (p.critical) {
				out->critical = type;
				return IKE_CRITICAL;
			}
			type = p.next;
			continue;
		}
		if (out->count == IKE_PAYLOADS_MAX)
			return IKE_TOO_MANY;
		out->at[out->count++] = p;
		if (type == IKE_PAYLOAD_SK || type == IKE_PAYLOAD_SKF)
			break;
		type = p.next;
	}
	return reader_done(r) ? IKE_OK : IKE_MALFORMED;
}

enum ike_verdict ike_read_payloads(uint8_t first, const uint8_t *body, size_t len,
				   struct ike_payloads *out)
{
	struct reader r = reader_of(body, len);

	out->count = 0;
	out->critical = IKE_PAYLOAD_NONE;
	enum ike_verdict v = read_chain(first, &r, out);
	if (v != IKE_OK)
		out->count = 0; /* nobody acts on the good half of a bad message */
	return v;
}

const struct ike_payload *ike_find_payload(const struct ike_payloads *p, uint8_t type)
{
	for (size_t i = 0; i < p->count; i++) {
		if (p->at[i].type == type)
			return &p->at[i];
	}
	return NULL;
}

bool ike_find_notify(const struct ike_payloads *p, uint16_t type, struct ike_notify *out)
{
	for (size_t i = 0; i < p->count; i++) {
		if (p->at[i].type == IKE_PAYLOAD_NOTIFY && ike_read_notify(&p->at[i], out) &&
		    out->type == type)
			return true;
	}
	return false;
}
