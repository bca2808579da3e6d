/* SPDX-License-Identifier: MIT */
#include "ike_payload.h"

/* RFC 7296 1.2: HDR, SAi1, KEi, Ni, N(NAT_DETECTION_SOURCE_IP), N(FRAGMENTATION_SUPPORTED); the
 * lengths are counted by hand from the layouts of 3.1 to 3.10. */
#define INIT_HEADER "0001020304050607 0000000000000000 21 20 22 08 00000000 000000bc"
#define INIT_SA                                                                                    \
	"22 00 0030"                                                                               \
	"00 00 002c 01 01 00 04"                                                                   \
	"03 00 000c 01 00 0014 800e 0080"                                                          \
	"03 00 0008 02 00 0005"                                                                    \
	"03 00 0008 04 00 001f"                                                                    \
	"00 00 0008 04 00 0013"
#define INIT_KE                                                                                    \
	"28 00 0028 001f 0000"                                                                     \
	"a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf"
#define INIT_NONCE "29 00 0024 c0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedf"
#define INIT_NOTIFIES                                                                              \
	"29 00 001c 00 00 4004 e0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3"                           \
	"00 00 0008 00 00 402e"
#define INIT INIT_HEADER INIT_SA INIT_KE INIT_NONCE INIT_NOTIFIES

static void init_request_both_ways(void **state)
{
	(void)state;
	struct vector v = vector_of(INIT);
	struct ike_header h;
	struct ike_payloads p;
	struct ike_proposals sa;
	struct ike_ke ke;
	struct ike_notify nat;
	static const struct ike_transform transforms[] = {
	    {.type = IKE_TRANSFORM_ENCR, .id = 20, .key_bits = 128},
	    {.type = IKE_TRANSFORM_PRF, .id = 5},
	    {.type = IKE_TRANSFORM_DH, .id = 31},
	    {.type = IKE_TRANSFORM_DH, .id = 19},
	};

	assert_true(ike_read_header(v.b, v.len, &h));
	assert_memory_equal(h.spi_i, "\0\1\2\3\4\5\6\7", 8);
	assert_memory_equal(h.spi_r, "\0\0\0\0\0\0\0\0", 8);
	assert_int_equal(h.version, IKE_VERSION);
	assert_int_equal(h.exchange, IKE_SA_INIT);
	assert_int_equal(h.flags, IKE_FLAG_INITIATOR);
	assert_int_equal(h.message_id, 0);
	assert_int_equal(
	    ike_read_payloads(h.next, v.b + IKE_HEADER_LEN, v.len - IKE_HEADER_LEN, &p), IKE_OK);
	assert_int_equal(p.count, 5);
	assert_true(ike_read_sa(&p.at[0], &sa));
	assert_int_equal(sa.count, 1);
	assert_int_equal(sa.at[0].number, 1);
	assert_int_equal(sa.at[0].protocol, IKE_PROTO_IKE);
	assert_int_equal(sa.at[0].spi_len, 0);
	assert_int_equal(sa.at[0].count, COUNT(transforms));
	for (size_t i = 0; i < COUNT(transforms); i++) {
		assert_int_equal(sa.at[0].at[i].type, transforms[i].type);
		assert_int_equal(sa.at[0].at[i].id, transforms[i].id);
		assert_int_equal(sa.at[0].at[i].key_bits, transforms[i].key_bits);
		assert_false(sa.at[0].at[i].unknown_attribute);
	}
	assert_true(ike_read_ke(&p.at[1], &ke));
	assert_int_equal(ke.group, 31);
	assert_int_equal(ke.len, 32);
	assert_int_equal(ke.data[0], 0xa0);
	assert_int_equal(p.at[2].len, 32);
	assert_int_equal(p.at[2].body[31], 0xdf);
	assert_true(ike_find_notify(&p, IKE_N_NAT_DETECTION_SOURCE_IP, &nat));
	assert_int_equal(nat.len, 20);
	assert_int_equal(nat.data[19], 0xf3);
	assert_false(ike_find_notify(&p, IKE_N_COOKIE, &nat));
	assert_true(ike_find_notify(&p, IKE_N_NAT_DETECTION_SOURCE_IP, &nat));

	uint8_t out[512];
	struct ike_builder b = ike_builder_of(out, sizeof(out), &h);
	ike_put_sa(&b, &sa);
	ike_put_ke(&b, ke.group, ke.data, ke.len);
	ike_put_bytes(&b, IKE_PAYLOAD_NONCE, p.at[2].body, p.at[2].len);
	ike_put_notify(&b, nat.type, nat.data, nat.len);
	ike_put_notify(&b, IKE_N_FRAGMENTATION_SUPPORTED, NULL, 0);
	assert_int_equal(ike_builder_finish(&b), v.len);
	assert_memory_equal(out, v.b, v.len);
	vector_save("ike", "init", v.b, v.len);
}

