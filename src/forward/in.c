/* SPDX-License-Identifier: MIT */
/*
 * From the network to the TUN device.
 *
 *   datagrams -> (keepalive? IKE: to control) -> SPI -> SA -> replay check -> opened together ->
 * replay mark
 *   -> trailer -> (transport, BEET: its IP header again) -> inner addresses against the SA's peer
 *   -> control, or merged -> TUN
 *
 * RFC 4303 3.4, RFC 4302 3.4, RFC 3948 3, RFC 4301 5.2, RFC 6040.
 *
 * Nothing is changed before a packet is authentic.  A packet that is not, or whose number came
 * before, may be a hello (sadb/sa.h): it is tried once more with the hello's number.  Opening
 * leaves a packet that fails as it was for every algorithm that configured keys may use, so the
 * second try needs no copy.
 *
 * Limits of hellos.  Where the window knows no number (nothing heard yet) or only one too old, the
 * hello's is the first and only try: it costs what any forged packet costs, and has no limit.
 * After a restart all data of a terminal comes in so, and must not keep out its hello.  Second
 * tries are limited, far above what an honest terminal causes; those of numbers that came before
 * much lower, since they are nearly all copies from another connection.  A hello can be replayed as
 * long as its keys last, so what comes to control under hello numbers is limited for each SA by
 * itself: a replay of one must not keep out the others.
 */
#include <string.h>
#include "base/cursor.h"
#include "forward/state.h"
#include "wire/ike.h"

#define SECOND_TRIES_PER_SEC 20000 /* of a node */
#define SEEN_TRIES_PER_SEC   200
#define HELLOS_PER_SEC	     500 /* to control, of an SA */
#define STAGE		     16	 /* packets */
#define ESP_MIN_LEN	     (ESP_HEADER_LEN + ESP_TRAILER_LEN)
#define ASKED_US	     (50 * USEC_PER_MS)
#define CLAIM_RETELL_MS	     20			 /* while control does not make it active */
#define COPY_US		     (100 * USEC_PER_MS) /* how long a path is taken for heard */
#define PORT_REGISTRATION    434

/* --- one worker at a time in a sequence space, for as long as a batch stays in it */

static void release(struct fwd_worker *w)
{
	if (w->in.held)
		spin_unlock(&w->in.held->rx_lock);
	w->in.held = NULL;
}

static void hold(struct fwd_worker *w, struct space *space)
{
	if (!w->locks || w->in.held == space)
		return;
	release(w);
	spin_lock(&space->rx_lock);
	w->in.held = space;
}

/* --- before opening */

/* The hello's number, if the packet may be one. */
static bool hello_possible(const struct sa *sa, uint32_t lo)
{
	return sa->configured_keys && sa->esn && lo != 0;
}

static bool hello_welcome(struct sa *sa, usec_t now_us)
{
	struct fwd_limit l = {.since_us = sa->hello_since_us, .count = sa->hello_count};
	bool ok = fwd_limit_ok(&l, now_us, HELLOS_PER_SEC);
	sa->hello_since_us = l.since_us;
	sa->hello_count = l.count;
	return ok;
}

static bool shared_space(const struct sa *sa)
{
	return sa->space != &sa->own_space;
}

static bool is_newest(const struct sa *sa, uint64_t number)
{
	return number > fwd_get(&sa->newest) || sa->newest_resets != sa->space->resets;
}

/*
 * Whether a packet whose number came before is opened all the same.  With n-casting the copies on
 * the slower path always are such packets; dropped unread they cost nothing, but then nothing would
 * be known of that path.  So one is opened when the SA was not heard for a while, and each that
 * comes from another place than expected: the path may have moved.
 *
 * A replay must not look like a move.  Opened or not, a copy from the expected place is remembered
 * by its number (newest, unread), and from another place only later numbers count.  That memory
 * is not authentic, but whoever forges it only hides a move until the numbers are past the window's
 * top.
 */
static bool copy_matters(const struct in_packet *in, usec_t now_us)
{
	struct sa *sa = in->sa;
	if (!shared_space(sa) || !is_newest(sa, in->number))
		return false;
	bool later = in->number > sa->unread || sa->unread_resets != sa->space->resets;
	const struct path *path = rcu_dereference(sa->path);
	if (!path || !endpoint_equal(&path->remote, &in->dgram->src))
		return later;
	if (now_us - fwd_get(&sa->last_us) >= COPY_US)
		return true;
	if (later) {
		sa->unread = in->number;
		sa->unread_resets = sa->space->resets;
	}
	return false;
}

