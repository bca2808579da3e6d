/* SPDX-License-Identifier: MIT */
/* AH (RFC 4302), alone and over ESP, through the packet path: two nodes, both families outside and
 * inside. */
#include "fwd_rig.h"
#include "wire/ah.h"

static const struct rig_config forms[] = {
    {.ah = true, .native = true, .encr = "null", .integ = "hmac-sha-256-128", .outer = 4},
    {.ah = true, .native = true, .encr = "null", .integ = "hmac-sha-256-128", .outer = 6},
    {.ah = true,
     .native = true,
     .encr = "null",
     .integ = "hmac-sha-512-256",
     .outer = 6,
     .no_esn = true},
    {.ah = true,
     .native = true,
     .encr = "null",
     .integ = "hmac-sha-1-96",
     .outer = 4,
     .no_esn = true},
    {.ah = true, .native = true, .encr = "null", .integ = "hmac-sha-384-192", .outer = 4},
    {.ah = true,
     .native = true,
     .encr = "aes128-gmac",
     .integ = "aes128-gmac",
     .outer = 4,
     .fresh = true},
    {.ah = true,
     .native = true,
     .encr = "aes256-gmac",
     .integ = "aes256-gmac",
     .outer = 6,
     .fresh = true},
    {.ah = true,
     .bundle = true,
     .native = true,
     .encr = "aes128-cbc",
     .integ = "hmac-sha-256-128",
     .outer = 4},
    {.ah = true,
     .bundle = true,
     .native = true,
     .encr = "null",
     .integ = "hmac-sha-512-256",
     .outer = 6,
     .no_esn = true},
};
#define FIRST_BUNDLE 7

/* A packet as the network carries it: over IPv6 the system writes the header. */
static size_t on_wire(const struct rig_packet *p, uint8_t *out)
{
	size_t head = 0;
	if (p->dst.addr.family == 6)
		head = ip_write_header(out, 40, &p->src.addr, &p->dst.addr, IP_PROTO_AH, p->tos, 63,
				       p->len);
	memcpy(out + head, p->data, p->len);
	return head + p->len;
}

/* What arrives, with headers of head_len octets before AH. */
static struct rig_packet *arrive(struct rig *r, int to, const struct rig_packet *like,
				 const uint8_t *packet, size_t len, uint16_t head_len)
{
	struct rig_packet *d = rig_list_add(&r->node[to].inbox, packet, len);
	d->src = like->src;
	d->head_len = head_len;
	d->tos = like->dst.addr.family == 4 ? packet[1] : like->tos;
	return d;
}

static uint16_t plain_head(const struct rig_packet *p)
{
	return p->dst.addr.family == 6 ? IP6_HEADER_LEN : IP4_HEADER_LEN;
}

static void deliver(struct rig *r, int from)
{
	static uint8_t packet[FWD_BUFFER_LEN];
	struct rig_list *sent = &r->node[from].sent;
	while (sent->taken < sent->count) {
		const struct rig_packet *p = &sent->at[sent->taken++];
		size_t len = on_wire(p, packet);
		arrive(r, !from, p, packet, len, plain_head(p));
	}
	rig_receive(r, !from);
}

static void test_both_ways(void **state)
{
	(void)state;
	for (size_t f = 0; f < ARRAY_LEN(forms); f++) {
		struct rig *r = rig_new(&forms[f]);
		for (int version = 4; version <= 6; version += 2) {
			for (size_t len = 0; len < 1300; len += 1 + len / 2) {
				uint8_t p[FWD_BUFFER_LEN];
				for (int from = 0; from < 2; from++) {
					size_t n =
					    rig_udp(p, version, from == 0, len, (uint32_t)len);
					rig_frame(&r->node[from], p, n);
					rig_run_tun(r, from);
					deliver(r, from);
					struct rig_list *got = &r->node[!from].written;
					assert_int_equal(got->count, 1);
					assert_int_equal(got->at[0].len, n);
					assert_memory_equal(got->at[0].data, p, n);
					rig_clear(r);
				}
			}
		}
		assert_int_equal(rig_all_drops(r, 0), 0);
		assert_int_equal(rig_all_drops(r, 1), 0);
		rig_free(r);
	}
}