/* --- a message with every payload */

static const struct ike_header every_header = {
    .spi_i = {1, 2, 3, 4, 5, 6, 7, 8},
    .spi_r = {9, 10, 11, 12, 13, 14, 15, 16},
    .version = IKE_VERSION,
    .exchange = IKE_CREATE_CHILD_SA,
    .flags = IKE_FLAG_RESPONSE,
    .message_id = 0x01020304,
};
static const struct ike_proposals every_sa = {
    .count = 3,
    .at = {{.number = 1,
	    .protocol = IKE_PROTO_ESP,
	    .spi_len = 4,
	    .spi = {0xc0, 1, 2, 3},
	    .count = 3,
	    .at = {{.type = IKE_TRANSFORM_ENCR, .id = 12, .key_bits = 256},
		   {.type = IKE_TRANSFORM_INTEG, .id = 12},
		   {.type = IKE_TRANSFORM_ESN, .id = 1}}},
	   {.number = 2,
	    .protocol = IKE_PROTO_AH,
	    .spi_len = 4,
	    .spi = {0xc0, 1, 2, 4},
	    .count = 1,
	    .at = {{.type = IKE_TRANSFORM_INTEG, .id = 13}}},
	   {.number = 3,
	    .protocol = IKE_PROTO_IKE,
	    .spi_len = 8,
	    .spi = {1, 2, 3, 4, 5, 6, 7, 8},
	    .count = 2,
	    .at = {{.type = IKE_TRANSFORM_ENCR, .id = 28}, {.type = IKE_TRANSFORM_PRF, .id = 7}}}},
};
static const struct ike_ts_list every_ts = {
    .count = 2,
    .at = {{.protocol = 17,
	    .port_from = 434,
	    .port_to = 435,
	    .from = {4, {10, 9, 0, 0}},
	    .to = {4, {10, 9, 0, 255}}},
	   {.port_to = 65535, .from = {6, {0xfd, 0, [15] = 1}}, .to = {6, {0xfd, 0, [15] = 0xff}}}},
};
static const struct ike_cp every_cp = {
    .kind = IKE_CP_REPLY,
    .count = 4,
    .at = {{IKE_CP_IP4_ADDRESS, 4, {10, 9, 0, 2}},
	   {IKE_CP_IP4_DNS, 0, {0}},
	   {IKE_CP_IP6_ADDRESS, 17, {0xfd, 0, [15] = 2, [16] = 64}},
	   {IKE_CP_APPLICATION_VERSION, 7, "sojourn"}},
};
static const uint32_t every_spis[] = {0xc0010203, 0x00000100, 0xffffffff};

/* The chain in the order that put_every writes. */
static const uint8_t every_types[] = {
    IKE_PAYLOAD_SA,	IKE_PAYLOAD_KE,	    IKE_PAYLOAD_NONCE,	 IKE_PAYLOAD_IDI,
    IKE_PAYLOAD_IDR,	IKE_PAYLOAD_CERT,   IKE_PAYLOAD_CERTREQ, IKE_PAYLOAD_AUTH,
    IKE_PAYLOAD_NOTIFY, IKE_PAYLOAD_NOTIFY, IKE_PAYLOAD_DELETE,	 IKE_PAYLOAD_DELETE,
    IKE_PAYLOAD_VENDOR, IKE_PAYLOAD_TSI,    IKE_PAYLOAD_TSR,	 IKE_PAYLOAD_CP,
    IKE_PAYLOAD_EAP,
};

