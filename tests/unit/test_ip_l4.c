/* SPDX-License-Identifier: MIT */
/* Above IP: UDP, ICMP "too big", the MSS clamp, fragments. */
#include "vectors.h"
#include "base/cursor.h"
#include "base/mem.h"
#include "wire/ip.h"

#define V4_UDP                                                                                     \
	"450000210000400040116ebb0a010007c0000209"                                                 \
	"9c4001b2000d51fe68656c6c6f"
#define V6_UDP                                                                                     \
	"60000000000d114020010db800010000000000000000000720010db8ffff0000"                         \
	"00000000000000099c4001b2000dc28c68656c6c6f"

static struct addr addr(const char *text)
{
	struct addr a;
	assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

/* A packet of `proto` between the usual addresses; the payload follows at the result. */
static size_t head(uint8_t *p, int version, uint8_t proto, size_t payload_len)
{
	struct addr s = addr(version == 4 ? "10.1.0.7" : "2001:db8:1::7");
	struct addr d = addr(version == 4 ? "192.0.2.9" : "2001:db8:ffff::9");

	return ip_write_header(p, VECTOR_MAX, &s, &d, proto, 0, 64, payload_len);
}

static void udp_both_ways(void **state)
{
	(void)state;
	static const struct {
		const char *src, *dst, *name, *hex;
	} table[] = {
	    {"10.1.0.7", "192.0.2.9", "udp4", V4_UDP},
	    {"2001:db8:1::7", "2001:db8:ffff::9", "udp6", V6_UDP},
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct vector v = vector_of(table[i].hex);
		struct endpoint src = {addr(table[i].src), 40000}, dst = {addr(table[i].dst), 434};
		for (size_t room = 0; room <= v.len; room++) {
			uint8_t *p = vector_exact(v.b, room);
			memset(p, 0, room);
			size_t len = ip_write_udp(p, room, &src, &dst, "hello", 5);
			assert_int_equal(len, room == v.len ? v.len : 0);
			if (len)
				assert_memory_equal(p, v.b, v.len);
			free(p);
		}
		vector_save("ip", table[i].name, v.b, v.len);

		struct ip_info info;
		uint16_t sport, dport;
		const uint8_t *payload;
		size_t payload_len;
		uint8_t *p = vector_exact(v.b, v.len);
		assert_true(ip_parse(p, v.len, &info));
		assert_true(ip_read_udp(p, &info, &sport, &dport, &payload, &payload_len));
		assert_int_equal(sport, 40000);
		assert_int_equal(dport, 434);
		assert_int_equal(payload_len, 5);
		assert_memory_equal(payload, "hello", 5);
		/* Any bit of the datagram wrong is noticed. */
		for (size_t bit = info.l4_off * 8u; bit < v.len * 8; bit++) {
			p[bit / 8] ^= (uint8_t)(1u << bit % 8);
			assert_false(ip_read_udp(p, &info, &sport, &dport, &payload, &payload_len));
			p[bit / 8] ^= (uint8_t)(1u << bit % 8);
		}
		/* No checksum: fine in IPv4 only. */
		p[info.l4_off + 6] = p[info.l4_off + 7] = 0;
		assert_int_equal(ip_read_udp(p, &info, &sport, &dport, &payload, &payload_len),
				 info.version == 4);
		free(p);
	}
	/* Families that do not go together, and more than a datagram holds. */
	struct endpoint v4 = {addr("10.1.0.7"), 1}, v6 = {addr("::1"), 1};
	static uint8_t big[70000];
	assert_int_equal(ip_write_udp(big, sizeof(big), &v4, &v6, "x", 1), 0);
	assert_int_equal(ip_write_udp(big, sizeof(big), &v6, &v4, "x", 1), 0);
	assert_int_equal(ip_write_udp(big, sizeof(big), &v4, &v4, big, 65508), 0);
	assert_int_equal(ip_write_udp(big, sizeof(big), &v4, &v4, big, 65507), 65535);
}

/* A sum that gives zero goes as 0xffff: zero would say that there is none. */
static void udp_checksum_of_zero(void **state)
{
	(void)state;
	struct endpoint src = {addr("2001:db8:1::7"), 0}, dst = {addr("2001:db8:ffff::9"), 434};
	unsigned ones = 0;

	for (unsigned port = 0; port < 65536; port++) {
		uint8_t p[64];
		src.port = (uint16_t)port;
		size_t len = ip_write_udp(p, sizeof(p), &src, &dst, "hello", 5);
		assert_int_equal(len, 53);
		unsigned checksum = (unsigned)(p[46] << 8 | p[47]);
		assert_int_not_equal(checksum, 0);
		ones += checksum == 0xffff;
	}
	assert_true(ones > 0);
}

static void udp_unsound(void **state)
{
	(void)state;
	static const struct {
		const char *name, *l4;
		uint8_t proto;
	} table[] = {
	    {"short", "9c4001b2000800", 17},
	    {"length-7", "9c4001b200070000", 17},
	    {"length-past-end", "9c4001b200090000", 17},
	    {"tcp", "9c4001b200080000", 6},
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct vector l4 = vector_of(table[i].l4);
		uint8_t buf[VECTOR_MAX];
		size_t off = head(buf, 4, table[i].proto, l4.len);
		memcpy(buf + off, l4.b, l4.len);
		uint8_t *p = vector_exact(buf, off + l4.len);
		struct ip_info info;
		uint16_t sport, dport;
		const uint8_t *payload;
		size_t payload_len;
		assert_true(ip_parse(p, off + l4.len, &info));
		assert_false(ip_read_udp(p, &info, &sport, &dport, &payload, &payload_len));
		free(p);
	}

	/* A first fragment that looks whole, and one that is: without a checksum. */
	for (unsigned more = 0; more < 2; more++) {
		uint8_t p[VECTOR_MAX];
		struct vector l4 = vector_of("9c4001b200080000");
		size_t off = head(p, 4, 17, l4.len);
		memcpy(p + off, l4.b, l4.len);
		p[6] = more ? 0x20 : 0;
		struct ip_info info;
		uint16_t sport, dport;
		const uint8_t *payload;
		size_t payload_len = 99;
		assert_true(ip_parse(p, off + l4.len, &info));
		assert_int_equal(ip_read_udp(p, &info, &sport, &dport, &payload, &payload_len),
				 !more);
		assert_int_equal(payload_len, more ? 99 : 0);
	}
}

static void too_big_bytes(void **state)
{
	(void)state;
	static const struct {
		const char *name, *from, *original, *hex;
	} table[] = {
	    {"toobig4", "10.1.0.1", V4_UDP,
	     "45c0003d00004000400125f70a0100010a0100070304c3b300000578" V4_UDP},
	    {"toobig6", "2001:db8:1::1", V6_UDP,
	     "60000000003d3a4020010db800010000000000000000000120010db800010000"
	     "000000000000000702002b6500000578" V6_UDP},
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct vector original = vector_of(table[i].original), v = vector_of(table[i].hex);
		struct addr from = addr(table[i].from);
		uint8_t *p = vector_exact(original.b, original.len);
		uint8_t out[VECTOR_MAX];
		size_t len = ip_write_too_big(out, sizeof(out), p, original.len, &from, 1400);
		assert_int_equal(len, v.len);
		assert_memory_equal(out, v.b, v.len);
		vector_save("ip", table[i].name, v.b, v.len);
		/* About an error none is sent, and none about half a packet. */
		assert_int_equal(ip_write_too_big(out, sizeof(out), v.b, v.len, &from, 1400), 0);
		assert_int_equal(ip_write_too_big(out, sizeof(out), p, original.len - 1, &from, 1),
				 0);
		free(p);
		/* With little room it quotes less, but no less than header and 8 bytes. */
		size_t needed = v.len - 5;
		for (size_t room = 0; room <= v.len; room++) {
			p = vector_exact(v.b, room);
			len = ip_write_too_big(p, room, original.b, original.len, &from, 1400);
			assert_int_equal(len, room < needed ? 0 : room);
			free(p);
		}
	}
}

/* Long originals are quoted up to 576 and 1280 bytes of the whole message. */
static void too_big_length(void **state)
{
	(void)state;
	for (int version = 4; version <= 6; version += 2) {
		uint8_t original[VECTOR_MAX] = {0}, out[VECTOR_MAX];
		struct addr from = addr(version == 4 ? "10.1.0.1" : "2001:db8:1::1");
		size_t len = head(original, version, 6, 1500) + 1500;
		size_t out_len = ip_write_too_big(out, sizeof(out), original, len, &from, 1300);
		struct ip_info info;
		assert_int_equal(out_len, version == 4 ? 576 : 1280);
		assert_true(ip_parse(out, out_len, &info));
		assert_true(addr_equal(&info.src, &from));
		assert_int_equal(info.total_len, out_len);
		size_t l4_len = out_len - info.l4_off;
		uint32_t sum =
		    version == 4 ? 0 : ip_pseudo_sum(&info.src, &info.dst, 58, (uint32_t)l4_len);
		assert_int_equal(ip_fold(ip_sum(out + info.l4_off, l4_len, sum)), 0);
	}
}

static void too_big_refused(void **state)
{
	(void)state;
	static const struct {
		const char *src, *dst;
		uint8_t proto, type; /* first byte above IP */
		uint8_t frag;	     /* low byte of IPv4's offset */
		const char *from;
		bool sent;
	} table[] = {
	    {"10.1.0.7", "192.0.2.9", 6, 0, 0, "10.1.0.1", true},
	    {"10.1.0.7", "192.0.2.9", 1, 8, 0, "10.1.0.1", true},  /* echo */
	    {"10.1.0.7", "192.0.2.9", 1, 0, 0, "10.1.0.1", true},  /* echo reply */
	    {"10.1.0.7", "192.0.2.9", 1, 3, 0, "10.1.0.1", false}, /* errors */
	    {"10.1.0.7", "192.0.2.9", 1, 4, 0, "10.1.0.1", false},
	    {"10.1.0.7", "192.0.2.9", 1, 5, 0, "10.1.0.1", false},
	    {"10.1.0.7", "192.0.2.9", 1, 11, 0, "10.1.0.1", false},
	    {"10.1.0.7", "192.0.2.9", 1, 12, 0, "10.1.0.1", false},
	    {"10.1.0.7", "192.0.2.9", 6, 0, 7, "10.1.0.1", false}, /* offset */
	    {"10.1.0.7", "224.0.0.5", 17, 0, 0, "10.1.0.1", false},
	    {"10.1.0.7", "255.255.255.255", 17, 0, 0, "10.1.0.1", false},
	    {"0.0.0.0", "192.0.2.9", 17, 0, 0, "10.1.0.1", false},
	    {"127.0.0.1", "192.0.2.9", 17, 0, 0, "10.1.0.1", false},
	    {"224.0.0.5", "192.0.2.9", 17, 0, 0, "10.1.0.1", false},
	    {"240.0.0.1", "192.0.2.9", 17, 0, 0, "10.1.0.1", false},
	    {"10.1.0.7", "192.0.2.9", 6, 0, 0, "2001:db8::1", false}, /* other family */
	    {"2001:db8::7", "2001:db8::9", 6, 0, 0, "2001:db8::1", true},
	    {"2001:db8::7", "2001:db8::9", 58, 128, 0, "2001:db8::1", true},
	    {"2001:db8::7", "2001:db8::9", 58, 1, 0, "2001:db8::1", false},
	    {"2001:db8::7", "2001:db8::9", 58, 2, 0, "2001:db8::1", false},
	    {"2001:db8::7", "2001:db8::9", 58, 127, 0, "2001:db8::1", false},
	    {"2001:db8::7", "2001:db8::9", 58, 137, 0, "2001:db8::1", false}, /* redirect */
	    {"2001:db8::7", "ff02::1", 17, 0, 0, "2001:db8::1", false},
	    {"::", "2001:db8::9", 17, 0, 0, "2001:db8::1", false},
	    {"ff02::1", "2001:db8::9", 17, 0, 0, "2001:db8::1", false},
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct addr s = addr(table[i].src), d = addr(table[i].dst);
		struct addr from = addr(table[i].from);
		uint8_t p[128] = {0}, out[256];
		size_t off = ip_write_header(p, sizeof(p), &s, &d, table[i].proto, 0, 64, 40);
		p[off] = table[i].type;
		if (table[i].frag)
			p[7] = table[i].frag;
		size_t len = ip_write_too_big(out, sizeof(out), p, off + 40, &from, 1300);
		assert_int_equal(len > 0, table[i].sent);
	}
}

static uint16_t l4_checksum(const uint8_t *p, const struct ip_info *info)
{
	uint32_t len = info->total_len - info->l4_off;
	uint32_t sum = ip_pseudo_sum(&info->src, &info->dst, info->proto, len);

	return ip_fold(ip_sum(p + info->l4_off, len, sum));
}

/* A segment with these options; its checksum is right. */
static size_t segment(uint8_t *p, int version, uint8_t flags, const char *options, uint8_t words)
{
	struct vector o = vector_of(options);
	size_t tcp_len = TCP_HEADER_LEN + o.len;
	size_t off = head(p, version, IP_PROTO_TCP, tcp_len);
	struct writer w = writer_of(p + off, tcp_len);
	struct ip_info info;

	writer_u32(&w, 1234u << 16 | 80);
	writer_u64(&w, 0x0102030400000000);
	writer_u8(&w, (uint8_t)((words ? words : tcp_len / 4) << 4));
	writer_u8(&w, flags);
	writer_u16(&w, 64240);
	writer_u32(&w, 0);
	writer_bytes(&w, o.b, o.len);
	assert_false(w.failed);
	assert_true(ip_parse(p, off + tcp_len, &info));
	uint16_t c = l4_checksum(p, &info);
	p[off + 16] = (uint8_t)(c >> 8);
	p[off + 17] = (uint8_t)c;
	return off + tcp_len;
}

static void mss_clamped(void **state)
{
	(void)state;
	static const struct {
		const char *name, *in, *out; /* options; out NULL: unchanged */
		int version;
		uint32_t mtu;
		uint8_t flags;
		uint8_t words; /* data offset, 0: right */
	} table[] = {
	    {"syn4", "020405b4", "02040550", 4, 1400, 0x02, 0},
	    {"syn-ack4", "020405b4", "02040550", 4, 1400, 0x12, 0},
	    {"syn6", "020405a0", "0204053c", 6, 1400, 0x02, 0},
	    {"syn-ack6", "020405a0", "0204053c", 6, 1400, 0x12, 0},
	    {"ecn-syn", "020405b4", "02040550", 4, 1400, 0xc2, 0},
	    {"at-odd-place", "01020405b4000000", "0102040550000000", 4, 1400, 0x02, 0},
	    {"behind-others", "0402080a0000000100000000 0103 0307 0204ffff 0000",
	     "0402080a0000000100000000 0103 0307 02040550 0000", 4, 1400, 0x02, 0},
	    {"fits", "02040550", NULL, 4, 1400, 0x02, 0},
	    {"smaller", "02040218", NULL, 4, 1400, 0x02, 0},
	    {"ack", "020405b4", NULL, 4, 1400, 0x10, 0},
	    {"none", "01010101", NULL, 4, 1400, 0x02, 0},
	    {"behind-end", "00000000 020405b4", NULL, 4, 1400, 0x02, 0},
	    {"wrong-length", "020305b4", NULL, 4, 1400, 0x02, 0},
	    {"length-zero", "0800020405b40000", NULL, 4, 1400, 0x02, 0},
	    {"length-one", "0801020405b40000", NULL, 4, 1400, 0x02, 0},
	    {"past-options", "01010204", NULL, 4, 1400, 0x02, 0},
	    {"past-offset", "01010101 020405b4", NULL, 4, 1400, 0x02, 6},
	    {"offset-too-small", "020405b4", NULL, 4, 1400, 0x02, 4},
	    {"offset-past-end", "020405b4", NULL, 4, 1400, 0x02, 15},
	    {"no-room-for-a-byte", "020405b4", NULL, 4, 40, 0x02, 0},
	    {"one-byte", "020405b4", "02040001", 4, 41, 0x02, 0},
	    {"mtu-of-64k", "0204ffff", NULL, 4, 70000, 0x02, 0},
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		uint8_t buf[VECTOR_MAX], want[VECTOR_MAX];
		print_message("%s\n", table[i].name);
		size_t len =
		    segment(buf, table[i].version, table[i].flags, table[i].in, table[i].words);
		memcpy(want, buf, len);
		if (table[i].out)
			segment(want, table[i].version, table[i].flags, table[i].out,
				table[i].words);
		vector_save("ip", table[i].name, buf, len);
		uint8_t *p = vector_exact(buf, len);
		assert_int_equal(ip_clamp_mss(p, len, table[i].mtu), table[i].out != NULL);
		/* The mended checksum is the one computed anew. */
		assert_memory_equal(p, want, len);
		assert_false(ip_clamp_mss(p, len, table[i].mtu));
		free(p);
		for (size_t cut = 0; cut < len; cut++) {
			p = vector_exact(buf, cut);
			assert_false(ip_clamp_mss(p, cut, table[i].mtu));
			free(p);
		}
	}
}

static void mss_of_others_left(void **state)
{
	(void)state;
	uint8_t p[VECTOR_MAX];
	size_t len = segment(p, 4, 0x02, "020405b4", 0);

	p[9] = IP_PROTO_UDP;
	assert_false(ip_clamp_mss(p, len, 1400));
	p[9] = IP_PROTO_TCP;
	p[7] = 1; /* the middle of a packet */
	assert_false(ip_clamp_mss(p, len, 1400));
	p[7] = 0;
	assert_true(ip_clamp_mss(p, len, 1400));
}

/* Every sum stays right, over many values at both alignments. */
static void mss_checksums(void **state)
{
	(void)state;
	for (unsigned mss = 1; mss < 65536; mss += 127) {
		for (unsigned odd = 0; odd < 2; odd++) {
			char options[32];
			uint8_t p[VECTOR_MAX];
			struct ip_info info;
			snprintf(options, sizeof(options), odd ? "010204%04x010101" : "0204%04x",
				 mss);
			size_t len = segment(p, 6, 0x02, options, 0);
			assert_int_equal(ip_clamp_mss(p, len, 1280), mss > 1220);
			assert_true(ip_parse(p, len, &info));
			assert_int_equal(l4_checksum(p, &info), 0);
		}
	}
}

struct reassembly {
	uint8_t data[70000];
	size_t end; /* next byte expected */
	unsigned count;
	bool last;
	bool middle; /* the packet cut is a fragment itself, and not the last */
	uint32_t mtu;
	size_t first_header, other_header;
};

static void reassemble(void *ctx, const uint8_t *fragment, size_t len)
{
	struct reassembly *r = ctx;
	struct ip_info info;

	assert_true(len <= r->mtu);
	assert_true(ip_parse(fragment, len, &info));
	assert_int_equal(info.total_len, len);
	assert_true(ip4_checksum_ok(fragment, len));
	assert_false(info.df);
	assert_false(r->last);
	size_t off = (size_t)((fragment[6] & 0x1f) << 8 | fragment[7]) * 8;
	assert_int_equal(off, r->end);
	assert_int_equal(info.l4_off, off ? r->other_header : r->first_header);
	r->last = !(fragment[6] & 0x20);
	size_t n = len - info.l4_off;
	assert_true(r->last || (n % 8 == 0 && n > 0));
	/* As much as fits. */
	assert_true(r->last || r->middle || info.l4_off + n + 8 > r->mtu);
	memcpy(r->data + off, fragment + info.l4_off, n);
	r->end += n;
	r->count++;
}

static void fragments_reassemble(void **state)
{
	(void)state;
	static const struct {
		size_t data_len;
		uint32_t mtu;
		const char *options;
		size_t other_header;
		unsigned count; /* 0: cannot be cut */
	} table[] = {
	    {1480, 1500, "", 20, 1},
	    {1481, 1500, "", 20, 2},
	    {2960, 1500, "", 20, 2},
	    {2961, 1500, "", 20, 3},
	    {1480, 576, "", 20, 3},
	    {100, 68, "", 20, 3},
	    {1, 20, "", 20, 0},
	    {65515, 1400, "", 20, 48},
	    {100, 28, "", 20, 13},
	    {100, 27, "", 20, 0},
	    {100, 68, "01010100", 20, 3}, /* nothing to copy */
	    /* record route stays in the first, the router alert is in all */
	    {1000, 500, "07070400000000 94040000 00", 24, 3},
	    {100, 40, "9404000001010100", 24, 7},
	    {100, 35, "9404000001010100", 24, 0},
	    {100, 68, "94ff0000", 20, 3}, /* an option past the end */
	    {100, 68, "94000000", 20, 3},
	};
	static uint8_t packet[65536];
	static struct reassembly r;

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct vector o = vector_of(table[i].options);
		struct addr s = addr("10.1.0.7"), d = addr("192.0.2.9");
		size_t header_len = IP4_HEADER_LEN + o.len, len = header_len + table[i].data_len;
		ip_write_header(packet, sizeof(packet), &s, &d, 17, 0, 64, len - IP4_HEADER_LEN);
		packet[0] = (uint8_t)(0x40 | header_len / 4);
		packet[5] = 0x77;
		packet[6] = 0;
		memcpy(packet + IP4_HEADER_LEN, o.b, o.len);
		for (size_t k = header_len; k < len; k++)
			packet[k] = (uint8_t)(k * 31 + (k >> 8));
		ip4_set_checksum(packet);

		r = (struct reassembly){.mtu = table[i].mtu,
					.first_header = header_len,
					.other_header = table[i].other_header};
		uint8_t *scratch = malloc(table[i].mtu);
		uint8_t *p = vector_exact(packet, len);
		unsigned n = ip4_fragment(p, len, table[i].mtu, scratch, reassemble, &r);
		assert_int_equal(n, table[i].count);
		assert_int_equal(r.count, n);
		if (n) {
			assert_true(r.last);
			assert_int_equal(r.end, table[i].data_len);
			assert_memory_equal(r.data, packet + header_len, r.end);
		}
		free(scratch);
		free(p);
	}
}

