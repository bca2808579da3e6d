/* SPDX-License-Identifier: MIT */
/*
 * The configuration: from text to values.
 *
 * The text goes through config_text.c (comments out) and config_schema.c (libconfuse); the
 * readers of sections (here and in config_section.h) walk it and fill struct config with the help
 * of config_field.c and config_value.c (single values); config_check.c then looks at what concerns
 * more than one option.
 *
 * Ownership: config_read returns one struct with its lists, all the caller's; config_free wipes
 * the keys.  Control thread of either process.  `node` can open nothing: it reads a reloaded
 * configuration from a bundle, in which `net` put the text and every file that is named in it
 * (config_files.c).
 */
#include "daemon/config.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>
#include "base/mem.h"
#include "daemon/config_field.h"
#include "daemon/config_files.h"
#include "daemon/config_schema.h"
#include "daemon/config_section.h"
#include "daemon/config_text.h"

#define ENCAPSULATION_PORT 4500

/* --- options of both roles */

static int read_common_names(struct config_reading *r, cfg_t *root)
{
	struct config *c = r->cfg;
	char control[108] = "/run/sojourn/control"; /* sun_path */
	const struct config_item *i = config_field(root, "control");

	snprintf(c->user, sizeof(c->user), "nobody");
	snprintf(c->root, sizeof(c->root), "/run/sojourn/empty");
	snprintf(c->tun, sizeof(c->tun), "sojourn0");
	if (i && config_value_text(r, "control", i, control, sizeof(control)) < 0)
		return -1;
	if (control[0] != '/')
		return config_fail(r, i->line,
				   "control is not a whole path; write one that begins "
				   "with /");
	c->control = mem_strdup(control);
	i = config_field(root, "root");
	if (config_field_text(r, root, "user", c->user, sizeof(c->user)) < 0 ||
	    config_field_text(r, root, "root", c->root, sizeof(c->root)) < 0 ||
	    config_field_text(r, root, "control-group", c->control_group,
			      sizeof(c->control_group)) < 0)
		return -1;
	if (c->root[0] != '/')
		return config_fail(r, i->line,
				   "root is not a whole path; write one that begins "
				   "with /");
	return config_field_interface(r, root, "tun", c->tun);
}

/* A terminal has one peer, and what comes from it is one flow.  A home server leaves half of the
 * processors to the kernel and to control. */
static uint32_t workers_default(enum config_role role)
{
	enum { MOST = 4 };
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	if (role == ROLE_TERMINAL || processors < 4)
		return 1;
	return processors / 2 < MOST ? (uint32_t)(processors / 2) : MOST;
}

static int read_common(struct config_reading *r, cfg_t *root)
{
	static const struct config_number numbers[] = {
	    /* no link of IPv6 is smaller (RFC 8200 5) */
	    CONFIG_NUMBER(config, mtu, "mtu", 1280, 9216),
	    CONFIG_NUMBER(config, control_mode, "control-mode", 0, 0777),
	    CONFIG_NUMBER(config, mark, "mark", 1, UINT32_MAX),
	    CONFIG_NUMBER(config, table, "table", 1, UINT32_MAX),
	    CONFIG_NUMBER(config, port, "port", 1, UINT16_MAX),
	    CONFIG_NUMBER(config, workers, "workers", 1, FWD_WORKERS_MAX),
	};
	static const char *const dfs[] = {"copy", "set", "clear", NULL};
	static const char *const libraries[] = {"best", "openssl", "ipsec-mb", NULL};
	static const char *const levels[] = {"error", "warning", "info", "debug", NULL};
	struct config *c = r->cfg;
	unsigned df = FWD_DF_SET, library = CRYPT_LIBRARY_BEST, level = LOG_LEVEL_INFO;

	c->mtu = 1500;
	c->offload = true;
	c->workers = workers_default(c->role);
	c->control_mode = 0660;
	c->mark = 0x534a;
	c->table = 434;
	c->port = ENCAPSULATION_PORT;
	c->probe_idle_ms = 1000;
	c->probe_spare_ms = 20000;
	c->initial_rto_ms = 120;
	if (read_common_names(r, root) < 0 ||
	    config_field_numbers(r, root, c, numbers, ARRAY_LEN(numbers)) < 0 ||
	    config_field_bool(r, root, "offload", &c->offload) < 0 ||
	    config_field_word(r, root, "df", dfs, &df) < 0 ||
	    config_field_word(r, root, "packet-crypto", libraries, &library) < 0 ||
	    config_field_word(r, root, "log-level", levels, &level) < 0)
		return -1;
	c->df = (enum fwd_df)df;
	c->library = (enum crypt_library)library;
	c->log_level = (enum log_level)level;
	const struct config_item *i = config_field(root, "table");
	if (i && (c->table >= 253 && c->table <= 255))
		return config_fail(r, i->line,
				   "table: 253 to 255 are the system's own; write "
				   "another number");
	return 0;
}

/* After section ike: its server tells a terminal which they are. */
static int read_home_agents(struct config_reading *r, cfg_t *root)
{
	struct config *c = r->cfg;
	const struct config_item *i = config_field(root, "home-agent");

	if (!i && c->role == ROLE_TERMINAL && c->ike)
		return 0;
	i = config_field_needed(r, root, "home-agent",
				"\"10.1.0.1\", the home server's inner address");
	if (!i)
		return -1;
	r->home_agent_line = i->line;
	return config_field_addrs(r, root, "home-agent", c->home_agents, ARRAY_LEN(c->home_agents),
				  &c->home_agent_count);
}

