/* SPDX-License-Identifier: MIT */
/*
 * IKEv2 messages (RFC 7296 3) as pure functions: header, payload chain, and the inside of each
 * payload, read into values that borrow from the message and written through the cursor.
 *
 *   | SPIi 8 | SPIr 8 | next 1 | version 1 | exchange 1 | flags 1 | message id 4 | length 4 |
 *   | next 1 | C 1 | length 2 | ... |     payloads
 *
 * Nothing here knows a key or keeps a state.  Every reader takes hostile bytes.
 */
#ifndef WIRE_IKE_H
#define WIRE_IKE_H

#include "base/addr.h"
#include "base/cursor.h"

#define IKE_HEADER_LEN	28
#define IKE_PAYLOAD_LEN 4
#define IKE_SPI_LEN	8
#define IKE_VERSION	0x20
#define IKE_NONCE_MIN	16
#define IKE_NONCE_MAX	256
#define IKE_COOKIE_MAX	64
#define IKE_MESSAGE_MAX 65535 /* what a peer may make us put together from fragments */
#define IKE_NON_ESP_LEN 4     /* the zeros before a message on port 4500 (RFC 3948 2.2) */

enum ike_exchange {
	IKE_SA_INIT = 34,
	IKE_AUTH = 35,
	IKE_CREATE_CHILD_SA = 36,
	IKE_INFORMATIONAL = 37,
};
const char *ike_exchange_text(enum ike_exchange e); /* "IKE_SA_INIT"; "unknown" */

enum ike_flag { IKE_FLAG_INITIATOR = 0x08, IKE_FLAG_VERSION = 0x10, IKE_FLAG_RESPONSE = 0x20 };

enum ike_payload_type {
	IKE_PAYLOAD_NONE = 0,
	IKE_PAYLOAD_SA = 33,
	IKE_PAYLOAD_KE = 34,
	IKE_PAYLOAD_IDI = 35,
	IKE_PAYLOAD_IDR = 36,
	IKE_PAYLOAD_CERT = 37,
	IKE_PAYLOAD_CERTREQ = 38,
	IKE_PAYLOAD_AUTH = 39,
	IKE_PAYLOAD_NONCE = 40,
	IKE_PAYLOAD_NOTIFY = 41,
	IKE_PAYLOAD_DELETE = 42,
	IKE_PAYLOAD_VENDOR = 43,
	IKE_PAYLOAD_TSI = 44,
	IKE_PAYLOAD_TSR = 45,
	IKE_PAYLOAD_SK = 46,
	IKE_PAYLOAD_CP = 47,
	IKE_PAYLOAD_EAP = 48,
	IKE_PAYLOAD_SKF = 53, /* RFC 7383 */
};

enum ike_protocol { IKE_PROTO_NONE = 0, IKE_PROTO_IKE = 1, IKE_PROTO_AH = 2, IKE_PROTO_ESP = 3 };

