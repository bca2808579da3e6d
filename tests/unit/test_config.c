/* SPDX-License-Identifier: MIT */
/*
 * The configuration: what each wrong text is told, with the right line and without any key;
 * what right texts mean; the examples; what a reload compares.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/mem.h"
#include "daemon/config.h"
#include "mobility/registrar.h"

/* 48 and 32 bytes: no eight digits of them may be in any message. */
#define KEY48                                                                                      \
	"d0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e3e4e5e6e7e8e9eaebecedeeef"                         \
	"f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"
#define KEY32 "a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf"

/* Lines 1 to 5. */
#define TERMINAL                                                                                   \
	"role = terminal\n"                                                                        \
	"home-address = { \"10.1.0.10\" }\n"                                                       \
	"home-agent = \"10.1.0.1\"\n"                                                              \
	"registration-spi = 256\n"                                                                 \
	"registration-key = \"0x" KEY32 "\"\n"
#define KEYS	   "key-out = \"0x" KEY48 "\" key-in = \"0x" KEY48 "\" "
#define AH	   "protocol = ah integrity = sha256 "
#define AHKEYS	   "key-out = \"" KEY32 "\" key-in = \"" KEY32 "\" "
#define BUNDLE	   "protocol = ah-esp cipher = aes128-cbc integrity = sha256 "
#define BUNDLEKEYS "key-out = \"" KEY32 KEY48 "\" key-in = \"" KEY32 KEY48 "\" "
#define ALGS	   "cipher = aes128-cbc integrity = hmac-sha-256-128 "
#define SPIS	   "spi-out = 0x1001 spi-in = 0x2001 "
#define WIFI	   "connection wifi { interface = wlan0 server = \"203.0.113.1\" " ALGS SPIS KEYS "}\n"

/* Lines 1 to 3, then a terminal from line 4. */
#define SERVER                                                                                     \
	"role = home-server\n"                                                                     \
	"listen = { \"203.0.113.1\", \"2001:db8::1\" }\n"                                          \
	"home-agent = { \"10.1.0.1\" }\n"
#define ALICE_HEAD                                                                                 \
	"terminal alice { home-address = \"10.1.0.10\" registration-spi = 300 "                    \
	"registration-key = \"" KEY32 "\"\n"
#define AT_SERVER  "server = \"203.0.113.1\" "
#define ALICE_WIFI "connection wifi { " AT_SERVER ALGS SPIS KEYS "}\n"

static struct config *read_text(const char *text, size_t len, struct err *err)
{
	FILE *in = fmemopen((void *)(uintptr_t)text, len, "r");
	assert_non_null(in);
	struct config *c = config_read(in, "t.conf", err);
	fclose(in);
	return c;
}

static struct config *read_good(const char *text)
{
	struct err err = {""};
	struct config *c = read_text(text, strlen(text), &err);
	if (!c)
		fail_msg("refused: %s\n%s", err.text, text);
	return c;
}

/* Eight digits in a row that are in one of the keys, in either case. */
static bool shows_key(const char *message)
{
	static const char *const keys[] = {KEY48, KEY32};
	char low[sizeof(((struct err *)0)->text)];
	size_t n = 0;

	for (; message[n]; n++)
		low[n] = (char)tolower((unsigned char)message[n]);
	low[n] = '\0';
	for (size_t k = 0; k < ARRAY_LEN(keys); k++) {
		for (size_t i = 0; i + 8 <= strlen(keys[k]); i++) {
			char part[9] = "";
			memcpy(part, keys[k] + i, 8);
			if (strstr(low, part))
				return true;
		}
	}
	return false;
}

static void test_shows_key_finds(void **state)
{
	(void)state;
	assert_true(shows_key("bad key d4d5d6d7!"));
	assert_true(shows_key("bad key A0A1A2A3"));
	assert_false(shows_key("bad key 0x1001"));
}

struct bad {
	const char *text;
	int line;
	const char *says;
};

static void check_bad(const struct bad *b)
{
	struct err err = {""};
	char place[32];

	struct config *c = read_text(b->text, strlen(b->text), &err);
	snprintf(place, sizeof(place), "t.conf:%d: ", b->line);
	if (c)
		fail_msg("accepted, but should say \"%s\":\n%s", b->says, b->text);
	if (strncmp(err.text, place, strlen(place)) != 0)
		fail_msg("not line %d: %s", b->line, err.text);
	if (!strstr(err.text, b->says))
		fail_msg("does not say \"%s\": %s", b->says, err.text);
	if (shows_key(err.text))
		fail_msg("shows a key (looked for \"%s\")", b->says);
	/* After every refusal the next file is read as if nothing had been. */
	config_free(read_good(TERMINAL WIFI));
}

#define CONN(rest) TERMINAL "connection wifi {\n" rest "\n}\n"

static const struct bad bad_form[] = {
    {"\n", 1, "no role; write role = terminal"},
    {"role = server\n", 1, "role = \"server\" is unknown; write terminal or home-server"},
    {"\n\nrol = terminal\n", 3, "unknown option rol; write role"},
    {"role = terminal # c\n/* two\nlines */ // x\nhome-adress = 1\n", 4, "write home-address"},
    {"zzzzz = 1\n", 1, "unknown option zzzzz; sojourn.conf(5)"},
    {"role terminal\n", 1, "'=' is missing after role"},
    {"role += terminal\n", 1, "role takes one value"},
    {"role =\n", 2, "ends in the middle of an option"},
    {"role = terminal\n}\n", 2, "'}' without a '{'"},
    {"role = terminal\nconnection wifi {\n\n", 2,
     "never closed; write '}' at the end of the section"},
    {"role = terminal\nroutes = {\n\n", 2, "never closed; write '}' at the end of the list"},
    {"role = terminal\nname = \"abc\n\n", 2, "not closed on its line"},
    {"role = terminal\nname = 'abc\n\n", 2, "not closed on its line"},
    {"role = terminal\nname = \"a\\x41\"\n", 2, "backslash"},
    {"role = terminal\n\n/* what\n", 3, "a comment is not closed"},
    {"role = terminal\nname = \"${HOME\"\n", 2, "\"${\" without \"}\""},
    {"role = terminal\nname = ${HOME}\n", 2, "outside a string"},
    {"role = terminal\nmtu = { 1500 }\n", 2, "'{' is not expected here"},
    {"role = terminal\nroutes = { \"0.0.0.0/0\" \"::/0\" }\n", 2, "a syntax error"},
    {"role = terminal\nhome = 1\n", 2, "'{' is missing where the section home begins"},
    {"role = terminal\nconnection {\n}\n", 2, "connection has no name"},
    {"role = terminal\n{{{{{{{{{{{{\n", 2, "braces inside braces"},
    {"role = terminal\ninclude(\"x\")\n", 2, "'(' outside a string"},
    {"role = terminal\nrole = terminal\n", 2, "role is given twice (first in line 1)"},
    {TERMINAL "routes = \"10.0.0.0/8\"\nroutes = \"11.0.0.0/8\"\n", 7,
     "given twice (first in line 6)"},
    {TERMINAL WIFI WIFI, 7, "with this name is already there"},
    {TERMINAL "key-in = \"0x" KEY48 "\"\n" WIFI, 6, "write it into a section connection"},
    {TERMINAL WIFI "policy = strict\n", 7, "write it into a section terminal"},
    {TERMINAL "gateway-mac = 1\n" WIFI, 6, "write it into the section home"},
    {CONN("mtu = 1400"), 7, "write it outside of all sections"},
    /* pieces of keys where a name is expected */
    {CONN(ALGS SPIS "\nkey-in = 0x d0d1d2d3d4d5d6d7"), 8, "an unknown word (not shown"},
    {CONN(ALGS SPIS "\n\"" KEY48 "\" = 1"), 8, "an unknown word (not shown"},
    {CONN(ALGS SPIS "\nkey-in \"" KEY48 "\""), 8, "'=' is missing after key-in"},
    {CONN(ALGS SPIS "\nkey-in = { \"" KEY48 "\" }"), 8, "'{' is not expected"},
    {TERMINAL "routes = { \"::/0\" \"" KEY48 "\" }\n", 6, "a syntax error"},
    {TERMINAL "connection " KEY48 " {}\n", 6, "the name of a connection has 1 to 39"},
    {TERMINAL "connection " KEY48 " {} connection " KEY48 " {}\n", 6, "already there"},
};

