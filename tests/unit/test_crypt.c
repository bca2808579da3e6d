/* SPDX-License-Identifier: MIT */
/*
 * Sealing and opening of ESP packets: published vectors first, then properties of every
 * combination of algorithms.  What is sealed is also checked by a second way through the
 * library (one call per primitive, written here), since a round trip alone would not notice
 * a mistake made on both sides.
 */
#include "crypt_rig.h"
#include "crypto/mac.h"

/* --- vectors */

/* RFC 3602 section 4; of cases 5 to 8 the ESP packet from its SPI. */
static const struct {
	const char *name, *header, *key, *iv, *plain, *cipher;
} cbc_vectors[] = {
    {"case 1", "0000000100000001", "06a9214036b8a15b512e03d534120006",
     "3dafba429d9eb430b422da802c9fac41", "53696e676c6520626c6f636b206d7367",
     "e353779c1079aeb82708942dbe77181a"},
    {"case 2", "0000000100000001", "c286696d887c9aa0611bbb3e2025a45a",
     "562e17996d093d28ddb3ba695a2e6f58",
     "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
     "d296cd94c2cccf8a3a863028b5e1dc0a7586602d253cfff91b8266bea6d61ab1"},
    {"case 3", "0000000100000001", "6c3ea0477630ce21a2ce334aa746c2cd",
     "c782dc4c098c66cbd9cd27d825682c81",
     "546869732069732061203438 2d62797465206d657373616765202865786163746c79203320414553"
     "20626c6f636b7329",
     "d0a02b3836451753d493665d33f0e8862dea54cdb293abc7506939276772f8d5021c19216bad525c"
     "8579695d83ba2684"},
    {"case 4", "0000000100000001", "56e47a38c5598974bc46903dba290349",
     "8ce82eefbea0da3c44699ed7db51b7d9",
     "a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf"
     "c0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedf",
     "c30e32ffedc0774e6aff6af0869f71aa0f3af07a9a31a9c684db207eb0ef8e4e"
     "35907aa632c3ffdf868bb7b29d3d46ad83ce9f9a102ee99d49a53e87f4c3da55"},
    {"case 5", "0000432100000001", "90d382b410eeba7ad938c46cec1a82bf",
     "e96e8c08ab465763fd098d45dd3ff893",
     "08000ebda70a00008e9c083db95b070008090a0b0c0d0e0f1011121314151617"
     "18191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f3031323334353637"
     "0102030405060708090a0b0c0d0e0e01",
     "f663c25d325c18c6a9453e194e120849a4870b66cc6b9965330013b4898dc856"
     "a4699e523a55db080b59ec3a8e4b7e52775b07d1db34ed9c538ab50c551b874a"
     "a269add047ad2d5913ac19b7cfbad4a6"},
    {"case 6", "0000432100000008", "90d382b410eeba7ad938c46cec1a82bf",
     "69d08df7d203329db093fc4924e5bd80",
     "0800b5e8a80a0500a69c083d0b660e0077777777777777777777777701020201",
     "f51995881ec4e0c4488987ce742e8109689bb379d2d750c0d915dca346a89f75"},
    {"case 7", "0000876500000002", "0123456789abcdef0123456789abcdef",
     "f4e765244f6407adf13dc1380f673f37",
     "45000054090400004001f988c0a87b03c0a87bc808009f76a90a0100b49c083d02a20400"
     "08090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f2021222324252627"
     "28292a2b2c2d2e2f30313233343536370102030405060708090a0a04",
     "773b5241a4c449225e4f3ce5ed611b0c237ca96cf74a93013c1b0ea1a0cf70f8"
     "e4ecaec78ac53aad7a0f022b859243c647752e94a859352b8a4d4d2decd136e5"
     "c177f132ad3fbfb2201ac9904c74ee0a109e0ca1e4dfe9d5a100b842f1c22f0d"},
    {"case 8", "0000876500000005", "0123456789abcdef0123456789abcdef",
     "85d47224b5f3dd5d2101d4ea8dffab22",
     "45000044090c00004001f990c0a87b03c0a87bc80800d63caa0a0200c69c083da3de0300"
     "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
     "0102030405060708090a0a04",
     "15b92683819596a8047232cc00f7048fe45318e11f8a0f62ede3c3fc61203bb5"
     "0f980a08c9843fd3a1b06d5c07ff9639b7eb7dfb3512e5de435e7207ed971ef3"
     "d2726d9b5ef6affc6d17a0decbb13892"},
};

