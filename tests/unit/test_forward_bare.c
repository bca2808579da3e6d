/* SPDX-License-Identifier: MIT */
/* Transport and BEET mode through both packet paths: what comes out is what went in, with the
 * offloads and without; the wire has no inner header; what cannot be carried is counted. */
#include "fwd_rig.h"

static uint8_t p[FWD_BUFFER_LEN];

#define MODES 2
static const enum sa_mode modes[MODES] = {SA_TRANSPORT, SA_BEET};

struct form {
	struct rig_config c;
	const char *suite;
};

/* Calls fn for each mode, pair of families, suite and offload. */
static void each_form(void (*fn)(struct rig *r))
{
	static const char *const suites[][2] = {
	    {"aes128-cbc", "hmac-sha-256-128"}, {"null", "hmac-sha-1-96"}, {"aes128-gcm", NULL}};
	for (unsigned i = 0; i < MODES * 2 * 2 * 2 * 2 * ARRAY_LEN(suites); i++) {
		struct rig_config c = {.mode = modes[i % 2],
				       .inner = i & 2 ? 6 : 4,
				       .outer = i & 4 ? 6 : 4,
				       .no_offload = i & 8,
				       .udp_offload = !(i & 8),
				       .native = i & 16};
		c.encr = suites[i / 32][0];
		c.integ = suites[i / 32][1];
		c.fresh = !c.integ;
		if (c.mode == SA_TRANSPORT && c.inner != c.outer)
			continue;
		struct rig *r = rig_new(&c);
		fn(r);
		rig_free(r);
	}
}

/* The written frames as single packets. */
static unsigned cut_written(struct rig *r, int node, struct rig_list *out)
{
	const struct rig_list *l = &r->node[node].written;
	for (unsigned i = 0; i < l->count; i++) {
		const struct rig_packet *f = &l->at[i];
		struct ip_info info;
		assert_true(ip_parse(f->data, f->len, &info));
		if (f->vh.gso_type == VIRTIO_NET_HDR_GSO_NONE) {
			rig_list_add(out, f->data, f->len);
			continue;
		}
		struct segment_plan plan;
		assert_true(segment_plan_make(&plan, f->data, &info, &f->vh, UINT16_MAX));
		for (uint32_t k = 0; k < plan.count; k++) {
			static uint8_t one[FWD_BUFFER_LEN];
			segment_write(&plan, k, one);
			rig_list_add(out, one, segment_len(&plan, k));
		}
	}
	return out->count;
}

/* The same but for what is not carried: identification, flow label, TTL. */
static void assert_same(const struct rig_packet *a, const uint8_t *b, size_t len)
{
	struct ip_info x, y;
	assert_int_equal(a->len, len);
	assert_true(ip_parse(a->data, a->len, &x) && ip_parse(b, len, &y));
	assert_true(addr_equal(&x.src, &y.src) && addr_equal(&x.dst, &y.dst));
	assert_int_equal(x.proto, y.proto);
	assert_int_equal(x.tos, y.tos);
	assert_int_equal(x.l4_off, y.l4_off);
	assert_memory_equal(a->data + x.l4_off, b + x.l4_off, len - x.l4_off);
	assert_true(rig_sound(a->data, a->len));
}

/* --- what goes in comes out */

static void single(struct rig *r)
{
	static const size_t lens[] = {0, 1, 2, 11, 64, 500, 1200};
	for (unsigned i = 0; i < ARRAY_LEN(lens) * 2; i++) {
		int from = i % 2;
		size_t len = rig_udp(p, r->cfg.inner, from == 0, lens[i / 2], i);
		struct rig_packet *f = rig_frame(&r->node[from], p, len);
		if (!r->cfg.no_offload) /* the checksum is left to be completed */
			f->vh = rig_gso(f->data, len, 0);
		rig_run_tun(r, from);
		assert_int_equal(r->node[from].sent.count, 1);
		rig_deliver(r, from);
		assert_int_equal(rig_all_drops(r, 0) + rig_all_drops(r, 1), 0);
		assert_int_equal(r->node[!from].written.count, 1);
		assert_same(&r->node[!from].written.at[0], p, len);
		rig_clear(r);
	}
}

static void test_single(void **state)
{
	(void)state;
	each_form(single);
}

