/* SPDX-License-Identifier: MIT */
/*
 * The form of a configuration: sections, options, and which role may have which.
 *
 * libconfuse reads the text by the schema below, in which every option is of one user-defined
 * type: the text of its value with the line it stands on (config_item).  So each value can be
 * refused later with the right line, and is wiped when libconfuse lets go of it.  libconfuse's
 * own messages quote what they stumble over, which may be a key: parse_error puts ours in their
 * place.
 *
 * Copies that libconfuse's scanner makes of a line are freed without being wiped: they are as
 * secret as the process that also holds the keys themselves.  The scanner has global state: one
 * configuration at a time, in the control thread.
 */
#include <errno.h>
#include <string.h>
#include "base/mem.h"
#include "daemon/config_schema.h"

/* What libconfuse's callbacks cannot be given as an argument. */
static struct {
	struct config_reading *r;
	const struct config_text *text;
	size_t closed; /* sections so far */
	bool failed;   /* err is set */
} parsing;

/* --- schema */

static int item_parse(cfg_t *sec, cfg_opt_t *opt, const char *value, void *result);
static void item_free(void *item);
static int section_closed(cfg_t *sec, cfg_opt_t *opt);

/* clang-format off */
#define ONE(name)  CFG_PTR_CB(name, NULL, CFGF_NONE, item_parse, item_free)
#define MANY(name) CFG_PTR_LIST_CB(name, NULL, CFGF_NONE, item_parse, item_free)
#define SECTION(word, opts, more)                                                              \
	{.name = word, .type = CFGT_SEC, .flags = CFGF_MULTI | (more), .subopts = opts,         \
	 .validcb = section_closed}
#define TITLED (CFGF_TITLE | CFGF_NO_TITLE_DUPES)

static cfg_opt_t schema_connection[] = {
	ONE("interface"), ONE("network"), ONE("care-of"), ONE("server"), ONE("port"),
	ONE("encapsulation"), ONE("cipher"), ONE("integrity"), ONE("spi-in"), ONE("spi-out"),
	ONE("key-in"), ONE("key-out"), ONE("key-in-file"), ONE("key-out-file"), ONE("esn"),
	ONE("replay-window"), ONE("lifetime-packets"), ONE("lifetime-bytes"), ONE("lifetime-time"),
	ONE("keepalive"), ONE("mode"), ONE("server-moves"), ONE("protocol"), ONE("esp-spi-in"),
	ONE("esp-spi-out"), CFG_END(),
};

/* Of one peer: in section ike, and in a terminal's for that one. */
#define OF_PEER                                                                                \
	ONE("id"), ONE("auth"), ONE("server-auth"), ONE("secret"), ONE("secret-file"),          \
	ONE("eap-identity"), ONE("password"), ONE("password-file"), ONE("ppk-id"), ONE("ppk"),  \
	ONE("ppk-file"), ONE("ppk-required"), MANY("proposals"), MANY("esp-proposals"),         \
	ONE("pfs"), ONE("rekey-ike"), ONE("rekey-child"), ONE("rekey-bytes"),                   \
	ONE("rekey-packets"), ONE("liveness"), ONE("keepalive"), ONE("mobike"),                 \
	ONE("fragmentation"), ONE("childless"), ONE("sojourn"), ONE("encapsulation"),           \
	ONE("mode")

static cfg_opt_t schema_ike[] = {
	MANY("server"), ONE("server-id"), ONE("start"), MANY("prefer"), ONE("spares"),
	ONE("certificate"), ONE("private-key"), MANY("ca"), MANY("crl"), ONE("crl-required"),
	ONE("rsa-pss"), ONE("port"), ONE("wireshark-keys"), MANY("dns"), MANY("subnets"),
	ONE("half-open-max"), ONE("half-open-per-address"), ONE("half-open-time"),
	ONE("cookie-threshold"), ONE("ike-sas-max"), ONE("retransmit-time"),
	ONE("retransmit-tries"), ONE("fragment-size"), OF_PEER, CFG_END(),
};