/* Decides by which number a packet is opened; false: it is dropped for in->fallback. */
static bool choose_number(struct fwd_worker *w, struct in_packet *in, uint32_t lo, usec_t now_us)
{
	struct sa *sa = in->sa;
	const struct replay *replay = &sa->space->window;
	bool can_hello = hello_possible(sa, lo);

	in->fallback = DROP_NOT_AUTHENTIC;
	in->hello = in->may_hello = false;
	if (!can_hello || replay_primed(replay)) {
		in->number = sa->esn ? replay_infer(replay, lo) : lo;
		can_hello = can_hello && in->number != space_hello_number(lo);
		switch (replay_check(replay, in->number)) {
		case REPLAY_NEW:
			in->may_hello = can_hello;
			return true;
		case REPLAY_SEEN:
			/* Mostly a copy from another connection, seldom a hello that looks like
			 * one: these have a small allowance of their own. */
			in->fallback = DROP_REPLAYED;
			if (copy_matters(in, now_us)) {
				in->may_hello = can_hello;
				return true;
			}
			can_hello = can_hello &&
				    fwd_limit_ok(&w->in.seen_tries, now_us, SEEN_TRIES_PER_SEC);
			break;
		case REPLAY_TOO_OLD:
			in->fallback = DROP_TOO_OLD;
			break;
		}
	}
	in->hello = can_hello;
	in->number = space_hello_number(lo);
	return in->hello;
}

static void drop_packet(struct fwd_worker *w, const struct in_packet *in, enum drop_reason reason)
{
	fwd_drop(w, reason, 1);
	if (reason == DROP_REPLAYED && shared_space(in->sa))
		fwd_add(&w->stats.duplicates, 1);
}

static void take_ike(struct fwd_worker *w, const struct fwd_dgram *d, const uint8_t *p,
		     uint32_t len, usec_t now_us)
{
	enum drop_reason why = DROP_IKE_CLOSED;
	if (w->cfg->ike)
		why = ikebox_put(&w->ike, d, w->in.sock, p + IKE_NON_ESP_LEN, len - IKE_NON_ESP_LEN,
				 now_us);
	if (why < DROP_COUNT) {
		fwd_drop(w, why, 1);
		return;
	}
	fwd_add(&w->stats.ike_messages, 1);
	w->event_waiting = true;
}

/* What a datagram holds: true for ESP, else it was taken or counted. */
static bool is_esp(struct fwd_worker *w, const struct fwd_dgram *d, const uint8_t *p, uint32_t len,
		   bool udp, usec_t now_us)
{
	enum esp_udp_kind kind = len < ESP_MIN_LEN ? ESP_UDP_RUNT : ESP_UDP_ESP;
	if (udp)
		kind = esp_udp_classify(p, len);
	switch (kind) {
	case ESP_UDP_ESP:
		if (len >= ESP_MIN_LEN)
			return true;
		fwd_drop(w, DROP_RUNT, 1);
		return false;
	case ESP_UDP_IKE:
		take_ike(w, d, p, len, now_us);
		return false;
	case ESP_UDP_KEEPALIVE:
		fwd_add(&w->stats.keepalives, 1);
		return false;
	case ESP_UDP_RUNT:
		fwd_drop(w, DROP_RUNT, 1);
		return false;
	}
	return false;
}

/* --- a batch's memory
 *
 * Packets of a million terminals find nothing in the processor's caches, and one thing says where
 * the next is: SPI, SA, sequence space, window.  So a batch goes through in stages of a few
 * packets, and while those of one are opened, the memory of those behind comes, each a step
 * further. Neighbours on one SA need no fetching, and stay together.
 */

static void add_packet(struct fwd_worker *w, const struct fwd_dgram *d, uint8_t *p, uint32_t len)
{
	struct fwd_in *in = &w->in;
	struct reader r = reader_of(p, ESP_HEADER_LEN);
	struct in_packet *packet = &in->packets[in->taken];
	packet->dgram = d;
	packet->esp = p;
	packet->len = len;
	packet->spi = reader_u32(&r);
	packet->lo = reader_u32(&r);
	packet->ah_len = 0;
	packet->same = in->taken > 0 && packet[-1].spi == packet->spi;
	if (!packet->same)
		sadb_prefetch(w->cfg->sadb, packet->spi);
	in->taken++;
}

static unsigned stage_end(const struct fwd_in *in, unsigned from)
{
	unsigned end = in->taken - from > STAGE ? from + STAGE : in->taken;
	while (end < in->taken && in->packets[end].same)
		end++;
	return end;
}

