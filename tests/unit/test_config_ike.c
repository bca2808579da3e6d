/* SPDX-License-Identifier: MIT */
/* The configuration of IKEv2: what each wrong text is told, with the right line and without any
 * secret. */
#include "config_rig.h"

struct bad {
	const char *text;
	int line;
	const char *says;
};

static void check_bad(const struct bad *b)
{
	struct err err = {""};
	char place[160];

	struct config *c = load(b->text, &err);
	snprintf(place, sizeof(place), "%s/t.conf:%d: ", directory, b->line);
	if (c)
		fail_msg("accepted, but should say \"%s\":\n%s", b->says, b->text);
	if (strncmp(err.text, place, strlen(place)) != 0)
		fail_msg("not line %d: %s", b->line, err.text);
	if (!strstr(err.text, b->says))
		fail_msg("does not say \"%s\": %s", b->says, err.text);
	if (shows_secret(err.text))
		fail_msg("shows a secret (looked for \"%s\")", b->says);
}

static void check_all(const struct bad *b, size_t count)
{
	for (size_t k = 0; k < count; k++)
		check_bad(&b[k]);
}

/* --- refusals */

static const struct bad bad_terminal[] = {
    {TP("mode = transport"), 2, "mode transport without home-address"},
    {TP("mode = transport } home-address = \"10.1.0.10\" home { prefix = \"10.1.0.0/24\" "
	"gateway = \"10.1.0.1\""),
     2, "mode transport without home-agent"},
    {T(ME PSK), 2, "section ike has no server"},
    {T(VPN PSK), 2, "section ike has no id; write who this terminal is"},
    {T(VPN ME), 2, "section ike has no secret; write secret"},
    {T("server = \"10.1.0\" " ME PSK), 3, "server: \"10.1.0\" is neither a name nor an address"},
    {T("server = \"vpn..example\" " ME PSK), 3, "is neither a name nor an address"},
    {T("server = \"-vpn.example\" " ME PSK), 3, "is neither a name nor an address"},
    {T("server = \"vpn.example.org:0\" " ME PSK), 3, "is neither a name nor an address"},
    {T("server = \"vpn.example.org:65536\" " ME PSK), 3, "is neither a name nor an address"},
    {T("server = \"vpn.example.org:https\" " ME PSK), 3, "is neither a name nor an address"},
    {T("server = \"224.0.0.1\" " ME PSK), 3, "is neither a name nor an address"},
    {T("server = \"[2001:db8::1\" " ME PSK), 3, "is neither a name nor an address"},
    {T("server = \"0x" HEX32 "0\" " ME PSK), 3, "server: is neither"},
    {T("server = { \"a.example\",\n\"b.example\",\"c.example\",\"d.example\",\n\"e.example\" } " ME
	   PSK),
     5, "more than 4 in server"},
    {T("server = { \"a.example\",\n\"a.example\" } " ME PSK), 4, "a.example is there twice"},
    {T("server = { \"a.example\",\n\"b.example\" } " ME PSK), 4, "server has two names"},
    {T("server = \"203.0.113.1\" " CERT CA), 3, "server is an address, which is in no certificate"},
    {T(VPN PSK "\nid = \"*@example.org\""), 4, "id is a pattern"},
    {T(VPN PSK "\nid = \"%any\""), 4, "id is a pattern"},
    {T(VPN PSK "\nid = \"\""), 4, "id: it is empty"},
    {T(VPN PSK "\nid = \"C=DE, nonsense\""), 4, "id: "},
    {T(VPN PSK "\nid = \"a*b" HEX32 "\""), 4, "id: it is no identity"},
    {T(VPN ME PSK) "ike { }\n", 5, "a second section ike"},
    {TP("listen = 1"), 4, "listen does not belong here; write it outside of all sections"},
    {TP("cookie-threshold = 10"), 4, "only a home server has cookie-threshold in a section like"},
    {TP("dns = \"10.1.0.1\""), 4, "only a home server has dns"},
    {"role = terminal\nsecret = \"" SECRET "\"\n", 2, "write it into the section ike"},
    {"role = terminal\npool x { }\n", 2, "only a home server has pool"},
    {TP("prefer = { \"wlan0\",\n\"wlan0\" }"), 5, "wlan0 is already the name of a connection"},
    {TP("prefer = \"a-very-long-interface\""), 4, "at most 15 characters"},
    {TP("prefer = \"eth+0\""), 4, "made of letters"},
    {TP("} connection wifi {"), 4, "connection wifi says neither interface nor network nor keys"},
    {TP("} connection wifi { interface = wlan0\nkeepalive = 20"), 5,
     "has no keys, so IKE makes it"},
    {"home-address = \"10.1.0.10\"\n" T(VPN ME PSK) "home-agent = \"fd00::1\"\n", 1,
     "is IPv4 and there is no IPv4 home-agent"},
    {"registration-spi = 300\n" TP(""), 2, "registration-key is missing"},
    {TP("}\nhome { prefix = \"10.1.0.0/24\" gateway = \"10.1.0.1\""), 5,
     "section home without home-address"},
    {"prefix = \"10.9.0.0/24\"\n" TP(""), 1, "has no IPv4 home-address"},
    {"routes = \"203.0.113.1/32\"\n" T("server = \"203.0.113.1\" " ME PSK), 1,
     "cannot be reached through itself"},
    {"port = 500\n" TP(""), 3, "port 500 of section ike is also that of encapsulated packets"},
    {"role = terminal\nhome-address = \"10.1.0.1\"\n", 1, "home-agent is missing"},
};