/* The header as RFC 4302 2 has it, IPv4's with an Identification that nobody replaces. */
static void test_format(void **state)
{
	(void)state;
	for (size_t f = 0; f < ARRAY_LEN(forms); f++) {
		struct rig *r = rig_new(&forms[f]);
		const struct rig_packet *p = rig_seal_udp(r, 4, 100);
		const struct sa *sa = r->node[0].out[0];
		uint8_t packet[2048];
		struct ah_header h;
		struct ip_info info;
		size_t len = on_wire(p, packet), head = plain_head(p);
		assert_true(ip_parse(packet, len, &info));
		assert_int_equal(info.total_len, len);
		assert_int_equal(packet[head == 20 ? 9 : 6], IP_PROTO_AH);
		if (head == 20) {
			assert_true(ip4_checksum_ok(packet, len));
			assert_int_not_equal(packet[4] << 8 | packet[5], 0);
		}
		assert_true(ah_read(packet + head, len - head, &h));
		assert_int_equal(h.next_header, sa->inner ? IP_PROTO_ESP : IP_PROTO_IPIP);
		assert_int_equal(h.spi, sa->spi);
		assert_int_equal(h.seq, 1);
		assert_int_equal(h.len,
				 ah_len((size_t)sa->iv_len + sa->icv_len, head == 20 ? 4 : 6));
		if (!sa->inner)
			assert_int_equal(len, head + h.len + 128);
		rig_free(r);
	}
}

/* Each octet of the packet is covered but the mutable ones, which may change on the way. */
static void test_what_is_covered(void **state)
{
	(void)state;
	static const uint8_t mutable4[] = {1, 6, 7, 8, 10, 11}, mutable6[] = {0, 1, 2, 3, 7};
	for (size_t f = 0; f < 2; f++) {
		struct rig *r = rig_new(&forms[f]);
		struct rig_packet p = *rig_seal_udp(r, 4, 40);
		uint8_t packet[2048], copy[2048] = {0};
		size_t len = on_wire(&p, packet);
		const uint8_t *free_octets = f ? mutable6 : mutable4;
		size_t free_count = f ? sizeof(mutable6) : sizeof(mutable4);
		for (size_t at = 0; at < len; at++) {
			if (memchr(free_octets, (int)at, free_count))
				continue;
			memcpy(copy, packet, len);
			copy[at] ^= 1;
			arrive(r, 1, &p, copy, len, plain_head(&p));
			rig_receive(r, 1);
			if (r->node[1].written.count)
				fail_msg("form %zu: octet %zu is not covered", f, at);
		}
		memcpy(copy, packet, len);
		for (size_t i = 0; i < free_count; i++)
			copy[free_octets[i]] ^= 0x04;
		arrive(r, 1, &p, copy, len, plain_head(&p));
		rig_receive(r, 1);
		assert_int_equal(r->node[1].written.count, 1);
		rig_free(r);
	}
}