static void put_every(struct ike_builder *b)
{
	ike_put_sa(b, &every_sa);
	ike_put_ke(b, 14, "public", 6);
	ike_put_bytes(b, IKE_PAYLOAD_NONCE, "0123456789abcdef", 16);
	ike_put_typed(b, IKE_PAYLOAD_IDI, 2, "a.example", 9);
	ike_put_typed(b, IKE_PAYLOAD_IDR, 13, NULL, 0);
	ike_put_typed(b, IKE_PAYLOAD_CERT, 4, "certificate", 11);
	ike_put_typed(b, IKE_PAYLOAD_CERTREQ, 4, NULL, 0);
	ike_put_typed(b, IKE_PAYLOAD_AUTH, 14, "signature", 9);
	ike_put_notify_spi(b, IKE_N_REKEY_SA, IKE_PROTO_ESP, "\xc0\1\2\3", 4, NULL, 0);
	ike_put_notify(b, IKE_N_COOKIE2, "cookie!!", 8);
	ike_put_delete(b, IKE_PROTO_ESP, every_spis, COUNT(every_spis));
	ike_put_delete(b, IKE_PROTO_IKE, NULL, 0);
	ike_put_bytes(b, IKE_PAYLOAD_VENDOR, "vendor", 6);
	ike_put_ts(b, IKE_PAYLOAD_TSI, &every_ts);
	ike_put_ts(b, IKE_PAYLOAD_TSR, &every_ts);
	ike_put_cp(b, &every_cp);
	ike_put_bytes(b, IKE_PAYLOAD_EAP, "\1\2\0\5\1", 5);
}

static size_t make_every(uint8_t out[VECTOR_MAX])
{
	struct ike_builder b = ike_builder_of(out, VECTOR_MAX, &every_header);

	put_every(&b);
	size_t len = ike_builder_finish(&b);
	assert_true(len > 0);
	return len;
}

static void assert_data(const uint8_t *data, size_t len, const char *text)
{
	assert_int_equal(len, strlen(text));
	assert_memory_equal(data, text, len);
}

static void assert_sa_of_every(const struct ike_payload *p)
{
	struct ike_proposals sa;

	assert_true(ike_read_sa(p, &sa));
	assert_int_equal(sa.count, every_sa.count);
	for (size_t i = 0; i < sa.count; i++) {
		const struct ike_proposal *a = &sa.at[i], *b = &every_sa.at[i];
		assert_int_equal(a->number, b->number);
		assert_int_equal(a->protocol, b->protocol);
		assert_int_equal(a->spi_len, b->spi_len);
		assert_memory_equal(a->spi, b->spi, sizeof(a->spi));
		assert_int_equal(a->count, b->count);
		for (size_t j = 0; j < a->count; j++) {
			assert_int_equal(a->at[j].type, b->at[j].type);
			assert_int_equal(a->at[j].id, b->at[j].id);
			assert_int_equal(a->at[j].key_bits, b->at[j].key_bits);
			assert_false(a->at[j].unknown_attribute);
		}
	}
}

static void assert_typed_of_every(const struct ike_payloads *p)
{
	static const struct {
		bool (*read)(const struct ike_payload *p, struct ike_typed *out);
		uint8_t payload, type;
		const char *data;
	} table[] = {
	    {ike_read_id, IKE_PAYLOAD_IDI, 2, "a.example"},
	    {ike_read_id, IKE_PAYLOAD_IDR, 13, ""},
	    {ike_read_cert, IKE_PAYLOAD_CERT, 4, "certificate"},
	    {ike_read_cert, IKE_PAYLOAD_CERTREQ, 4, ""},
	    {ike_read_auth, IKE_PAYLOAD_AUTH, 14, "signature"},
	};

	for (size_t i = 0; i < COUNT(table); i++) {
		struct ike_typed t;
		assert_true(table[i].read(ike_find_payload(p, table[i].payload), &t));
		assert_int_equal(t.type, table[i].type);
		assert_data(t.data, t.len, table[i].data);
	}
}

