/* SPDX-License-Identifier: MIT */
/*
 * Merging consecutive TCP segments, or UDP datagrams, of one flow into one TUN write, which the
 * kernel takes as one large packet (the reverse of segment.h).
 *
 * Only what the kernel would cut into the same packets again is merged: in order, all but the
 * last of one length, the same headers, a verified checksum, no TCP flags but ACK and PSH.
 * Everything else passes as it is, and no packet overtakes another of its flow.
 *
 * The packets must stay where they are until the writes are done.  The first of each merged
 * run has its header changed.
 */
#ifndef FORWARD_MERGE_H
#define FORWARD_MERGE_H

#include "forward/fwd.h"
#include "forward/segment.h"
#include "wire/ip.h"

#define MERGE_PACKETS_MAX 256
#define MERGE_OPEN_MAX	  16
#define MERGE_RUN_MAX	  128 /* packets in one write */
#define MERGE_UDP_MAX	  64  /* datagrams in one: what older kernels cut at most */

struct merge_packet {
	uint8_t *data;
	uint32_t len;
	uint16_t skip; /* bytes of headers that are not written again */
	uint16_t next; /* of the run, or MERGE_END */
};

/* One write: a single packet or a run of merged ones. */
struct merge_run {
	uint16_t first, last, count;
	uint16_t l4_off, header_len;
	uint8_t version, proto, flags;
	uint32_t total_len, size, next_seq;
	struct addr src, dst;
};

struct merge {
	bool tcp, udp; /* what is merged */
	uint16_t packet_count, run_count, open_count;
	uint16_t open[MERGE_OPEN_MAX]; /* runs that may grow, oldest first */
	struct merge_packet packets[MERGE_PACKETS_MAX];
	struct merge_run runs[MERGE_PACKETS_MAX];
	struct fwd_write writes[MERGE_PACKETS_MAX];
	struct iovec iov[MERGE_PACKETS_MAX];
};

void merge_begin(struct merge *m, bool tcp, bool udp);
bool merge_full(const struct merge *m);
/* One packet, info->total_len bytes, not when full. */
void merge_add(struct merge *m, uint8_t *packet, const struct ip_info *info);
/* m->writes are ready; returns how many.  m->runs[i].count packets are in writes[i]. */
int merge_finish(struct merge *m);

#endif
