/* SPDX-License-Identifier: MIT */
/*
 * The control socket over a real UNIX socket: requests in pieces and in heaps, garbage, lines
 * that are too long, clients that do not read, and too many of them.  The loop runs in this
 * thread: a timer does what the client does, step by step.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "base/mem.h"
#include "daemon/control.h"

#define CLIENTS_MAX 16

struct bench {
	struct loop *loop;
	struct control *control;
	struct loop_timer *timer;
	struct sockaddr_un addr;
	socklen_t addr_len;
	unsigned requests;
	char last[64];
};

static json_t *answer(void *ctx, const char *command, const json_t *request)
{
	struct bench *b = ctx;

	assert_true(json_is_object(request));
	b->requests++;
	snprintf(b->last, sizeof(b->last), "%s", command);
	if (!strcmp(command, "later"))
		return NULL;
	if (!strcmp(command, "big")) {
		char *text = mem_zalloc((4 << 20) + 1);
		memset(text, 'x', 4 << 20);
		json_t *o = json_pack("{s:s}", "big", text);
		free(text);
		return o;
	}
	return json_pack("{s:s,s:i}", "command", command, "number", (int)b->requests);
}

static void stop(void *ctx)
{
	loop_stop(((struct bench *)ctx)->loop);
}

/* The loop's turn for a while. */
static void run_for(struct bench *b, unsigned ms)
{
	loop_timer_at(b->timer, clock_now_us() + ms * (usec_t)USEC_PER_MS);
	loop_run(b->loop);
}

static int setup(void **state)
{
	struct bench *b = mem_zalloc(sizeof(*b));

	b->addr.sun_family = AF_UNIX;
	/* abstract: nothing stays behind */
	int n = snprintf(b->addr.sun_path + 1, sizeof(b->addr.sun_path) - 1, "test_control.%d",
			 (int)getpid());
	b->addr_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&b->addr, b->addr_len), 0);
	assert_int_equal(listen(fd, 64), 0);
	b->loop = loop_new();
	b->timer = loop_timer_new(b->loop, stop, b);
	b->control = control_new(b->loop, fd, answer, b, NULL);
	assert_non_null(b->control);
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct bench *b = *state;

	control_free(b->control);
	loop_timer_free(b->timer);
	loop_free(b->loop);
	free(b);
	return 0;
}

static int client(struct bench *b)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&b->addr, b->addr_len), 0);
	return fd;
}