static const struct bad bad_values[] = {
    {"role = terminal\nhome-address = \"10.1.0\"\n" WIFI, 1, "home-agent is missing"},
    {"role = terminal\nhome-agent = \"10.1.0.256\"\n", 2, "\"10.1.0.256\" is no address"},
    {"role = terminal\nhome-agent = \"0x" KEY32 "\"\n", 2, "home-agent: is no address"},
    {"role = terminal\nhome-agent = { \"10.1.0.1\",\n\"10.1.0.1\" }\n", 3, "is there twice"},
    {"role = terminal\nhome-agent = \"224.0.0.1\"\n", 2, "not the address of one node"},
    {"role = terminal\nhome-agent = \"10.1.0.1\"\n", 1, "home-address is missing"},
    {TERMINAL "mtu = 1279\n" WIFI, 6, "mtu is out of range; write a number from 1280"},
    {TERMINAL "mtu = big\n" WIFI, 6, "mtu is not a number"},
    {TERMINAL "mtu = -1\n" WIFI, 6, "mtu is not a number"},
    {TERMINAL "mtu = " KEY48 "\n" WIFI, 6, "mtu is not a number"},
    {TERMINAL "mark = 0x100000000\n" WIFI, 6, "mark is out of range"},
    {TERMINAL "table = 254\n" WIFI, 6, "the system's own"},
    {TERMINAL "offload = maybe\n" WIFI, 6, "neither yes nor no"},
    {TERMINAL "packet-crypto = gnutls\n" WIFI, 6, "packet-crypto"},
    {TERMINAL "workers = 0\n" WIFI, 6, "workers"},
    {TERMINAL "workers = 17\n" WIFI, 6, "workers"},
    {TERMINAL "df = keep\n" WIFI, 6, "write copy, set or clear"},
    {TERMINAL "df = 0x" KEY32 "\n" WIFI, 6, "df = is unknown; write copy"},
    {TERMINAL "log-level = loud\n" WIFI, 6, "write error, warning, info or debug"},
    {TERMINAL "control = sock\n" WIFI, 6, "control is not a whole path"},
    {TERMINAL "tun = sojourn-tunnel-0\n" WIFI, 6, "at most 15 characters, this one 16"},
    {TERMINAL "tun = \"a/b\"\n" WIFI, 6, "no name of an interface"},
    {TERMINAL "user = \"a b\"\n" WIFI, 6, "a space"},
    {TERMINAL "port = 65536\n" WIFI, 6, "port is out of range"},
    {TERMINAL "initial-rto = 1\n" WIFI, 6, "initial-rto is out of range"},
    {TERMINAL "lifetime = 3\n" WIFI, 6, "lifetime is out of range"},
    {TERMINAL "replay-window = 63\n" WIFI, 6, "replay-window is too small"},
    {TERMINAL "replay-window = 1048577\n" WIFI, 6, "replay-window is out of range"},
    {TERMINAL "routes = { \"0.0.0.0/0\", # all\n\"10.1.0.5/24\" }\n" WIFI, 7,
     "10.1.0.5/24 has bits set beyond its length; write \"10.1.0.0/24\""},
    {TERMINAL "routes = \"10.0.0.0/33\"\n" WIFI, 6, "is no prefix"},
    {TERMINAL "routes = \"::/0\"\n" WIFI, 6, "is IPv6 and there is no IPv6 home-address"},
    {TERMINAL "routes = \"203.0.113.1/32\"\n" WIFI, 6, "cannot be reached through itself"},
    {TERMINAL "prefix = \"fd00::/64\"\n" WIFI, 6, "no IPv6 home-address"},
    {TERMINAL "prefix = \"10.1.0.10/32\"\n" WIFI, 6, "10.1.0.10/32 is already that of terminal"},
    {TERMINAL "home-agent += \"10.1.0.10\"\n" WIFI, 2, "is also home-agent"},
    {TERMINAL WIFI "home {\nprefix = \"10.2.0.0/24\" gateway = \"10.2.0.1\" }\n", 7,
     "no home-address is in the home link's prefix 10.2.0.0/24"},
    {TERMINAL WIFI "\n\nhome {\n\n}\n", 9, "section home has no prefix"},
    {TERMINAL WIFI "home { prefix = \"10.1.0.0/24\"\n}\n", 7, "section home has no gateway"},
    {TERMINAL WIFI "home { prefix = \"10.1.0.0/24\"\ngateway = \"10.2.0.1\" }\n", 8,
     "not in the home link's prefix"},
    {TERMINAL WIFI "home { prefix = \"10.1.0.0/24\" gateway = \"10.1.0.1\"\n"
		   "gateway-mac = \"02:00:00:00:00\" }\n",
     8, "not the link address of a gateway"},
    {TERMINAL WIFI "home { prefix = \"10.1.0.0/24\" gateway = \"10.1.0.1\" }\nhome { }\n", 8,
     "a second section home"},
    {TERMINAL, 2, "no connection; write connection NAME"},
};