static void test_cbc_vectors(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cbc_vectors); i++) {
		struct pair p = {.encr = alg_find("aes128-cbc"),
				 .integ = alg_find("hmac-sha-256-128")};
		uint8_t esp[PACKET_MAX], plain[PACKET_MAX], mac[64];
		assert_int_equal(unhex(cbc_vectors[i].key, p.key), 16);
		memset(p.key + 16, 0x42, 32);
		size_t n = unhex(cbc_vectors[i].header, esp);
		n += unhex(cbc_vectors[i].iv, esp + n);
		n += unhex(cbc_vectors[i].cipher, esp + n);
		reference_hmac(&p, esp, n, NULL, mac);
		memcpy(esp + n, mac, 16);
		struct crypt *c = must_new("aes128-cbc", "hmac-sha-256-128", p.key, CRYPT_OPEN);
		if (!open_one(c, esp, n + 16, 0, false))
			fail_msg("%s does not open", cbc_vectors[i].name);
		assert_int_equal(unhex(cbc_vectors[i].plain, plain), n - 24);
		assert_memory_equal(esp + 24, plain, n - 24);
		crypt_free(c);
	}
}

/* draft-mcgrew-gcm-test-01 section 4 (AES-GCM-ESP with 128 and 256 bits) and RFC 7634 appendix
 * A; the last is of AES-GMAC.  The key has the salt behind it; sequence numbers of eight bytes are
 * extended. */