/* One large frame, or the packets it makes: the same comes out. */
static void bulk(struct rig *r)
{
	struct rig_tcp t = {.version = r->cfg.inner,
			    .from_terminal = true,
			    .sport = 5000,
			    .seq = 1,
			    .flags = 0x10,
			    .window = 500,
			    .payload_len = 30000,
			    .seed = 7,
			    .tos = 2};
	static uint8_t whole[FWD_BUFFER_LEN], one[FWD_BUFFER_LEN];
	size_t len = rig_tcp(whole, &t);
	struct virtio_net_hdr vh = rig_gso(whole, len, 1200);
	struct ip_info info;
	struct segment_plan plan;
	struct rig_list *got = mem_zalloc(sizeof(*got));
	assert_true(ip_parse(whole, len, &info));
	assert_true(segment_plan_make(&plan, whole, &info, &vh, UINT16_MAX));
	for (uint32_t k = 0; r->cfg.no_offload && k < plan.count; k++) {
		segment_write(&plan, k, one);
		rig_frame(&r->node[0], one, segment_len(&plan, k));
	}
	if (!r->cfg.no_offload)
		rig_frame(&r->node[0], whole, len)->vh = vh;
	rig_run_tun(r, 0);
	/* The segments of one read leave by one send all the same. */
	if (!r->cfg.no_offload && !r->cfg.native)
		assert_int_equal(r->node[0].sent.count, 1);
	rig_deliver(r, 0);
	assert_int_equal(rig_all_drops(r, 0) + rig_all_drops(r, 1), 0);
	if (!r->cfg.no_offload)
		assert_int_equal(r->node[1].written.count, 1);
	assert_int_equal(cut_written(r, 1, got), plan.count);
	for (uint32_t k = 0; k < plan.count; k++) {
		segment_write(&plan, k, one);
		assert_same(&got->at[k], one, segment_len(&plan, k));
	}
	rig_list_clear(got);
	free(got);
}

static void test_bulk(void **state)
{
	(void)state;
	each_form(bulk);
}

/* More than the memory for built packets holds in one batch. */
static void test_large_batch(void **state)
{
	(void)state;
	struct rig_config c = {.mode = SA_BEET, .inner = 6, .mtu = 65000, .df = FWD_DF_SET};
	struct rig *r = rig_new(&c);
	size_t len = rig_udp(p, 6, true, 60000, 3);
	for (unsigned i = 0; i < 9; i++)
		rig_frame(&r->node[0], p, len);
	rig_run_tun(r, 0);
	rig_deliver(r, 0);
	assert_int_equal(r->node[1].written.count, 9);
	for (unsigned i = 0; i < 9; i++)
		assert_same(&r->node[1].written.at[i], p, len);
	rig_free(r);
}

/* --- the wire */

/* Decrypts what the terminal sent last: with NULL encryption it stands there. */
static const uint8_t *wire(struct rig *r, size_t *len, uint8_t *next_header)
{
	const struct rig_packet *s = &r->node[0].sent.at[r->node[0].sent.count - 1];
	const uint8_t *payload = s->data + ESP_HEADER_LEN;
	assert_true(esp_read_trailer(payload, s->len - ESP_HEADER_LEN - 12, len, next_header));
	return payload;
}

static void test_wire(void **state)
{
	(void)state;
	for (unsigned i = 0; i < MODES * 2; i++) {
		struct rig_config c = {.mode = modes[i % 2],
				       .inner = i & 2 ? 6 : 4,
				       .outer = i & 2 ? 6 : 4,
				       .encr = "null",
				       .integ = "hmac-sha-1-96"};
		struct rig *r = rig_new(&c);
		size_t len = rig_udp(p, c.inner, true, 100, 1), off = c.inner == 4 ? 20 : 40, got;
		uint8_t next_header;
		rig_frame(&r->node[0], p, len);
		rig_run_tun(r, 0);
		const uint8_t *payload = wire(r, &got, &next_header);
		assert_int_equal(next_header, IP_PROTO_UDP);
		assert_int_equal(got, len - off);
		if (c.mode == SA_BEET) {
			assert_memory_equal(payload, p + off, got);
		} else {
			/* right for the outer addresses */
			struct addr src = rig_outer(r, 0, 0).addr, dst = rig_outer(r, 1, 0).addr;
			uint32_t sum = ip_pseudo_sum(&src, &dst, 17, (uint32_t)got);
			assert_int_equal(ip_fold(ip_sum(payload, got, sum)), 0);
			assert_memory_equal(payload + 8, p + off + 8, got - 8);
		}
		rig_free(r);
	}
}