/* Options and extension headers that somebody else put before AH: sealed by hand. */
static void test_with_options(void **state)
{
	(void)state;
	static const uint8_t options4[] = {0x94, 4, 0, 0, 7, 7,
					   4,	 0, 0, 0, 0, 1}; /* alert, route */
	static const uint8_t hop6[] = {IP_PROTO_AH, 0, 0x3e, 4, 0, 0, 0, 0};
	for (size_t f = 0; f < 2; f++) {
		struct rig *r = rig_new(&forms[f]);
		const struct sa *sa = r->node[0].out[0];
		struct rig_packet p = *rig_seal_udp(r, 4, 40);
		uint8_t packet[2048], made[2048];
		size_t len = on_wire(&p, packet), head = plain_head(&p);
		const uint8_t *more = f ? hop6 : options4;
		size_t more_len = f ? sizeof(hop6) : sizeof(options4);
		memcpy(made, packet, head);
		memcpy(made + head, more, more_len);
		memcpy(made + head + more_len, packet + head, len - head);
		len += more_len;
		head += more_len;
		if (f) {
			rig_put16(made + 4, (uint32_t)len - 40);
			made[6] = 0;
			assert_true(ah_zero_ip6(made, head));
		} else {
			made[0] = (uint8_t)(0x40 + head / 4);
			rig_put16(made + 2, (uint32_t)len);
			assert_true(ah_zero_ip4(made, head));
		}
		struct crypt_op op = {.crypt = sa->crypt,
				      .esp = made,
				      .len = (uint32_t)len,
				      .esn = sa->esn,
				      .icv_at = (uint16_t)(head + AH_FIXED_LEN)};
		struct crypt_worker *worker = crypt_worker_new(CRYPT_LIBRARY_OPENSSL, 1, NULL);
		crypt_seal(worker, &op, 1);
		crypt_worker_free(worker);
		assert_true(op.ok);
		/* On the way a router writes into what may change... */
		made[f ? 44 : 28] = 0xab;
		if (!f)
			made[24] = 7, made[25] = 7, made[26] = 8;
		arrive(r, 1, &p, made, len, (uint16_t)head);
		rig_receive(r, 1);
		assert_int_equal(r->node[1].written.count, 1);
		assert_int_equal(rig_all_drops(r, 1), 0);
		/* ...and into what is not sound. */
		made[f ? 43 : 25] = 99;
		arrive(r, 1, &p, made, len, (uint16_t)head);
		rig_receive(r, 1);
		assert_int_equal(rig_drops(r, 1, DROP_BAD_OUTER), 1);
		rig_free(r);
	}
}

static void test_replay_and_lengths(void **state)
{
	(void)state;
	struct rig *r = rig_new(&forms[0]);
	struct rig_packet p = *rig_seal_udp(r, 4, 40);
	uint8_t packet[2048];
	size_t len = on_wire(&p, packet);
	for (size_t cut = 0; cut < len; cut++) {
		arrive(r, 1, &p, packet, cut, 20);
		rig_receive(r, 1);
	}
	assert_int_equal(r->node[1].written.count, 0);
	for (int i = 0; i < 3; i++)
		arrive(r, 1, &p, packet, len, 20);
	rig_receive(r, 1);
	assert_int_equal(r->node[1].written.count, 1);
	assert_int_equal(rig_drops(r, 1, DROP_REPLAYED), 2);
	/* An ICV longer or shorter than the SA's. */
	for (int more = -1; more <= 2; more += 3) {
		packet[21] = (uint8_t)(packet[21] + more);
		arrive(r, 1, &p, packet, len, 20);
		rig_receive(r, 1);
		packet[21] = (uint8_t)(packet[21] - more);
	}
	assert_true(rig_drops(r, 1, DROP_RUNT) >= 2);
	assert_int_equal(r->node[1].written.count, 1);
	rig_free(r);
}

/* An SA is of one protocol: SPIs are shared, packets are not. */
static void test_protocol_is_kept(void **state)
{
	(void)state;
	struct rig *r = rig_new(&forms[0]);
	struct rig_packet esp = {.data = (uint8_t[64]){0, 0, 0x10, 0, 0, 0, 0, 1}, .len = 64};
	esp.src = rig_outer(r, 0, 0);
	rig_put(r, 1, &esp);
	rig_receive(r, 1);
	assert_int_equal(rig_drops(r, 1, DROP_WRONG_PROTOCOL), 1);
	struct rig_packet ah = *rig_seal_udp(r, 4, 40);
	uint8_t packet[2048];
	size_t len = on_wire(&ah, packet);
	struct rig *other = rig_new(&(struct rig_config){.native = true});
	arrive(other, 1, &ah, packet, len, 20);
	rig_receive(other, 1);
	assert_int_equal(rig_drops(other, 1, DROP_WRONG_PROTOCOL), 1);
	rig_free(other);
	rig_free(r);
}

/* As large as the path, and not an octet less. */
static void test_inner_mtu(void **state)
{
	(void)state;
	for (size_t f = 0; f < ARRAY_LEN(forms); f++) {
		struct rig_config cfg = forms[f];
		cfg.mtu = 1400;
		struct rig *r = rig_new(&cfg);
		const struct sa *sa = r->node[0].out[0];
		uint32_t head = cfg.outer == 6 ? 40 : 20;
		uint32_t inner = sa_inner_mtu(sa, 1400 - head);
		uint32_t left = 1400 - head - (uint32_t)sa_ah_len(sa, (uint8_t)cfg.outer);
		if (!sa->inner)
			assert_int_equal(inner, left);
		const struct rig_packet *p = rig_seal_udp(r, 4, inner - 28);
		uint8_t packet[2048];
		size_t len = on_wire(p, packet);
		if (sa->inner) /* whole blocks */
			assert_in_range(len, 1400 - sa->inner->block_len, 1400);
		else
			assert_int_equal(len, 1400);
		deliver(r, 0);
		assert_int_equal(r->node[1].written.count, 1);
		rig_free(r);
	}
}