static const struct {
	const char *alg, *spi, *seq, *key, *iv, *plain, *cipher_and_icv;
} aead_vectors[] = {
    {"aes128-gcm", "00004321", "8765432100000000", "4c80cdefbb5d10da906ac73c3613a6342e443b68",
     "4956ed7e3b244cfe",
     "45000048699a000080114db7c0a80102c0a801010a9bf15638d301000001000000000000045f7369"
     "70045f756470037369700963796265726369747902646b000021000101020201",
     "fecf537e729d5b07dc30df528dd22b768d1b98736696a6fd348509fa13ceac34cfa2436f14a3f3cf"
     "65925bf1f4a13c5d15b21e1884f5ff6247aeabb786b93bce61bc17d768fd9732459018148f6cbe72"
     "2fd04796562dfdb4"},
    {"aes128-gcm", "0000a5f8", "0000000a", "feffe9928665731c6d6a8f9467308308cafebabe",
     "facedbaddecaf888",
     "4500003e698f000080114dccc0a80102c0a801010a980035002a2343b2d001000001000000000000"
     "03736970096379626572636974790264 6b00000100010001",
     "deb22cd9b07c72c16e3a65beeb8df304a5a5897d33ae530f1ba76d5d114d2a5c3de81827c10e9a4f"
     "51330d0eec416642cfbb85a5b47e48a4ec3b9ba95d918bd183b70d3aa8bc6ee4c309e9d85a41ad4a"},
    {"aes256-gcm", "4a2cbfe3", "00000002",
     "abbccddef00112233445566778899aababbccddef00112233445566778899aab11223344", "0102030405060708",
     "4500003069a6400080062690c0a801029389155e0a9e008b2dc57ee0000000007002400020bf0000"
     "020405b40101040201020201",
     "ff425c9b724599df7a3bcd510194e00d6a78107f1b0b1cbf06efae9d65a5d763748a637985771d34"
     "7f0545659f14e99def842d8eb335f4eecfdbf831824b4c4915956c96"},
    {"aes128-gcm", "00000000", "00000001", "0000000000000000000000000000000000000000",
     "0000000000000000",
     "4500003c99c500008001cb7a40679318010101010800075c02004400616263646566676869 6a6b6c"
     "6d6e6f707172737475767761626364656667686901020201",
     "4688daf2f973a392732909c331d56d60f694abaa414b5e7ff5fdcdfff5e9a284456476492719ffb6"
     "4de7d9dca1e1d894bc3bd57873ed4d181d19d4d5c8c18af3f821d496eeb096e98ad2b69e4799c71d"},
    {"aes128-gcm", "42f67e3f", "1010101010101010", "3de09874b388e6491988d0c3607eae1f57690e43",
     "4e280000a2fca1a3",
     "4500003c99c300008001cb7c40679318010101010800085c02004300616263646566676869 6a6b6c"
     "6d6e6f707172737475767761626364656667686901020201",
     "fba2caa4853cf9f0f22cb10d86dd83b0fec75691cf1a04b00d1138ec9c35791765acbd8701ad7984"
     "5bf9fe3fba487bc91755e6662b4c8d0d1f5e22739530320ae0d731cc978ecafaeae88f00e80d6e48"},
    {"aes128-gcm", "42f67e3f", "1010101010101010", "3de09874b388e6491988d0c3607eae1f57690e43",
     "4e280000a2fca1a3", "4500001c42a200008001441f406793b6e00000020a00f5ff01020201",
     "fba2ca845e5df9f0f22c3e6e86dd831e1fc65792cd1af9130e1379ed369f071f35e034be95f112e4"
     "e7d05d35"},
    {"aes128-gcm", "00000100", "0000000000000001", "abbccddef00112233445566778899aabdecaf888",
     "cafedebaceface74",
     "4500004933ba00007f119106c3fb1d10c2b1d326c02831ce0035dd7b800302d500004e20001e8c18"
     "d75b81dc91baa0476b91b924b280389d92c963bac046ec959b6266c04722b14923010101",
     "18a6fd42f72cbf4ab2a2ea901f73d814e3e7f243d95412e1c349c1d2fbec168f9190feebaf2cb019"
     "84e65863965d7472b79da345e0e780191f0d2f0e0f496c226f2127b27db35724e7845d68651f57e6"
     "5f354f75ff17015769623436"},
    {"aes256-gcm", "17405e67", "156f3126dd0db99b",
     "abbccddef00112233445566778899aababbccddef00112233445566778899aab73616c74", "616e640169766563",
     "45080028732c00004006e9f90a0106120a01038f06b88023dd6bafbecb71260250101f646d540001",
     "f2d69ecdbd5a0d5b8d5ef38bad4da58d1f278fde98ef67549d524a3018d9a57ff4d3a31ce673119e"
     "451626c2415771e3b7eebca614c89b35"},
    {"aes128-gcm", "42f67e3f", "1010101010101010", "3de09874b388e6491988d0c3607eae1f57690e43",
     "4e280000a2fca1a3",
     "45000049333e00007f119182c3fb1d10c2b1d326c02831ce0035cb458003025b000001e0001e8c18"
     "d65759d52284a0352c71475c8880391c764d6e5ee0496b325ae270c03899493915010101",
     "fba2cad12fc1f9f00d3cebf305410db83d7784b607323d220f24b0a97d54182800cadb0f68d99ef0"
     "e0c0c89ae9bea8884e52d65bc1afd0740f742444747b5b39ab533163aad4550ee5160975cdb608c5"
     "769189609763b8e18caa81e2"},
    {"aes256-gcm", "17405e67", "156f3126dd0db99b",
     "abbccddef00112233445566778899aababbccddef00112233445566778899aab73616c74", "616e640169766563",
     "636973636f0172756c657301746865016e6574776501646566696e6501746865746563686e6f6c6f"
     "67696573017468617477696c6c01646566696e65746f6d6f72726f7701020201",
     "d4b7ed86a1777f2ea13d6973d324c69e7b43f826fb56831226508bebd2dceb18d0a6df10e5487df0"
     "74113e14c641024e3e6773d91a62ee429b043a10e3efe6b012a49363412364f8c0cac587f249e56b"
     "11e24f30e44ccc76"},
    {"aes128-gcm", "335467ae", "ffffffff", "7d773d00c144c525ac619d18c84a3f47d9664267",
     "43457e9182443bc6", "01020201", "437f866bcb3f699fe9b0822bac961c4504bef270"},
    {"aes128-gcm", "00000100", "0000000000000001", "abbccddef00112233445566778899aabdecaf888",
     "cafedebaceface74", "746f016265016f72016e6f7401746f0162650001",
     "29c9fc69a197d038ccdd14e2ddfcaa0543332164412503524303ed3c6c5f283843af8c3e"},
    {"aes256-gcm", "796b6963", "ffffffffffffffff",
     "6c6567616c697a656d6172696a75616e61616e64646f69746265666f726569617475726e", "333021696765746d",
     "45000030da3a00008001df3bc0a80005c0a800010800c6cd02000700616263646566676869 6a6b6c"
     "6d6e6f707172737401020201",
     "f97ab2aa356d8edce17644ac8c78e25dd24dedbb29ebf1b64a274b39b49c3a864cd3d78ca4ae68a3"
     "2b42458fb57dbe821dcc63b9d0937ba2945f669368661a329fb4c053"},
    {"chacha20-poly1305", "01020304", "00000005",
     "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3", "1011121314151617",
     "45000054a6f200004001e778c6336405c000020508005b7a3a080000553bec100007362708090a0b"
     "0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f30313233"
     "3435363701020204",
     "24039428b97f417e3c13753a4f05087b67c352e6a7fab1b982d466ef407ae5c614ee8099d52844eb"
     "61aa95dfab4c02f72aa71e7c4c4f64c9befe2facc638e8f3cbec163fac469b502773f6fb94e664da"
     "9165b82829f641e076aaa8266b7fb0f7b11b369907e1ad43"},
    {"aes128-gmac", "00004321", "00000007", "4c80cdefbb5d10da906ac73c3613a63422433c64",
     "0000000000000000",
     "45000030da3a00008001df3bc0a80005c0a800010800c6cd02000700616263646566676869 6a6b6c"
     "6d6e6f707172737401020201",
     "45000030da3a00008001df3bc0a80005c0a800010800c6cd02000700616263646566676869 6a6b6c"
     "6d6e6f707172737401020201f2a9a836e155106aa8dcd618e4099aaa"},
};

