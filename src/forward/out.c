/* SPDX-License-Identifier: MIT */
/*
 * From the TUN device to the network.
 *
 *   frame -> destination -> active connections -> cut to fit the narrowest of them ->
 *   one number for each packet and sequence space -> a copy for each connection into the arena
 *   -> sealed together -> neighbours of one length leave as one UDP_SEGMENT send
 *
 * RFC 4301 8 (DF, path MTU), RFC 6040 (ECN), RFC 4303 3.3, RFC 4302 3.3, RFC 3948.
 *
 * Copies on several connections must be the same packet under the same number, since the
 * receiver keeps whichever comes first: so a frame is cut once, for all of them.  A frame of a
 * class that is not n-cast has one copy.
 */
#include <errno.h>
#include <string.h>
#include "base/cursor.h"
#include "forward/state.h"

#define IP6_MTU_MIN	 1280
#define TOO_BIG_PER_SEC	 1000 /* RFC 4443 2.4 (w) asks for a limit */
#define TOO_BIG_LEN_MAX	 IP6_MTU_MIN
#define NUMBER_MAX_PLAIN UINT32_MAX
#define NUMBER_MAX_ESN	 (UINT64_MAX - 1)
#define KEEPALIVE_OCTET	 0xff

/* Where a packet goes. */
struct target {
	struct sa *sa;
	const struct path *path;
	uint64_t number; /* of the next packet */
	bool spent;
	uint32_t most; /* of a frame's packets, by the SA's lifetime */
};

struct targets {
	unsigned count;
	uint32_t mtu; /* of inner packets, the smallest */
	bool bare;    /* some are in transport or BEET mode */
	struct target list[ACTIVE_MAX];
};

/* What all copies of a packet say outside. */
struct outer {
	uint8_t next_header, tos;
	bool df;
	bool alone; /* larger than the path: never in a UDP_SEGMENT send */
	bool whole; /* of any length: put together of fragments */
};

/* --- sealing and sending */

static bool joins(const struct fwd_out *o, unsigned first, unsigned last, unsigned i)
{
	const struct out_packet *a = &o->packets[first], *b = &o->packets[i];
	return !a->alone && !b->alone && a->path == b->path && a->sa == b->sa && a->tos == b->tos &&
	       a->df == b->df && o->ops[last].len == o->ops[first].len &&
	       o->ops[i].len <= o->ops[first].len &&
	       o->ops[last].esp + o->ops[last].len == o->ops[i].esp;
}

/* What may not go to a path on trial goes where the terminal was proven to be, or nowhere.  With
 * AH, which covers the address it is sealed for, there are no trials. */
static void spend(struct fwd_worker *w)
{
	struct fwd_out *o = &w->out;
	for (unsigned i = 0; i < o->count; i++) {
		struct out_packet *p = &o->packets[i];
		if (!p->path->trial)
			continue;
		uint32_t header =
		    p->path->remote.addr.family == 6 ? IP6_HEADER_LEN : IP4_HEADER_LEN;
		if (atomic_load_explicit(&p->sa->udp, memory_order_relaxed))
			header += UDP_HEADER_LEN;
		if (trial_spend(p->path, o->ops[i].len + header))
			continue;
		if (trial_of(p->path)->has_fallback) {
			p->path = &trial_of(p->path)->fallback;
			continue;
		}
		p->refused = true;
		o->ops[i].ok = false;
		fwd_drop(w, DROP_UNCONFIRMED, 1);
	}
	o->trials = false;
}

/* Where what is sent begins: IPv4 has its header with it, IPv6's is the system's to write. */
__attribute__((noinline, cold)) static void finish_ah(const struct out_packet *p, uint8_t *packet,
						      struct fwd_send *send)
{
	if (p->head_len == IP4_HEADER_LEN) {
		ah_finish_ip4(packet, p->tos, p->df);
		return;
	}
	send->data += p->head_len;
	send->len -= p->head_len;
}