/* Without the address that it will be sent from nothing can be covered. */
static void test_needs_local_address(void **state)
{
	(void)state;
	struct rig *r = rig_new(&forms[0]);
	struct path *path = rig_path(r, 0, 0);
	uint8_t p[FWD_BUFFER_LEN];
	path->local.addr = rig_addr("0.0.0.0");
	sa_set_path(r->node[0].out[0], path);
	rig_frame(&r->node[0], p, rig_udp(p, 4, true, 40, 1));
	rig_run_tun(r, 0);
	assert_int_equal(r->node[0].sent.count, 0);
	assert_int_equal(rig_drops(r, 0, DROP_NO_PATH), 1);
	rig_free(r);
}

/* AH over ESP: ESP first, AH around it, both under one number; nothing of the packet in clear. */
static void test_bundle_format(void **state)
{
	(void)state;
	struct rig *r = rig_new(&forms[FIRST_BUNDLE]);
	const struct rig_packet *p = rig_seal_udp(r, 4, 200);
	const struct sa *sa = r->node[0].out[0];
	uint8_t packet[2048], plain[2048], key[64];
	size_t len = on_wire(p, packet), head = 20 + sa_ah_len(sa, 4);
	struct ah_header h;
	assert_true(ah_read(packet + 20, len - 20, &h));
	struct reader rd = reader_of(packet + head, len - head);
	assert_int_equal(reader_u32(&rd), 0x5000);
	assert_int_equal(reader_u32(&rd), h.seq);
	size_t inner = rig_udp(plain, 4, true, 200, 1);
	assert_null(memmem(packet, len, plain + 28, inner - 28));
	/* The ESP in it is ordinary ESP, under the first part of the key. */
	memset(key, 0x11, sizeof(key));
	struct crypt *c = crypt_new(alg_find("aes128-cbc"), alg_find("hmac-sha-256-128"), key, 48,
				    CRYPT_OPEN, NULL);
	struct crypt_op op = {
	    .crypt = c, .esp = packet + head, .len = (uint32_t)(len - head), .esn = true};
	struct crypt_worker *worker = crypt_worker_new(CRYPT_LIBRARY_OPENSSL, 1, NULL);
	crypt_open(worker, &op, 1);
	assert_true(op.ok);
	assert_memory_equal(packet + head + 8 + 16, plain, inner);
	crypt_worker_free(worker);
	crypt_free(c);
	rig_free(r);
}

/* Seals an AH packet around `body` under number 1, and has it arrive. */
static void arrive_around(struct rig *r, uint8_t next_header, const uint8_t *body, size_t body_len)
{
	struct rig_packet like = {.src = rig_outer(r, 0, 0), .dst = rig_outer(r, 1, 0)};
	const struct sa *sa = r->node[0].out[0];
	uint8_t packet[2048];
	struct ah_header h = {.next_header = next_header,
			      .len = (uint16_t)sa_ah_len(sa, 4),
			      .spi = sa->spi,
			      .seq = 1};
	size_t len = 20 + h.len + body_len;
	assert_int_equal(
	    ah_write_ip(packet, 20, &like.src.addr, &like.dst.addr, 1, h.len + body_len), 20);
	assert_int_equal(ah_write(packet + 20, h.len, &h), h.len);
	memcpy(packet + 20 + h.len, body, body_len);
	struct crypt_op op = {
	    .crypt = sa->crypt, .esp = packet, .len = (uint32_t)len, .esn = sa->esn, .icv_at = 32};
	struct crypt_worker *worker = crypt_worker_new(CRYPT_LIBRARY_OPENSSL, 1, NULL);
	crypt_seal(worker, &op, 1);
	crypt_worker_free(worker);
	assert_true(op.ok);
	arrive(r, 1, &like, packet, len, 20);
	rig_receive(r, 1);
}