static void test_aead_vectors(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(aead_vectors); i++) {
		uint8_t key[64], seq[8], esp[PACKET_MAX], plain[PACKET_MAX];
		const struct alg *a = alg_find(aead_vectors[i].alg);
		assert_int_equal(unhex(aead_vectors[i].key, key), a->key_len);
		bool esn = unhex(aead_vectors[i].seq, seq) == 8;
		struct reader r = reader_of(seq, 8);
		uint32_t hi = esn ? reader_u32(&r) : 0;
		size_t n = unhex(aead_vectors[i].spi, esp);
		memcpy(esp + n, seq + (esn ? 4 : 0), 4);
		n += 4;
		n += unhex(aead_vectors[i].iv, esp + n);
		n += unhex(aead_vectors[i].cipher_and_icv, esp + n);
		struct crypt *c = must_new(a->name, NULL, key, CRYPT_OPEN);
		if (!open_one(c, esp, n, hi, esn))
			fail_msg("vector %zu (%s) does not open", i, a->name);
		size_t plain_len = unhex(aead_vectors[i].plain, plain);
		assert_int_equal(plain_len, n - 16 - 16);
		assert_memory_equal(esp + 16, plain, plain_len);
		crypt_free(c);
	}
}

/* RFC 4868 2.7.2 (AUTH*-2) and RFC 2202 section 3 (case 5): data whose length is that of an ESP
 * packet without IV.  The key is the text repeated. */