static const struct bad bad_proofs[] = {
    {T(VPN ME "\nsecret = \"short\""), 4, "secret has 5 bytes, which can be guessed"},
    {T(VPN ME "\nsecret = \"\""), 4, "secret is empty"},
    {T(VPN ME "\nsecret = \"0x" HEX32 "z\""), 4, "character 67 is not a hexadecimal digit"},
    {T(VPN ME "\nsecret = \"0x" HEX32 "0\""), 4, "an odd number of hexadecimal digits"},
    {T(VPN ME "\nsecret = \"0s" HEX32 "\""), 4, "base64 (0s...) is not read here"},
    {TP("secret-file = \"@/secret\""), 4, "both secret and secret-file"},
    {T(VPN ME "\nsecret-file = \"@/nothing\""), 4, "secret-file: cannot open the file"},
    {T(VPN ME "\nsecret-file = \"@/open-secret\""), 4,
     "secret-file: the file can be read by others; chmod 600 it"},
    {T(VPN ME "\nsecret-file = \"@/\""), 4, "secret-file: not a file"},
    {T(VPN ME "\nsecret-file = \"@/two-lines\""), 4, "more than one line"},
    {TP("auth = psk"), 4, "write secret, certificate, eap-mschapv2 or eap-tls"},
    {TP("server-auth = eap-tls"), 4, "write secret or certificate"},
    {TP("auth = certificate"), 4, "auth = certificate needs certificate = PATH"},
    {TP("server-auth = certificate"), 4, "server-auth = certificate needs ca = PATH"},
    {TP("auth = eap-tls"), 4, "auth = eap-tls needs certificate = PATH"},
    {T(VPN ME CA "\nauth = eap-mschapv2"), 4, "needs password"},
    {T(VPN ME CA "password = \"" PASS "\"\nserver-auth = secret"), 4, "RFC 7296 section 2.16"},
    {T(VPN ME "password = \"" PASS "\""), 2, "server-auth = certificate needs ca"},
    {T(VPN CA "password = \"" PASS "\""), 2, "section ike has no id"},
    {T(VPN ME PSK "password = \"" PASS "\""), 2, "several of certificate, secret and password"},
    {TC("secret = \"" SECRET "\""), 2, "several of certificate, secret and password"},
    {TC("auth = certificate\nsecret = \"" SECRET "\""), 5, "secret is there, but auth ="},
    {TP("auth = secret\npassword = \"" PASS "\""), 5, "password is there, but auth ="},
    {TP("eap-identity = alice"), 4, "eap-identity is there, but auth ="},
    {T(VPN ME PSK "auth = secret\n" CERT), 4, "certificate is there, but auth ="},
    {TP("certificate = \"@/alice.pem\""), 4, "certificate without private-key"},
    {TP("private-key = \"@/alice.key\""), 4, "private-key without certificate"},
    {T(VPN CA "\ncertificate = \"@/alice.pem\" private-key = \"@/vpn.key\""), 4,
     "certificate and private-key: "},
    {T(VPN CA "\ncertificate = \"@/alice.key\" private-key = \"@/alice.key\""), 4,
     "certificate and private-key: "},
    {T(VPN CA "certificate = \"@/alice.pem\"\nprivate-key = \"@/open.key\""), 4,
     "private-key: the file can be read by others"},
    {T(VPN CERT "\nca = \"@/open-ca.pem\""), 4, "ca: the file can be written by others"},
    {T(VPN CERT "\nca = \"@/secret\""), 4, "ca: "},
    {T(VPN CERT "\nca = \"@/nothing.pem\""), 4, "ca: cannot open the file"},
    {TC("crl = \"@/ca.pem\""), 4, "crl: "},
    {TC("crl-required = yes"), 4, "crl-required without crl"},
    {TP("crl = \"@/ca.crl\""), 4, "crl without ca"},
    {T(VPN CERT "ca = { \"@/ca.pem\", \"@/ca.der\" } auth = eap-tls eap-identity = alice"), 2,
     "takes them as PEM"},
    {TC("id = \"bob@example.org\""), 4, "id is not in the certificate"},
    {TC("rsa-pss = yes"), 4, "without a certificate of RSA"},
    {TP("ppk-id = p1"), 4, "ppk-id without ppk"},
    {TP("ppk = \"0x" HEX32 "\""), 2, "ppk without ppk-id"},
    {TP("ppk-id = p1 ppk = \"" SECRET "\""), 4, "ppk has 21 bytes; against a quantum computer"},
    {TP("ppk-required = yes"), 4, "ppk-required without ppk-id and ppk"},
};