static void tell(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* What is there, as text. "" for nothing, NULL when closed. */
static const char *hear(int fd)
{
	static char buf[65536];
	ssize_t n = recv(fd, buf, sizeof(buf) - 1, 0);

	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return "";
	if (n <= 0)
		return NULL;
	buf[n] = '\0';
	return buf;
}

/* The reply once it is there: the machine may be slow. */
static const char *hear_soon(struct bench *b, int fd)
{
	const char *text = hear(fd);

	for (unsigned i = 0; i < 2000 && text && !*text; i++) {
		run_for(b, 1);
		text = hear(fd);
	}
	return text;
}

static void run_until(struct bench *b, unsigned requests)
{
	for (unsigned i = 0; i < 2000 && b->requests < requests; i++)
		run_for(b, 1);
}

static void test_request_in_pieces(void **state)
{
	static const char request[] = "{\"command\":\"status\"}\n";
	struct bench *b = *state;
	int fd = client(b);

	for (size_t i = 0; request[i]; i++) {
		char one[2] = {request[i], '\0'};
		assert_string_equal(hear(fd), "");
		tell(fd, one);
		run_for(b, 1);
	}
	assert_string_equal(hear_soon(b, fd), "{\"command\":\"status\",\"number\":1}\n");
	tell(fd, "{\"command\":\"moves\"}\n");
	run_for(b, 5);
	assert_string_equal(hear_soon(b, fd), "{\"command\":\"moves\",\"number\":2}\n");
	close(fd);
}

static void test_requests_in_a_heap(void **state)
{
	struct bench *b = *state;
	int fd = client(b);

	tell(fd, "{\"command\":\"a\"}\n{\"command\":\"b\"}\n{\"comm");
	run_until(b, 2);
	assert_string_equal(hear_soon(b, fd),
			    "{\"command\":\"a\",\"number\":1}\n{\"command\":\"b\",\"number\":2}\n");
	tell(fd, "and\":\"c\"}\n");
	run_for(b, 5);
	assert_string_equal(hear_soon(b, fd), "{\"command\":\"c\",\"number\":3}\n");
	close(fd);
	assert_int_equal(b->requests, 3);
}

static void test_garbage(void **state)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
	    {"\n", "not a JSON object"},
	    {"garbage\n", "not a JSON object"},
	    {"[1]\n", "not a JSON object"},
	    {"\"status\"\n", "not a JSON object"},
	    {"{\"command\":\"a\",\"command\":\"b\"}\n", "not a JSON object"},
	    {"{\"command\":\"a\"} x\n", "not a JSON object"},
	    {"{}\n", "no \\\"command\\\""},
	    {"{\"command\":7}\n", "no \\\"command\\\""},
	    {"\xff\xfe\n", "not a JSON object"},
	};
	struct bench *b = *state;
	int fd = client(b);

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		tell(fd, cases[i].text);
		run_for(b, 3);
		const char *reply = hear_soon(b, fd);
		assert_non_null(reply);
		if (strncmp(reply, "{\"error\":\"", 10) != 0)
			fail_msg("%s: no error: %s", cases[i].text, reply);
		if (!strstr(reply, cases[i].says))
			fail_msg("%s: %s", cases[i].text, reply);
	}
	/* a zero byte inside a line */
	assert_int_equal(send(fd, "{\0}\n", 4, 0), 4);
	run_for(b, 3);
	assert_non_null(strstr(hear_soon(b, fd), "not a JSON object"));
	tell(fd, "{\"command\":\"status\"}\n");
	run_for(b, 3);
	assert_non_null(strstr(hear_soon(b, fd), "\"command\":\"status\""));
	close(fd);
}

static void test_long_line(void **state)
{
	struct bench *b = *state;
	int fd = client(b);
	char block[4096];

	memset(block, 'x', sizeof(block));
	/* a line of 64 KiB with its end is the longest */
	for (unsigned i = 0; i < 15; i++) {
		assert_int_equal(send(fd, block, sizeof(block), 0), (ssize_t)sizeof(block));
		run_for(b, 2);
	}
	block[sizeof(block) - 1] = '\n';
	assert_int_equal(send(fd, block, sizeof(block), 0), (ssize_t)sizeof(block));
	run_for(b, 3);
	assert_non_null(strstr(hear_soon(b, fd), "not a JSON object"));
	block[sizeof(block) - 1] = 'x';
	for (unsigned i = 0; i < 16; i++) {
		assert_int_equal(send(fd, block, sizeof(block), 0), (ssize_t)sizeof(block));
		run_for(b, 2);
	}
	assert_non_null(strstr(hear_soon(b, fd), "longer than 64 KiB"));
	assert_null(hear_soon(b, fd));
	close(fd);
	assert_int_equal(b->requests, 0);
}

/* A big reply to who reads slowly arrives whole; the next request waits for it. */
static void test_big_reply(void **state)
{
	struct bench *b = *state;
	int fd = client(b);
	size_t got = 0;
	const char *text = "";

	tell(fd, "{\"command\":\"big\"}\n{\"command\":\"after\"}\n");
	run_until(b, 1);
	run_for(b, 10);
	assert_int_equal(b->requests, 1);
	for (unsigned i = 0; i < 2000 && text && !strstr(text, "after"); i++) {
		text = hear_soon(b, fd);
		got += text ? strlen(text) : 0;
	}
	assert_non_null(text);
	assert_int_equal(got, (4 << 20) + strlen("{\"big\":\"\"}\n") +
				  strlen("{\"command\":\"after\",\"number\":2}\n"));
	close(fd);
}