static cfg_opt_t schema_pool[] = {
	MANY("address"), MANY("dns"), MANY("subnets"), CFG_END(),
};

static cfg_opt_t schema_terminal[] = {
	MANY("home-address"), MANY("prefix"), ONE("registration-spi"), ONE("registration-key"),
	ONE("registration-key-file"), ONE("lifetime"), ONE("policy"), ONE("connections-max"),
	ONE("replay-window"), ONE("pool"), OF_PEER, MANY("registration"), ONE("accept"),
	ONE("drain"), MANY("n-cast-class"),
	SECTION("connection", schema_connection, TITLED), CFG_END(),
};

static cfg_opt_t schema_home[] = {
	ONE("prefix"), ONE("gateway"), ONE("interface"), ONE("gateway-mac"), CFG_END(),
};

static cfg_opt_t schema_root[] = {
	ONE("role"), ONE("user"), ONE("root"), ONE("tun"), ONE("mtu"), ONE("offload"), ONE("df"), ONE("packet-crypto"), ONE("workers"),
	ONE("control"), ONE("control-mode"), ONE("control-group"), ONE("mark"), ONE("table"),
	ONE("port"), ONE("log-level"), MANY("home-agent"),
	MANY("listen"), ONE("home-link"), SECTION("terminal", schema_terminal, TITLED),
	ONE("name"), MANY("home-address"), MANY("prefix"), ONE("registration-spi"),
	ONE("registration-key"), ONE("registration-key-file"), ONE("lifetime"),
	ONE("replay-window"), MANY("routes"), ONE("probe-idle"), ONE("probe-spare"),
	ONE("initial-rto"), SECTION("home", schema_home, CFGF_NONE),
	SECTION("connection", schema_connection, TITLED), SECTION("ike", schema_ike, CFGF_NONE),
	SECTION("pool", schema_pool, TITLED), ONE("registration"), ONE("announce-moves"),
	ONE("n-cast"), MANY("n-cast-interfaces"), MANY("n-cast-class"), CFG_END(),
};

/* Options of one role only, by section. */
static const char *const root_of_server[] = {"listen", "home-link", "terminal", "pool", "announce-moves",
					     NULL};
static const char *const root_of_terminal[] = {
	"name", "home-address", "prefix", "registration-spi", "registration-key",
	"registration-key-file", "lifetime", "replay-window", "routes", "probe-idle",
	"probe-spare", "initial-rto", "home", "connection", "registration", "n-cast",
	"n-cast-interfaces", "n-cast-class", NULL};
static const char *const ike_of_server[] = {
	"dns", "subnets", "half-open-max", "half-open-per-address", "half-open-time",
	"cookie-threshold", "ike-sas-max", NULL};
static const char *const ike_of_terminal[] = {"server", "server-id", "start", "prefer", NULL};
static const char *const connection_of_server[] = {"care-of", NULL};
static const char *const connection_of_terminal[] = {"interface", "network", "port", "keepalive",
						     "server-moves", NULL};
/* clang-format on */

/* --- callbacks of libconfuse */

static int item_parse(cfg_t *sec, cfg_opt_t *opt, const char *value, void *result)
{
	/* libconfuse does not look at the default of an option of our type: its number is free
	 * to remember where the option was given first. */
	if (opt->nvalues <= 1) { /* not a later value of a list */
		if (opt->def.number) {
			config_fail(parsing.r, sec->line,
				    "%s is given twice (first in line %ld); remove one", opt->name,
				    opt->def.number);
			parsing.failed = true;
			return -1;
		}
		opt->def.number = sec->line;
	}
	size_t len = strlen(value);
	struct config_item *i = mem_zalloc(sizeof(*i) + len + 1);
	i->line = sec->line;
	i->len = len;
	memcpy(i->text, value, len + 1);
	*(void **)result = i;
	return 0;
}

