/* SPDX-License-Identifier: MIT */
/*
 * Mobile IPv4 registration (RFC 5944 3.3-3.5): Request and Reply on UDP 434, the MN-HA
 * authentication extension (type 32), vendor extensions (RFC 3115: critical 38, normal 134)
 * under enterprise number 32473.
 *
 * Reading takes bytes and gives values; the authenticator is not computed here: the reader
 * gives the span it covers, the writer leaves room for it.
 */
#ifndef WIRE_MIP4_H
#define WIRE_MIP4_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MIP4_PORT	       434
#define MIP4_REQUEST_LEN       24 /* the fixed part */
#define MIP4_REPLY_LEN	       20
#define MIP4_AUTH_LEN	       16 /* HMAC-SHA-256 truncated to 128 bits */
#define MIP4_MESSAGE_MAX       512
#define MIP4_LIFETIME_INFINITE 65535
#define SOJOURN_ENTERPRISE     32473u

enum mip4_flags {
	MIP4_S = 0x80, /* simultaneous bindings */
	MIP4_B = 0x40,
	MIP4_D = 0x20, /* decapsulation by the mobile node */
	MIP4_M = 0x10,
	MIP4_G = 0x08,
	MIP4_r = 0x04,
	MIP4_T = 0x02, /* reverse tunnelling */
	MIP4_x = 0x01,
};

enum mip4_code {
	MIP4_ACCEPTED = 0,
	MIP4_ACCEPTED_NO_SIMULTANEOUS = 1,
	MIP4_UNSPECIFIED = 128,
	MIP4_PROHIBITED = 129,
	MIP4_NO_RESOURCES = 130,
	MIP4_MN_AUTH_FAILED = 131,
	MIP4_FA_AUTH_FAILED = 132,
	MIP4_ID_MISMATCH = 133,
	MIP4_POORLY_FORMED = 134,
	MIP4_TOO_MANY_BINDINGS = 135,
	MIP4_UNKNOWN_HOME_AGENT = 136,
	MIP4_UNSUPPORTED_VENDOR_REPLY = 140,
	MIP4_UNSUPPORTED_VENDOR_REQUEST = 141,
};
const char *mip4_code_text(uint8_t code); /* never NULL */

/* Our vendor types, in critical (38) or normal (134) vendor extensions. */
enum mip4_vendor_type {
	MIP4_VENDOR_EPOCH = 1,	     /* u32: the epoch of the receiver's numbers that the sender
				      * knows, 0 for none (so that a restart is seen) */
	MIP4_VENDOR_CONNECTIONS = 2, /* u8 op (0 replace, 1 add, 2 remove), then SPIs (u32 each) of
				      * the connections, as the server receives on them */
	MIP4_VENDOR_RESULTS = 3,     /* in replies: (u32 SPI, u8 code) each */
};
enum mip4_op { MIP4_OP_REPLACE = 0, MIP4_OP_ADD = 1, MIP4_OP_REMOVE = 2 };

#define MIP4_SPIS_MAX 8

/* Extensions, as both messages carry them. */
struct mip4_ext {
	bool has_auth;
	uint32_t auth_spi;
	const uint8_t *auth; /* reading: borrowed */
	size_t auth_len;
	size_t auth_covers; /* bytes from the message's start, type and length and SPI of the
			     * extension included, authenticator excluded (RFC 5944 3.5.1) */
	bool has_epoch;
	uint32_t epoch;
	bool has_connections;
	uint8_t op;
	uint8_t spi_count;
	uint32_t spis[MIP4_SPIS_MAX];
	uint8_t result_count;
	struct {
		uint32_t spi;
		uint8_t code;
	} results[MIP4_SPIS_MAX];
};

struct mip4_request {
	uint8_t flags;
	uint16_t lifetime_s;
	uint8_t home[4], home_agent[4], care_of[4]; /* as on the wire */
	uint64_t identification;
	struct mip4_ext ext;
};

struct mip4_reply {
	uint8_t code;
	uint16_t lifetime_s;
	uint8_t home[4], home_agent[4];
	uint64_t identification;
	struct mip4_ext ext;
};

enum mip4_verdict {
	MIP4_OK,
	MIP4_SILENT,	/* not a message of this type, or an unknown extension 0-127: discard */
	MIP4_MALFORMED, /* answer 134 when a request (fixed part was readable: *out is set) */
	MIP4_CRITICAL_VENDOR, /* an unknown critical vendor extension: answer 141 */
};

/* Extensions behind the MN-HA authentication extension are ignored except for their form.
 * Normal vendor extensions not ours and types 128-255 are skipped. */
enum mip4_verdict mip4_read_request(const uint8_t *p, size_t len, struct mip4_request *out);
enum mip4_verdict mip4_read_reply(const uint8_t *p, size_t len, struct mip4_reply *out);

/* Writes the message with the extensions that are set and, last, an MN-HA extension with SPI
 * ext.auth_spi whose MIP4_AUTH_LEN bytes are zero: *auth_off says where they go, and the
 * authenticator covers the bytes before it.  Returns the length, 0 when it does not fit. */
size_t mip4_write_request(uint8_t *p, size_t room, const struct mip4_request *m, size_t *auth_off);
size_t mip4_write_reply(uint8_t *p, size_t room, const struct mip4_reply *m, size_t *auth_off);

/* RFC 5944 5.7: NTP timestamp (RFC 1305) from microseconds since 1970, and back. */
uint64_t mip4_identification(uint64_t wall_us);
uint64_t mip4_wall_us(uint64_t identification);

#endif