static int read_root(struct config_reading *r, cfg_t *root)
{
	static const char *const roles[] = {"terminal", "home-server", NULL};
	struct config *c = r->cfg;
	const struct config_item *i = config_field(root, "role");
	unsigned role = 0;

	root->line = 1;
	if (!i)
		return config_fail(r, 1, "no role; write role = terminal or role = home-server");
	if (config_value_word(r, "role", i, roles, &role) < 0)
		return -1;
	c->role = role ? ROLE_HOME_SERVER : ROLE_TERMINAL;
	root->line = i->line; /* where what is missing belongs */
	if (config_schema_check_role(r, root) < 0 || read_common(r, root) < 0 ||
	    config_ike_read(r, root) < 0 || read_home_agents(r, root) < 0)
		return -1;
	if (c->role == ROLE_TERMINAL)
		return config_terminal_read_own(r, root);
	if (config_field_bool(r, root, "announce-moves", &c->announce_moves) < 0 ||
	    !config_field_needed(r, root, "listen",
				 "{ \"203.0.113.1\" }, this node's outer addresses") ||
	    config_field_addrs(r, root, "listen", c->listen, ARRAY_LEN(c->listen),
			       &c->listen_count) < 0 ||
	    config_field_interface(r, root, "home-link", c->home_link) < 0 ||
	    config_pools_read(r, root) < 0)
		return -1;
	return config_terminals_read(r, root);
}

/* --- from a stream, a file, a bundle */

static struct config *read_text_of(struct config_text *text, const char *path,
				   struct config_files *files, struct err *err)
{
	struct err unused;
	struct config_reading r = {.path = path, .err = err ? err : &unused, .files = files};
	struct config *c = r.cfg = mem_zalloc(sizeof(*c));
	cfg_t *root = config_schema_parse(&r, text);
	int rc = root ? read_root(&r, root) : -1;

	if (rc == 0)
		rc = config_check(&r);
	if (rc == 0)
		c->path = mem_strdup(path);
	if (root)
		cfg_free(root);
	free(r.claims);
	if (rc == 0)
		return c;
	config_free(c);
	return NULL;
}

static struct config *read_stream(FILE *in, const char *path, struct config_files *files,
				  struct err *err)
{
	struct config_text text;

	if (config_text_read(&text, in, path, err) < 0)
		return NULL;
	struct config *c = read_text_of(&text, path, files, err);
	config_text_free(&text);
	return c;
}

static struct config *read_memory(const struct config_file *text, const char *path,
				  struct config_files *files, struct err *err)
{
	FILE *in = text->len ? fmemopen(text->data, text->len, "r") : NULL;

	if (!in) {
		err_set(err, "%s: empty; write a configuration", path);
		return NULL;
	}
	struct config *c = read_stream(in, path, files, err);
	fclose(in);
	return c;
}

struct config *config_read(FILE *in, const char *path, struct err *err)
{
	struct config_files *files = config_files_new(CONFIG_FILES_NOWHERE);
	struct config *c = read_stream(in, path, files, err);
	config_files_free(files);
	return c;
}

struct config *config_load(const char *path, struct err *err)
{
	struct stat st;
	FILE *in = fopen(path, "re");

	if (!in) {
		err_set(err, "%s: %s; `sojournd -c FILE` names another", path, strerror(errno));
		return NULL;
	}
	struct config *c = NULL;
	if (fstat(fileno(in), &st) < 0 || S_ISDIR(st.st_mode))
		err_set(err, "%s: not a file", path);
	else if (S_ISREG(st.st_mode) && (st.st_mode & (S_IROTH | S_IWOTH)))
		err_set(err, "%s: %s by others and holds keys: chmod 600 %s", path,
			st.st_mode & S_IROTH ? "readable" : "writable", path);
	else {
		struct config_files *files = config_files_new(CONFIG_FILES_DISK);
		c = read_stream(in, path, files, err);
		config_files_free(files);
	}
	fclose(in);
	return c;
}

struct config *config_load_bundle(const char *path, FILE *out, struct err *err)
{
	struct config_file text;
	struct err why = {""};

	if (config_file_read(path, CONFIG_TEXT_MAX, true, &text, &why) < 0) {
		err_set(err, "%s: %s", path, why.text);
		return NULL;
	}
	struct config_files *files = config_files_new(CONFIG_FILES_DISK);
	struct config *c = read_memory(&text, path, files, err);
	if (c && config_files_pack(files, &text, out, path, err) < 0) {
		config_free(c);
		c = NULL;
	}
	config_files_free(files);
	config_file_clear(&text);
	return c;
}

struct config *config_read_bundle(FILE *in, const char *path, struct err *err)
{
	struct config_file text;
	struct config_files *files = config_files_unpack(in, &text, path, err);

	if (!files)
		return NULL;
	struct config *c = read_memory(&text, path, files, err);
	config_files_free(files);
	config_file_clear(&text);
	return c;
}

void config_free(struct config *c)
{
	if (!c)
		return;
	config_terminals_free(c->terminals);
	config_ike_free(c->ike);
	config_pools_free(c->pools);
	free(c->control);
	free(c->path);
	free(c);
}