static void item_free(void *item)
{
	struct config_item *i = item;
	mem_wipe(i->text, i->len);
	free(i);
}

/* Sections close in the order in which config_text saw them close. */
static int section_closed(cfg_t *sec, cfg_opt_t *opt)
{
	(void)sec;
	cfg_t *last = cfg_opt_getnsec(opt, cfg_opt_size(opt) - 1);
	if (parsing.closed < parsing.text->section_count)
		last->line = parsing.text->opened[parsing.closed++];
	return 0;
}

/* A word that may stand in a message: lower-case letters and dashes, and not all of them
 * hexadecimal digits, as a piece of a key could be. */
static bool word_is_harmless(const char *s)
{
	bool other = false;

	for (const char *p = s; *p; p++) {
		if (!((*p >= 'a' && *p <= 'z') || *p == '-' || *p == '_'))
			return false;
		other |= *p > 'f';
	}
	return other && strlen(s) < 32;
}

static unsigned word_distance(const char *a, const char *b)
{
	unsigned row[64];
	size_t n = strlen(b);

	if (n >= ARRAY_LEN(row))
		return UINT32_MAX;
	for (unsigned j = 0; j <= n; j++)
		row[j] = j;
	for (unsigned i = 1; *a; a++, i++) {
		unsigned diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= n; j++) {
			unsigned replace = diagonal + (*a != b[j - 1]);
			diagonal = row[j];
			unsigned skip = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
			row[j] = replace < skip ? replace : skip;
		}
	}
	return row[n];
}

/* Where else the name is known, for an option in the wrong place. */
static const char *word_elsewhere(const char *name, const cfg_opt_t *here)
{
	static const struct {
		const cfg_opt_t *opts;
		const char *where;
	} places[] = {{schema_connection, "into a section connection"},
		      {schema_ike, "into the section ike"},
		      {schema_pool, "into a section pool"},
		      {schema_home, "into the section home"},
		      {schema_terminal, "into a section terminal"},
		      {schema_root, "outside of all sections"}};

	for (size_t k = 0; k < ARRAY_LEN(places); k++) {
		if (!strcmp(places[k].opts[0].name, here[0].name))
			continue;
		for (const cfg_opt_t *o = places[k].opts; o->name; o++) {
			if (!strcmp(o->name, name))
				return places[k].where;
		}
	}
	return NULL;
}

static void unknown_option(cfg_t *sec, const char *name)
{
	const char *best = NULL, *where;
	unsigned best_distance = 4;

	if (!word_is_harmless(name)) {
		config_fail(parsing.r, sec->line,
			    "an unknown word (not shown, it may be part of a key) where an option "
			    "is expected; write NAME = VALUE, a key in quotes without spaces");
		return;
	}
	where = word_elsewhere(name, sec->opts);
	if (where) {
		config_fail(parsing.r, sec->line, "%s does not belong here; write it %s", name,
			    where);
		return;
	}
	for (const cfg_opt_t *o = sec->opts; o->name; o++) {
		unsigned d = word_distance(name, o->name);
		if (d < best_distance && d < strlen(o->name)) {
			best = o->name;
			best_distance = d;
		}
	}
	if (best)
		config_fail(parsing.r, sec->line, "unknown option %s; write %s", name, best);
	else
		config_fail(parsing.r, sec->line,
			    "unknown option %s; sojourn.conf(5) lists the options", name);
}