static const struct bad bad_roles[] = {
    {TERMINAL WIFI "listen = \"203.0.113.1\"\n", 7, "only a home server has listen"},
    {TERMINAL WIFI "home-link = eth0\n", 7, "only a home server has home-link"},
    {TERMINAL WIFI "\nterminal bob { }\n", 8, "only a home server has terminal"},
    {CONN(AT_SERVER ALGS SPIS KEYS "\ncare-of = any"), 8, "only a home server has care-of"},
    {SERVER "routes = \"0.0.0.0/0\"\n", 4, "only a terminal has routes"},
    {SERVER "home {\n}\n", 4, "only a terminal has home"},
    {SERVER "home-address = \"10.1.0.10\"\n", 4, "only a terminal has home-address"},
    {SERVER ALICE_HEAD "connection wifi { " AT_SERVER ALGS SPIS KEYS "\ninterface = eth0 } }\n", 6,
     "only a terminal has interface"},
    {"role = home-server\nhome-agent = \"10.1.0.1\"\n", 1, "listen is missing"},
    {SERVER ALICE_HEAD "}\n", 4, "no connection"},
    {SERVER ALICE_HEAD "\n"
		       "policy = hard " ALICE_WIFI "}\n",
     6, "write lenient or strict"},
    {SERVER ALICE_HEAD "\naccept = some " ALICE_WIFI "}\n", 6, "write shared or active-only"},
    {SERVER ALICE_HEAD "accept = shared\npolicy = strict " ALICE_WIFI "}\n", 6,
     "policy is the older name of accept"},
    {SERVER ALICE_HEAD "\ndrain = 5 " ALICE_WIFI "}\n", 6, "write accept = active-only"},
    {SERVER ALICE_HEAD "accept = shared\ndrain = 0 " ALICE_WIFI "}\n", 6,
     "write accept = active-only"},
    {SERVER ALICE_HEAD "accept = active-only\ndrain = 3601 " ALICE_WIFI "}\n", 6,
     "drain is out of range"},
    {SERVER ALICE_HEAD "\nregistration = { request, telepathy } " ALICE_WIFI "}\n", 6,
     "write request, data or setup"},
    {SERVER ALICE_HEAD "\nregistration = { data, request, data } " ALICE_WIFI "}\n", 6,
     "data stands there twice"},
    {SERVER ALICE_HEAD "\nregistration = data " ALICE_WIFI "}\n", 6, "add request"},
    {SERVER ALICE_HEAD "\nregistration = { request, data, setup } " ALICE_WIFI "}\n", 6,
     "remove setup"},
    {SERVER ALICE_HEAD "\nregistration = { request, data } replay-window = 0 " ALICE_WIFI "}\n", 6,
     "remove replay-window = 0, or data"},
    {SERVER "registration = data\n" ALICE_HEAD ALICE_WIFI "}\n", 4,
     "only a terminal has registration"},
    {SERVER ALICE_HEAD "connections-max = 9 " ALICE_WIFI "}\n", 5,
     "connections-max is out of range"},
    {SERVER ALICE_HEAD "n-cast-class = { ef, 64 } " ALICE_WIFI "}\n", 5,
     "n-cast-class: not a class; write ef"},
    {SERVER ALICE_HEAD "n-cast = both " ALICE_WIFI "}\n", 5, "outside of all sections"},
    {TERMINAL "n-cast = yes\n" WIFI, 6, "write no, down, up or both"},
    {TERMINAL "n-cast-class = { voice }\n" WIFI, 6, "n-cast-class: not a class"},
    {TERMINAL "n-cast-interfaces = { 1, 2, 3, 4, 5, 6, 7, 8, 9 }\n" WIFI, 6,
     "more than 8 in n-cast-interfaces"},
    {SERVER ALICE_HEAD ALICE_WIFI "}\n" ALICE_HEAD "}\n", 7, "already there"},
    {SERVER ALICE_HEAD ALICE_WIFI
     "}\nterminal bob { registration-spi = 300 registration-key = \"" KEY32
     "\"\nhome-address = \"10.1.0.10\" connection wifi { " AT_SERVER ALGS KEYS
     "spi-in = 1000 spi-out = 1000 } }\n",
     8, "10.1.0.10/32 is already that of terminal alice (line 4)"},
    {SERVER "terminal auto { }\n", 4, "auto is a word of `sojourn`"},
    {SERVER "terminal \"a b\" { }\n", 4, "made of letters"},
    {SERVER "terminal a {\nregistration-spi = 1\nhome-address = \"fd00::1\" }\n", 5,
     "registration-spi: 0 to 255 are reserved"},
    {SERVER "terminal a {\nregistration-spi = 300 registration-key = \"" KEY32
	    "\"\nhome-address = \"fd00::1\" }\n",
     6, "home-address fd00::1 is IPv6 and there is no IPv6 home-agent"},
};