/* A peer behind a NAT made its checksum for an address that we never see. */
static void test_behind_nat(void **state)
{
	(void)state;
	struct rig_config c = {.mode = SA_TRANSPORT, .inner = 4};
	struct rig *r = rig_new(&c);
	struct rig_packet raw;
	size_t len = rig_make_udp(p, "192.168.1.7", 1701, "203.0.113.1", 1701);
	rig_seal_raw(r, 0, 0, IP_PROTO_UDP, p + 20, len - 20, 5, false, &raw);
	raw.src = (struct endpoint){rig_addr("198.51.100.77"), 20001};
	rig_put(r, 1, &raw);
	rig_receive(r, 1);
	assert_int_equal(r->node[1].written.count, 1);
	const struct rig_packet *w = &r->node[1].written.at[0];
	size_t same = rig_make_udp(p, rig_inside(4, true), 1701, rig_inside(4, false), 1701);
	assert_same(w, p, same);
	rig_free(r);
}

static void test_mtu(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2 * 2 * 2; i++) {
		struct rig_config c = {.mode = SA_BEET,
				       .inner = i & 1 ? 6 : 4,
				       .outer = i & 2 ? 6 : 4,
				       .native = i & 4,
				       .df = FWD_DF_SET};
		struct rig *r = rig_new(&c);
		uint32_t around = (c.outer == 4 ? 20u : 40u) + (c.native ? 0u : 8u);
		uint32_t mtu = sa_inner_mtu(r->node[0].out[0], 1500 - around);
		uint32_t head = c.inner == 4 ? 28 : 48;
		/* The largest one fits the path, and one byte more does not. */
		rig_frame(&r->node[0], p, rig_udp(p, c.inner, true, mtu - head, 1));
		rig_run_tun(r, 0);
		const struct rig_packet *s = &r->node[0].sent.at[0];
		assert_true(s->df && s->len + around <= 1500 && s->len + around > 1500 - 16);
		rig_frame(&r->node[0], p, rig_udp(p, c.inner, true, mtu - head + 1, 1));
		rig_run_tun(r, 0);
		assert_int_equal(r->node[0].sent.count, 1);
		assert_int_equal(rig_drops(r, 0, DROP_TOO_BIG), 1);
		assert_int_equal(r->node[0].written.count, 1); /* its sender was told */
		rig_free(r);
	}
}

/* --- what is not carried */

static void expect_drop(struct rig *r, const void *packet, size_t len, enum drop_reason reason)
{
	uint64_t before = rig_drops(r, 0, reason), all = rig_all_drops(r, 0);
	rig_frame(&r->node[0], packet, len);
	rig_run_tun(r, 0);
	assert_int_equal(r->node[0].sent.count, 0);
	assert_int_equal(rig_drops(r, 0, reason), before + 1);
	assert_int_equal(rig_all_drops(r, 0), all + 1);
}

static void not_carried(struct rig *r)
{
	bool v4 = r->cfg.inner == 4;
	const char *us = rig_inside(r->cfg.inner, true), *they = rig_inside(r->cfg.inner, false);
	size_t len = rig_make_udp(p, us, 1, v4 ? "10.1.0.9" : "fd01::9", 2);
	expect_drop(r, p, len, DROP_NOT_THE_PAIR);
	len = rig_make_udp(p, v4 ? "10.9.0.6" : "fd09::6", 1, they, 2);
	expect_drop(r, p, len, DROP_NOT_THE_PAIR);
	len = rig_make_udp(p, v4 ? "fd09::5" : "10.9.0.5", 1, v4 ? "fd01::1" : "10.1.0.1", 2);
	expect_drop(r, p, len, DROP_NOT_THE_PAIR);
	len = rig_make_udp(p, us, 1, they, 2);
	if (v4) {
		p[6] = 0x20;
	} else {
		memmove(p + 48, p + 40, len - 40);
		memcpy(p + 40, "\x11\0\0\1\0\0\0\7", 8);
		p[5] = (uint8_t)(p[5] + 8);
		p[6] = 44;
		len += 8;
	}
	p[v4 ? 7 : 43] = v4 ? 2 : 0x11; /* whose beginning never came */
	expect_drop(r, p, len, DROP_FRAGMENT);
	/* Neither is it taken. */
	struct rig_packet raw;
	uint8_t fragment[24] = {17, 0, 0, 1};
	rig_seal_raw(r, 0, 0, 44, fragment, sizeof(fragment), 100, false, &raw);
	rig_put(r, 1, &raw);
	rig_receive(r, 1);
	assert_int_equal(r->node[1].written.count, v4 ? 1 : 0);
	assert_int_equal(rig_drops(r, 1, DROP_FRAGMENT), v4 ? 0 : 1);
}