/* RFC 7296 3.10.1 and the registries after it. Ours are in ike/sojourn.h. */
enum ike_notify_type {
	IKE_N_UNSUPPORTED_CRITICAL_PAYLOAD = 1,
	IKE_N_INVALID_IKE_SPI = 4,
	IKE_N_INVALID_MAJOR_VERSION = 5,
	IKE_N_INVALID_SYNTAX = 7,
	IKE_N_INVALID_MESSAGE_ID = 9,
	IKE_N_INVALID_SPI = 11,
	IKE_N_NO_PROPOSAL_CHOSEN = 14,
	IKE_N_INVALID_KE_PAYLOAD = 17,
	IKE_N_AUTHENTICATION_FAILED = 24,
	IKE_N_SINGLE_PAIR_REQUIRED = 34,
	IKE_N_NO_ADDITIONAL_SAS = 35,
	IKE_N_INTERNAL_ADDRESS_FAILURE = 36,
	IKE_N_FAILED_CP_REQUIRED = 37,
	IKE_N_TS_UNACCEPTABLE = 38,
	IKE_N_INVALID_SELECTORS = 39,
	IKE_N_UNACCEPTABLE_ADDRESSES = 40,
	IKE_N_UNEXPECTED_NAT_DETECTED = 41,
	IKE_N_TEMPORARY_FAILURE = 43,
	IKE_N_CHILD_SA_NOT_FOUND = 44,
	IKE_N_ERROR_LAST = 16383,
	IKE_N_INITIAL_CONTACT = 16384,
	IKE_N_SET_WINDOW_SIZE = 16385,
	IKE_N_ADDITIONAL_TS_POSSIBLE = 16386,
	IKE_N_IPCOMP_SUPPORTED = 16387,
	IKE_N_NAT_DETECTION_SOURCE_IP = 16388,
	IKE_N_NAT_DETECTION_DESTINATION_IP = 16389,
	IKE_N_COOKIE = 16390,
	IKE_N_USE_TRANSPORT_MODE = 16391,
	IKE_N_HTTP_CERT_LOOKUP_SUPPORTED = 16392,
	IKE_N_REKEY_SA = 16393,
	IKE_N_ESP_TFC_PADDING_NOT_SUPPORTED = 16394,
	IKE_N_NON_FIRST_FRAGMENTS_ALSO = 16395,
	IKE_N_MOBIKE_SUPPORTED = 16396,
	IKE_N_ADDITIONAL_IP4_ADDRESS = 16397,
	IKE_N_ADDITIONAL_IP6_ADDRESS = 16398,
	IKE_N_NO_ADDITIONAL_ADDRESSES = 16399,
	IKE_N_UPDATE_SA_ADDRESSES = 16400,
	IKE_N_COOKIE2 = 16401,
	IKE_N_NO_NATS_ALLOWED = 16402,
	IKE_N_AUTH_LIFETIME = 16403,
	IKE_N_EAP_ONLY_AUTHENTICATION = 16417,
	IKE_N_CHILDLESS_IKEV2_SUPPORTED = 16418,
	IKE_N_FRAGMENTATION_SUPPORTED = 16430,
	IKE_N_SIGNATURE_HASH_ALGORITHMS = 16431,
	IKE_N_USE_PPK = 16435,
	IKE_N_PPK_IDENTITY = 16436,
	IKE_N_NO_PPK_AUTH = 16437,
	IKE_N_STATUS_FIRST = 16384,
	IKE_N_PRIVATE_FIRST = 40960,
};
/* "AUTHENTICATION_FAILED"; "notify" when unknown. */
const char *ike_notify_text(uint16_t type);

/* --- reading a message */

struct ike_header {
	uint8_t spi_i[IKE_SPI_LEN], spi_r[IKE_SPI_LEN];
	uint8_t next; /* first payload */
	uint8_t version;
	uint8_t exchange;
	uint8_t flags;
	uint32_t message_id;
	uint32_t length; /* of the whole message */
};
/* False: too short, or its length is not `len`.  The version is not judged. */
bool ike_read_header(const uint8_t *msg, size_t len, struct ike_header *h)
    __attribute__((warn_unused_result));

/* One payload; body borrows. */
struct ike_payload {
	uint8_t type;
	uint8_t next; /* of what follows; for SK and SKF: the first inside */
	bool critical;
	const uint8_t *body; /* behind its 4 octets */
	uint16_t len;
	const uint8_t *start; /* of its 4 octets */
};

#define IKE_PAYLOADS_MAX 48

enum ike_verdict {
	IKE_OK,
	IKE_MALFORMED, /* INVALID_SYNTAX */
	IKE_CRITICAL,  /* an unknown payload has the critical bit: its type is in `critical` */
	IKE_TOO_MANY,  /* of payloads: refused like malformed */
};

struct ike_payloads {
	struct ike_payload at[IKE_PAYLOADS_MAX];
	uint8_t count;
	uint8_t critical; /* IKE_CRITICAL */
};
/* The chain that begins with type `first` and fills body exactly.  Payloads of unknown type
 * without the critical bit are passed over.  SK and SKF end the chain (RFC 7296 3.14). */
enum ike_verdict ike_read_payloads(uint8_t first, const uint8_t *body, size_t len,
				   struct ike_payloads *out) __attribute__((warn_unused_result));
/* The first of a type; NULL: none. */
const struct ike_payload *ike_find_payload(const struct ike_payloads *p, uint8_t type);

/* --- insides, each from a payload's body.  False: malformed. */

