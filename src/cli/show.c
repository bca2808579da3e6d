/* SPDX-License-Identifier: MIT */
/*
 * Replies of sojournd as tables and as the timeline of moves.
 *
 * A field that is missing is shown as "-": an older or newer daemon must not break the display.
 * Everything here only reads its JSON value.  One thread.
 */
#include "cli/show.h"

#include <string.h>
#include <time.h>
#include "base/mem.h"
#include "cli/table.h"

static const json_t *get(const json_t *o, const char *name)
{
	return json_object_get(o, name);
}

static json_int_t get_int(const json_t *o, const char *name)
{
	return json_integer_value(get(o, name));
}

/* "name:   value" lines. */
static void line(FILE *out, const char *name, char *value)
{
	fprintf(out, "%-14s %s\n", name, value);
	free(value);
}

/* A terminal's, one line for each home address. */
static void show_registrations(const json_t *list, FILE *out)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *r = json_array_get(list, i);
		CLEANUP_FREE char *home = table_string(get(r, "home_address"));
		CLEANUP_FREE char *text = table_string(get(r, "text"));
		CLEANUP_FREE char *expires = table_seconds(get(r, "expires_s"));
		bool yes = json_is_true(get(r, "registered"));
		if (yes && strcmp(expires, "-") != 0)
			line(out, "registration",
			     table_text("%s: yes, expires in %s", home, expires));
		else if (yes || !get_int(r, "code"))
			line(out, "registration", table_text("%s: %s", home, yes ? "yes" : "no"));
		else
			line(out, "registration",
			     table_text("%s: no, %lld: %s", home, (long long)get_int(r, "code"),
					text));
	}
}

/* A home server's, as counts. */
static void show_registration_counts(const json_t *r, FILE *out)
{
	CLEANUP_FREE char *requests = table_count(get(r, "requests"));
	CLEANUP_FREE char *accepted = table_count(get(r, "accepted"));
	CLEANUP_FREE char *denied = table_count(get(r, "denied"));

	CLEANUP_FREE char *by_data = table_count(get(r, "by_data"));
	CLEANUP_FREE char *data_denied = table_count(get(r, "data_denied"));
	line(out, "registrations",
	     table_text("%s requests, %s accepted, %s denied; %s by data, %s denied", requests,
			accepted, denied, by_data, data_denied));
}

static char *states_text(const json_t *states)
{
	static const char *const order[] = {"active", "ready", "forming", "stale", "expired"};
	char buf[160] = "";

	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		json_int_t n = get_int(states, order[i]);
		size_t at = strlen(buf);
		if (n)
			snprintf(buf + at, sizeof(buf) - at, "%s%lld %s", at ? ", " : "",
				 (long long)n, order[i]);
	}
	return table_text("%s", *buf ? buf : "none");
}

static void show_status_ike(const json_t *ike, FILE *out)
{
	const char *trouble = json_string_value(get(ike, "trouble"));
	CLEANUP_FREE char *state = table_string(get(ike, "state"));
	if (ike && trouble && *trouble)
		line(out, "ike", table_text("%s (%s)", state, trouble));
	else if (ike)
		line(out, "ike", table_text("%s", state));
}

static char *pool_text(const json_t *of_family)
{
	return of_family ? table_text("%lld of %lld", (long long)get_int(of_family, "used"),
				      (long long)get_int(of_family, "size"))
			 : table_text("none");
}

static void show_status_terminals(const json_t *reply, FILE *out)
{
	const json_t *terminals = get(reply, "terminals"), *pools = get(reply, "pools");
	if (terminals)
		line(out, "terminals",
		     table_text("%lld up by IKE, %lld IKE SAs, %lld connections",
				(long long)get_int(terminals, "up"),
				(long long)get_int(terminals, "ike_sas"),
				(long long)get_int(terminals, "connections")));
	for (size_t i = 0; i < json_array_size(pools); i++) {
		const json_t *p = json_array_get(pools, i);
		CLEANUP_FREE char *name = table_string(get(p, "name"));
		CLEANUP_FREE char *four = pool_text(get(p, "ipv4"));
		CLEANUP_FREE char *six = pool_text(get(p, "ipv6"));
		line(out, "pool",
		     table_text("%s: in use %s IPv4, %s IPv6 addresses", name, four, six));
	}
}