static const struct bad bad_numbers[] = {
    {TP("proposals = \"rot13\""), 4, "proposals: "},
    {TP("proposals = \"des-md5-modp768\""), 4, "proposals: "},
    {TP("proposals = \"0x" HEX32 "\""), 4, "proposals: no proposal; write one like"},
    {TP("esp-proposals = \"aes128gcm16-prfsha256\""), 4, "esp-proposals: "},
    {TP("rekey-ike = 9"), 4, "rekey-ike is too small; write 0 (never)"},
    {TP("pfs = yes"), 4, "pfs = yes needs a group"},
    {TP("pfs = yes esp-proposals = { \"aes128gcm16-x25519\", \"aes256-sha256\" }"), 4,
     "pfs = yes needs a group"},
    {TP("rekey-child = 4"), 4, "rekey-child is too small"},
    {TP("rekey-child = 9999999"), 4, "rekey-child is out of range"},
    {TP("rekey-bytes = 1"), 4, "rekey-bytes is too small"},
    {TP("rekey-packets = 1"), 4, "rekey-packets is too small"},
    {TP("liveness = 86401"), 4, "liveness is out of range"},
    {TP("keepalive = x"), 4, "keepalive is not a number"},
    {TP("mobike = maybe"), 4, "mobike is neither yes nor no"},
    {TP("sojourn = 2"), 4, "sojourn is neither yes nor no"},
    {TP("encapsulation = esp"), 4, "write auto or udp"},
    {TP("mode = beet"), 4, "write tunnel or transport"},
    {TP("spares = 9"), 4, "spares is out of range"},
    {TP("port = 0"), 4, "port is out of range"},
    {TP("start = later"), 4, "start is neither"},
    {TP("retransmit-time = 1"), 4, "retransmit-time is out of range"},
    {TP("retransmit-tries = 0"), 4, "retransmit-tries is out of range"},
    {TP("fragment-size = 100"), 4, "fragment-size is out of range"},
    {TP("wireshark-keys = \"" HEX32 "\""), 4, "wireshark-keys is neither"},
};