/* Inlined: gcc 12 takes a function that only fetches for one that does nothing. */
static inline __attribute__((always_inline)) void fetch_sas(struct fwd_worker *w, unsigned from,
							    unsigned end)
{
	const struct in_packet *packets = w->in.packets;
	for (unsigned i = from; i < end; i++)
		if (!packets[i].same)
			sadb_prefetch_sa(w->cfg->sadb, packets[i].spi);
}

static inline __attribute__((always_inline)) void fetch_windows(struct fwd_worker *w, unsigned from,
								unsigned end)
{
	const struct in_packet *packets = w->in.packets;
	for (unsigned i = from; i < end; i++)
		if (!packets[i].same && packets[i].sa)
			sa_prefetch_window(packets[i].sa, packets[i].lo);
}

static void find_sas(struct fwd_worker *w, unsigned from, unsigned end)
{
	struct in_packet *packets = w->in.packets;
	for (unsigned i = from; i < end; i++) {
		if (packets[i].same) {
			packets[i].sa = packets[i - 1].sa;
			continue;
		}
		packets[i].sa = sadb_find(w->cfg->sadb, packets[i].spi);
		if (packets[i].sa)
			sa_prefetch_in(packets[i].sa);
	}
}

/* One whose outer headers are there.  They are of no use afterwards but for its ICV. */
__attribute__((noinline, cold)) static void add_ah(struct fwd_worker *w, const struct fwd_dgram *d)
{
	struct fwd_in *in = &w->in;
	uint8_t *ip = d->data + d->head_off;
	struct ah_header h;
	if (d->len < d->head_len || !ah_read(ip + d->head_len, d->len - d->head_len, &h)) {
		fwd_drop(w, DROP_RUNT, 1);
		return;
	}
	if (!(d->src.addr.family == 4 ? ah_zero_ip4(ip, d->head_len)
				      : ah_zero_ip6(ip, d->head_len))) {
		fwd_drop(w, DROP_BAD_OUTER, 1);
		return;
	}
	in->ah = true;
	struct in_packet *packet = &in->packets[in->taken++];
	*packet = (struct in_packet){
	    .dgram = d, .esp = ip, .len = d->len, .spi = h.spi, .lo = h.seq, .ah_len = h.len};
	sadb_prefetch(w->cfg->sadb, h.spi);
}

/* Why a packet of this SA is not even opened; DROP_COUNT: it may be. */
static enum drop_reason refusal(const struct in_packet *in, bool udp)
{
	const struct sa *sa = in->sa;
	if (!sa)
		return DROP_UNKNOWN_SPI;
	if (atomic_load_explicit(&sa->udp, memory_order_relaxed) != udp)
		return DROP_WRONG_FORM;
	if (atomic_load_explicit(&sa->dead, memory_order_relaxed))
		return DROP_SA_DEAD;
	if (__builtin_expect(sa->ah != (in->ah_len != 0), 0))
		return DROP_WRONG_PROTOCOL;
	if (in->ah_len)
		return ah_len_fits(in->ah_len, (size_t)sa->iv_len + sa->icv_len) ? DROP_COUNT
										 : DROP_RUNT;
	if (in->len < (uint32_t)ESP_MIN_LEN + sa->iv_len + sa->icv_len)
		return DROP_RUNT;
	return DROP_COUNT;
}

/* Those that are opened move to the front. */
static void choose_packets(struct fwd_worker *w, unsigned from, unsigned end, bool udp,
			   usec_t now_us)
{
	struct fwd_in *in = &w->in;
	for (unsigned i = from; i < end; i++) {
		struct in_packet *packet = &in->packets[i];
		const struct sa *sa = packet->sa;
		enum drop_reason why = refusal(packet, udp);
		if (why != DROP_COUNT) {
			fwd_drop(w, why, 1);
			continue;
		}
		hold(w, sa->space);
		if (!choose_number(w, packet, packet->lo, now_us)) {
			drop_packet(w, packet, packet->fallback);
			continue;
		}
		in->ops[in->count] = (struct crypt_op){
		    .crypt = sa->crypt,
		    .esp = packet->esp,
		    .len = packet->len,
		    .seq_hi = (uint32_t)(packet->number >> 32),
		    .esn = sa->esn,
		    .icv_at =
			packet->ah_len ? (uint16_t)(packet->dgram->head_len + AH_FIXED_LEN) : 0,
		};
		if (in->count != i)
			in->packets[in->count] = *packet;
		in->count++;
	}
	release(w);
}

/* --- opening */