static const struct bad bad_connections[] = {
    {CONN(ALGS SPIS KEYS), 6, "connection wifi has no server"},
    {CONN(AT_SERVER SPIS KEYS "\nintegrity = sha1"), 6, "connection wifi has no cipher"},
    {CONN(AT_SERVER SPIS KEYS "\ncipher = null"), 6, "connection wifi has no integrity"},
    {CONN(AT_SERVER ALGS KEYS "\nspi-in = 0x1000"), 6, "connection wifi has no spi-out"},
    {CONN(AT_SERVER ALGS SPIS "\nkey-in = \"" KEY48 "\""), 6, "has no key-out"},
    {CONN(AT_SERVER ALGS "\nspi-in = 255 spi-out = 256 " KEYS), 8, "RFC 4303 section 2.1"},
    {CONN(AT_SERVER ALGS "\nspi-in = 0 spi-out = 256 " KEYS), 8, "0 to 255 are reserved"},
    {CONN("server = \"203.0.113.1:0\" " ALGS SPIS KEYS), 7, "is no address of a node"},
    {CONN("server = \"www.example\" " ALGS SPIS KEYS), 7, "is no address of a node"},
    {CONN("server = \"203.0.113.1:1\"\nport = 2 " ALGS SPIS KEYS), 8, "already written after"},
    {CONN(AT_SERVER ALGS SPIS KEYS "encapsulation = esp\nport = 2"), 8, "has no ports"},
    {CONN(AT_SERVER ALGS SPIS KEYS "encapsulation = tcp"), 7, "write udp or esp"},
    {"role = home-server home-agent = \"10.1.0.1\"\nlisten = \"0.0.0.0\"\n", 2,
     "not the address of one node"},
    {"role = home-server\nlisten = \"0.0.0.0\"\nannounce-moves = yes\nhome-agent = "
     "\"10.1.0.1\"\n" ALICE_HEAD "connection wifi {" ALGS SPIS KEYS "\nmode = transport } }\n",
     7, "checksums are made for the server's own address"},
    {CONN(AT_SERVER ALGS SPIS KEYS "mode = host"), 7, "write tunnel, transport or beet"},
    {CONN("server = \"2001:db8::1\" " ALGS SPIS KEYS "mode = transport"), 7,
     "home-address is IPv4 and server IPv6"},
    {CONN("server = \"10.1.0.1\" " ALGS SPIS KEYS "mode = beet"), 7,
     "home-agent is the server's outer address"},
    {"prefix = \"10.9.0.0/24\"\n" CONN(AT_SERVER ALGS SPIS KEYS "mode = beet"), 8,
     "write one home-address and no prefix"},
    {CONN(AT_SERVER SPIS KEYS "integrity = sha256\ncipher = rot13"), 8,
     "cipher: \"rot13\" is unknown; write one of aes128-cbc"},
    {CONN(AT_SERVER SPIS KEYS "integrity = sha256\ncipher = " KEY32), 8, "cipher: is unknown"},
    {CONN(AT_SERVER SPIS KEYS "integrity = sha256\ncipher = aes128-gcm"), 8, "RFC 4106"},
    {CONN(AT_SERVER SPIS KEYS "cipher = aes256-gcm"), 7, "RFC 4106"},
    {CONN(AT_SERVER SPIS KEYS "cipher = aes128-gmac"), 7, "aes128-gmac is refused"},
    {CONN(AT_SERVER SPIS KEYS "cipher = chacha20-poly1305"), 7, "is refused"},
    {CONN(AT_SERVER SPIS KEYS "cipher = des-cbc"), 7, "RFC 8221"},
    {CONN(AT_SERVER SPIS KEYS "cipher = null\nintegrity = hmac-md5-96"), 8, "RFC 8221"},
    {CONN(AT_SERVER SPIS KEYS "cipher = sha256"), 7, "is an integrity algorithm; write one of"},
    {CONN(AT_SERVER SPIS KEYS "cipher = null\nintegrity = null"), 8, "null is a cipher"},
    {CONN(AT_SERVER ALGS SPIS "key-out = \"" KEY48 "\"\nkey-in = \"" KEY32 "\""), 8,
     "key-in has 32 bytes; aes128-cbc and hmac-sha-256-128 need 48 (16 of encryption, then 32"},
    {CONN(AT_SERVER ALGS SPIS "key-out = \"" KEY48 "\"\nkey-in = \"" KEY48 "00\""), 8,
     "key-in has 49 bytes"},
    {CONN(AT_SERVER ALGS SPIS "key-out = \"" KEY48 "\"\nkey-in = \"" KEY48 "0\""), 8,
     "an odd number of hexadecimal digits (97)"},
    {CONN(AT_SERVER ALGS SPIS "key-out = \"" KEY48 "\"\nkey-in = \"0x" KEY48 "g\""), 8,
     "character 99 is not a hexadecimal digit"},
    {CONN(AT_SERVER ALGS SPIS "key-out = \"" KEY48 "\"\nkey-in = \"" KEY48 KEY48 KEY48 KEY48 "\""),
     8, "too long"},
    {CONN(AT_SERVER ALGS SPIS "key-out = \"" KEY48 "\"\nkey-in = \"\""), 8, "has 0 bytes"},
    {CONN(AT_SERVER ALGS SPIS KEYS "\nkey-in-file = x"), 8, "both key-in and key-in-file"},
    {CONN(AT_SERVER ALGS SPIS KEYS "\nesn = no replay-window = 10"), 8, "too small"},
    {CONN(AT_SERVER ALGS SPIS KEYS "\nreplay-window = 128"), 8, "share one window"},
    {CONN(AT_SERVER ALGS SPIS KEYS "\nlifetime-packets = 1"), 8, "out of range"},
    {CONN(AT_SERVER ALGS SPIS KEYS "\nlifetime-bytes = 99999999T"), 8, "out of range"},
    {CONN(AT_SERVER ALGS SPIS KEYS "\nkeepalive = 3601"), 8, "out of range"},
    {CONN(AT_SERVER ALGS SPIS KEYS "protocol = udp"), 7, "write esp, ah"},
    {CONN(AT_SERVER AH SPIS AHKEYS "\nencapsulation = udp"), 8, "protects the outer addresses"},
    {CONN(AT_SERVER AH SPIS AHKEYS "\nencapsulation = esp"), 8, "protects the outer addresses"},
    {CONN(AT_SERVER AH SPIS AHKEYS "\ncipher = null"), 8, "AH encrypts nothing"},
    {CONN(AT_SERVER AH SPIS AHKEYS "\nport = 4500"), 8, "AH has no ports"},
    {CONN(AT_SERVER "protocol = ah " SPIS AHKEYS), 6, "no integrity"},
    {CONN(AT_SERVER SPIS AHKEYS "protocol = ah\nintegrity = aes128-gmac"), 8, "is a cipher"},
    {CONN(AT_SERVER BUNDLE SPIS KEYS), 7,
     "has 48 bytes; aes128-cbc and hmac-sha-256-128 need 80 (16 of ESP's encryption, then 32"},
    {CONN(AT_SERVER BUNDLE SPIS "\nencapsulation = esp"), 8, "protects the outer addresses"},
    {CONN(AT_SERVER BUNDLE SPIS BUNDLEKEYS "\nesp-spi-in = 255"), 8, "are reserved"},
    {CONN(AT_SERVER ALGS SPIS KEYS "\nesp-spi-in = 256"), 8, "only protocol = ah-esp has it"},
    {CONN(AT_SERVER AH SPIS AHKEYS "\nesp-spi-out = 256"), 8, "only protocol = ah-esp has it"},
    {CONN(AT_SERVER AH SPIS KEYS), 7, "has 48 bytes; hmac-sha-256-128 needs 32"},
    {SERVER ALICE_HEAD "connection wifi { " AT_SERVER AH SPIS AHKEYS
		       "\ncare-of = \"192.0.2.1:5\" } }\n",
     6, "AH has no ports"},
    {CONN(AT_SERVER ALGS SPIS KEYS "\nnetwork = \"wifi\""), 8, "link address of a gateway"},
    {CONN(AT_SERVER ALGS SPIS KEYS "\ninterface = an-interface-name"), 8, "at most 15"},
    {TERMINAL WIFI "connection cell { " AT_SERVER ALGS KEYS "spi-out = 0x1002\nspi-in = 0x2001 }\n",
     8, "spi-in 0x2001 is already that of connection wifi (line 6)"},
    {TERMINAL WIFI "connection cell { " AT_SERVER ALGS KEYS "spi-in = 0x2002\nspi-out = 0x1001 }\n",
     8, "spi-out 0x1001 is already that of connection wifi (line 6)"},
    {TERMINAL WIFI "connection cell { server = \"203.0.113.2\" " ALGS KEYS
		   "spi-out = 0x1001\nspi-in = 0x2001 }\n",
     8, "spi-in 0x2001"},
    {SERVER ALICE_HEAD "connection wifi { server = \"203.0.113.9\" " ALGS SPIS KEYS "} }\n", 5,
     "server 203.0.113.9 is not in listen"},
    {SERVER ALICE_HEAD "connection wifi { " ALGS SPIS KEYS "} }\n", 5, "has no server"},
    {SERVER ALICE_HEAD "connection wifi { server = \"203.0.113.1:4501\" " ALGS SPIS KEYS "} }\n", 5,
     "listens on port 4500"},
    {SERVER ALICE_HEAD "connection wifi { " AT_SERVER ALGS SPIS KEYS
		       "\ncare-of = \"2001:db8::5\" } }\n",
     6, "care-of is IPv6 and server IPv4"},
    {SERVER ALICE_HEAD "connection wifi { " AT_SERVER ALGS SPIS KEYS "\ncare-of = some } }\n", 6,
     "care-of: \"some\" is no address"},
    {SERVER ALICE_HEAD "connection wifi { encapsulation = esp " AT_SERVER ALGS SPIS KEYS
		       "\ncare-of = \"192.0.2.1:5\" } }\n",
     6, "has no ports"},
};