static unsigned make_sends(struct fwd_worker *w)
{
	struct fwd_out *o = &w->out;
	unsigned sends = 0;
	for (unsigned i = 0; i < o->count;) {
		if (!o->ops[i].ok) {
			fwd_drop(w, DROP_SEND_FAILED, !o->packets[i].refused);
			i++;
			continue;
		}
		unsigned first = i, last = i;
		uint32_t len = o->ops[first].len;
		for (i++; i < o->count && i - first < FWD_SEGMENTS_MAX && o->ops[i].ok &&
			  joins(o, first, last, i) && len + o->ops[i].len <= FWD_SEND_LEN_MAX;
		     i++) {
			len += o->ops[i].len;
			last = i;
		}
		const struct out_packet *p = &o->packets[first];
		o->send_first[sends] = first;
		o->send_count[sends] = i - first;
		o->sends[sends++] = (struct fwd_send){
		    .path = p->path,
		    .data = o->ops[first].esp,
		    .len = len,
		    .gso_size = i - first > 1 ? o->ops[first].len : 0,
		    .tos = p->tos,
		    .df = p->df,
		};
		if (__builtin_expect(p->head_len != 0, 0))
			finish_ah(p, o->ops[first].esp, &o->sends[sends - 1]);
	}
	return sends;
}

static void tell_path_mtu(struct fwd_worker *w, struct sa *sa, const struct fwd_send *s,
			  usec_t now_us)
{
	if (sa->told_mtu == s->mtu && now_us - sa->told_mtu_us < FWD_RETELL_US)
		return;
	struct fwd_event *e = fwd_event_slot(w, FWD_EV_PATH_MTU, sa, now_us);
	if (!e)
		return;
	e->outbound = true;
	e->mtu = s->mtu;
	e->src = s->path->remote;
	fwd_event_push(w);
	sa->told_mtu = s->mtu;
	sa->told_mtu_us = now_us;
}

static void send_failed(struct fwd_worker *w, unsigned i, usec_t now_us)
{
	const struct fwd_send *s = &w->out.sends[i];
	struct sa *sa = w->out.packets[w->out.send_first[i]].sa;
	fwd_drop(w, DROP_SEND_FAILED, w->out.send_count[i]);
	if (s->error != EMSGSIZE)
		return;
	fwd_lock(w, &sa->space->tx_lock);
	tell_path_mtu(w, sa, s, now_us);
	fwd_unlock(w, &sa->space->tx_lock);
}

/* From the inside out. */
static void seal_packets(struct fwd_worker *w)
{
	struct fwd_out *o = &w->out;
	if (o->inner_count)
		crypt_seal(w->crypt, o->inner_ops, o->inner_count);
	crypt_seal(w->crypt, o->ops, o->count);
	for (unsigned i = 0; i < o->inner_count; i++)
		if (!o->inner_ops[i].ok)
			o->ops[o->inner_of[i]].ok = false;
	o->inner_count = 0;
}

void out_flush(struct fwd_worker *w, usec_t now_us)
{
	struct fwd_out *o = &w->out;
	if (o->count == 0)
		return;
	seal_packets(w);
	if (o->trials)
		spend(w);
	unsigned n = make_sends(w);
	int sent = n ? w->io.send(w->io.ctx, o->sends, (int)n) : 0;
	fwd_add(&w->stats.out_sends, (uint64_t)(sent > 0 ? sent : 0));
	for (unsigned i = 0; i < n; i++) {
		if ((int)i >= sent || o->sends[i].error)
			send_failed(w, i, now_us);
	}
	o->count = 0;
	o->used = 0;
}

/* Room in the arena for a packet of len bytes. */
static inline __attribute__((always_inline)) uint8_t *arena_room(struct fwd_worker *w, size_t len,
								 usec_t now_us)
{
	struct fwd_out *o = &w->out;
	if (o->count == FWD_OPS_MAX || o->used + len > FWD_ARENA_LEN)
		out_flush(w, now_us);
	uint8_t *p = o->arena + o->used;
	o->used += len;
	return p;
}

/* ESP within AH, under the same number: the fixed part and the trailer; returns where the inner
 * packet goes. */