static void test_not_carried(void **state)
{
	(void)state;
	each_form(not_carried);
}

static void test_options(void **state)
{
	(void)state;
	for (unsigned i = 0; i < MODES; i++) {
		struct rig_config c = {.mode = modes[i], .inner = 4, .df = FWD_DF_SET};
		struct rig *r = rig_new(&c);
		size_t len = rig_udp(p, 4, true, 1400, 1);
		memmove(p + 28, p + 20, len - 20);
		memcpy(p + 20, "\x94\x04\0\0\1\1\1\0", 8); /* router alert */
		p[0] = 0x47;
		len += 8;
		p[2] = (uint8_t)(len >> 8);
		p[3] = (uint8_t)len;
		ip4_set_checksum(p);
		if (c.mode == SA_TRANSPORT) {
			expect_drop(r, p, len, DROP_OUTSIDE);
		} else {
			rig_frame(&r->node[0], p, len);
			rig_run_tun(r, 0);
			assert_int_equal(r->node[0].sent.count, 1);
			assert_false(r->node[0].sent.at[0].df);
			rig_deliver(r, 0);
			assert_same(&r->node[1].written.at[0], p, len);
			assert_memory_equal(r->node[1].written.at[0].data + 20, p + 20, 8);
		}
		rig_free(r);
	}
}

/* Larger than the path and without DF: fragments are made outside. */
static void test_fragments_outside(void **state)
{
	(void)state;
	struct rig_config c = {.mode = SA_BEET, .inner = 4, .df = FWD_DF_SET};
	struct rig *r = rig_new(&c);
	size_t len = rig_udp(p, 4, true, 4000, 1);
	p[6] = 0;
	ip4_set_checksum(p);
	rig_frame(&r->node[0], p, len);
	rig_run_tun(r, 0);
	assert_int_equal(r->node[0].sent.count, 1);
	assert_false(r->node[0].sent.at[0].df);
	rig_deliver(r, 0);
	assert_same(&r->node[1].written.at[0], p, len);
	rig_free(r);
}

/* --- fragments of the local stack */

struct cut {
	uint8_t pieces[16][2048];
	size_t lens[16];
	unsigned count;
};

static void cut_keep(void *ctx, const uint8_t *fragment, size_t len)
{
	struct cut *c = ctx;
	memcpy(c->pieces[c->count], fragment, len);
	c->lens[c->count++] = len;
}

static void cut6(struct cut *c, const uint8_t *whole, size_t len, uint32_t id)
{
	for (size_t off = 0; off < len - 40; off += 1400) {
		uint8_t *f = c->pieces[c->count];
		size_t n = len - 40 - off < 1400 ? len - 40 - off : 1400;
		memcpy(f, whole, 40);
		rig_put16(f + 4, (uint32_t)(n + 8));
		f[6] = 44;
		memset(f + 40, 0, 8);
		f[40] = whole[6];
		rig_put16(f + 42, (uint32_t)(off | (off + n < len - 40)));
		rig_put32(f + 44, id);
		memcpy(f + 48, whole + 40 + off, n);
		c->lens[c->count++] = n + 48;
	}
}

static void cut(struct cut *c, int version, uint8_t *whole, size_t len, uint16_t id)
{
	static uint8_t scratch[2048];
	c->count = 0;
	if (version == 6) {
		cut6(c, whole, len, id);
		return;
	}
	rig_put16(whole + 4, id);
	whole[6] = 0;
	ip4_set_checksum(whole);
	assert_true(ip4_fragment(whole, len, 1440, scratch, cut_keep, c) > 0);
}