static void fragments_of_fragments(void **state)
{
	(void)state;
	uint8_t p[VECTOR_MAX] = {0}, scratch[600];
	static struct reassembly r;
	size_t off = head(p, 4, 17, 1000);

	/* The middle of a packet: the last piece says still that more follows. */
	p[6] = 0x20;
	p[7] = 100;
	ip4_set_checksum(p);
	r = (struct reassembly){.mtu = 600, .end = 800, .middle = true, .other_header = 20};
	assert_int_equal(ip4_fragment(p, off + 1000, 600, scratch, reassemble, &r), 2);
	assert_int_equal(r.end, 1800);
	assert_false(r.last);

	/* What would end behind 65535 is nobody's packet. */
	p[6] = 0x1f;
	p[7] = 0xff;
	r = (struct reassembly){.mtu = 600};
	assert_int_equal(ip4_fragment(p, off + 1000, 600, scratch, reassemble, &r), 0);
}

static void fragments_refused(void **state)
{
	(void)state;
	uint8_t p[VECTOR_MAX] = {0}, scratch[600];
	static struct reassembly r;

	r = (struct reassembly){.mtu = 600};
	size_t len = head(p, 4, 17, 1000) + 1000;
	assert_int_equal(ip4_fragment(p, len, 600, scratch, reassemble, &r), 0); /* DF */
	p[6] = 0;
	assert_int_equal(ip4_fragment(p, len - 1, 600, scratch, reassemble, &r), 0);
	len = head(p, 6, 17, 1000) + 1000;
	assert_int_equal(ip4_fragment(p, len, 600, scratch, reassemble, &r), 0);
	assert_int_equal(r.count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(udp_both_ways),
	    cmocka_unit_test(udp_unsound),
	    cmocka_unit_test(udp_checksum_of_zero),
	    cmocka_unit_test(too_big_bytes),
	    cmocka_unit_test(too_big_length),
	    cmocka_unit_test(too_big_refused),
	    cmocka_unit_test(mss_clamped),
	    cmocka_unit_test(mss_of_others_left),
	    cmocka_unit_test(mss_checksums),
	    cmocka_unit_test(fragments_reassemble),
	    cmocka_unit_test(fragments_of_fragments),
	    cmocka_unit_test(fragments_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