static uint8_t *put_inner(struct fwd_out *o, const struct sa *sa, uint64_t number, uint8_t *esp,
			  size_t esp_len, uint8_t next_header, uint32_t inner_len)
{
	const struct sa_inner *inner = sa->inner;
	struct writer w = writer_of(esp, ESP_HEADER_LEN);
	uint8_t *payload = esp + ESP_HEADER_LEN + inner->iv_len;
	writer_u32(&w, inner->spi);
	writer_u32(&w, (uint32_t)number);
	esp_write_trailer(payload, inner_len, inner->block_len, next_header);
	o->inner_of[o->inner_count] = (uint16_t)o->count;
	o->inner_ops[o->inner_count++] = (struct crypt_op){
	    .crypt = inner->crypt,
	    .esp = esp,
	    .len = (uint32_t)esp_len,
	    .seq_hi = (uint32_t)(number >> 32),
	    .esn = sa->esn,
	};
	return payload;
}

/* Of what AH goes around. */
static size_t body_len(const struct sa *sa, uint32_t inner_len)
{
	const struct sa_inner *inner = sa->inner;
	if (!inner)
		return inner_len;
	return ESP_HEADER_LEN + (size_t)inner->iv_len + inner_len +
	       esp_pad_len(inner_len, inner->block_len) + ESP_TRAILER_LEN + inner->icv_len;
}

/* The same as out_room for AH: its outer IP header is a part of the packet, as the ICV sees it.
 * IPv4's Identification is covered by the ICV, so it is ours to choose: the low part of the
 * number. */
__attribute__((noinline, cold)) static uint8_t *out_room_ah(struct fwd_worker *w,
							    const struct target *t, uint64_t number,
							    const struct outer *outer,
							    uint32_t inner_len, usec_t now_us)
{
	struct fwd_out *o = &w->out;
	const struct sa *sa = t->sa;
	const struct addr *src = &t->path->local.addr, *dst = &t->path->remote.addr;
	struct ah_header h = {.next_header = sa->inner ? IP_PROTO_ESP : outer->next_header,
			      .len = (uint16_t)sa_ah_len(sa, dst->family),
			      .spi = sa->spi,
			      .seq = (uint32_t)number};
	size_t head = dst->family == 6 ? IP6_HEADER_LEN : IP4_HEADER_LEN;
	size_t body = body_len(sa, inner_len), len = head + h.len + body;
	uint8_t *p = arena_room(w, len, now_us);
	uint16_t id = (uint16_t)number ? (uint16_t)number : UINT16_MAX;
	ah_write_ip(p, head, src, dst, id, len - head);
	ah_write(p + head, h.len, &h);
	uint8_t *payload = p + head + h.len;
	if (sa->inner)
		payload = put_inner(o, sa, number, payload, body, outer->next_header, inner_len);
	o->ops[o->count] = (struct crypt_op){
	    .crypt = sa->crypt,
	    .esp = p,
	    .len = (uint32_t)len,
	    .seq_hi = (uint32_t)(number >> 32),
	    .esn = sa->esn,
	    .icv_at = (uint16_t)(head + AH_FIXED_LEN),
	};
	o->packets[o->count++] = (struct out_packet){
	    .sa = t->sa,
	    .path = t->path,
	    .tos = outer->tos,
	    .df = outer->df,
	    .alone = true,
	    .head_len = (uint8_t)head,
	};
	return payload;
}

/* Room in the arena for an ESP packet with everything but the payload filled in: returns where
 * that goes. */
static uint8_t *out_room(struct fwd_worker *w, const struct target *t, uint64_t number,
			 const struct outer *outer, uint32_t inner_len, usec_t now_us)
{
	struct fwd_out *o = &w->out;
	const struct sa *sa = t->sa;
	sa_prefetch_key(sa);
	if (__builtin_expect(sa->ah, 0))
		return out_room_ah(w, t, number, outer, inner_len, now_us);
	size_t head = ESP_HEADER_LEN + (size_t)sa->iv_len;
	size_t body = inner_len + esp_pad_len(inner_len, sa->block_len) + ESP_TRAILER_LEN;
	size_t len = head + body + sa->icv_len;
	uint8_t *p = arena_room(w, len, now_us);
	struct writer esp = writer_of(p, ESP_HEADER_LEN);
	writer_u32(&esp, sa->spi);
	writer_u32(&esp, (uint32_t)number);
	esp_write_trailer(p + head, inner_len, sa->block_len, outer->next_header);
	o->trials |= t->path->trial;
	o->ops[o->count] = (struct crypt_op){
	    .crypt = sa->crypt,
	    .esp = p,
	    .len = (uint32_t)len,
	    .seq_hi = (uint32_t)(number >> 32),
	    .esn = sa->esn,
	};
	o->packets[o->count++] = (struct out_packet){
	    .sa = t->sa,
	    .path = t->path,
	    .tos = outer->tos,
	    .df = outer->df,
	    .alone = outer->alone || !atomic_load_explicit(&sa->udp, memory_order_relaxed),
	};
	return p + head;
}