static void assert_notifies_of_every(const struct ike_payloads *p)
{
	struct ike_notify n;
	struct ike_delete d;

	assert_true(ike_find_notify(p, IKE_N_REKEY_SA, &n));
	assert_int_equal(n.protocol, IKE_PROTO_ESP);
	assert_int_equal(n.spi_len, 4);
	assert_memory_equal(n.spi, "\xc0\1\2\3", 4);
	assert_int_equal(n.len, 0);
	assert_true(ike_find_notify(p, IKE_N_COOKIE2, &n));
	assert_int_equal(n.protocol, IKE_PROTO_NONE);
	assert_int_equal(n.spi_len, 0);
	assert_data(n.data, n.len, "cookie!!");

	assert_true(ike_read_delete(&p->at[10], &d));
	assert_int_equal(d.protocol, IKE_PROTO_ESP);
	assert_int_equal(d.spi_len, 4);
	assert_int_equal(d.count, 3);
	assert_memory_equal(d.spis, "\xc0\1\2\3\0\0\1\0\xff\xff\xff\xff", 12);
	assert_true(ike_read_delete(&p->at[11], &d));
	assert_int_equal(d.protocol, IKE_PROTO_IKE);
	assert_int_equal(d.spi_len, 0);
	assert_int_equal(d.count, 0);
}

static void every_payload_both_ways(void **state)
{
	(void)state;
	uint8_t msg[VECTOR_MAX];
	size_t len = make_every(msg);
	struct ike_header h;
	struct ike_payloads p;
	struct ike_ke ke;
	struct ike_ts_list ts;
	struct ike_cp cp;

	vector_save("ike", "every", msg, len);
	assert_true(ike_read_header(msg, len, &h));
	assert_memory_equal(h.spi_i, every_header.spi_i, IKE_SPI_LEN);
	assert_memory_equal(h.spi_r, every_header.spi_r, IKE_SPI_LEN);
	assert_int_equal(h.exchange, IKE_CREATE_CHILD_SA);
	assert_int_equal(h.flags, IKE_FLAG_RESPONSE);
	assert_int_equal(h.message_id, 0x01020304);
	assert_int_equal(ike_read_payloads(h.next, msg + IKE_HEADER_LEN, len - IKE_HEADER_LEN, &p),
			 IKE_OK);
	assert_int_equal(p.count, COUNT(every_types));
	for (size_t i = 0; i < p.count; i++) {
		assert_int_equal(p.at[i].type, every_types[i]);
		assert_int_equal(p.at[i].next, i + 1 < p.count ? every_types[i + 1] : 0);
		assert_ptr_equal(p.at[i].start + IKE_PAYLOAD_LEN, p.at[i].body);
		assert_false(p.at[i].critical);
	}
	assert_sa_of_every(&p.at[0]);
	assert_true(ike_read_ke(&p.at[1], &ke));
	assert_int_equal(ke.group, 14);
	assert_data(ke.data, ke.len, "public");
	assert_data(p.at[2].body, p.at[2].len, "0123456789abcdef");
	assert_typed_of_every(&p);
	assert_notifies_of_every(&p);
	assert_data(p.at[12].body, p.at[12].len, "vendor");
	for (size_t t = 13; t <= 14; t++) {
		assert_true(ike_read_ts(&p.at[t], &ts));
		assert_int_equal(ts.count, every_ts.count);
		for (size_t i = 0; i < ts.count; i++)
			assert_true(ike_ts_equal(&ts.at[i], &every_ts.at[i]));
	}
	assert_true(ike_read_cp(&p.at[15], &cp));
	assert_memory_equal(&cp, &every_cp, sizeof(cp));
	assert_int_equal(p.at[16].len, 5);
}