static void open_stages(struct fwd_worker *w, bool udp, usec_t now_us)
{
	struct fwd_in *in = &w->in;
	unsigned from = 0, end = stage_end(in, 0), next = stage_end(in, end);
	in->count = 0;
	fetch_sas(w, 0, next);
	find_sas(w, 0, end);
	while (from < in->taken) {
		unsigned last = stage_end(in, next), first = in->count;
		fetch_sas(w, next, last);
		find_sas(w, end, next);
		fetch_windows(w, from, end);
		choose_packets(w, from, end, udp, now_us);
		crypt_open(w->crypt, in->ops + first, in->count - first);
		from = end;
		end = next;
		next = last;
	}
	in->taken = 0;
}

static void open_packets(struct fwd_worker *w, bool udp, usec_t now_us)
{
	struct fwd_in *in = &w->in;
	unsigned again = 0;
	open_stages(w, udp, now_us);
	for (unsigned i = 0; i < in->count; i++) {
		if (in->ops[i].ok || !in->packets[i].may_hello ||
		    !fwd_limit_ok(&in->second_tries, now_us, SECOND_TRIES_PER_SEC))
			continue;
		uint32_t lo = in->packets[i].lo;
		in->again_of[again] = (uint16_t)i;
		in->again[again] = in->ops[i];
		in->again[again++].seq_hi = lo;
		in->packets[i].number = space_hello_number(lo);
		in->packets[i].hello = true;
	}
	if (again == 0)
		return;
	crypt_open(w->crypt, in->again, again);
	for (unsigned i = 0; i < again; i++)
		in->ops[in->again_of[i]].ok = in->again[i].ok;
}

/* --- a bundle: ESP within AH that is authentic */

static uint32_t ah_end(const struct in_packet *in)
{
	return (uint32_t)in->dgram->head_len + in->ah_len;
}

/* The number with this low half that is next to the one of the packet around. */
static uint64_t number_beside(uint64_t around, uint32_t lo)
{
	uint64_t number = (around & ~(uint64_t)UINT32_MAX) | lo;
	if (number > around && number - around > INT32_MAX && number > UINT32_MAX)
		return number - UINT32_MAX - 1;
	if (number < around && around - number > INT32_MAX)
		return number + UINT32_MAX + 1;
	return number;
}

static bool inner_of(const struct in_packet *in, uint8_t *packet, uint32_t len,
		     struct crypt_op *out)
{
	const struct sa *sa = in->sa;
	uint32_t head = ah_end(in);
	struct reader r = reader_of(packet + head, len - head);
	uint32_t spi = reader_u32(&r), lo = reader_u32(&r);
	if (r.failed || packet[in->dgram->head_len] != IP_PROTO_ESP || spi != sa->inner->spi)
		return false;
	*out = (struct crypt_op){
	    .crypt = sa->inner->crypt,
	    .esp = packet + head,
	    .len = len - head,
	    .seq_hi = (uint32_t)(number_beside(in->number, lo) >> 32),
	    .esn = sa->esn,
	};
	return true;
}

__attribute__((noinline, cold)) static void open_inner(struct fwd_worker *w)
{
	struct fwd_in *in = &w->in;
	unsigned n = 0;
	for (unsigned i = 0; i < in->count; i++) {
		struct in_packet *packet = &in->packets[i];
		struct crypt_op *op = &in->ops[i];
		if (!packet->ah_len || !op->ok || !packet->sa->inner)
			continue;
		if (inner_of(packet, op->esp, op->len, &in->again[n])) {
			in->again_of[n++] = (uint16_t)i;
		} else {
			op->ok = false;
			packet->fallback = DROP_NOT_THE_BUNDLE;
		}
	}
	if (n == 0)
		return;
	crypt_open(w->crypt, in->again, n);
	for (unsigned i = 0; i < n; i++)
		in->ops[in->again_of[i]].ok = in->again[i].ok;
}

/* --- after opening */

/* With its outer headers. */
static uint32_t outer_len(const struct in_packet *in)
{
	uint32_t header = in->dgram->src.addr.family == 6 ? IP6_HEADER_LEN : IP4_HEADER_LEN;
	bool udp = atomic_load_explicit(&in->sa->udp, memory_order_relaxed);
	return in->len + header + (udp ? UDP_HEADER_LEN : 0);
}