static void parse_error(cfg_t *sec, const char *fmt, va_list ap)
{
	struct config_reading *r = parsing.r;
	int line = sec->line;

	if (parsing.failed)
		return;
	parsing.failed = true;
	const char *arg = strstr(fmt, "%s") ? va_arg(ap, const char *) : "";
	/* arg is a word of the text in the first three, else a name of our schema. */
	if (strstr(fmt, "no such option"))
		unknown_option(sec, arg);
	else if (strstr(fmt, "duplicate title"))
		config_fail(r, line,
			    "a section of this kind with this name is already there; "
			    "give each its own");
	else if (strstr(fmt, "unexpected token") && strlen(arg) == 1 && strchr("{}=,+", arg[0]))
		config_fail(r, line,
			    "'%c' is not expected here; write NAME = VALUE or "
			    "NAME = { VALUE, VALUE }",
			    arg[0]);
	else if (strstr(fmt, "missing equal sign"))
		config_fail(r, line, "'=' is missing after %s; write %s = VALUE", arg, arg);
	else if (strstr(fmt, "attempt to append"))
		config_fail(r, line, "%s takes one value; write = for +=", arg);
	else if (strstr(fmt, "missing opening brace"))
		config_fail(r, line, "'{' is missing where the section %s begins; write it", arg);
	else if (strstr(fmt, "missing title"))
		config_fail(r, line, "a section %s has no name; write %s NAME { ... }", arg, arg);
	else if (strstr(fmt, "premature end"))
		config_fail(r, line, "the file ends in the middle of an option; complete it");
	else
		config_fail(r, line,
			    "a syntax error; write NAME = VALUE, and the values of a list "
			    "as { VALUE, VALUE }");
}

cfg_t *config_schema_parse(struct config_reading *r, struct config_text *text)
{
	cfg_t *root = cfg_init(schema_root, CFGF_NONE);
	FILE *in = text->len ? fmemopen(text->text, text->len, "r") : fopen("/dev/null", "r");

	if (!root || !in) {
		err_set(r->err, "%s: cannot be read: %s", r->path, strerror(errno));
		goto fail;
	}
	parsing.r = r;
	parsing.text = text;
	parsing.closed = 0;
	parsing.failed = false;
	cfg_set_error_function(root, parse_error);
	int rc = cfg_parse_fp(root, in);
	parsing.r = NULL;
	parsing.text = NULL;
	if (rc != CFG_SUCCESS) {
		if (!parsing.failed)
			config_fail(r, root->line, "a syntax error; write NAME = VALUE");
		goto fail;
	}
	fclose(in);
	return root;

fail:
	if (in)
		fclose(in);
	cfg_free(root);
	return NULL;
}

/* --- which role may have what */

static int role_check(struct config_reading *r, cfg_t *sec, const char *const *names,
		      const char *whose)
{
	for (; *names; names++) {
		cfg_opt_t *o = cfg_getopt(sec, *names);
		if (!cfg_opt_size(o))
			continue;
		const struct config_item *i = o->type == CFGT_PTR ? cfg_opt_getnptr(o, 0) : NULL;
		int line = i			 ? i->line
			   : o->type == CFGT_SEC ? cfg_opt_getnsec(o, 0)->line
						 : sec->line;
		return config_fail(r, line, "only a %s has %s%s; remove it, or change role", whose,
				   *names,
				   strcmp(sec->name, "root") != 0 ? " in a section like this" : "");
	}
	return 0;
}

int config_schema_check_role(struct config_reading *r, cfg_t *root)
{
	bool server = r->cfg->role == ROLE_HOME_SERVER;

	return server ? role_check(r, root, root_of_terminal, "terminal")
		      : role_check(r, root, root_of_server, "home server");
}

int config_schema_check_ike(struct config_reading *r, cfg_t *ike)
{
	bool server = r->cfg->role == ROLE_HOME_SERVER;

	return server ? role_check(r, ike, ike_of_terminal, "terminal")
		      : role_check(r, ike, ike_of_server, "home server");
}

int config_schema_check_connection(struct config_reading *r, cfg_t *connection)
{
	bool server = r->cfg->role == ROLE_HOME_SERVER;

	return server ? role_check(r, connection, connection_of_terminal, "terminal")
		      : role_check(r, connection, connection_of_server, "home server");
}