/* --- where to */

static uint32_t path_inner_mtu(const struct sa *sa, const struct path *path)
{
	uint32_t overhead = path->remote.addr.family == 6 ? IP6_HEADER_LEN : IP4_HEADER_LEN;
	if (atomic_load_explicit(&sa->udp, memory_order_relaxed))
		overhead += UDP_HEADER_LEN;
	return path->mtu > overhead ? sa_inner_mtu(sa, path->mtu - overhead) : 0;
}

/* AH covers the address that a packet is sent from, which must be known before. */
static bool path_serves(const struct sa *sa, const struct path *path)
{
	return !sa->ah || (path->local.addr.family == path->remote.addr.family &&
			   !addr_is_any(&path->local.addr));
}

/* False, and *why, when no copy can be sent.  active: NULL is none. */
static bool find_targets(const struct active *active, uint8_t tos, struct targets *out,
			 enum drop_reason *why)
{
	out->count = 0;
	out->mtu = UINT32_MAX;
	out->bare = false;
	*why = DROP_NO_BINDING;
	for (unsigned i = 0; active && i < active->count; i++) {
		struct sa *sa = active->sa[i];
		const struct path *path = rcu_dereference(sa->path);
		if (atomic_load_explicit(&sa->dead, memory_order_relaxed)) {
			*why = DROP_SA_DEAD;
			continue;
		}
		if (!path || !path_serves(sa, path)) {
			*why = DROP_NO_PATH;
			continue;
		}
		uint32_t mtu = path_inner_mtu(sa, path);
		if (mtu < out->mtu)
			out->mtu = mtu;
		out->bare |= sa->mode != SA_TUNNEL;
		out->list[out->count++] = (struct target){.sa = sa, .path = path};
		if (!active_casts(active, tos))
			break;
	}
	return out->count > 0;
}

/* The next `packets` numbers of the space, for the first target that has it. */
static void draw_from_space(struct target *t, uint32_t packets)
{
	struct space *space = t->sa->space;
	uint64_t next = fwd_get(&space->next);
	uint64_t max = t->sa->esn ? NUMBER_MAX_ESN : NUMBER_MAX_PLAIN;
	t->number = next ? next : 1;
	t->spent = t->number > max || max - t->number + 1 < packets;
	if (!t->spent)
		fwd_put(&space->next, t->number + packets);
}

/* Draws numbers for the packets of a frame for each target, once for each space, and counts them
 * on its SA.  Returns how many targets have theirs. */
static unsigned draw_numbers(struct fwd_worker *w, struct targets *ts, uint32_t packets,
			     uint64_t bytes, usec_t now_us)
{
	unsigned usable = 0;
	for (unsigned i = 0; i < ts->count; i++) {
		struct target *t = &ts->list[i];
		unsigned same = 0;
		while (ts->list[same].sa->space != t->sa->space)
			same++;
		fwd_lock(w, &t->sa->space->tx_lock);
		if (same < i) {
			t->number = ts->list[same].number;
			t->spent = ts->list[same].spent;
		} else {
			draw_from_space(t, packets);
		}
		if (t->spent) {
			fwd_kill_sa(w, t->sa, true, now_us);
		} else {
			t->most = fwd_lifetime_left(t->sa, packets);
			fwd_count(w, t->sa, true, t->most, bytes, now_us);
		}
		fwd_unlock(w, &t->sa->space->tx_lock);
		usable += !t->spent;
	}
	return usable;
}

static void note_first(struct sa *sa, usec_t now_us)
{
	if (fwd_get(&sa->first_us) == 0)
		fwd_put(&sa->first_us, now_us);
}

/* --- transport and BEET mode */

/* Leaves the targets that can carry a packet with these headers; false: none does, and it was
 * counted. */