static void test_bad_form(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad_form); i++)
		check_bad(&bad_form[i]);
}

static void test_bad_values(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad_values); i++)
		check_bad(&bad_values[i]);
}

static void test_bad_roles(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad_roles); i++)
		check_bad(&bad_roles[i]);
}

static void test_bad_connections(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad_connections); i++)
		check_bad(&bad_connections[i]);
}

static void test_zero_byte(void **state)
{
	static const char text[] = "role = terminal\n\0x\n";
	struct err err = {""};

	(void)state;
	assert_null(read_text(text, sizeof(text) - 1, &err));
	assert_string_equal(err.text, "t.conf:2: a zero byte; the configuration is text");
}

/* The same text cut anywhere and with any one character spoilt: read or refused, no key shown. */
static void test_spoilt(void **state)
{
	static const char text[] =
	    TERMINAL "connection wifi {\n" AT_SERVER "\n" ALGS "\n" SPIS "\nkey-out = \"0x" KEY48
		     "\"\nkey-in = \"" KEY48 "\"\n}\n";
	static const char with[] = "\"'{}=,\n#/\\ zG0";
	char copy[sizeof(text)];
	struct err err;

	(void)state;
	for (size_t cut = 1; cut < sizeof(text); cut++) {
		err.text[0] = '\0';
		config_free(read_text(text, cut, &err));
		assert_false(shows_key(err.text));
	}
	for (size_t at = 0; at < sizeof(text) - 1; at++) {
		for (const char *w = with; *w; w++) {
			memcpy(copy, text, sizeof(text));
			copy[at] = *w;
			err.text[0] = '\0';
			struct config *c = read_text(copy, sizeof(text) - 1, &err);
			if (!c && shows_key(err.text))
				fail_msg("shows a key: character %zu as '%c'", at, *w);
			if (!c && strncmp(err.text, "t.conf:", 7) != 0)
				fail_msg("no place: %s", err.text);
			config_free(c);
		}
	}
}