/* The newest packet of the SA came from elsewhere than expected: control decides. */
static void look_for_move(struct fwd_worker *w, const struct in_packet *in, usec_t now_us)
{
	struct sa *sa = in->sa;
	const struct endpoint *src = &in->dgram->src;
	const struct path *path = rcu_dereference(sa->path);
	if (path && endpoint_equal(&path->remote, src)) {
		if (path->trial)
			trial_received(path, outer_len(in));
		return;
	}
	if (sa->moved_path == path && endpoint_equal(&sa->moved_src, src) && sa->moved_us &&
	    now_us - sa->moved_us < FWD_RETELL_US)
		return;
	struct fwd_event *e = fwd_event_slot(w, FWD_EV_MOVED, sa, now_us);
	if (!e)
		return;
	e->number = in->number;
	e->src = *src;
	e->sock = w->in.sock;
	e->tos = in->dgram->tos;
	e->outer_len = outer_len(in);
	fwd_event_push(w);
	sa->moved_path = path;
	sa->moved_src = *src;
	sa->moved_us = now_us;
}

static void note_newest(struct fwd_worker *w, const struct in_packet *in, usec_t now_us)
{
	fwd_put(&in->sa->newest, in->number);
	in->sa->newest_resets = in->sa->space->resets;
	look_for_move(w, in, now_us);
}

/* Commits an authentic packet to the window and the SA.  False: another copy was first. */
static bool mark_packet(struct fwd_worker *w, const struct in_packet *in, usec_t now_us)
{
	struct sa *sa = in->sa;
	switch (replay_mark(&sa->space->window, in->number)) {
	case REPLAY_NEW:
		break;
	case REPLAY_SEEN:
		if (shared_space(sa) && is_newest(sa, in->number)) {
			fwd_put(&sa->last_us, now_us);
			note_newest(w, in, now_us);
		}
		drop_packet(w, in, DROP_REPLAYED);
		return false;
	case REPLAY_TOO_OLD:
		drop_packet(w, in, DROP_TOO_OLD);
		return false;
	}
	if (is_newest(sa, in->number))
		note_newest(w, in, now_us);
	return true;
}

static bool in_prefixes(const struct peer *peer, const struct addr *a)
{
	for (unsigned i = 0; i < peer->prefix_count; i++)
		if (prefix_contains(&peer->prefixes[i], a))
			return true;
	return false;
}

/* A terminal's home addresses are its peer's, as they are assigned. */
static bool is_own(const struct fwd_worker *w, const struct peer *peer, const struct addr *a)
{
	for (unsigned i = 0; i < w->cfg->own_count; i++)
		if (addr_equal(&w->cfg->own[i], a))
			return true;
	for (unsigned i = 0; peer->is_home_server && i < peer->prefix_count; i++)
		if (peer->prefixes[i].len == addr_len(a) * 8 &&
		    addr_equal(&peer->prefixes[i].addr, a))
			return true;
	return false;
}

static bool is_registration(const struct fwd_worker *w, const struct peer *peer,
			    const uint8_t *packet, const struct ip_info *info)
{
	bool own = is_own(w, peer, &info->dst);
	if (!own || info->fragment)
		return false;
	if (info->proto == IP_PROTO_MH)
		return true;
	if (info->proto != IP_PROTO_UDP ||
	    info->total_len < (uint32_t)info->l4_off + UDP_HEADER_LEN)
		return false;
	struct reader r = reader_of(packet + info->l4_off, UDP_HEADER_LEN);
	uint16_t sport = reader_u16(&r), dport = reader_u16(&r);
	return sport == PORT_REGISTRATION || dport == PORT_REGISTRATION;
}

/*
 * Active connections only, and a packet that control has not decided on yet: a terminal that
 * registers a connection sends its data right behind the request, often into the same batch, before
 * control can have published the connection.  So for a moment after a request its SA passes as
 * active.
 *
 * That is safe: request and data are authentic under this SA, their numbers are new, and the
 * data's inner source was checked, so nobody but the terminal itself gains by it, and only what
 * an accepted request would give it.  One that is denied may ask again and again; that lets
 * it use another of its own connections, never another's address.
 */
static bool asked_lately(struct sa *sa, usec_t now_us)
{
	if (sa->asked_us && now_us - sa->asked_us > ASKED_US)
		sa->asked_us = 0;
	return sa->asked_us;
}

/* Asked before its number is marked. */
static bool is_newest_of_all(const struct in_packet *in)
{
	const struct replay *replay = &in->sa->space->window;
	return !in->hello && shared_space(in->sa) && replay->packets > 0 &&
	       in->number > replay_top(replay);
}

/*
 * Implied registration: a terminal uses a connection that is not its active one.  Only the newest
 * packet of all says so: a replayed or reordered one must not move anything back.  Control decides,
 * and counts it where it is not allowed.  True: allowed, so that what follows right behind passes
 * as if it were active.
 */