static bool keep_bare(struct fwd_worker *w, struct targets *ts, const struct ip_info *info,
		      const uint8_t *packet)
{
	unsigned kept = 0;
	enum drop_reason why = DROP_COUNT;
	for (unsigned i = 0; i < ts->count; i++) {
		const struct sa *sa = ts->list[i].sa;
		enum drop_reason refused =
		    sa->mode == SA_TUNNEL ? DROP_COUNT : bare_refusal(sa, info, packet);
		if (refused == DROP_COUNT)
			ts->list[kept++] = ts->list[i];
		else
			why = refused;
	}
	ts->count = kept;
	if (kept == 0 && why != DROP_COUNT)
		fwd_drop(w, why, 1);
	return kept > 0;
}

/* A fragment for what can carry none: is it the last piece of a whole, which then is put in its
 * place?  Otherwise it is kept or counted. */
static bool gather(struct fwd_worker *w, const struct targets *ts, const uint8_t **packet,
		   struct ip_info *info, usec_t now_us)
{
	struct ip_info whole;
	for (unsigned i = 0; i < ts->count; i++) {
		const struct sa *sa = ts->list[i].sa;
		if (sa->mode == SA_TUNNEL || bare_refusal(sa, info, *packet) != DROP_FRAGMENT)
			continue;
		switch (whole_add(&w->out.whole, *packet, info, now_us, packet, &whole)) {
		case WHOLE_WAITS:
			return false;
		case WHOLE_READY:
			*info = whole;
			return true;
		case WHOLE_REFUSED:
			fwd_drop(w, DROP_FRAGMENT, 1);
			return false;
		}
	}
	return true;
}

/* Options make a pseudo header, with which the packet may be larger than it was. */
__attribute__((noinline, cold)) static void put_bare(struct fwd_worker *w, const struct target *t,
						     uint64_t number, const struct outer *outer,
						     const uint8_t *packet, uint32_t len,
						     usec_t now_us)
{
	struct bare_out bare;
	if (!bare_out_make(t->sa, t->path, packet, len, &bare)) {
		fwd_drop(w, DROP_BAD_FRAME, 1);
		return;
	}
	struct outer o = *outer;
	o.next_header = bare.bare.next_header;
	if (bare.bare.head_len) {
		o.df = false;
		o.alone = true;
	}
	bare_put(&bare, out_room(w, t, number, &o, bare.len, now_us));
}

/* --- one packet, a copy on each target */

static void put_packet(struct fwd_worker *w, struct targets *ts, const struct outer *outer,
		       const uint8_t *packet, uint32_t len, usec_t now_us)
{
	if (draw_numbers(w, ts, 1, len, now_us) == 0) {
		fwd_drop(w, DROP_NUMBERS_SPENT, 1);
		return;
	}
	for (unsigned i = 0; i < ts->count; i++) {
		struct target *t = &ts->list[i];
		if (t->spent)
			continue;
		if (t->most == 0) {
			fwd_drop(w, DROP_SA_DEAD, 1);
			continue;
		}
		note_first(t->sa, now_us);
		if (__builtin_expect(t->sa->mode != SA_TUNNEL, 0))
			put_bare(w, t, t->number, outer, packet, len, now_us);
		else
			memcpy(out_room(w, t, t->number, outer, len, now_us), packet, len);
	}
	fwd_add(&w->stats.out_packets, 1);
	fwd_add(&w->stats.out_bytes, len);
}

static void tell_too_big(struct fwd_worker *w, const uint8_t *packet, uint32_t len, uint8_t version,
			 uint32_t mtu, usec_t now_us)
{
	const struct addr *from = version == 4 ? &w->cfg->icmp4 : &w->cfg->icmp6;
	uint8_t message[TOO_BIG_LEN_MAX];
	if (from->family == 0 || !fwd_limit_ok(&w->out.too_big, now_us, TOO_BIG_PER_SEC))
		return;
	size_t n = ip_write_too_big(message, sizeof(message), packet, len, from, mtu);
	if (n == 0)
		return;
	struct iovec iov = {.iov_base = message, .iov_len = n};
	struct fwd_write write = {.iov = &iov, .iov_count = 1};
	if (w->io.tun_write(w->io.ctx, &write, 1) != 1 || write.failed)
		fwd_drop(w, DROP_TUN_FAILED, 1);
	else
		fwd_add(&w->stats.tun_writes, 1);
}