static void every_payload_without_room(void **state)
{
	(void)state;
	uint8_t msg[VECTOR_MAX];
	size_t len = make_every(msg);

	for (size_t room = 0; room <= len; room++) {
		uint8_t *out = vector_exact(msg, room);
		struct ike_builder b = ike_builder_of(out, room, &every_header);
		put_every(&b);
		assert_int_equal(ike_builder_finish(&b), room < len ? 0 : len);
		free(out);
	}
}

static void chain_without_header(void **state)
{
	(void)state;
	uint8_t out[VECTOR_MAX], msg[VECTOR_MAX];
	struct ike_builder b = ike_builder_of(out, sizeof(out), NULL);
	struct ike_payloads p;

	assert_int_equal(ike_builder_finish(&b), 0);
	assert_int_equal(b.first, IKE_PAYLOAD_NONE);
	put_every(&b);
	size_t len = ike_builder_finish(&b);
	assert_int_equal(len + IKE_HEADER_LEN, make_every(msg));
	assert_memory_equal(out, msg + IKE_HEADER_LEN, len);
	assert_int_equal(b.first, every_types[0]);

	/* As the inside of an SK payload: the chain that is outside ends there. */
	struct ike_builder sk = ike_builder_of(msg, sizeof(msg), &every_header);
	ike_open_payload(&sk, IKE_PAYLOAD_SK);
	*sk.next = b.first;
	writer_bytes(&sk.w, out, len);
	ike_close_payload(&sk);
	size_t sk_len = ike_builder_finish(&sk);
	assert_int_equal(msg[16], IKE_PAYLOAD_SK);
	assert_int_equal(
	    ike_read_payloads(msg[16], msg + IKE_HEADER_LEN, sk_len - IKE_HEADER_LEN, &p), IKE_OK);
	assert_int_equal(p.count, 1);
	assert_int_equal(p.at[0].type, IKE_PAYLOAD_SK);
	assert_int_equal(p.at[0].next, every_types[0]);
	assert_int_equal(p.at[0].len, len);
	vector_save("ike", "sk", msg, sk_len);
}

static void write_limits(void **state)
{
	(void)state;
	static uint8_t out[70000], data[65532];
	struct ike_builder b = ike_builder_of(out, sizeof(out), NULL);

	ike_put_bytes(&b, IKE_PAYLOAD_VENDOR, data, 65531);
	assert_int_equal(ike_builder_finish(&b), 65535);
	b = ike_builder_of(out, sizeof(out), NULL);
	ike_put_bytes(&b, IKE_PAYLOAD_VENDOR, data, 65532);
	assert_int_equal(ike_builder_finish(&b), 0);
	ike_put_notify(&b, IKE_N_COOKIE, NULL, 0);
	assert_int_equal(ike_builder_finish(&b), 0);

	static const struct ike_ts_list none = {.count = 1};
	b = ike_builder_of(out, sizeof(out), NULL);
	ike_put_ts(&b, IKE_PAYLOAD_TSI, &none);
	assert_int_equal(ike_builder_finish(&b), 0);
}

/* --- messages cut short or with wrong lengths */

static void set_u32(uint8_t *p, uint32_t v)
{
	struct writer w = writer_of(p, 4);

	writer_u32(&w, v);
}

/* Not even when the header's length agrees with what is left. */
static void read_truncated(void **state)
{
	(void)state;
	uint8_t every[VECTOR_MAX];
	size_t every_len = make_every(every);
	struct vector init = vector_of(INIT);
	const struct {
		uint8_t *b;
		size_t len;
	} table[] = {{init.b, init.len}, {every, every_len}};

	for (size_t i = 0; i < COUNT(table); i++) {
		for (size_t len = 0; len < table[i].len; len++) {
			uint8_t *p = vector_exact(table[i].b, len);
			struct ike_header h;
			struct ike_payloads payloads;
			assert_false(ike_read_header(p, len, &h));
			if (len >= IKE_HEADER_LEN) {
				set_u32(p + 24, (uint32_t)len);
				assert_true(ike_read_header(p, len, &h));
				assert_int_equal(ike_read_payloads(h.next, p + IKE_HEADER_LEN,
								   len - IKE_HEADER_LEN, &payloads),
						 IKE_MALFORMED);
				assert_int_equal(payloads.count, 0);
			}
			free(p);
		}
	}
}