static bool claim(struct fwd_worker *w, const struct in_packet *in, usec_t now_us)
{
	struct sa *sa = in->sa;
	if (sa->peer->is_home_server || !in->newest)
		return false;
	bool allowed = atomic_load_explicit(&sa->peer->implied, memory_order_relaxed);
	uint32_t wait_ms = allowed ? CLAIM_RETELL_MS : (uint32_t)(FWD_RETELL_US / USEC_PER_MS);
	uint32_t now_ms = (uint32_t)(now_us / USEC_PER_MS);
	if (sa->claimed_ms && now_ms - sa->claimed_ms < wait_ms)
		return allowed;
	struct fwd_event *e = fwd_event_slot(w, FWD_EV_DATA, sa, now_us);
	if (!e)
		return allowed;
	e->newest = true;
	e->number = in->number;
	e->src = in->dgram->src;
	e->sock = w->in.sock;
	e->tos = in->dgram->tos;
	fwd_event_push(w);
	sa->claimed_ms = now_ms ? now_ms : 1;
	return allowed;
}

/* Is an inner packet taken from a connection that is not active? */
static bool accept_inactive(struct fwd_worker *w, const struct in_packet *in, usec_t now_us)
{
	struct sa *sa = in->sa;
	bool strict = atomic_load_explicit(&sa->peer->strict, memory_order_relaxed);
	/* A request that came a moment ago is being decided on. */
	if (asked_lately(sa, now_us) || claim(w, in, now_us) || !strict)
		return true;
	uint32_t drain = atomic_load_explicit(&sa->drain, memory_order_relaxed);
	return drain && (uint32_t)(now_us >> 16) < drain;
}

static void give_to_control(struct fwd_worker *w, const struct in_packet *in,
			    enum fwd_event_kind kind, const uint8_t *data, size_t len,
			    usec_t now_us)
{
	struct fwd_event *e = NULL;
	if (len <= FWD_EVENT_DATA_MAX && (!in->hello || hello_welcome(in->sa, now_us)))
		e = fwd_event_slot(w, kind, in->sa, now_us);
	if (!e) {
		fwd_drop(w, DROP_CONTROL_BUSY, 1);
		return;
	}
	e->hello = in->hello;
	e->newest = kind == FWD_EV_PROBE && in->newest;
	e->outer_len = outer_len(in);
	e->number = in->number;
	e->src = in->dgram->src;
	e->sock = w->in.sock;
	e->tos = in->dgram->tos;
	e->len = (uint16_t)len;
	memcpy(e->data, data, len);
	fwd_event_push(w);
	/* A hello may be a replay. */
	if (kind == FWD_EV_CONTROL && !in->hello)
		in->sa->asked_us = now_us;
}

static void take_dummy(struct fwd_worker *w, const struct in_packet *in, const uint8_t *payload,
		       size_t len, usec_t now_us)
{
	struct esp_probe probe;
	if (in->hello)
		fwd_drop(w, DROP_HELLO_DATA, 1);
	else if (esp_read_probe(payload, len, &probe))
		give_to_control(w, in, FWD_EV_PROBE, payload, len, now_us);
	else {
		/* An empty one is sent for want of data. */
		if (len == 0 && !atomic_load_explicit(&in->sa->active, memory_order_relaxed))
			(void)claim(w, in, now_us);
		fwd_drop(w, DROP_DUMMY, 1);
	}
}

/* The inside is not the peer's to send, or not for us; DROP_COUNT: it is. */
static enum drop_reason foreign(const struct peer *peer, const struct ip_info *info)
{
	if (!peer->is_home_server && !in_prefixes(peer, &info->src))
		return DROP_INNER_SOURCE;
	if (peer->is_home_server && !in_prefixes(peer, &info->dst))
		return DROP_INNER_DESTINATION;
	return DROP_COUNT;
}