void show_status(const json_t *reply, FILE *out, bool colour)
{
	const json_t *tun = get(reply, "tun");
	(void)colour;
	CLEANUP_FREE char *role = table_string(get(reply, "role"));
	CLEANUP_FREE char *version = table_string(get(reply, "version"));
	CLEANUP_FREE char *uptime = table_seconds(get(reply, "uptime_s"));
	CLEANUP_FREE char *tun_name = table_string(get(tun, "name"));
	int mtu = (int)get_int(tun, "mtu");

	line(out, "role", table_text("%s", role));
	if (get(reply, "name"))
		line(out, "name", table_string(get(reply, "name")));
	if (get(reply, "place"))
		line(out, "place", table_string(get(reply, "place")));
	if (get(reply, "n_cast") && strcmp(json_string_value(get(reply, "n_cast")), "no") != 0)
		line(out, "n-cast", table_string(get(reply, "n_cast")));
	if (get(reply, "home_addresses"))
		line(out, "home address", table_list(get(reply, "home_addresses")));
	if (get(reply, "home_agents"))
		line(out, "home agent", table_list(get(reply, "home_agents")));
	if (json_array_size(get(reply, "active")))
		line(out, "active", table_list(get(reply, "active")));
	line(out, "connections", states_text(get(reply, "connections")));
	show_status_ike(get(reply, "ike"), out);
	show_status_terminals(reply, out);
	if (json_is_integer(get(reply, "bindings")))
		line(out, "bindings", table_count(get(reply, "bindings")));
	show_registrations(get(reply, "registrations"), out);
	if (json_is_object(get(reply, "registration")))
		show_registration_counts(get(reply, "registration"), out);
	line(out, "tunnel", table_text("%s, MTU %d", tun_name, mtu));
	line(out, "sojournd",
	     table_text("%s, pid %lld, up %s, crypto %s", version, (long long)get_int(reply, "pid"),
			uptime,
			json_string_value(get(reply, "crypto"))
			    ? json_string_value(get(reply, "crypto"))
			    : "-"));
}

void show_connections(const json_t *reply, FILE *out, bool colour)
{
	static const char *const columns[] = {
	    "NAME",   "TERMINAL", "STATE",  "SINCE", "CARE-OF", "INTERFACE", "SERVER", "ENCAP",
	    "CIPHER", ">RTT",	  ">HEARD", ">RX",   ">TX",	">EXPIRES",  NULL};
	const json_t *list = get(reply, "connections");
	struct table *t = table_new(columns);

	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *c = json_array_get(list, i);
		bool ah = json_is_null(get(c, "encapsulation"));
		bool cipher = !json_is_null(get(c, "cipher"));
		CLEANUP_FREE char *encap = table_string(get(c, ah ? "protocol" : "encapsulation"));
		const char *mode = json_string_value(get(c, "mode"));
		bool bare = mode && strcmp(mode, "tunnel") != 0;
		table_row(t, (char *[]){
				 table_string(get(c, "name")),
				 table_string(get(c, "terminal")),
				 table_string(get(c, "state")),
				 table_seconds(get(c, "since_s")),
				 table_string(get(c, "care_of")),
				 table_string(get(c, "interface")),
				 table_string(get(c, "server")),
				 table_text("%s%s%s%s", encap, bare ? ", " : "", bare ? mode : "",
					    json_is_true(get(c, "behind_nat")) ? ", NAT" : ""),
				 table_string(get(c, cipher ? "cipher" : "integrity")),
				 table_ms(get(c, "rtt_ms")),
				 table_ms(get(c, "heard_ms")),
				 table_bytes(get(get(c, "rx"), "bytes")),
				 table_bytes(get(get(c, "tx"), "bytes")),
				 table_seconds(get(c, "expires_s")),
			     });
	}
	table_print(t, out, colour);
}