static const struct {
	const char *integ, *key, *data, *icv;
} hmac_vectors[] = {
    {"hmac-sha-256-128", "Jefe", "what do ya want for nothing?",
     "167f928588c5cc2eef8e3093caa0e87c"},
    {"hmac-sha-384-192", "Jefe", "what do ya want for nothing?",
     "2c7353974f1842fd66d53c452ca42122b28c0b594cfb184d"},
    {"hmac-sha-512-256", "Jefe", "what do ya want for nothing?",
     "cb370917ae8a7ce28cfd1d8f4705d6141c173b2a9362c15df235dfb251b15454"},
    {"hmac-sha-1-96", "\x0c", "Test With Truncation", "4c1a03424b55e07fe7f27be1"},
};

static void test_hmac_vectors(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(hmac_vectors); i++) {
		uint8_t key[64], esp[128], icv[64];
		const char *data = hmac_vectors[i].data;
		size_t data_len = strlen(data), icv_len = unhex(hmac_vectors[i].icv, icv);
		for (size_t k = 0; k < sizeof(key); k++)
			key[k] = (uint8_t)hmac_vectors[i].key[k % strlen(hmac_vectors[i].key)];
		struct crypt *s = must_new("null", hmac_vectors[i].integ, key, CRYPT_SEAL);
		struct crypt *o = must_new("null", hmac_vectors[i].integ, key, CRYPT_OPEN);

		memcpy(esp, data, data_len);
		assert_true(seal_one(s, esp, data_len + icv_len, 0xffffffff, false));
		assert_memory_equal(esp + data_len, icv, icv_len);
		assert_true(open_one(o, esp, data_len + icv_len, 0xffffffff, false));
		assert_memory_equal(esp, data, data_len);

		/* RFC 4303 2.2.1: the high half counts as bytes behind the packet. */
		struct reader r = reader_of(data + data_len - 4, 4);
		uint32_t hi = reader_u32(&r);
		assert_true(seal_one(s, esp, data_len - 4 + icv_len, hi, true));
		assert_memory_equal(esp + data_len - 4, icv, icv_len);
		assert_true(open_one(o, esp, data_len - 4 + icv_len, hi, true));
		assert_false(open_one(o, esp, data_len - 4 + icv_len, hi + 1, true));
		crypt_free(s);
		crypt_free(o);
	}
}

/* RFC 2410: NULL changes nothing and has no IV. */
static void test_null_leaves_text(void **state)
{
	(void)state;
	struct pair p;
	pair_new(&p, &(struct combo){"null", "hmac-sha-256-128"}, 1);
	uint8_t esp[PACKET_MAX];
	size_t len = packet_make(&p, esp, 25, 0x100, 9);
	assert_int_equal(len, 8 + 100 + 16);
	assert_true(seal_one(p.seal, esp, len, 0, false));
	assert_true(text_intact(&p, esp, len, 9));
	pair_free(&p);
}

/* --- properties */

static void test_round_trip(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(combos); i++) {
		struct pair p;
		pair_new(&p, &combos[i], (uint8_t)i);
		uint8_t esp[PACKET_MAX], copy[PACKET_MAX];
		size_t most = 1600u / p.encr->block_len;
		for (size_t blocks = 1; blocks <= most; blocks += 1 + blocks / 8) {
			bool esn = blocks & 1;
			uint32_t seq = (uint32_t)(blocks * 77), hi = (uint32_t)blocks;
			size_t len = packet_make(&p, esp, blocks, 0xdead0000, seq);
			assert_true(seal_one(p.seal, esp, len, hi, esn));
			if (p.encr->iv_len && !p.encr->encrypts_nothing)
				assert_false(text_intact(&p, esp, len, seq));
			memcpy(copy, esp, len);
			if (!reference_open(&p, copy, len, hi, esn))
				fail_msg("%s %zu: not what the formats say", combos[i].encr, len);
			assert_true(text_intact(&p, copy, len, seq));
			assert_true(open_one(p.open, esp, len, hi, esn));
			assert_true(text_intact(&p, esp, len, seq));
		}
		pair_free(&p);
	}
}