static void take_inner(struct fwd_worker *w, const struct in_packet *in, uint8_t *packet,
		       const struct ip_info *info, usec_t now_us)
{
	struct sa *sa = in->sa;
	const struct peer *peer = sa->peer;
	enum drop_reason why = foreign(peer, info);
	if (why != DROP_COUNT) {
		fwd_drop(w, why, 1);
		return;
	}
	if (is_registration(w, in->sa->peer, packet, info)) {
		give_to_control(w, in, FWD_EV_CONTROL, packet, info->total_len, now_us);
		return;
	}
	if (in->hello) {
		fwd_drop(w, DROP_HELLO_DATA, 1);
		return;
	}
	if (!atomic_load_explicit(&sa->active, memory_order_relaxed) &&
	    !accept_inactive(w, in, now_us)) {
		fwd_drop(w, DROP_NOT_ACTIVE, 1);
		return;
	}
	if (!ip_ecn_decapsulate(packet, in->dgram->tos)) {
		fwd_drop(w, DROP_ECN, 1);
		return;
	}
	uint32_t mtu = atomic_load_explicit(&peer->clamp_mtu, memory_order_relaxed);
	if (mtu && fwd_is_syn(packet, info))
		ip_clamp_mss(packet, info->total_len, mtu);
	if (fwd_get(&sa->first_us) == 0)
		fwd_put(&sa->first_us, now_us);
	fwd_add(&w->stats.in_packets, 1);
	fwd_add(&w->stats.in_bytes, info->total_len);
	merge_add(&w->in.merge, packet, info);
}

/* What the opened packet protects. */
struct in_payload {
	uint8_t *data;
	size_t len;
	uint8_t next_header;
};

__attribute__((noinline, cold)) static bool
read_ah_payload(const struct in_packet *in, const struct crypt_op *op, struct in_payload *out)
{
	const struct sa_inner *inner = in->sa->inner;
	size_t head = ah_end(in);
	if (inner) {
		head += ESP_HEADER_LEN + (size_t)inner->iv_len;
		out->data = op->esp + head;
		return esp_read_trailer(out->data, op->len - head - inner->icv_len, &out->len,
					&out->next_header);
	}
	out->data = op->esp + head;
	out->len = op->len - head;
	out->next_header = op->esp[in->dgram->head_len];
	return true;
}

static inline __attribute__((always_inline)) bool
read_payload(const struct in_packet *in, const struct crypt_op *op, struct in_payload *out)
{
	const struct sa *sa = in->sa;
	if (__builtin_expect(in->ah_len != 0, 0))
		return read_ah_payload(in, op, out);
	size_t head = ESP_HEADER_LEN + (size_t)sa->iv_len;
	out->data = op->esp + head;
	return esp_read_trailer(out->data, op->len - head - sa->icv_len, &out->len,
				&out->next_header);
}

static void write_tun(struct fwd_worker *w);

/* Transport or BEET mode: the packet is built beside, since its slot need not have room for it.
 * NULL: it was dropped. */
__attribute__((noinline, cold)) static uint8_t *build_bare(struct fwd_worker *w,
							   const struct in_packet *in,
							   const struct in_payload *payload,
							   struct ip_info *info)
{
	struct bare_plan plan;
	uint8_t *packet = NULL;
	enum drop_reason why =
	    bare_in(in->sa, payload->data, payload->len, payload->next_header, &plan);
	if (why == DROP_COUNT) {
		size_t room = bare_packet_len(&plan, in->sa->pair->local.family);
		if (w->in.built_used + room > FWD_BUILT_LEN) {
			write_tun(w);
			merge_begin(&w->in.merge, w->cfg->offload, w->cfg->offload_udp);
			w->in.built_used = 0;
		}
		packet = w->in.built + w->in.built_used;
		w->in.built_used += room;
		why = bare_in_build(in->sa, &plan, in->dgram->tos, packet, info);
	}
	if (why == DROP_COUNT)
		return packet;
	fwd_drop(w, why, 1);
	return NULL;
}

/*
 * Active connections only: data on one that is not.  It is refused before its number counts as
 * received, since with n-casting a copy may yet come on one that is active.  It was heard all the
 * same; but only once, or a replay would look alive.
 */
static bool refused(struct fwd_worker *w, const struct in_packet *in,
		    const struct in_payload *payload, usec_t now_us)
{
	struct sa *sa = in->sa;
	struct ip_info info;
	if (!atomic_load_explicit(&sa->peer->strict, memory_order_relaxed) ||
	    atomic_load_explicit(&sa->active, memory_order_relaxed) || in->hello ||
	    !shared_space(sa) || payload->next_header == IP_PROTO_NONE || sa->mode != SA_TUNNEL)
		return false;
	/* What is not sound, not the terminal's or for control is not decided here. */
	if (!ip_parse(payload->data, payload->len, &info) ||
	    foreign(sa->peer, &info) != DROP_COUNT ||
	    is_registration(w, sa->peer, payload->data, &info) || accept_inactive(w, in, now_us))
		return false;
	if (is_newest(sa, in->number)) {
		fwd_count(w, sa, false, 1, payload->len, now_us);
		note_newest(w, in, now_us);
	}
	fwd_drop(w, DROP_NOT_ACTIVE, 1);
	return true;
}