void show_bindings(const json_t *reply, FILE *out, bool colour)
{
	static const char *const columns[] = {"TERMINAL", "HOME ADDRESS", "CONNECTIONS", ">SINCE",
					      ">EXPIRES", "WHY",	  NULL};
	const json_t *list = get(reply, "bindings");
	struct table *t = table_new(columns);

	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *b = json_array_get(list, i);
		table_row(t, (char *[]){
				 table_string(get(b, "terminal")),
				 table_string(get(b, "home_address")),
				 table_list(get(b, "connections")),
				 table_seconds(get(b, "since_s")),
				 table_seconds(get(b, "expires_s")),
				 table_string(get(b, "why")),
			     });
	}
	table_print(t, out, colour);
}

static void show_when(const json_t *m, FILE *out)
{
	json_int_t us = get_int(m, "wall_us");
	time_t s = (time_t)(us / 1000000);
	struct tm tm;
	char when[40] = "";

	if (us > 0 && localtime_r(&s, &tm))
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm);
	fprintf(out, "%s.%03d", *when ? when : "-", (int)(us > 0 ? us / 1000 % 1000 : 0));
}

static void show_move(const json_t *m, FILE *out, bool colour)
{
	CLEANUP_FREE char *kind = table_string(get(m, "kind"));
	CLEANUP_FREE char *terminal = table_string(get(m, "terminal"));
	CLEANUP_FREE char *from = table_string(get(m, "from"));
	CLEANUP_FREE char *to = table_string(get(m, "to"));
	CLEANUP_FREE char *why = table_string(get(m, "why"));
	CLEANUP_FREE char *took = table_ms(get(m, "switch_ms"));
	CLEANUP_FREE char *lost = table_count(get(m, "lost"));
	const json_t *events = get(m, "events");

	fputs(colour ? "\033[1m" : "", out);
	fprintf(out, "move %lld  ", (long long)get_int(m, "id"));
	show_when(m, out);
	fprintf(out, "  %s  %s -> %s  (%s)%s%s\n", terminal, from, to, kind,
		json_is_false(get(m, "done")) ? "  under way" : "", colour ? "\033[0m" : "");
	CLEANUP_FREE char *by = table_string(get(m, "by"));
	if (strcmp(why, "-") != 0 && strcmp(why, by) != 0)
		fprintf(out, "  why: %s\n", why);
	if (strcmp(by, "-") != 0)
		fprintf(out, "  registered by: %s\n", by);
	for (size_t i = 0; i < json_array_size(events); i++) {
		const json_t *e = json_array_get(events, i);
		CLEANUP_FREE char *step = table_string(get(e, "step"));
		CLEANUP_FREE char *text = table_string(get(e, "text"));
		fprintf(out, "  %+10.3f ms  %-11s %s\n", json_number_value(get(e, "ms")), step,
			text);
	}
	fprintf(out, "  switched after %s, %s lost, signalling %lld packets, %lld octets\n", took,
		lost, (long long)get_int(m, "signalling_packets"),
		(long long)get_int(m, "signalling_octets"));
}

void show_moves(const json_t *reply, FILE *out, bool colour)
{
	const json_t *list = get(reply, "moves");
	size_t n = json_array_size(list);

	if (!n)
		fputs("no move yet\n", out);
	for (size_t i = 0; i < n; i++) {
		if (i)
			fputc('\n', out);
		show_move(json_array_get(list, i), out, colour);
	}
}

static void show_numbers(json_t *o, const json_t *texts, bool zeros, const char *title, FILE *out,
			 bool colour)
{
	const char *const columns[] = {title, ">COUNT", texts ? "MEANING" : NULL, NULL};
	struct table *t = table_new(columns);
	const char *name;
	json_t *v;
	size_t rows = 0;

	json_object_foreach(o, name, v)
	{
		if (!json_is_integer(v) || (!zeros && !json_integer_value(v)))
			continue;
		char *cells[] = {table_text("%s", name), table_count(v),
				 texts ? table_string(get(texts, name)) : NULL};
		table_row(t, cells);
		rows++;
	}
	table_print(t, out, colour);
	if (!rows)
		fputs("none\n", out);
}

void show_counters(const json_t *reply, FILE *out, bool colour)
{
	show_numbers(json_object_get(reply, "packets"), NULL, true, "PACKETS", out, colour);
	if (json_is_object(get(reply, "registration"))) {
		fputc('\n', out);
		show_numbers(json_object_get(reply, "registration"), NULL, true, "REGISTRATION",
			     out, colour);
	}
	fputc('\n', out);
	show_numbers(json_object_get(reply, "drops"), get(reply, "texts"), false, "DROPPED", out,
		     colour);
}