static void test_flipped_bits_fail(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(combos); i++) {
		struct pair p;
		pair_new(&p, &combos[i], 3);
		uint8_t esp[PACKET_MAX], copy[PACKET_MAX], before[PACKET_MAX];
		size_t len = packet_make(&p, esp, 8, 0x1234, 5);
		assert_true(seal_one(p.seal, esp, len, 1, true));
		for (size_t at = 0; at < len; at++) {
			memcpy(copy, esp, len);
			copy[at] ^= (uint8_t)(1u << (at % 8));
			memcpy(before, copy, len);
			if (open_one(p.open, copy, len, 1, true))
				fail_msg("%s opens with byte %zu changed", combos[i].encr, at);
			if (p.integ)
				assert_memory_equal(copy, before, len);
		}
		/* A failure leaves nothing behind. */
		assert_true(open_one(p.open, esp, len, 1, true));
		pair_free(&p);
	}
}

static void test_other_lengths_fail(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(combos); i++) {
		struct pair p;
		pair_new(&p, &combos[i], 4);
		uint8_t esp[PACKET_MAX];
		size_t len = packet_make(&p, esp, 6, 0x1234, 5);
		assert_true(seal_one(p.seal, esp, len, 0, false));
		for (size_t cut = 0; cut < len + 40; cut++) {
			if (cut == len)
				continue;
			/* Exactly as long as it is told to be, for the address checker. */
			uint8_t *copy = malloc(cut ? cut : 1);
			memset(copy, 0, cut ? cut : 1);
			memcpy(copy, esp, cut < len ? cut : len);
			if (open_one(p.open, copy, cut, 0, false))
				fail_msg("%s opens with %zu of %zu bytes", combos[i].encr, cut,
					 len);
			free(copy);
		}
		/* Nor does it seal what no receiver could open. */
		assert_false(seal_one(p.seal, esp, len - 1, 0, false));
		assert_false(seal_one(p.seal, esp, p.ahead + p.icv, 0, false));
		assert_false(seal_one(p.seal, esp, 0, 0, false));
		pair_free(&p);
	}
}

static void test_high_half_is_authenticated(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(combos); i++) {
		struct pair p;
		pair_new(&p, &combos[i], 5);
		uint8_t esp[PACKET_MAX], copy[PACKET_MAX];
		size_t len = packet_make(&p, esp, 4, 0x99, 0xfffffff0);
		assert_true(seal_one(p.seal, esp, len, 7, true));
		static const struct {
			uint32_t hi;
			bool esn, ok;
		} tries[] = {{6, true, false},	{8, true, false},  {0, true, false},
			     {7, false, false}, {0, false, false}, {7, true, true}};
		for (size_t t = 0; t < ARRAY_LEN(tries); t++) {
			memcpy(copy, esp, len);
			bool ok = open_one(p.open, copy, len, tries[t].hi, tries[t].esn);
			assert_int_equal(ok, tries[t].ok);
		}
		pair_free(&p);
	}
}

static void test_batch_of_many_sas(void **state)
{
	(void)state;
	enum { N = 200 };
	static uint8_t packets[N][PACKET_MAX];
	struct pair pairs[ARRAY_LEN(combos)];
	struct crypt_op ops[N];
	for (size_t i = 0; i < ARRAY_LEN(combos); i++)
		pair_new(&pairs[i], &combos[i], (uint8_t)(40 + i));
	for (uint32_t i = 0; i < N; i++) {
		struct pair *p = &pairs[i * 5 % ARRAY_LEN(combos)];
		size_t len = packet_make(p, packets[i], 1 + i % 60, i, i);
		ops[i] = (struct crypt_op){.crypt = p->seal,
					   .esp = packets[i],
					   .len = (uint32_t)len,
					   .seq_hi = i,
					   .esn = i % 3 == 0};
	}
	crypt_seal(worker, ops, N);
	for (uint32_t i = 0; i < N; i++) {
		assert_true(ops[i].ok);
		ops[i].crypt = pairs[i * 5 % ARRAY_LEN(combos)].open;
		ops[i].ok = i % 2;
	}
	packets[63][20] ^= 1;
	packets[64][20] ^= 1;
	ops[130].len -= 1;
	crypt_open(worker, ops, N);
	for (uint32_t i = 0; i < N; i++) {
		bool bad = i == 63 || i == 64 || i == 130;
		assert_int_equal(ops[i].ok, !bad);
		if (!bad)
			assert_true(text_intact(&pairs[i * 5 % ARRAY_LEN(combos)], packets[i],
						ops[i].len, i));
	}
	for (size_t i = 0; i < ARRAY_LEN(combos); i++)
		pair_free(&pairs[i]);
	crypt_seal(worker, NULL, 0);
	crypt_open(worker, NULL, 0);
}