struct fragment_ctx {
	struct fwd_worker *w;
	struct targets *ts;
	const struct outer *outer;
	usec_t now_us;
};

static void put_fragment(void *ctx, const uint8_t *fragment, size_t len)
{
	struct fragment_ctx *c = ctx;
	put_packet(c->w, c->ts, c->outer, fragment, (uint32_t)len, c->now_us);
}

/* A packet that is what it is: sent whole, in fragments, or not at all. */
static void put_single(struct fwd_worker *w, struct targets *ts, const struct outer *outer,
		       const struct ip_info *info, const uint8_t *packet, uint32_t len,
		       usec_t now_us)
{
	/* IPv6 nodes need not believe in less than 1280: a narrower path fragments the outside
	 * (RFC 2473 7.1). */
	uint32_t limit = ts->mtu;
	if (info->version == 6 && limit < IP6_MTU_MIN)
		limit = IP6_MTU_MIN;
	/* Fragments inside cannot be carried: they are made outside, as Linux does. */
	if (ts->bare && (outer->whole || (info->version == 4 && !info->df)))
		limit = UINT32_MAX;
	if (len <= limit) {
		struct outer o = *outer;
		if (len > ts->mtu) {
			o.df = false;
			o.alone = true;
		}
		put_packet(w, ts, &o, packet, len, now_us);
		return;
	}
	if (info->version == 4 && !info->df) {
		struct fragment_ctx c = {.w = w, .ts = ts, .outer = outer, .now_us = now_us};
		if (limit <= FWD_BUFFER_LEN &&
		    ip4_fragment(packet, len, limit, w->out.scratch, put_fragment, &c) > 0)
			return;
	}
	fwd_drop(w, DROP_TOO_BIG, 1);
	tell_too_big(w, packet, len, info->version, limit, now_us);
}

/* --- frames */

__attribute__((noinline, cold)) static void
put_bare_segments(struct fwd_worker *w, const struct target *t, const struct outer *outer,
		  const struct segment_plan *plan, usec_t now_us)
{
	for (uint32_t i = 0; i < t->most; i++) {
		segment_write(plan, i, w->out.segment);
		put_bare(w, t, t->number + i, outer, w->out.segment, segment_len(plan, i), now_us);
	}
}

static void put_segments(struct fwd_worker *w, struct targets *ts, const struct outer *outer,
			 const struct segment_plan *plan, usec_t now_us)
{
	uint64_t bytes = plan->payload_len + (uint64_t)plan->count * plan->header_len;
	if (draw_numbers(w, ts, plan->count, bytes, now_us) == 0) {
		fwd_drop(w, DROP_NUMBERS_SPENT, plan->count);
		return;
	}
	for (unsigned t = 0; t < ts->count; t++) {
		struct target *target = &ts->list[t];
		if (target->spent)
			continue;
		if (target->most < plan->count)
			fwd_drop(w, DROP_SA_DEAD, plan->count - target->most);
		note_first(target->sa, now_us);
		if (target->sa->mode != SA_TUNNEL) {
			put_bare_segments(w, target, outer, plan, now_us);
			continue;
		}
		for (uint32_t i = 0; i < target->most; i++)
			segment_write(plan, i,
				      out_room(w, target, target->number + i, outer,
					       segment_len(plan, i), now_us));
	}
	fwd_add(&w->stats.out_packets, plan->count);
	fwd_add(&w->stats.out_bytes, bytes);
}

static void put_gso(struct fwd_worker *w, struct targets *ts, const struct outer *outer,
		    const struct ip_info *info, const struct fwd_frame *frame, usec_t now_us)
{
	struct segment_plan plan;
	if (!segment_plan_make(&plan, frame->data, info, &frame->vh, ts->mtu)) {
		fwd_drop(w, DROP_BAD_FRAME, 1);
		return;
	}
	if (segment_len(&plan, 0) <= ts->mtu) {
		put_segments(w, ts, outer, &plan, now_us);
		return;
	}
	for (uint32_t i = 0; i < plan.count; i++) {
		segment_write(&plan, i, w->out.segment);
		put_single(w, ts, outer, info, w->out.segment, segment_len(&plan, i), now_us);
	}
}