struct ike_ke {
	uint16_t group;
	const uint8_t *data;
	size_t len;
};
bool ike_read_ke(const struct ike_payload *p, struct ike_ke *out);

/* ID: type and data. AUTH: method and data.  CERT, CERTREQ: encoding and data. */
struct ike_typed {
	uint8_t type;
	const uint8_t *data;
	size_t len;
};
bool ike_read_id(const struct ike_payload *p, struct ike_typed *out);
bool ike_read_auth(const struct ike_payload *p, struct ike_typed *out);
bool ike_read_cert(const struct ike_payload *p, struct ike_typed *out);

struct ike_notify {
	uint8_t protocol;
	uint8_t spi_len; /* 0, 4 or 8 */
	const uint8_t *spi;
	uint16_t type;
	const uint8_t *data;
	size_t len;
};
bool ike_read_notify(const struct ike_payload *p, struct ike_notify *out);
/* The first well-formed notify of a type among the payloads. */
bool ike_find_notify(const struct ike_payloads *p, uint16_t type, struct ike_notify *out);

struct ike_delete {
	uint8_t protocol;
	uint8_t spi_len; /* 0 (IKE, count is 0 then) or 4 */
	uint16_t count;
	const uint8_t *spis; /* count x spi_len */
};
bool ike_read_delete(const struct ike_payload *p, struct ike_delete *out);

/* --- SA payload: proposals */

enum ike_transform_type {
	IKE_TRANSFORM_ENCR = 1,
	IKE_TRANSFORM_PRF = 2,
	IKE_TRANSFORM_INTEG = 3,
	IKE_TRANSFORM_DH = 4,
	IKE_TRANSFORM_ESN = 5,
};

struct ike_transform {
	uint8_t type;
	uint16_t id;
	uint16_t key_bits;	/* 0: no attribute */
	bool unknown_attribute; /* it can't be chosen (RFC 7296 3.3.6) */
};

#define IKE_TRANSFORMS_MAX 40
#define IKE_PROPOSALS_MAX  16

struct ike_proposal {
	uint8_t number;
	uint8_t protocol;
	uint8_t spi_len; /* 0, 4 or 8 */
	uint8_t spi[IKE_SPI_LEN];
	uint8_t count;
	struct ike_transform at[IKE_TRANSFORMS_MAX];
};
struct ike_proposals {
	uint8_t count;
	struct ike_proposal at[IKE_PROPOSALS_MAX];
};
/* Passed over, not refused: proposals and transforms beyond what fits, and proposals that cannot
 * be chosen (unknown protocol, SPI of a wrong size, a whole transform type beyond what fits).  So
 * the count may be 0. */
bool ike_read_sa(const struct ike_payload *p, struct ike_proposals *out);

/* --- traffic selectors (RFC 7296 3.13) */

struct ike_ts {
	uint8_t protocol;	     /* 0 any */
	uint16_t port_from, port_to; /* 65535 to 0: OPAQUE, whose ports can't be seen */
	struct addr from, to;	     /* of one family, from <= to */
};
#define IKE_TS_MAX 16
struct ike_ts_list {
	uint8_t count;
	struct ike_ts at[IKE_TS_MAX];
};
/* Selectors of unknown type are passed over; more than fit are, too.  So the count may be 0. */
bool ike_read_ts(const struct ike_payload *p, struct ike_ts_list *out);

/* --- configuration payload (RFC 7296 3.15) */

enum ike_cp_kind { IKE_CP_REQUEST = 1, IKE_CP_REPLY = 2, IKE_CP_SET = 3, IKE_CP_ACK = 4 };
enum ike_cp_attr {
	IKE_CP_IP4_ADDRESS = 1,
	IKE_CP_IP4_NETMASK = 2,
	IKE_CP_IP4_DNS = 3,
	IKE_CP_IP4_SUBNET = 13,
	IKE_CP_IP6_ADDRESS = 8,
	IKE_CP_IP6_DNS = 10,
	IKE_CP_IP6_SUBNET = 15,
	IKE_CP_APPLICATION_VERSION = 7,
};
#define IKE_CP_MAX 24
struct ike_cp {
	uint8_t kind;
	uint8_t count;
	struct {
		uint16_t attr;
		uint8_t len; /* of value; 0 in a request without a wish */
		uint8_t
		    value[17]; /* address, and for IPv6 addresses and subnets its prefix length */
	} at[IKE_CP_MAX];
};
/* Passed over: attributes longer than a value here, of a length that their type cannot have, and
 * more than fit.  A known attribute's len is thus 0 or the right one (address: 4, IPv6 with its
 * prefix length 17, DNS 16, IPv4 subnet with mask 8). */