static int compare_ivs(const void *a, const void *b)
{
	return memcmp(a, b, 16);
}

static void test_cbc_ivs_differ(void **state)
{
	(void)state;
	enum { N = 500 };
	static uint8_t packets[N][128], ivs[N][16];
	struct crypt_op ops[N];
	struct pair p;
	pair_new(&p, &combos[0], 6);
	/* The same packet each time: only the IV can make a difference. */
	for (size_t i = 0; i < N; i++)
		ops[i] = (struct crypt_op){.crypt = p.seal,
					   .esp = packets[i],
					   .len = (uint32_t)packet_make(&p, packets[i], 4, 1, 1)};
	crypt_seal(worker, ops, N);
	for (size_t i = 0; i < N; i++) {
		assert_true(ops[i].ok);
		memcpy(ivs[i], packets[i] + 8, 16);
	}
	qsort(ivs, N, 16, compare_ivs);
	for (size_t i = 1; i < N; i++)
		assert_memory_not_equal(ivs[i - 1], ivs[i], 16);
	pair_free(&p);
}

static void test_aead_iv_is_the_number(void **state)
{
	(void)state;
	static const struct {
		uint32_t hi, lo;
		bool esn;
		const char *iv;
	} rows[] = {
	    {0, 1, true, "0000000000000001"},
	    {0xaabbccdd, 0xffffffff, true, "aabbccddffffffff"},
	    {0xaabbccdd, 0x00000005, false, "0000000000000005"},
	};
	for (size_t i = 0; i < ARRAY_LEN(combos); i++) {
		if (combos[i].integ)
			continue;
		struct pair p;
		pair_new(&p, &combos[i], 7);
		for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
			uint8_t esp[PACKET_MAX], iv[8];
			size_t len = packet_make(&p, esp, 3, 1, rows[k].lo);
			assert_true(seal_one(p.seal, esp, len, rows[k].hi, rows[k].esn));
			unhex(rows[k].iv, iv);
			assert_memory_equal(esp + 8, iv, 8);
		}
		pair_free(&p);
	}
}

static void test_direction_is_kept(void **state)
{
	(void)state;
	struct pair p;
	pair_new(&p, &combos[0], 8);
	uint8_t esp[PACKET_MAX];
	size_t len = packet_make(&p, esp, 3, 1, 1);
	assert_false(seal_one(p.open, esp, len, 0, false));
	assert_true(seal_one(p.seal, esp, len, 0, false));
	assert_false(open_one(p.seal, esp, len, 0, false));
	assert_true(open_one(p.open, esp, len, 0, false));
	pair_free(&p);
}