static void gathered(struct rig *r)
{
	static struct cut a, b;
	static uint8_t q[FWD_BUFFER_LEN];
	size_t len = rig_udp(p, r->cfg.inner, true, 5000, 1),
	       other = rig_udp(q, r->cfg.inner, true, 3000, 2);
	cut(&a, r->cfg.inner, p, len, 7);
	cut(&b, r->cfg.inner, q, other, 8);
	/* Two at once, piece by piece. */
	for (unsigned i = 0; i < a.count; i++) {
		rig_frame(&r->node[0], a.pieces[i], a.lens[i]);
		if (i < b.count)
			rig_frame(&r->node[0], b.pieces[i], b.lens[i]);
	}
	rig_run_tun(r, 0);
	assert_int_equal(r->node[0].sent.count, 2);
	assert_false(r->node[0].sent.at[0].df || r->node[0].sent.at[1].df);
	rig_deliver(r, 0);
	assert_int_equal(rig_all_drops(r, 0) + rig_all_drops(r, 1), 0);
	assert_same(&r->node[1].written.at[0], q, other);
	assert_same(&r->node[1].written.at[1], p, len);
	rig_clear(r);
	/* One piece missing, or out of order: nothing goes out. */
	for (unsigned i = 0; i < a.count; i++)
		if (i != 1)
			rig_frame(&r->node[0], a.pieces[i], a.lens[i]);
	for (unsigned i = a.count; i-- > 0;)
		rig_frame(&r->node[0], a.pieces[i], a.lens[i]);
	rig_run_tun(r, 0);
	assert_int_equal(r->node[0].sent.count, 0);
	assert_true(rig_drops(r, 0, DROP_FRAGMENT) >= 2 * a.count - 3u);
	/* More than there are places: the oldest goes, later pieces of it are nobody's. */
	for (uint16_t id = 20; id < 26; id++) {
		cut(&b, r->cfg.inner, q, other, id);
		rig_frame(&r->node[0], b.pieces[0], b.lens[0]);
	}
	for (unsigned i = 1; i < b.count; i++)
		rig_frame(&r->node[0], b.pieces[i], b.lens[i]);
	rig_run_tun(r, 0);
	assert_int_equal(r->node[0].sent.count, 1);
	/* Nobody waits for long. */
	rig_frame(&r->node[0], a.pieces[0], a.lens[0]);
	rig_run_tun(r, 0);
	r->now += 2 * USEC_PER_SEC;
	for (unsigned i = 1; i < a.count; i++)
		rig_frame(&r->node[0], a.pieces[i], a.lens[i]);
	rig_run_tun(r, 0);
	assert_int_equal(r->node[0].sent.count, 1);
}

static void test_gathered(void **state)
{
	(void)state;
	each_form(gathered);
}

/* More than a packet can be. */
static void test_gathered_too_much(void **state)
{
	(void)state;
	struct rig_config c = {.mode = SA_BEET, .inner = 6};
	struct rig *r = rig_new(&c);
	size_t len = rig_udp(p, 6, true, 1392, 1);
	static struct cut a;
	cut(&a, 6, p, len, 7);
	for (uint32_t off = 0; off < 65536; off += 1400) {
		rig_put16(a.pieces[0] + 42, (off & ~7u) | 1);
		rig_frame(&r->node[0], a.pieces[0], a.lens[0]);
	}
	rig_run_tun(r, 0);
	assert_int_equal(r->node[0].sent.count, 0);
	assert_true(rig_drops(r, 0, DROP_FRAGMENT) > 0);
	rig_free(r);
}

/* --- hostile, and control's */

static void test_unsound(void **state)
{
	(void)state;
	for (unsigned i = 0; i < MODES; i++) {
		struct rig_config c = {.mode = modes[i], .inner = 4};
		struct rig *r = rig_new(&c);
		static const struct {
			uint8_t next_header, len;
			enum drop_reason transport, beet;
			const char *bytes;
		} table[] = {
		    {94, 0, DROP_COUNT, DROP_BAD_INNER, ""},
		    {94, 4, DROP_COUNT, DROP_BAD_INNER, "\x11\0\0\0"},
		    {94, 8, DROP_COUNT, DROP_BAD_INNER, "\x11\x7f\0\0\0\0\0\0"},
		    {17, 4, DROP_BAD_INNER, DROP_COUNT, "\0\0\0\0"},
		    {6, 0, DROP_BAD_INNER, DROP_COUNT, ""},
		    {59, 3, DROP_DUMMY, DROP_DUMMY, "abc"},
		    {200, 3, DROP_COUNT, DROP_COUNT, "abc"},
		};
		for (unsigned k = 0; k < ARRAY_LEN(table); k++) {
			enum drop_reason why =
			    c.mode == SA_BEET ? table[k].beet : table[k].transport;
			unsigned written = r->node[1].written.count;
			uint64_t all = rig_all_drops(r, 1);
			rig_receive_raw(r, table[k].next_header, table[k].bytes, table[k].len,
					10 + k);
			assert_int_equal(rig_all_drops(r, 1) - all, why != DROP_COUNT);
			if (why != DROP_COUNT)
				assert_true(rig_drops(r, 1, why) > 0);
			assert_int_equal(r->node[1].written.count - written, why == DROP_COUNT);
		}
		rig_free(r);
	}
}