/* True: it goes on as it would in a tunnel. */
__attribute__((noinline, cold)) static bool bare_frame(struct fwd_worker *w, const uint8_t *frame,
						       struct targets *ts, struct ip_info *info,
						       usec_t now_us)
{
	const uint8_t *packet = frame;
	if (info->fragment && !gather(w, ts, &packet, info, now_us))
		return false;
	if (!keep_bare(w, ts, info, packet))
		return false;
	if (packet == frame)
		return true;
	struct outer outer = {
	    .next_header = info->version == 4 ? IP_PROTO_IPIP : IP_PROTO_IPV6,
	    .tos = info->tos,
	    .df = w->cfg->df == FWD_DF_SET,
	    .whole = true,
	};
	put_single(w, ts, &outer, info, packet, info->total_len, now_us);
	return false;
}

static void put_frame(struct fwd_worker *w, struct fwd_frame *frame, const struct active *active,
		      usec_t now_us)
{
	struct ip_info info;
	struct targets ts;
	enum drop_reason why;
	if (frame->len > FWD_BUFFER_LEN || !ip_parse(frame->data, frame->len, &info)) {
		fwd_drop(w, DROP_BAD_FRAME, 1);
		return;
	}
	if (!find_targets(active, info.tos, &ts, &why)) {
		fwd_drop(w, why, 1);
		return;
	}
	if (__builtin_expect(ts.bare, 0) && !bare_frame(w, frame->data, &ts, &info, now_us))
		return;
	struct outer outer = {
	    .next_header = info.version == 4 ? IP_PROTO_IPIP : IP_PROTO_IPV6,
	    .tos = info.tos,
	    .df = w->cfg->df == FWD_DF_SET || (w->cfg->df == FWD_DF_COPY && info.df),
	};
	if (frame->vh.gso_type != VIRTIO_NET_HDR_GSO_NONE) {
		put_gso(w, &ts, &outer, &info, frame, now_us);
		return;
	}
	if (!segment_complete_checksum(frame->data, info.total_len, &frame->vh)) {
		fwd_drop(w, DROP_BAD_FRAME, 1);
		return;
	}
	if (fwd_is_syn(frame->data, &info))
		ip_clamp_mss(frame->data, info.total_len, ts.mtu);
	put_single(w, &ts, &outer, &info, frame->data, info.total_len, now_us);
}

/* --- a batch's memory: as in in.c, what frames need is fetched for all of them */

/* Destinations of the frames, family 0: none of ours to send to.  What is for the link alone stays
 * here, even under a default route. */
static unsigned read_destinations(struct fwd_worker *w, unsigned n)
{
	struct fwd_lookup *l = w->out.lookups;
	unsigned fresh = 0;
	for (unsigned i = 0; i < n; i++) {
		const struct fwd_frame *frame = &w->frames[i];
		l[i].same = false;
		if (frame->len > FWD_BUFFER_LEN || !ip_dst(frame->data, frame->len, &l[i].dst) ||
		    addr_is_link_local(&l[i].dst) || addr_is_multicast(&l[i].dst)) {
			l[i].dst.family = 0;
			continue;
		}
		l[i].same = i > 0 && addr_equal(&l[i].dst, &l[i - 1].dst);
		fresh += !l[i].same;
	}
	return fresh;
}

static void find_active(struct fwd_worker *w, unsigned n)
{
	const struct fib *fib = w->shared->fib;
	struct fwd_lookup *l = w->out.lookups;
	bool wait = read_destinations(w, n) > 1; /* for one there is nothing to gain */
	for (unsigned i = 0; i < n; i++)
		if (l[i].dst.family && !l[i].same)
			fib_ask(fib, &l[i].dst, &l[i].question);
	for (unsigned i = 0; wait && i < n; i++)
		if (l[i].dst.family && !l[i].same)
			fib_ask_active(fib, &l[i].question);
	for (unsigned i = 0; i < n; i++) {
		if (l[i].same)
			l[i].active = l[i - 1].active;
		else if (l[i].dst.family)
			l[i].active = fib_answer(fib, &l[i].dst, &l[i].question);
		else
			l[i].active = NULL;
		for (unsigned k = 0; wait && l[i].active && k < l[i].active->count; k++)
			sa_prefetch_hot(l[i].active->sa[k]);
	}
	for (unsigned i = 0; wait && i < n; i++)
		for (unsigned k = 0; l[i].active && k < l[i].active->count; k++)
			sa_prefetch_out(l[i].active->sa[k]);
}