static void test_new_refuses(void **state)
{
	(void)state;
	static const struct {
		const char *encr, *integ;
		size_t key_len;
		const char *says;
	} rows[] = {
	    {"aes128-cbc", "hmac-sha-256-128", 47, "must have 48 bytes, not 47"},
	    {"aes128-cbc", "hmac-sha-256-128", 49, "must have 48 bytes, not 49"},
	    {"aes128-cbc", "hmac-sha-256-128", 0, "must have 48 bytes, not 0"},
	    {"aes256-gcm", NULL, 32, "must have 36 bytes, not 32"},
	    {"aes256-gcm", "hmac-sha-256-128", 68, "leave hmac-sha-256-128 away"},
	    {"aes128-cbc", NULL, 16, "needs an integrity algorithm"},
	    {"aes128-gmac", NULL, 16, "must have 20 bytes, not 16"},
	    {"aes128-gmac", "hmac-sha-256-128", 52, "leave hmac-sha-256-128 away"},
	    {"null", NULL, 0, "needs an integrity algorithm"},
	    {"hmac-sha-256-128", NULL, 32, "not an encryption"},
	    {"aes128-cbc", "aes128-cbc", 32, "not an integrity algorithm"},
	    {"des-cbc", "hmac-sha-256-128", 40, "RFC 8221"},
	    {"aes128-cbc", "hmac-md5-96", 32, "RFC 8221"},
	};
	uint8_t key[128] = {0};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err err = {.text = ""};
		const struct alg *integ = rows[i].integ ? alg_find(rows[i].integ) : NULL;
		assert_null(crypt_new(alg_find(rows[i].encr), integ, key, rows[i].key_len,
				      CRYPT_SEAL, &err));
		if (!strstr(err.text, rows[i].says))
			fail_msg("row %zu says: %s", i, err.text);
		assert_null(crypt_new(alg_find(rows[i].encr), integ, key, rows[i].key_len,
				      CRYPT_SEAL, NULL));
	}
	crypt_free(NULL);
}

/* RFC 4231 section 4, the first 128 bits of HMAC-SHA-256. */
static void test_mac_vectors(void **state)
{
	(void)state;
	static const struct {
		const char *key, *data, *mac;
	} rows[] = {
	    {"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "4869205468657265",
	     "b0344c61d8db38535ca8afceaf0bf12b"},
	    {"4a656665", "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
	     "5bdcc146bf60754e6a042426089575c7"},
	    {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	     "dddddddddddddddddddddddddddddddddddddddddddddddddd"
	     "dddddddddddddddddddddddddddddddddddddddddddddddddd",
	     "773ea91e36800e46854db8ebd09181a7"},
	    {"0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c", "546573742057697468205472756e636174696f6e",
	     "a3b6167473100ee06e0c796c2955552b"},
	    {"", "", "b613679a0814d9ec772f95d778c35fc5"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint8_t key[64], data[64], mac[MAC_LEN], want[MAC_LEN];
		size_t key_len = unhex(rows[i].key, key), data_len = unhex(rows[i].data, data);
		assert_int_equal(unhex(rows[i].mac, want), MAC_LEN);
		assert_int_equal(mac_compute(key, key_len, data, data_len, mac), 0);
		assert_memory_equal(mac, want, MAC_LEN);
	}
}

static void test_random_bytes_differ(void **state)
{
	(void)state;
	uint8_t a[32] = {0}, b[32] = {0}, zero[32] = {0};
	random_bytes(a, sizeof(a));
	random_bytes(b, sizeof(b));
	assert_memory_not_equal(a, zero, sizeof(a));
	assert_memory_not_equal(a, b, sizeof(a));
	memset(a, 0, sizeof(a));
	random_bytes(a, 0);
	assert_memory_equal(a, zero, sizeof(a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_cbc_vectors),
	    cmocka_unit_test(test_aead_vectors),
	    cmocka_unit_test(test_hmac_vectors),
	    cmocka_unit_test(test_null_leaves_text),
	    cmocka_unit_test(test_round_trip),
	    cmocka_unit_test(test_flipped_bits_fail),
	    cmocka_unit_test(test_other_lengths_fail),
	    cmocka_unit_test(test_high_half_is_authenticated),
	    cmocka_unit_test(test_batch_of_many_sas),
	    cmocka_unit_test(test_cbc_ivs_differ),
	    cmocka_unit_test(test_aead_iv_is_the_number),
	    cmocka_unit_test(test_direction_is_kept),
	    cmocka_unit_test(test_new_refuses),
	    cmocka_unit_test(test_mac_vectors),
	    cmocka_unit_test(test_random_bytes_differ),
	};
	return run_with_each_library(tests, ARRAY_LEN(tests));
}