static const struct bad bad_server[] = {
    {SI("secret = \"" SECRET "\""), 3, "section ike has no id; write the name that terminals"},
    {SI("id = \"vpn.example.org\"\nserver = \"x.example\""), 5, "only a terminal has server"},
    {SI("id = \"vpn.example.org\"\nprefer = wlan0"), 5, "only a terminal has prefer"},
    {SI("id = \"other.example.org\" " SCERT), 4, "id is not in the certificate"},
    {SI("id = \"vpn.example.org\"\nhalf-open-time = 1"), 5, "half-open-time is out of range"},
    {SI("id = \"vpn.example.org\"\nhalf-open-max = 1"), 5, "half-open-max is out of range"},
    {SI("id = \"vpn.example.org\"\nspares = 9"), 5, "spares is out of range"},
    {SI("id = \"vpn.example.org\"\ndns = \"dns.example.org\""), 5, "is no address"},
    {SI("id = \"vpn.example.org\"\nsubnets = \"10.0.0.1/8\""), 5, "bits set beyond its length"},
    {ALICE(""), 5, "terminal alice has no secret; write secret"},
    {S("terminal alice {\n" HOME PSK "}"), 5, "terminal alice has no id"},
    {S("terminal alice { " ME "\n" PSK "}"), 5, "terminal alice has neither home-address nor pool"},
    {S("terminal alice { " ME PSK "\npool = none }"), 6, "there is no section pool of this name"},
    {S("pool a { address = \"10.1.1.0/24\" } pool b { address = \"10.1.2.0/24\" }\nterminal alice "
       "{ " ME PSK "}"),
     6, "there are several pools"},
    {S("pool a { address = \"10.1.1.0/24\" }\nterminal alice { " ME PSK HOME "\npool = a }"), 7,
     "both pool and home-address"},
    {"role = home-server listen = \"203.0.113.1\" home-agent = \"10.1.0.1\"\nterminal alice { " ME
	 HOME PSK "}\n",
     2, "uses IKE and there is no section ike"},
    {"role = home-server listen = \"203.0.113.1\" home-agent = \"10.1.0.1\"\n"
     "pool a { address = \"10.1.1.0/24\" }\n",
     2, "there is no section ike"},
    {ALICE("auth = certificate"), 6, "auth = certificate needs ca = PATH; write it in section ike"},
    {ALICE("auth = eap-mschapv2 password = \"" PASS "\""), 5, "server-auth = certificate needs"},
    {ALICE(PSK "server-auth = certificate"), 6, "server-auth = certificate needs certificate"},
    {ALICE(PSK "\npassword = \"" PASS "\""), 5, "several of certificate, secret and password"},
    {ALICE(PSK "auth = secret\npassword = \"" PASS "\""), 7, "password is there, but"},
    {ALICE(PSK "encapsulation = udp"), 6, "write it in section ike"},
    {ALICE(PSK "certificate = x"), 6, "write it into the section ike"},
    {ALICE(PSK "server = \"vpn.example.org\""), 6, "server does not belong here"},
    {SC("terminal fleet { id = \"*@example.org\"\npassword = \"" PASS "\" }"), 6,
     "auth = eap-mschapv2 has one user and id is a pattern"},
    {SC("terminal fleet { id = \"*.example.org\"\n" HOME "}"), 7,
     "home-address: id of terminal fleet is a pattern"},
    {SC("terminal fleet { id = \"%any\"\nregistration-key = \"" HEX32 "\"\nregistration-spi = 300 "
	"}"),
     8, "registration-spi: id of terminal fleet is a pattern"},
    {ALICE(PSK "}\nterminal bob { home-address = \"10.1.0.11\" " PSK
	       "\nid = \"ALICE@example.org\""),
     8, "id is already that of terminal alice (line 5)"},
    {SC("terminal a { id = \"a.example\" eap-identity = u " HOME "password = \"" PASS "\" }\n"
	"terminal b { id = \"b.example\" home-address = \"10.1.0.11\" password = \"" PASS
	"\"\neap-identity = u }"),
     8, "eap-identity is already that of terminal a"},
    {ALICE(PSK "}\nterminal bob { id = \"bob@example.org\" " HOME PSK), 7,
     "10.1.0.10/32 is already that of terminal alice"},
    {ALICE(PSK "\nconnection wifi { }"), 5, "has no registration-spi"},
    {ALICE("secret = \"0x" HEX32 "x\""), 6, "not a hexadecimal digit"},
};