/* What is inside AH must be the bundle's own ESP, and that comes in no other way. */
static void test_bundle_is_kept(void **state)
{
	(void)state;
	struct rig *r = rig_new(&forms[FIRST_BUNDLE]);
	struct rig_packet p = *rig_seal_udp(r, 4, 200);
	uint8_t packet[2048], body[2048];
	size_t len = on_wire(&p, packet), head = 20 + sa_ah_len(r->node[0].out[0], 4);
	size_t body_len = len - head;
	memcpy(body, packet + head, body_len);

	/* the ESP without its AH */
	struct rig_packet naked = {.data = body, .len = (uint32_t)body_len, .src = p.src};
	rig_put(r, 1, &naked);
	rig_receive(r, 1);
	assert_int_equal(rig_drops(r, 1, DROP_UNKNOWN_SPI), 1);
	/* authentic AH around a packet in clear, around another SPI, around nothing */
	uint8_t inner[2048];
	size_t inner_len = rig_udp(inner, 4, true, 50, 1);
	arrive_around(r, IP_PROTO_IPIP, inner, inner_len);
	body[3] ^= 1;
	arrive_around(r, IP_PROTO_ESP, body, body_len);
	body[3] ^= 1;
	for (size_t cut = 0; cut < 8; cut++)
		arrive_around(r, IP_PROTO_ESP, body, cut);
	assert_int_equal(rig_drops(r, 1, DROP_NOT_THE_BUNDLE), 10);
	/* ESP that is not authentic itself */
	body[body_len - 1] ^= 1;
	arrive_around(r, IP_PROTO_ESP, body, body_len);
	body[body_len - 1] ^= 1;
	arrive_around(r, IP_PROTO_ESP, body, body_len - 4);
	arrive_around(r, IP_PROTO_ESP, body, 12);
	assert_int_equal(rig_drops(r, 1, DROP_NOT_AUTHENTIC), 3);
	assert_int_equal(r->node[1].written.count, 0);
	/* None of that changed anything: the packet itself still comes, once. */
	for (int i = 0; i < 2; i++)
		arrive_around(r, IP_PROTO_ESP, body, body_len);
	assert_int_equal(r->node[1].written.count, 1);
	assert_int_equal(rig_drops(r, 1, DROP_REPLAYED), 1);
	rig_free(r);
}

/* A TCP frame of many segments: cut, and merged again. */
static void test_segments(void **state)
{
	(void)state;
	for (size_t f = 0; f < 2; f++) {
		struct rig *r = rig_new(&forms[f]);
		static uint8_t p[FWD_BUFFER_LEN], plain[FWD_BUFFER_LEN];
		struct rig_tcp t = {.version = 4,
				    .from_terminal = true,
				    .sport = 99,
				    .flags = 0x10,
				    .payload_len = 20000,
				    .seed = 5};
		size_t len = rig_tcp(p, &t);
		memcpy(plain, p, len);
		struct rig_packet *frame = rig_frame(&r->node[0], p, len);
		frame->vh = rig_gso(frame->data, len, 1000);
		rig_run_tun(r, 0);
		assert_int_equal(r->node[0].sent.count, 20);
		deliver(r, 0);
		size_t got = 0;
		for (unsigned i = 0; i < r->node[1].written.count; i++)
			got += r->node[1].written.at[i].len - 40;
		assert_int_equal(got, 20000);
		rig_free(r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_both_ways),	       cmocka_unit_test(test_format),
	    cmocka_unit_test(test_what_is_covered),    cmocka_unit_test(test_with_options),
	    cmocka_unit_test(test_replay_and_lengths), cmocka_unit_test(test_protocol_is_kept),
	    cmocka_unit_test(test_inner_mtu),	       cmocka_unit_test(test_needs_local_address),
	    cmocka_unit_test(test_bundle_format),      cmocka_unit_test(test_bundle_is_kept),
	    cmocka_unit_test(test_segments),
	};
	return cmocka_run_group_tests(tests, rig_group_setup, rig_group_teardown);
}