unsigned fwd_run_tun(struct fwd_worker *w, usec_t now_us)
{
	int n = w->io.tun_read(w->io.ctx, w->frames, FWD_FRAMES_MAX);
	if (n <= 0)
		return 0;
	fwd_add(&w->stats.tun_reads, (uint64_t)n);
	find_active(w, (unsigned)n);
	for (int i = 0; i < n; i++)
		put_frame(w, &w->frames[i], w->out.lookups[i].active, now_us);
	out_flush(w, now_us);
	fwd_event_flush(w);
	return (unsigned)n;
}

/* --- what control sends */

/* Its number: the next one, or the hello's with which the numbers do not go on. */
static unsigned draw(struct fwd_worker *w, struct targets *ts, const struct fwd_command *c,
		     usec_t now_us)
{
	struct target *t = &ts->list[0];
	if (!c->aside)
		return draw_numbers(w, ts, 1, c->len, now_us);
	t->number = space_hello_number(c->hello_epoch);
	fwd_lock(w, &t->sa->space->tx_lock);
	fwd_count(w, t->sa, true, 1, c->len, now_us);
	fwd_unlock(w, &t->sa->space->tx_lock);
	return 1;
}

void out_inject(struct fwd_worker *w, const struct fwd_command *c, usec_t now_us)
{
	struct sa *sa = c->sa;
	struct targets ts = {.count = 1, .list[0] = {.sa = sa}};
	struct outer outer = {.next_header = c->next_header};
	struct ip_info info;

	ts.list[0].path = c->has_path ? &c->path : rcu_dereference(sa->path);
	if (atomic_load_explicit(&sa->dead, memory_order_relaxed)) {
		fwd_drop(w, DROP_SA_DEAD, 1);
		return;
	}
	if (!ts.list[0].path || !path_serves(sa, ts.list[0].path)) {
		fwd_drop(w, DROP_NO_PATH, 1);
		return;
	}
	if (c->next_header != IP_PROTO_NONE) {
		if (!ip_parse(c->data, c->len, &info)) {
			fwd_drop(w, DROP_BAD_FRAME, 1);
			return;
		}
		outer.tos = info.tos;
		enum drop_reason why =
		    sa->mode == SA_TUNNEL ? DROP_COUNT : bare_refusal(sa, &info, c->data);
		if (why != DROP_COUNT) {
			fwd_drop(w, why, 1);
			return;
		}
	}
	if (c->hello_epoch && !c->aside) {
		fwd_lock(w, &sa->space->tx_lock);
		fwd_put(&sa->space->next, space_hello_number(c->hello_epoch));
		fwd_unlock(w, &sa->space->tx_lock);
	}
	if (draw(w, &ts, c, now_us) == 0) {
		fwd_drop(w, DROP_NUMBERS_SPENT, 1);
		return;
	}
	if (sa->mode != SA_TUNNEL && c->next_header != IP_PROTO_NONE) {
		put_bare(w, &ts.list[0], ts.list[0].number, &outer, c->data, c->len, now_us);
	} else {
		uint8_t *room = out_room(w, &ts.list[0], ts.list[0].number, &outer, c->len, now_us);
		if (c->len)
			memcpy(room, c->data, c->len);
	}
	/* The path may be the command's own, which is given back. */
	if (c->has_path)
		out_flush(w, now_us);
}

void out_keepalive(struct fwd_worker *w, const struct path *path)
{
	static const uint8_t octet = KEEPALIVE_OCTET;
	struct fwd_send s = {.path = path, .data = &octet, .len = 1};
	if (w->io.send(w->io.ctx, &s, 1) != 1 || s.error)
		fwd_drop(w, DROP_SEND_FAILED, 1);
	else
		fwd_add(&w->stats.out_sends, 1);
}