static void accept_packet(struct fwd_worker *w, unsigned i, usec_t now_us)
{
	struct in_packet *in = &w->in.packets[i];
	const struct crypt_op *op = &w->in.ops[i];
	struct sa *sa = in->sa;
	hold(w, sa->space);
	if (!op->ok) {
		drop_packet(w, in, in->fallback);
		return;
	}
	/* It may have ended earlier in this batch. */
	if (atomic_load_explicit(&sa->dead, memory_order_relaxed)) {
		fwd_drop(w, DROP_SA_DEAD, 1);
		return;
	}
	in->newest = is_newest_of_all(in);
	struct in_payload payload;
	bool sound = read_payload(in, op, &payload);
	if (sound && refused(w, in, &payload, now_us))
		return;
	if (!in->hello && !mark_packet(w, in, now_us))
		return;
	if (!in->hello)
		fwd_count(w, sa, false, 1, sound ? payload.len : 0, now_us);
	if (!sound) {
		fwd_drop(w, DROP_BAD_TRAILER, 1);
		return;
	}
	uint8_t next_header = payload.next_header;
	if (next_header == IP_PROTO_NONE) {
		take_dummy(w, in, payload.data, payload.len, now_us);
		return;
	}
	struct ip_info info;
	uint8_t version = next_header == IP_PROTO_IPIP ? 4 : 6;
	if (__builtin_expect(sa->mode != SA_TUNNEL, 0)) {
		payload.data = build_bare(w, in, &payload, &info);
		if (!payload.data)
			return;
	} else if ((payload.next_header != IP_PROTO_IPIP && payload.next_header != IP_PROTO_IPV6) ||
		   !ip_parse(payload.data, payload.len, &info) || info.version != version) {
		fwd_drop(w, DROP_BAD_INNER, 1);
		return;
	}
	take_inner(w, in, payload.data, &info, now_us);
}

static void write_tun(struct fwd_worker *w)
{
	struct merge *m = &w->in.merge;
	int n = merge_finish(m);
	if (n == 0)
		return;
	int done = w->io.tun_write(w->io.ctx, m->writes, n);
	for (int i = 0; i < n; i++) {
		if (i >= done || m->writes[i].failed)
			fwd_drop(w, DROP_TUN_FAILED, m->runs[i].count);
		else
			fwd_add(&w->stats.tun_writes, 1);
	}
}

static void finish_packets(struct fwd_worker *w, bool udp, usec_t now_us)
{
	open_packets(w, udp, now_us);
	if (w->in.count == 0)
		return;
	if (__builtin_expect(w->in.ah, 0))
		open_inner(w);
	w->in.ah = false;
	merge_begin(&w->in.merge, w->cfg->offload, w->cfg->offload_udp);
	w->in.built_used = 0;
	for (unsigned i = 0; i < w->in.count; i++)
		accept_packet(w, i, now_us);
	release(w);
	write_tun(w);
}

/* The packets of one receive, which the kernel may have put together. */
static void take_dgram(struct fwd_worker *w, const struct fwd_dgram *d, bool udp, usec_t now_us)
{
	uint32_t len = d->len < FWD_BUFFER_LEN ? d->len : FWD_BUFFER_LEN;
	uint32_t size = d->gso_size ? d->gso_size : len;
	uint32_t off = 0;
	if (__builtin_expect(d->head_len != 0, 0)) {
		if (w->in.taken == FWD_OPS_MAX)
			finish_packets(w, udp, now_us);
		add_ah(w, d);
		return;
	}
	do {
		uint32_t part = len - off < size ? len - off : size;
		if (w->in.taken == FWD_OPS_MAX)
			finish_packets(w, udp, now_us);
		if (is_esp(w, d, d->data + off, part, udp, now_us))
			add_packet(w, d, d->data + off, part);
		off += part;
	} while (off < len);
}

unsigned fwd_run_sock(struct fwd_worker *w, uint16_t sock, bool udp, usec_t now_us)
{
	int n = w->io.recv(w->io.ctx, sock, w->dgrams, FWD_DGRAMS_MAX);
	if (n <= 0)
		return 0;
	fwd_add(&w->stats.in_recvs, (uint64_t)n);
	w->in.sock = sock;
	for (int i = 0; i < n; i++)
		take_dgram(w, &w->dgrams[i], udp, now_us);
	finish_packets(w, udp, now_us);
	fwd_event_flush(w);
	return (unsigned)n;
}