/* An answer that comes later goes to whoever waits; their next requests wait for it. */
static void test_later(void **state)
{
	struct bench *b = *state;
	int fd = client(b), other = client(b), third = client(b), gone = client(b);
	json_t *done = json_pack("{s:s}", "text", "done");

	tell(fd, "{\"command\":\"later\"}\n{\"command\":\"next\"}\n");
	tell(other, "{\"command\":\"later\"}\n");
	tell(gone, "{\"command\":\"later\"}\n");
	run_until(b, 3);
	close(gone);
	tell(third, "{\"command\":\"status\"}\n");
	assert_non_null(strstr(hear_soon(b, third), "status"));
	assert_string_equal(hear(fd), "");
	assert_int_equal(b->requests, 4);
	control_answer(b->control, done);
	json_decref(done);
	assert_string_equal(hear_soon(b, other), "{\"text\":\"done\"}\n");
	assert_string_equal(hear(fd), "{\"text\":\"done\"}\n{\"command\":\"next\",\"number\":5}\n");
	assert_string_equal(hear(third), "");
	close(fd);
	close(other);
	close(third);
}

/* Who asks on and on and reads nothing is closed, and takes no place any more. */
static void test_never_reads(void **state)
{
	struct bench *b = *state;
	int fd = client(b);
	char block[4096];
	ssize_t n = 1;

	tell(fd, "{\"command\":\"big\"}\n");
	memset(block, '\n', sizeof(block));
	for (unsigned i = 0; i < 200 && n > 0; i++) {
		n = send(fd, block, sizeof(block), MSG_NOSIGNAL);
		run_for(b, 1);
	}
	assert_int_equal(n, -1);
	assert_int_equal(errno, EPIPE);
	close(fd);
}

static void test_goes_away(void **state)
{
	struct bench *b = *state;

	for (unsigned i = 0; i < 100; i++) {
		int fd = client(b);
		if (i % 3)
			tell(fd, "{\"command\":\"big\"}\n{\"comm");
		if (i % 2)
			run_for(b, 1);
		close(fd);
	}
	run_for(b, 10);
	int fd = client(b);
	tell(fd, "{\"command\":\"status\"}\n");
	run_for(b, 5);
	assert_non_null(strstr(hear_soon(b, fd), "status"));
	close(fd);
}

static void test_too_many(void **state)
{
	struct bench *b = *state;
	int fds[CLIENTS_MAX + 1];

	for (unsigned i = 0; i <= CLIENTS_MAX; i++)
		fds[i] = client(b);
	run_for(b, 20);
	assert_non_null(strstr(hear_soon(b, fds[CLIENTS_MAX]), "too many clients"));
	assert_null(hear_soon(b, fds[CLIENTS_MAX]));
	for (unsigned i = 0; i < CLIENTS_MAX; i++) {
		tell(fds[i], "{\"command\":\"status\"}\n");
		run_for(b, 2);
		assert_non_null(strstr(hear_soon(b, fds[i]), "status"));
	}
	close(fds[0]);
	run_for(b, 5);
	fds[0] = client(b);
	tell(fds[0], "{\"command\":\"again\"}\n");
	run_for(b, 5);
	assert_non_null(strstr(hear_soon(b, fds[0]), "again"));
	for (unsigned i = 0; i <= CLIENTS_MAX; i++)
		close(fds[i]);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(test_request_in_pieces),
	    TEST(test_requests_in_a_heap),
	    TEST(test_garbage),
	    TEST(test_long_line),
	    TEST(test_big_reply),
	    TEST(test_never_reads),
	    TEST(test_later),
	    TEST(test_goes_away),
	    TEST(test_too_many),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
