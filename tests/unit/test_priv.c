/* SPDX-License-Identifier: MIT */
/* What the unprivileged process can still do, and what kills it: each case in a child. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <urcu-qsbr.h>
#include <cmocka.h>
#include "base/mem.h"
#include "netns.h"
#include "platform/loop.h"
#include "platform/priv.h"

#if defined(__SANITIZE_ADDRESS__)
#define KILLS false /* the filter only logs then */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KILLS false
#endif
#endif
#ifndef KILLS
#define KILLS true
#endif

static char root[] = "/tmp/sojourn-root-XXXXXX";

#define MUST(x)                                                                                    \
	do {                                                                                       \
		if (!(x))                                                                          \
			_exit(__LINE__ % 200 + 1);                                                 \
	} while (0)

/* Runs fn confined; the wait status. */
static int confined(void (*fn)(void))
{
	pid_t child = fork();
	if (child == 0) {
		struct err err = {""};
		const struct priv_node p = {.user = "nobody", .root = root};
		if (priv_enter_node(&p, &err) < 0) {
			fprintf(stderr, "%s\n", err.text);
			_exit(255);
		}
		fn();
		_exit(0);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

static void *in_thread(void *arg)
{
	rcu_register_thread();
	rcu_thread_offline();
	rcu_unregister_thread();
	return arg;
}

static void fired(void *ctx)
{
	loop_stop(ctx);
}

static void freed(struct rcu_head *head)
{
	(void)head;
}

static struct loop *loop;

static void loops(void)
{
	struct loop_timer *t = loop_timer_new(loop, fired, loop);
	loop_timer_at(t, clock_now_us() + 2000);
	MUST(loop_run(loop) == 0);
	loop_timer_free(t);
	loop_free(loop);
}

static void opens_socket(void)
{
	(void)!socket(AF_INET, SOCK_DGRAM, 0);
}

static void runs_program(void)
{
	execl("/bin/true", "true", NULL);
}

static void traces(void)
{
	prctl(PR_SET_DUMPABLE, 1);
}

static void changes_root(void)
{
	(void)!chroot("/");
}

static void forks(void)
{
	if (fork() == 0)
		_exit(0);
}

static void test_allows_the_loops(void **state)
{
	(void)state;
	assert_int_equal(confined(loops), 0);
}

static void test_allows_threads_and_memory(void **state)
{
	(void)state;
	pid_t child = fork();
	if (child == 0) {
		struct err err = {""};
		const struct priv_node p = {.user = "nobody", .root = root};
		get_default_call_rcu_data();
		int ep = epoll_create1(0);
		if (priv_enter_node(&p, &err) < 0)
			_exit(255);
		struct epoll_event ev = {.events = EPOLLIN};
		int fd = eventfd(0, EFD_NONBLOCK);
		uint64_t one = 1;
		pthread_t t;
		static struct rcu_head head;
		MUST(fd >= 0 && write(fd, &one, sizeof(one)) == sizeof(one));
		MUST(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == 0 && epoll_wait(ep, &ev, 1, 0) == 1);
		MUST(pthread_create(&t, NULL, in_thread, NULL) == 0 && pthread_join(t, NULL) == 0);
		call_rcu(&head, freed);
		rcu_barrier();
		free(mem_zalloc(8 << 20));
		MUST(getuid() != 0 && geteuid() != 0 && getgid() != 0);
		MUST(prctl(PR_SET_NAME, "node") == 0);
		/* Nothing of the file system is left. */
		MUST(open("/etc/passwd", O_RDONLY) < 0 && errno == ENOENT);
		MUST(open("/proc/self/mem", O_RDONLY) < 0);
		_exit(0);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void test_kills(void **state)
{
	static void (*const bad[])(void) = {opens_socket, runs_program, traces, changes_root,
					    forks};
	(void)state;
	if (!KILLS)
		skip();
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		int status = confined(bad[i]);
		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
			fail_msg("case %zu: status %#x", i, status);
	}
}

static void test_refusals(void **state)
{
	static const struct {
		struct priv_node p;
		const char *says;
	} bad[] = {
	    {{"no-such-user", root}, "no-such-user"},
	    {{"root", root}, "is root"},
	    {{"nobody", "/no/such/directory"}, "/no/such/directory"},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct err err = {""};
		assert_int_equal(priv_enter_node(&bad[i].p, &err), -1);
		assert_non_null(strstr(err.text, bad[i].says));
		assert_int_equal(geteuid(), 0);
	}
}

/* The privileged process keeps what the network needs, not the rest. */
static void test_net(void **state)
{
	(void)state;
	pid_t child = fork();
	if (child == 0) {
		struct err err = {""};
		if (priv_enter_net(&err) < 0)
			_exit(255);
		MUST(socket(AF_INET, SOCK_RAW, 50) >= 0);
		MUST(kill(1, 0) == 0);
		MUST(chroot("/") < 0 && errno == EPERM);
		MUST(setuid(65534) < 0 && errno == EPERM);
		_exit(0);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static int set_up(void **state)
{
	(void)state;
	loop = loop_new();
	return loop && mkdtemp(root) && chmod(root, 0755) == 0 ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	loop_free(loop);
	return rmdir(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_allows_the_loops),
	    cmocka_unit_test(test_allows_threads_and_memory),
	    cmocka_unit_test(test_kills),
	    cmocka_unit_test(test_refusals),
	    cmocka_unit_test(test_net),
	};
	netns_enter();
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