bool ike_read_cp(const struct ike_payload *p, struct ike_cp *out);

/* --- encrypted fragment (RFC 7383 2.5): the four octets before the IV */
struct ike_fragment {
	uint16_t number, total; /* 1..total */
};
bool ike_read_fragment(const struct ike_payload *p, struct ike_fragment *out);

/* --- writing.  A builder chains payloads: each `ike_put_*` sets the previous next-payload octet
 * and fails stickily (builder->w.failed) when there is no room. */

struct ike_builder {
	struct writer w;
	uint8_t *next;	  /* octet of the last payload that tells the next; NULL at the beginning.
			   * Behind SK and SKF: set it to the first inside. */
	uint8_t first;	  /* type of the first payload written */
	uint8_t *length;  /* octets of the open payload's length */
	uint8_t *message; /* start when a header was written */
};
/* A message with its header (length set by ike_builder_finish), or payloads alone (inside of an
 * SK payload) when h is NULL. */
struct ike_builder ike_builder_of(void *buf, size_t len, const struct ike_header *h);
/* Length of everything, header's fields set; 0 when it failed. */
size_t ike_builder_finish(struct ike_builder *b);

/* Opens a payload: write its body through b->w, then close. */
void ike_open_payload(struct ike_builder *b, enum ike_payload_type type);
void ike_close_payload(struct ike_builder *b);

void ike_put_bytes(struct ike_builder *b, enum ike_payload_type type, const void *data,
		   size_t len); /* NONCE, VENDOR, EAP */
void ike_put_ke(struct ike_builder *b, uint16_t group, const void *data, size_t len);
/* ID, AUTH (1 octet type, 3 reserved), CERT and CERTREQ (1 octet encoding). */
void ike_put_typed(struct ike_builder *b, enum ike_payload_type type, uint8_t kind,
		   const void *data, size_t len);
void ike_put_notify(struct ike_builder *b, uint16_t type, const void *data, size_t len);
/* With protocol and SPI (REKEY_SA, CHILD_SA_NOT_FOUND). */
void ike_put_notify_spi(struct ike_builder *b, uint16_t type, uint8_t protocol, const void *spi,
			uint8_t spi_len, const void *data, size_t len);
/* IKE SA itself: protocol IKE, spis NULL, count 0.  Else host-order 32-bit SPIs. */
void ike_put_delete(struct ike_builder *b, uint8_t protocol, const uint32_t *spis, uint16_t count);
void ike_put_sa(struct ike_builder *b, const struct ike_proposals *p);
void ike_put_ts(struct ike_builder *b, enum ike_payload_type type, const struct ike_ts_list *ts);
void ike_put_cp(struct ike_builder *b, const struct ike_cp *cp);

/* --- traffic selectors as sets */
struct ike_ts ike_ts_of_prefix(const struct prefix *p);
bool ike_ts_is_opaque(const struct ike_ts *ts);
/* The common part of two; false: nothing.  OPAQUE is in ANY (0 to 65535) and in itself. */
bool ike_ts_intersect(const struct ike_ts *a, const struct ike_ts *b, struct ike_ts *out);
/* Every non-empty common part of an offered list and a policy (narrowing, RFC 7296 2.9), in the
 * order offered, without repeats. */
void ike_ts_narrow(const struct ike_ts_list *offered, const struct ike_ts_list *policy,
		   struct ike_ts_list *out);
bool ike_ts_equal(const struct ike_ts *a, const struct ike_ts *b);
/* "10.0.0.0/24", "10.0.0.1-10.0.0.9", with "[proto/port]" when restricted.  Returns buf. */
#define IKE_TS_TEXT_MAX 128
const char *ike_ts_format(const struct ike_ts *ts, char *buf);

#endif