static struct addr addr_of(const char *text)
{
	struct addr a;
	assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

static void test_terminal_defaults(void **state)
{
	struct config *c = read_good(TERMINAL WIFI);
	const struct config_terminal *t = c->terminals;
	const struct config_connection *x = t->connections;
	struct addr home = addr_of("10.1.0.10"), server = addr_of("203.0.113.1");

	(void)state;
	assert_string_equal(c->path, "t.conf");
	assert_int_equal(c->role, ROLE_TERMINAL);
	assert_string_equal(c->user, "nobody");
	assert_string_equal(c->tun, "sojourn0");
	assert_string_equal(c->control, "/run/sojourn/control");
	assert_int_equal(c->control_mode, 0660);
	assert_int_equal(c->mtu, 1500);
	assert_true(c->offload);
	assert_int_equal(c->df, FWD_DF_SET);
	assert_int_equal(c->mark, 0x534a);
	assert_int_equal(c->table, 434);
	assert_int_equal(c->port, 4500);
	assert_int_equal(c->log_level, LOG_LEVEL_INFO);
	assert_int_equal(c->probe_idle_ms, 1000);
	assert_int_equal(c->probe_spare_ms, 20000);
	assert_int_equal(c->initial_rto_ms, 120);
	assert_int_equal(c->route_count, 1);
	assert_int_equal(c->routes[0].addr.family, 4);
	assert_int_equal(c->routes[0].len, 0);
	assert_false(c->has_home);
	assert_true(t->name[0]);
	assert_int_equal(t->home_count, 1);
	assert_true(addr_equal(&t->homes[0], &home));
	assert_int_equal(t->registration_spi, 256);
	assert_int_equal(t->registration_key_len, 32);
	assert_int_equal(t->registration_key[31], 0xbf);
	assert_int_equal(t->lifetime_s, 600);
	assert_int_equal(t->replay_packets, 4096);
	assert_int_equal(t->connections_max, 1);
	assert_null(t->next);
	assert_null(x->next);
	assert_string_equal(x->name, "wifi");
	assert_int_equal(x->line, 6);
	assert_string_equal(x->interface, "wlan0");
	assert_true(addr_equal(&x->server.addr, &server));
	assert_int_equal(x->server.port, 4500);
	assert_true(x->udp && x->esn && !x->has_network);
	assert_string_equal(x->encr->name, "aes128-cbc");
	assert_string_equal(x->integ->name, "hmac-sha-256-128");
	assert_int_equal(x->spi_in, 0x2001);
	assert_int_equal(x->spi_out, 0x1001);
	assert_int_equal(x->key_len, 48);
	assert_int_equal(x->key_in[0], 0xd0);
	assert_int_equal(x->key_out[47], 0xff);
	assert_int_equal(x->keepalive_s, 20);
	assert_int_equal(x->hard_packets, 0);
	config_free(c);
}

/* What a mode other than tunnel says of the inside, on either side. */
static void test_modes(void **state)
{
	struct config *c =
	    read_good(TERMINAL "connection wifi { mode = beet " AT_SERVER ALGS SPIS KEYS "}\n");
	const struct config_connection *x = c->terminals->connections;
	struct addr home, agent;

	(void)state;
	assert_int_equal(addr_parse("10.1.0.10", &home), 0);
	assert_int_equal(addr_parse("10.1.0.1", &agent), 0);
	assert_int_equal(x->mode, SA_BEET);
	assert_true(addr_equal(&x->fixed_local, &home) && addr_equal(&x->fixed_remote, &agent));
	/* Nothing else can be carried. */
	assert_int_equal(c->route_count, 1);
	assert_true(addr_equal(&c->routes[0].addr, &agent) && c->routes[0].len == 32);
	config_free(c);

	c = read_good(TERMINAL "connection wifi { mode = beet " AT_SERVER ALGS SPIS KEYS "}\n"
			       "connection cell { " AT_SERVER ALGS
			       "spi-in = 0x2002 spi-out = 0x1002 " KEYS "}\n");
	assert_int_equal(c->terminals->connections->next->mode, SA_TUNNEL);
	assert_int_equal(c->route_count, 1);
	assert_int_equal(c->routes[0].len, 0);
	config_free(c);

	c = read_good(SERVER ALICE_HEAD
		      "connection wifi { mode = transport " AT_SERVER ALGS SPIS KEYS "} }\n");
	x = c->terminals->connections;
	assert_int_equal(x->mode, SA_TRANSPORT);
	assert_true(addr_equal(&x->fixed_local, &agent) && addr_equal(&x->fixed_remote, &home));
	config_free(c);
}

static void test_terminal_full(void **state)
{
	struct config *c = read_good(
	    "role = terminal name = bus-7 # comment\n"
	    "home-address = { \"10.1.0.10\", /* two */ \"fd00::10\" }\n"
	    "prefix = { \"10.9.0.0/24\", \"fd09::/64\" } home-agent = { \"10.1.0.1\", \"fd00::1\" "
	    "}\n"
	    "registration-spi = 0x1000 registration-key = \"" KEY32 "\" lifetime = 300\n"
	    "user = sojourn root = /var/empty tun = tun9 mtu = 1400 offload = no df = copy "
	    "packet-crypto = openssl workers = 3\n"
	    "control = /tmp/c control-mode = 0600 control-group = staff mark = 7 table = 99\n"
	    "port = 14500 log-level = debug probe-idle = 500 probe-spare = 5000 initial-rto = 100\n"
	    "replay-window = 65536 routes = { \"10.0.0.0/8\" }\n"
	    "home { prefix = \"10.1.0.0/24\" gateway = \"10.1.0.1\" interface = eth0\n"
	    " gateway-mac = \"02:00:00:00:00:0a\" }\n"
	    "connection v6 { network = \"02:00:00:00:00:0b\" server = \"[2001:db8::1]:99\"\n"
	    " cipher = null integrity = sha256 spi-in = 300 spi-out = 301 key-in = \"" KEY32 "\"\n"
	    " key-out = \"" KEY32 "\" esn = no replay-window = 0 lifetime-packets = 1000\n"
	    " lifetime-bytes = 1M lifetime-time = 3600 keepalive = 0 }\n"
	    "connection native { encapsulation = esp server = \"2001:db8::1\" " ALGS SPIS KEYS "}\n"
	    "connection ah { server = \"2001:db8::1\" " AH AHKEYS " spi-in = 302 spi-out = 303 }\n"
	    "connection b { server = \"2001:db8::1\" " BUNDLE BUNDLEKEYS
	    " spi-in = 304 spi-out = 305 esp-spi-out = 306 }\n");
	const struct config_terminal *t = c->terminals;
	const struct config_connection *x = t->connections, *y = x->next;

	(void)state;
	assert_string_equal(t->name, "bus-7");
	assert_int_equal(t->home_count, 2);
	assert_int_equal(t->prefix_count, 2);
	assert_int_equal(t->prefixes[1].len, 64);
	assert_int_equal(t->lifetime_s, 300);
	assert_int_equal(t->replay_packets, 65536);
	assert_int_equal(c->home_agent_count, 2);
	assert_string_equal(c->user, "sojourn");
	assert_string_equal(c->root, "/var/empty");
	assert_string_equal(c->tun, "tun9");
	assert_false(c->offload);
	assert_int_equal(c->library, CRYPT_LIBRARY_OPENSSL);
	assert_int_equal(c->workers, 3);
	assert_int_equal(c->df, FWD_DF_COPY);
	assert_int_equal(c->control_mode, 0600);
	assert_string_equal(c->control_group, "staff");
	assert_int_equal(c->mark, 7);
	assert_int_equal(c->table, 99);
	assert_int_equal(c->port, 14500);
	assert_int_equal(c->log_level, LOG_LEVEL_DEBUG);
	assert_int_equal(c->probe_idle_ms, 500);
	assert_int_equal(c->initial_rto_ms, 100);
	assert_int_equal(c->route_count, 1);
	assert_true(c->has_home && c->has_home_network);
	assert_string_equal(c->home_interface, "eth0");
	assert_int_equal(c->home_network.gateway[5], 0x0a);
	assert_string_equal(x->name, "v6");
	assert_true(x->has_network && !x->esn && x->udp && !x->ah);
	assert_true(y->next->ah && !y->next->udp && !y->next->encr);
	assert_int_equal(y->next->key_len, 32);
	const struct config_connection *b = y->next->next;
	assert_true(b->ah && b->bundle && b->encr && !y->next->bundle);
	assert_int_equal(b->key_len, 80);
	assert_int_equal(config_overhead_max(c), CONFIG_OVERHEAD_BUNDLE);
	struct config *no_bundle = read_good(TERMINAL WIFI);
	assert_int_equal(config_overhead_max(no_bundle), CONFIG_OVERHEAD_MAX);
	config_free(no_bundle);
	assert_int_equal(b->esp_spi_in, 304);
	assert_int_equal(b->esp_spi_out, 306);
	assert_int_equal(y->next->server.port, 0);
	assert_int_equal(x->server.port, 99);
	assert_int_equal(x->key_len, 32);
	assert_int_equal(x->replay_packets, 0);
	assert_int_equal(x->hard_packets, 1000);
	assert_int_equal(x->soft_packets, 900);
	assert_int_equal(x->hard_bytes, 1048576);
	assert_int_equal(x->lifetime_s, 3600);
	assert_int_equal(x->keepalive_s, 0);
	assert_false(y->udp);
	assert_int_equal(y->server.port, 0);
	assert_int_equal(y->line, 15);
	config_free(c);
}

static void test_policy(void **state)
{
	(void)state;
	struct config *c =
	    read_good(SERVER ALICE_HEAD "registration = { request, data } accept = active-only\n"
					"drain = 30\n" ALICE_WIFI "}\n");
	const struct config_terminal *t = c->terminals;
	assert_int_equal(t->may, BINDING_MAY(BINDING_BY_REQUEST) | BINDING_MAY(BINDING_BY_DATA));
	assert_true(t->strict);
	assert_int_equal(t->drain_s, 30);
	/* None of it makes it another terminal: a reload keeps its connections. */
	struct config *d = read_good(SERVER ALICE_HEAD ALICE_WIFI "}\n");
	assert_true(config_terminal_equal(t, d->terminals));
	config_free(d);
	config_free(c);
	c = read_good(TERMINAL "registration = data\n" WIFI);
	assert_true(c->terminals->may & BINDING_MAY(BINDING_BY_DATA));
	config_free(c);
	c = read_good(TERMINAL "registration = request\n" WIFI);
	assert_false(c->terminals->may & BINDING_MAY(BINDING_BY_DATA));
	config_free(c);
}

static void test_server_values(void **state)
{
	struct config *c = read_good(
	    SERVER
	    "home-link = eth1\n" ALICE_HEAD "prefix = \"10.9.0.0/24\" policy = strict "
	    "connections-max = 2 lifetime = 100 n-cast-class = { ef, af41, 63 }\n" ALICE_WIFI
	    "connection fixed { care-of = \"192.0.2.7\" server = \"203.0.113.1:4500\" " ALGS KEYS
	    "spi-in = 0x1002 spi-out = 0x2002 }\n}\n"
	    "terminal bob { home-address = \"10.1.0.11\" registration-spi = 300\n"
	    "registration-key = \"" KEY32
	    "\"\nconnection wifi { care-of = any server = \"2001:db8::1\" " ALGS KEYS
	    "spi-in = 0x1003 spi-out = 0x2001 } }\n");
	const struct config_terminal *alice = c->terminals, *bob = alice->next;

	(void)state;
	assert_int_equal(c->listen_count, 2);
	assert_string_equal(c->home_link, "eth1");
	assert_string_equal(alice->name, "alice");
	assert_true(alice->strict);
	assert_int_equal(alice->may, BINDING_MAY_DEFAULT);
	assert_int_equal(alice->drain_s, 0);
	assert_int_equal(alice->connections_max, 2);
	assert_true(alice->ncast_class == (1ull << 46 | 1ull << 34 | 1ull << 63));
	assert_true(!bob->ncast_class);
	assert_int_equal(alice->lifetime_s, 100);
	assert_int_equal(alice->connections->care_of.addr.family, 0);
	assert_int_equal(alice->connections->server.port, 4500);
	assert_int_equal(alice->connections->next->care_of.port, 4500);
	assert_string_equal(bob->name, "bob");
	assert_false(bob->strict);
	assert_int_equal(bob->line, 10);
	assert_int_equal(bob->connections->server.addr.family, 6);
	assert_null(bob->next);
	config_free(c);
	/* one address: server may be left out */
	c = read_good(
	    "role = home-server listen = \"203.0.113.1\" home-agent = \"10.1.0.1\"\n" ALICE_HEAD
	    "connection wifi { " ALGS SPIS KEYS "} }\n");
	assert_true(addr_equal(&c->terminals->connections->server.addr, &c->listen[0]));
	config_free(c);
}

static void test_ncast(void **state)
{
	static const char *const words[] = {"no", "down", "up", "both"};
	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(words); i++) {
		char text[2000];
		snprintf(text, sizeof(text),
			 "n-cast = %s n-cast-interfaces = { wlan0, wwan0 } n-cast-class = ef\n"
			 "%s",
			 words[i], TERMINAL WIFI);
		struct config *c = read_good(text);
		assert_int_equal(c->terminals->ncast, i);
		assert_int_equal(c->terminals->ncast_interface_count, 2);
		assert_string_equal(c->terminals->ncast_interfaces[1], "wwan0");
		assert_true(c->terminals->ncast_class == 1ull << 46);
		struct config *other = read_good(TERMINAL WIFI);
		assert_false(config_terminal_equal(c->terminals, other->terminals));
		other->terminals->ncast_class = c->terminals->ncast_class;
		other->terminals->ncast_interface_count = 2;
		memcpy(other->terminals->ncast_interfaces, c->terminals->ncast_interfaces,
		       sizeof(c->terminals->ncast_interfaces));
		assert_true(config_terminal_equal(c->terminals, other->terminals));
		config_free(other);
		config_free(c);
	}
}