static const struct bad bad_pools[] = {
    {S("pool main { }"), 5, "pool main has no address"},
    {S("pool main { address = \"10.1.1.5\"-\"10\" }"), 5, ""},
    {S("pool main {\naddress = \"10.1.1.9-10.1.1.5\" }"), 6, "ends before it begins"},
    {S("pool main {\naddress = \"10.1.1.9-fd00::1\" }"), 6, "is no range"},
    {S("pool main {\naddress = \"10.1.1.9-10.1.1\" }"), 6, "is no range"},
    {S("pool main {\naddress = \"10.1.1.1/24\" }"), 6, "has bits set beyond its length"},
    {S("pool main {\naddress = \"224.0.0.0/8\" }"), 6, "belong to no node"},
    {S("pool main {\naddress = \"fd00::/112\" }"), 6, "is IPv6 and there is no IPv6 home-agent"},
    {S("pool main {\naddress = { \"10.1.1.0/24\",\n\"10.1.1.128/25\" } }"), 7,
     "overlaps a range of pool main (line 5)"},
    {S("pool a { address = \"10.1.1.0/24\" }\npool b { address = \"10.1.1.7-10.1.2.0\" }"), 6,
     "overlaps a range of pool a (line 5)"},
    {S("pool a { address = \"10.1.1.0/24\" }\npool a { address = \"10.1.2.0/24\" }"), 6,
     "already there"},
    {S("pool a { address = \"10.1.1.0/24\"\ndns = { \"10.1.0.1\", \"10.1.0.1\" } }"), 6,
     "is there twice"},
    {S("pool a { address = \"10.1.1.0/24\"\nsubnet = 1 }"), 6, "write subnets"},
};

static void test_bad_terminal(void **state)
{
	(void)state;
	check_all(bad_terminal, ARRAY_LEN(bad_terminal));
}

static void test_bad_proofs(void **state)
{
	(void)state;
	check_all(bad_proofs, ARRAY_LEN(bad_proofs));
}

static void test_bad_numbers(void **state)
{
	(void)state;
	check_all(bad_numbers, ARRAY_LEN(bad_numbers));
}

static void test_bad_server(void **state)
{
	(void)state;
	check_all(bad_server, ARRAY_LEN(bad_server));
}

static void test_bad_pools(void **state)
{
	(void)state;
	check_all(bad_pools, ARRAY_LEN(bad_pools));
}

/* Cut anywhere and with any one character spoilt: read or refused, no secret shown. */
static void test_spoilt(void **state)
{
	static const char text[] = T(
	    VPN "\n" ME "\nsecret = \"0x" HEX32 "\"\nppk-id = p ppk = \"" HEX32
		"\"\nproposals = { \"aes128gcm16-prfsha256-x25519\" }\nprefer = { wlan0, wwan0 }");
	static const char with[] = "\"'{}=,\n#/ zG0";
	char copy[sizeof(text)];
	struct err err;

	(void)state;
	for (size_t at = 0; at < sizeof(text) - 1; at++) {
		for (const char *w = with; *w; w++) {
			memcpy(copy, text, sizeof(text));
			copy[at] = *w;
			err.text[0] = '\0';
			FILE *in = fmemopen(copy, sizeof(text) - 1, "r");
			struct config *c = config_read(in, "t.conf", &err);
			fclose(in);
			if (!c && shows_secret(err.text))
				fail_msg("shows a secret: character %zu as '%c'", at, *w);
			if (!c && strncmp(err.text, "t.conf:", 7) != 0)
				fail_msg("no place: %s", err.text);
			config_free(c);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_bad_terminal), cmocka_unit_test(test_bad_proofs),
	    cmocka_unit_test(test_bad_numbers),	 cmocka_unit_test(test_bad_server),
	    cmocka_unit_test(test_bad_pools),	 cmocka_unit_test(test_spoilt),
	};
	return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}