/* A registration goes between the fixed pair as it goes through a tunnel. */
static void registration(struct rig *r)
{
	size_t len = rig_make_udp(p, rig_inside(r->cfg.inner, true), 434,
				  rig_inside(r->cfg.inner, false), 434);
	uint8_t next_header = r->cfg.inner == 4 ? IP_PROTO_IPIP : IP_PROTO_IPV6;
	struct ip_info info;
	assert_true(fwd_inject(r->node[0].f, r->node[0].out[0], next_header, p, len, 7));
	fwd_run_commands(fwd_worker(r->node[0].f, 0), r->now);
	rig_deliver(r, 0);
	const struct fwd_event *e = rig_next_event(r, FWD_EV_CONTROL);
	assert_int_equal(e->hello, !r->cfg.fresh);
	assert_int_equal(e->len, len);
	assert_true(ip_parse(e->data, e->len, &info));
	assert_memory_equal(e->data + info.l4_off, p + info.l4_off, len - info.l4_off);
	assert_true(rig_sound(e->data, e->len));
	fwd_event_done(r->node[1].f);
	/* One between others has no place here. */
	len = rig_make_udp(p, "10.9.0.7", 434, "10.1.0.1", 434);
	assert_true(fwd_inject(r->node[0].f, r->node[0].out[0], IP_PROTO_IPIP, p, len, 0));
	fwd_run_commands(fwd_worker(r->node[0].f, 0), r->now);
	assert_int_equal(rig_drops(r, 0, DROP_NOT_THE_PAIR), 1);
}

static void test_registration(void **state)
{
	(void)state;
	each_form(registration);
}

/* Two connections of one binding, one a tunnel: each copy in its own form, under one number. */
static void test_beside_a_tunnel(void **state)
{
	(void)state;
	struct rig_config c = {.mode = SA_BEET, .inner = 4, .sas = 2};
	struct rig *r = rig_new(&c);
	for (int i = 0; i < 2; i++) {
		r->node[i].out[1]->mode = SA_TUNNEL;
		r->node[i].in[1]->mode = SA_TUNNEL;
	}
	size_t len = rig_udp(p, 4, true, 300, 1);
	rig_frame(&r->node[0], p, len);
	rig_run_tun(r, 0);
	assert_int_equal(r->node[0].sent.count, 2);
	assert_true(r->node[0].sent.at[1].len > r->node[0].sent.at[0].len);
	rig_deliver(r, 0);
	assert_int_equal(r->node[1].written.count, 1);
	assert_int_equal(rig_drops(r, 1, DROP_REPLAYED), 1);
	/* What only the tunnel can carry goes there. */
	len = rig_make_udp(p, "10.9.0.5", 1, "10.1.0.77", 2);
	rig_frame(&r->node[0], p, len);
	rig_run_tun(r, 0);
	assert_int_equal(r->node[0].sent.count, 3);
	assert_int_equal(rig_all_drops(r, 0), 0);
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_single),
	    cmocka_unit_test(test_bulk),
	    cmocka_unit_test(test_large_batch),
	    cmocka_unit_test(test_wire),
	    cmocka_unit_test(test_behind_nat),
	    cmocka_unit_test(test_mtu),
	    cmocka_unit_test(test_not_carried),
	    cmocka_unit_test(test_options),
	    cmocka_unit_test(test_fragments_outside),
	    cmocka_unit_test(test_unsound),
	    cmocka_unit_test(test_gathered),
	    cmocka_unit_test(test_gathered_too_much),
	    cmocka_unit_test(test_registration),
	    cmocka_unit_test(test_beside_a_tunnel),
	};
	return cmocka_run_group_tests(tests, rig_group_setup, rig_group_teardown);
}