static void test_environment(void **state)
{
	(void)state;
	setenv("SOJOURN_TEST_NAME", "from-environment", 1);
	struct config *c = read_good("name = \"${SOJOURN_TEST_NAME}\"\n" TERMINAL WIFI);
	assert_string_equal(c->terminals->name, "from-environment");
	config_free(c);
}

/* --- files */

static void write_file(char *path, const char *text, mode_t mode)
{
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static void test_load_mode(void **state)
{
	char path[] = "/tmp/test_config.XXXXXX";
	struct err err = {""};

	(void)state;
	write_file(path, TERMINAL WIFI, 0644);
	assert_null(config_load(path, &err));
	assert_non_null(strstr(err.text, "readable by others and holds keys: chmod 600"));
	assert_int_equal(chmod(path, 0602), 0);
	assert_null(config_load(path, &err));
	assert_non_null(strstr(err.text, "writable by others"));
	assert_int_equal(chmod(path, 0640), 0);
	struct config *c = config_load(path, &err);
	assert_non_null(c);
	config_free(c);
	unlink(path);
	assert_null(config_load(path, &err));
	assert_non_null(strstr(err.text, "No such file"));
	assert_null(config_load("/tmp", &err));
	assert_non_null(strstr(err.text, "not a file"));
}

static void test_key_files(void **state)
{
	char key[] = "/tmp/test_config_key.XXXXXX", path[] = "/tmp/test_config.XXXXXX", text[2048];
	struct err err = {""};

	(void)state;
	write_file(key, KEY48 "\n", 0600);
	snprintf(text, sizeof(text),
		 "%sconnection wifi { %s%s%s\nkey-in-file = \"%s\" key-out-file = \"%s\" }\n",
		 TERMINAL, AT_SERVER, ALGS, SPIS, key, key);
	write_file(path, text, 0600);
	struct config *c = config_load(path, &err);
	if (!c)
		fail_msg("%s", err.text);
	assert_int_equal(c->terminals->connections->key_out[47], 0xff);
	config_free(c);
	/* from a descriptor: the process that reads it has no files */
	assert_null(read_text(text, strlen(text), &err));
	assert_non_null(strstr(err.text, "t.conf:7: key-in-file: files are not read here"));
	assert_int_equal(chmod(key, 0644), 0);
	assert_null(config_load(path, &err));
	assert_non_null(strstr(err.text, ":7: key-in-file: the file can be read by others"));
	unlink(key);
	assert_null(config_load(path, &err));
	assert_non_null(strstr(err.text, ":7: key-in-file: cannot open"));
	unlink(path);
}

static void check_example(const char *name, enum config_role role)
{
	char path[512];
	struct err err = {""};
	int lines = 0, ch;

	snprintf(path, sizeof(path), "%s/examples/%s", getenv("SOURCE_ROOT"), name);
	FILE *in = fopen(path, "r");
	if (!in)
		fail_msg("%s is not there", path);
	while ((ch = fgetc(in)) != EOF)
		lines += ch == '\n';
	assert_in_range(lines, 10, 30);
	rewind(in);
	struct config *c = config_read(in, path, &err);
	fclose(in);
	if (!c)
		fail_msg("%s", err.text);
	assert_int_equal(c->role, role);
	assert_non_null(c->terminals->connections->next);
	config_free(c);
}

/* What goes out of one comes into the other. */
static void test_examples(void **state)
{
	(void)state;
	if (!getenv("SOURCE_ROOT"))
		skip();
	check_example("terminal.conf", ROLE_TERMINAL);
	check_example("home-server.conf", ROLE_HOME_SERVER);
	check_example("end-to-end-a.conf", ROLE_TERMINAL);
	check_example("end-to-end-b.conf", ROLE_HOME_SERVER);
	check_example("l2tp-terminal.conf", ROLE_TERMINAL);
	check_example("l2tp-home-server.conf", ROLE_HOME_SERVER);
	check_example("ah-terminal.conf", ROLE_TERMINAL);
	check_example("ah-home-server.conf", ROLE_HOME_SERVER);
}

/* --- reload */

static void check_connection(const char *rest, bool same)
{
	char text[2048];

	struct config *a = read_good(TERMINAL WIFI);
	snprintf(text, sizeof(text), "%sconnection wifi { %s }\n", TERMINAL, rest);
	struct config *b = read_good(text);
	if (config_connection_equal(a->terminals->connections, b->terminals->connections) != same)
		fail_msg("should be %s: %s", same ? "equal" : "different", rest);
	config_free(a);
	config_free(b);
}

#define HERE "interface = wlan0 " AT_SERVER
static void test_connection_equal(void **state)
{
	(void)state;
	check_connection(SPIS ALGS KEYS "\n\n" HERE, true);
	check_connection("interface = wlan1 " AT_SERVER ALGS SPIS KEYS, false);
	check_connection("interface = wlan0 server = \"203.0.113.2\" " ALGS SPIS KEYS, false);
	check_connection("interface = wlan0 server = \"203.0.113.1:1\" " ALGS SPIS KEYS, false);
	check_connection(HERE ALGS KEYS "spi-in = 0x2001 spi-out = 0x1002", false);
	check_connection(HERE ALGS KEYS "spi-in = 0x2002 spi-out = 0x1001", false);
	check_connection(HERE ALGS SPIS "key-in = \"" KEY48 "\" key-out = \"" KEY32
					"00000000000000000000000000000000\"",
			 false);
	check_connection(HERE ALGS SPIS KEYS "esn = no", false);
	check_connection(HERE ALGS SPIS KEYS "encapsulation = esp", false);
	check_connection(HERE ALGS SPIS KEYS "mode = beet", false);
	check_connection(HERE ALGS SPIS KEYS "mode = tunnel", true);
	check_connection(HERE AH SPIS AHKEYS, false);
	check_connection(HERE BUNDLE SPIS BUNDLEKEYS, false);
	check_connection(HERE ALGS SPIS KEYS "protocol = esp", true);
	check_connection(HERE ALGS SPIS KEYS "lifetime-packets = 100", false);
	check_connection(HERE ALGS SPIS KEYS "lifetime-bytes = 1M", false);
	check_connection(HERE ALGS SPIS KEYS "lifetime-time = 100", false);
	check_connection(HERE ALGS SPIS KEYS "keepalive = 21", false);
	check_connection(HERE ALGS SPIS KEYS "keepalive = 20", true);
	check_connection(HERE ALGS SPIS KEYS "network = \"02:00:00:00:00:01\"", false);
}

static void check_terminal(const char *extra, bool same, const char *fixed)
{
	char text[2048];

	struct config *a = read_good("name = x\n" TERMINAL WIFI);
	snprintf(text, sizeof(text), "%s\n%s%s", extra, TERMINAL, WIFI);
	struct config *b = read_good(text);
	if (config_terminal_equal(a->terminals, b->terminals) != same)
		fail_msg("should be %s: %s", same ? "equal" : "different", extra);
	const char *difference = config_fixed_difference(a, b);
	if (fixed)
		assert_string_equal(difference, fixed);
	else
		assert_null(difference);
	config_free(a);
	config_free(b);
}

static void test_terminal_equal(void **state)
{
	(void)state;
	check_terminal("name = x", true, NULL);
	check_terminal("name = y", false, NULL);
	check_terminal("name = x prefix = \"10.9.0.0/24\"", false, NULL);
	check_terminal("name = x lifetime = 100", false, NULL);
	check_terminal("name = x replay-window = 128", false, NULL);
	check_terminal("name = x log-level = debug", true, NULL);
	check_terminal("name = x routes = \"10.0.0.0/8\"", true, NULL);
	check_terminal("name = x probe-idle = 500", true, NULL);
	check_terminal("name = x home { prefix = \"10.1.0.0/24\" gateway = \"10.1.0.1\" }", true,
		       "home");
	check_terminal("name = x tun = t", true, "tun");
	check_terminal("name = x mtu = 1400", true, "mtu");
	check_terminal("name = x control = /x", true, "control");
	check_terminal("name = x mark = 1", true, "mark");
	check_terminal("name = x table = 1", true, "table");
	check_terminal("name = x port = 1", true, "port");
	check_terminal("name = x user = u", true, "user");
	check_terminal("name = x root = /r", true, "root");
	check_terminal("name = x df = copy", true, "df");
	check_terminal("name = x offload = no", true, "offload");
	check_terminal("name = x packet-crypto = openssl", true, "packet-crypto");
	check_terminal("name = x workers = 2", true, "workers");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_shows_key_finds),
	    cmocka_unit_test(test_bad_form),
	    cmocka_unit_test(test_bad_values),
	    cmocka_unit_test(test_bad_roles),
	    cmocka_unit_test(test_bad_connections),
	    cmocka_unit_test(test_zero_byte),
	    cmocka_unit_test(test_spoilt),
	    cmocka_unit_test(test_terminal_defaults),
	    cmocka_unit_test(test_terminal_full),
	    cmocka_unit_test(test_policy),
	    cmocka_unit_test(test_modes),
	    cmocka_unit_test(test_server_values),
	    cmocka_unit_test(test_environment),
	    cmocka_unit_test(test_load_mode),
	    cmocka_unit_test(test_key_files),
	    cmocka_unit_test(test_examples),
	    cmocka_unit_test(test_connection_equal),
	    cmocka_unit_test(test_ncast),
	    cmocka_unit_test(test_terminal_equal),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
