/* SPDX-License-Identifier: MIT */
/*
 * Mobile IPv6 Binding Update and Acknowledgement (RFC 6275 6.1.7, 6.1.8) as Mobility Header
 * messages (next header 135) between the home address and the home agent, inside the
 * connection they register.  Vendor-specific option 19 (RFC 5094) carries our fields, option 35 the
 * binding identifiers (BIDs) of simultaneous bindings (RFC 5648).
 */
#ifndef WIRE_MIP6_H
#define WIRE_MIP6_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/addr.h"
#include "wire/mip4.h"

#define MIP6_MESSAGE_MAX 512

enum mip6_flags {
	MIP6_A = 0x8000,
	MIP6_H = 0x4000,
	MIP6_L = 0x2000,
	MIP6_K = 0x1000,
	/* Overwrite: these bindings in place of all (RFC 5648).  IANA's registry has no bit for it;
	 * RFC 6602 has this one in proxy registrations, which ours are not. */
	MIP6_O = 0x0040,
};

enum mip6_status {
	MIP6_ACCEPTED = 0,
	MIP6_BIDS_INCOMPLETE = 4, /* the BIDs say which failed (RFC 5648 4.2) */
	MIP6_UNSPECIFIED = 128,
	MIP6_PROHIBITED = 129,
	MIP6_NO_RESOURCES = 130,
	MIP6_HOME_REG_UNSUPPORTED = 131,
	MIP6_NOT_HOME_SUBNET = 132,
	MIP6_NOT_HOME_AGENT = 133,
	MIP6_SEQUENCE_OUT_OF_WINDOW = 135,
	MIP6_BID_MALFORMED = 164,
	MIP6_BINDING_WITHOUT_BID = 165,
	MIP6_BIDS_PROHIBITED = 166,
	MIP6_BID_UNKNOWN = 167,
};
const char *mip6_status_text(uint8_t status);

/* Binding identifier option (RFC 5648 4.1). */
struct mip6_bid {
	uint16_t bid; /* not 0 */
	uint8_t status;
	struct addr care_of; /* for information; family 0: none */
};

struct mip6_update {
	uint16_t sequence;
	uint16_t flags;
	uint16_t lifetime_4s; /* units of 4 seconds; 0 deregisters, 0xffff infinite */
	bool has_care_of;     /* alternate care-of address option (3) */
	struct addr care_of;
	bool has_epoch; /* our vendor option */
	uint32_t epoch;
	bool has_connections;
	uint8_t op;
	uint8_t spi_count;
	uint32_t spis[MIP4_SPIS_MAX];
	uint8_t bid_count;
	struct mip6_bid bids[MIP4_SPIS_MAX];
};

struct mip6_ack {
	uint8_t status;
	bool key_mgmt; /* K */
	uint16_t sequence;
	uint16_t lifetime_4s;
	uint8_t result_count;
	struct {
		uint32_t spi;
		uint8_t code;
	} results[MIP4_SPIS_MAX];
	uint8_t bid_count;
	struct mip6_bid bids[MIP4_SPIS_MAX];
};

/* A whole Mobility Header message; src and dst are for the checksum (pseudo-header, RFC 6275
 * 6.1.1).  False: not this message, or not sound. */
bool mip6_read_update(const uint8_t *p, size_t len, const struct addr *src, const struct addr *dst,
		      struct mip6_update *out) __attribute__((warn_unused_result));
bool mip6_read_ack(const uint8_t *p, size_t len, const struct addr *src, const struct addr *dst,
		   struct mip6_ack *out) __attribute__((warn_unused_result));
/* Return the length (a multiple of 8), 0 when it does not fit. */
size_t mip6_write_update(uint8_t *p, size_t room, const struct addr *src, const struct addr *dst,
			 const struct mip6_update *m);
size_t mip6_write_ack(uint8_t *p, size_t room, const struct addr *src, const struct addr *dst,
		      const struct mip6_ack *m);

#endif