static void read_longer_than_told(void **state)
{
	(void)state;
	uint8_t msg[VECTOR_MAX];
	size_t len = make_every(msg);
	struct ike_header h;
	struct ike_payloads p;

	msg[len] = 0;
	assert_false(ike_read_header(msg, len + 1, &h));
	set_u32(msg + 24, (uint32_t)len + 1);
	assert_false(ike_read_header(msg, len, &h));
	assert_true(ike_read_header(msg, len + 1, &h));
	assert_int_equal(ike_read_payloads(h.next, msg + 28, len + 1 - 28, &p), IKE_MALFORMED);
}

static bool read_insides(const struct ike_payloads *p)
{
	bool ok = true;

	for (size_t i = 0; i < p->count; i++)
		ok = read_inside(&p->at[i]) && ok;
	return ok;
}

/* The chain's lengths: every value of the length of every payload but its own. */
static void read_wrong_payload_length(void **state)
{
	(void)state;
	uint8_t msg[VECTOR_MAX];
	size_t len = make_every(msg);
	struct ike_payloads good, p;

	assert_int_equal(ike_read_payloads(msg[16], msg + 28, len - 28, &good), IKE_OK);
	uint8_t *copy = vector_exact(msg, len);
	for (size_t i = 0; i < good.count; i++) {
		size_t at = (size_t)(good.at[i].start - msg) + 2;
		for (unsigned v = 0; v <= UINT16_MAX; v++) {
			if (v == good.at[i].len + 4u)
				continue;
			copy[at] = (uint8_t)(v >> 8);
			copy[at + 1] = (uint8_t)v;
			/* The octets behind may still look like a chain, of something else. */
			if (ike_read_payloads(copy[16], copy + 28, len - 28, &p) != IKE_OK)
				continue;
			assert_true(v >= IKE_PAYLOAD_LEN && v < len);
			assert_true(p.count != good.count || !read_insides(&p));
		}
		memcpy(copy + at, msg + at, 2);
	}
	free(copy);
}

/* The insides of every payload, cut at every length, in memory of exactly that length. */
static void read_truncated_insides(void **state)
{
	(void)state;
	uint8_t msg[VECTOR_MAX];
	size_t len = make_every(msg);
	struct ike_payloads good;
	/* What has no length of its own is whole from here on. */
	static const struct {
		uint8_t type;
		size_t whole_len;
	} table[] = {
	    {IKE_PAYLOAD_KE, 5},   {IKE_PAYLOAD_NONCE, 0},  {IKE_PAYLOAD_IDI, 4},
	    {IKE_PAYLOAD_IDR, 4},  {IKE_PAYLOAD_CERT, 2},   {IKE_PAYLOAD_CERTREQ, 1},
	    {IKE_PAYLOAD_AUTH, 5}, {IKE_PAYLOAD_VENDOR, 0}, {IKE_PAYLOAD_EAP, 0},
	};

	assert_int_equal(ike_read_payloads(msg[16], msg + 28, len - 28, &good), IKE_OK);
	for (size_t i = 0; i < good.count; i++) {
		const struct ike_payload *p = &good.at[i];
		struct ike_notify n;
		size_t whole_len = p->len;
		for (size_t t = 0; t < COUNT(table); t++) {
			if (table[t].type == p->type)
				whole_len = table[t].whole_len;
		}
		if (p->type == IKE_PAYLOAD_NOTIFY && ike_read_notify(p, &n))
			whole_len = 4u + n.spi_len;
		for (size_t cut = 0; cut <= p->len; cut++) {
			struct ike_payload q = payload_of(p->type, p->body, cut);
			bool whole = cut >= whole_len;
			if (p->type == IKE_PAYLOAD_CP) /* whole between two attributes */
				whole = cut == 4 || cut == 12 || cut == 16 || cut == 37 ||
					cut == p->len;
			assert_int_equal(read_inside(&q), whole);
			payload_free(&q);
		}
	}
}