static void show_children(const json_t *list, FILE *out, bool colour)
{
	static const char *const columns[] = {"  CONNECTION", "SPI IN", "SPI OUT", "PROPOSAL",
					      "LOCAL",	      "REMOTE", NULL};
	struct table *t = table_new(columns);
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *c = json_array_get(list, i);
		CLEANUP_FREE char *name = table_string(get(c, "connection"));
		table_row(t, (char *[]){
				 table_text("  %s", name),
				 table_string(get(c, "spi_in")),
				 table_string(get(c, "spi_out")),
				 table_string(get(c, "proposal")),
				 table_list(get(c, "local")),
				 table_list(get(c, "remote")),
			     });
	}
	table_print(t, out, colour);
}

static void show_ike_sa(const json_t *sa, FILE *out, bool colour)
{
	CLEANUP_FREE char *peer = table_string(get(sa, "peer"));
	CLEANUP_FREE char *state = table_string(get(sa, "state"));
	CLEANUP_FREE char *local_id = table_string(get(sa, "local_id"));
	CLEANUP_FREE char *remote_id = table_string(get(sa, "remote_id"));
	CLEANUP_FREE char *local = table_string(get(sa, "local"));
	CLEANUP_FREE char *remote = table_string(get(sa, "remote"));
	CLEANUP_FREE char *proposal = table_string(get(sa, "proposal"));
	CLEANUP_FREE char *since = table_seconds(get(sa, "since_s"));
	CLEANUP_FREE char *rekey = table_seconds(get(sa, "rekey_s"));
	CLEANUP_FREE char *spi_i = table_string(get(sa, "spi_i"));
	CLEANUP_FREE char *spi_r = table_string(get(sa, "spi_r"));

	fputs(colour ? "\033[1m" : "", out);
	fprintf(out, "%s  %s, we %s%s\n", peer, state,
		json_is_true(get(sa, "initiator")) ? "began" : "answered", colour ? "\033[0m" : "");
	fprintf(out, "  ours    %s, %s%s\n", local_id, local,
		json_is_true(get(sa, "nat_here")) ? ", behind a NAT" : "");
	fprintf(out, "  theirs  %s, %s%s\n", remote_id, remote,
		json_is_true(get(sa, "nat_there")) ? ", behind a NAT" : "");
	fprintf(out, "  spis    %s %s\n", spi_i, spi_r);
	fprintf(out, "  %s, since %s, rekeyed in %s%s%s\n", proposal, since, rekey,
		json_is_true(get(sa, "sojourn")) ? ", a Sojourn" : "",
		json_is_true(get(sa, "mobike")) ? ", MOBIKE" : "");
	if (json_array_size(get(sa, "children")))
		show_children(get(sa, "children"), out, colour);
}

void show_ike(const json_t *reply, FILE *out, bool colour)
{
	const json_t *list = get(reply, "ike");
	if (!json_array_size(list))
		fputs("no IKE SA\n", out);
	for (size_t i = 0; i < json_array_size(list); i++) {
		show_ike_sa(json_array_get(list, i), out, colour);
		fputc('\n', out);
	}
	show_numbers(json_object_get(reply, "counters"), get(reply, "texts"), false, "IKE", out,
		     colour);
}

static void show_lines(const char *file, const json_t *list, FILE *out)
{
	fprintf(out, "# %s\n", file);
	for (size_t i = 0; i < json_array_size(list); i++)
		fprintf(out, "%s\n", json_string_value(json_array_get(list, i)));
}

void show_keys(const json_t *reply, FILE *out, bool colour)
{
	(void)colour;
	show_lines("ikev2_decryption_table", get(reply, "keys"), out);
	show_lines("esp_sa", get(reply, "esp"), out);
}

void show_done(const json_t *reply, FILE *out, bool colour)
{
	const char *connection = json_string_value(get(reply, "connection"));

	(void)colour;
	if (connection)
		line(out, "switched to", table_text("%s", connection));
	else
		fputs("done\n", out);
}