/* --- the chain */

static void read_chains(void **state)
{
	(void)state;
	static const struct {
		const char *name, *hex;
		uint8_t first;
		enum ike_verdict verdict;
		uint8_t count, critical;
	} table[] = {
	    {"chain-empty", "", 0, IKE_OK, 0, 0},
	    {"chain-empty-with-octets", "00", 0, IKE_MALFORMED, 0, 0},
	    {"chain-missing", "", IKE_PAYLOAD_SA, IKE_MALFORMED, 0, 0},
	    {"chain-one", "00 00 0006 abcd", IKE_PAYLOAD_NONCE, IKE_OK, 1, 0},
	    {"chain-no-body", "00 00 0004", IKE_PAYLOAD_NONCE, IKE_OK, 1, 0},
	    {"chain-length-3", "00 00 0003", IKE_PAYLOAD_NONCE, IKE_MALFORMED, 0, 0},
	    {"chain-length-0", "00 00 0000", IKE_PAYLOAD_NONCE, IKE_MALFORMED, 0, 0},
	    {"chain-past-end", "00 00 0007 abcd", IKE_PAYLOAD_NONCE, IKE_MALFORMED, 0, 0},
	    {"chain-rest", "00 00 0005 abcd", IKE_PAYLOAD_NONCE, IKE_MALFORMED, 0, 0},
	    {"chain-goes-on", "28 00 0006 abcd", IKE_PAYLOAD_NONCE, IKE_MALFORMED, 0, 0},
	    {"chain-two", "2b 00 0006 abcd 00 00 0005 ef", IKE_PAYLOAD_NONCE, IKE_OK, 2, 0},
	    /* RFC 7296 2.5, 3.2 */
	    {"chain-unknown", "28 00 0005 ff 00 00 0006 abcd", 49, IKE_OK, 1, 0},
	    {"chain-unknown-reserved-bits", "28 7f 0005 ff 00 00 0006 abcd", 49, IKE_OK, 1, 0},
	    {"chain-unknown-last", "ff 00 0006 abcd 00 00 0004", IKE_PAYLOAD_NONCE, IKE_OK, 1, 0},
	    {"chain-unknown-past-end", "28 00 00ff ff 00 00 0006 abcd", 49, IKE_MALFORMED, 0, 0},
	    {"chain-critical", "28 80 0005 ff 00 00 0006 abcd", 49, IKE_CRITICAL, 0, 49},
	    {"chain-critical-behind", "c8 00 0006 abcd 00 80 0004", IKE_PAYLOAD_NONCE, IKE_CRITICAL,
	     0, 200},
	    {"chain-critical-v1", "00 80 0004", 32, IKE_CRITICAL, 0, 32},
	    {"chain-critical-past-end", "00 80 0005", 49, IKE_MALFORMED, 0, 0},
	    {"chain-critical-known", "00 80 0006 abcd", IKE_PAYLOAD_NONCE, IKE_OK, 1, 0},
	    /* 3.14, RFC 7383: what is behind in the chain is inside. */
	    {"chain-sk", "29 00 0006 abcd", IKE_PAYLOAD_SK, IKE_OK, 1, 0},
	    {"chain-sk-empty", "00 00 0006 abcd", IKE_PAYLOAD_SK, IKE_OK, 1, 0},
	    {"chain-sk-behind", "2e 00 0005 ab 23 00 0006 abcd", IKE_PAYLOAD_NOTIFY, IKE_OK, 2, 0},
	    {"chain-sk-rest", "29 00 0006 abcd 00 00 0004", IKE_PAYLOAD_SK, IKE_MALFORMED, 0, 0},
	    {"chain-skf", "29 00 000a 0001 0002 abcd", IKE_PAYLOAD_SKF, IKE_OK, 1, 0},
	};

	for (size_t i = 0; i < COUNT(table); i++) {
		struct vector v = vector_of(table[i].hex);
		uint8_t *b = vector_exact(v.b, v.len), seed[VECTOR_MAX + IKE_HEADER_LEN];
		struct ike_payloads p;
		enum ike_verdict verdict = ike_read_payloads(table[i].first, b, v.len, &p);
		if (verdict != table[i].verdict)
			fail_msg("%s: %d", table[i].name, (int)verdict);
		assert_int_equal(p.count, table[i].count);
		assert_int_equal(p.critical, table[i].critical);
		free(b);

		struct ike_builder m = ike_builder_of(seed, sizeof(seed), &every_header);
		m.first = table[i].first;
		writer_bytes(&m.w, v.b, v.len);
		vector_save("ike", table[i].name, seed, ike_builder_finish(&m));
	}
}

static void chain_critical_bit_is_told(void **state)
{
	(void)state;
	struct vector v = vector_of("2b 80 0006 abcd 00 00 0004");
	struct ike_payloads p;

	assert_int_equal(ike_read_payloads(IKE_PAYLOAD_NONCE, v.b, v.len, &p), IKE_OK);
	assert_true(p.at[0].critical);
	assert_false(p.at[1].critical);
}

static void chain_with_too_many(void **state)
{
	(void)state;
	static const struct {
		uint8_t type;
		size_t count;
		enum ike_verdict verdict;
		size_t kept;
	} table[] = {
	    {IKE_PAYLOAD_NOTIFY, IKE_PAYLOADS_MAX, IKE_OK, IKE_PAYLOADS_MAX},
	    {IKE_PAYLOAD_NOTIFY, IKE_PAYLOADS_MAX + 1, IKE_TOO_MANY, 0},
	    {IKE_PAYLOAD_NOTIFY, 256, IKE_TOO_MANY, 0},
	    {IKE_PAYLOAD_NOTIFY, 300, IKE_TOO_MANY, 0},
	    {99, 300, IKE_OK, 0}, /* passed over, not kept */
	};

	for (size_t i = 0; i < COUNT(table); i++) {
		uint8_t out[VECTOR_MAX];
		struct ike_builder b = ike_builder_of(out, sizeof(out), NULL);
		struct ike_payloads p;
		for (size_t n = 0; n < table[i].count; n++)
			ike_put_bytes(&b, table[i].type, NULL, 0);
		size_t len = ike_builder_finish(&b);
		assert_true(len > 0);
		assert_int_equal(ike_read_payloads(b.first, out, len, &p), table[i].verdict);
		assert_int_equal(p.count, table[i].kept);
	}
}

static void texts(void **state)
{
	(void)state;
	assert_string_equal(ike_exchange_text(IKE_SA_INIT), "IKE_SA_INIT");
	assert_string_equal(ike_exchange_text(IKE_CREATE_CHILD_SA), "CREATE_CHILD_SA");
	assert_string_equal(ike_exchange_text((enum ike_exchange)38), "unknown");
	assert_string_equal(ike_notify_text(IKE_N_AUTHENTICATION_FAILED), "AUTHENTICATION_FAILED");
	assert_string_equal(ike_notify_text(16384), "INITIAL_CONTACT");
	assert_string_equal(ike_notify_text(16401), "COOKIE2");
	assert_string_equal(ike_notify_text(2), "notify");
	for (unsigned type = 0; type <= UINT16_MAX; type++)
		assert_non_null(ike_notify_text((uint16_t)type));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(init_request_both_ways),
	    cmocka_unit_test(every_payload_both_ways),
	    cmocka_unit_test(every_payload_without_room),
	    cmocka_unit_test(chain_without_header),
	    cmocka_unit_test(write_limits),
	    cmocka_unit_test(read_truncated),
	    cmocka_unit_test(read_longer_than_told),
	    cmocka_unit_test(read_wrong_payload_length),
	    cmocka_unit_test(read_truncated_insides),
	    cmocka_unit_test(read_chains),
	    cmocka_unit_test(chain_critical_bit_is_told),
	    cmocka_unit_test(chain_with_too_many),
	    cmocka_unit_test(texts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
