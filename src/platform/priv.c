/* SPDX-License-Identifier: MIT */
/*
 * Giving up privileges, once and for good.
 *
 * The node handles every byte from the network.  After priv_enter_node it has no user of
 * consequence, no capability, an empty directory for a root, no way to gain privileges, and a
 * list of system calls outside which the kernel kills it.  What needs more was opened before
 * (netlink, event descriptors) or is asked of net over the channel.
 *
 * The filter applies to every thread of the process.  clone3 answers ENOSYS, so that the C
 * library falls back to clone, whose flags can be looked at: threads yes, processes no.  Under
 * a sanitizer, which needs calls of its own at the end, the filter logs instead of killing.
 *
 * net keeps three network capabilities and the few that its other duties need.
 */
#include "platform/priv.h"

#include <cap-ng.h>
#include <errno.h>
#include <grp.h>
#include <linux/sched.h>
#include <pwd.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer) ||                           \
    __has_feature(memory_sanitizer) || __has_feature(thread_sanitizer)
#define PRIV_UNLISTED SCMP_ACT_LOG
#else
#define PRIV_UNLISTED SCMP_ACT_KILL_PROCESS
#endif

/* By name: one that this architecture or library does not know is left out. */
static const char *const priv_calls[] = {
    /* the loops */
    "epoll_wait",
    "epoll_pwait",
    "epoll_pwait2",
    "epoll_ctl",
    "poll",
    "ppoll",
    "eventfd2",
    "timerfd_create",
    "timerfd_settime",
    "timerfd_gettime",
    "nanosleep",
    "clock_nanosleep",
    "clock_gettime",
    "clock_getres",
    "gettimeofday",
    "time",
    /* packets, messages, the control socket */
    "read",
    "write",
    "readv",
    "writev",
    "recvmsg",
    "sendmsg",
    "recvmmsg",
    "sendmmsg",
    "recvfrom",
    "sendto",
    "accept4",
    "accept",
    "getsockname",
    "getpeername",
    "getsockopt",
    "setsockopt",
    "shutdown",
    "close",
    "fcntl",
    "lseek",
    "fstat",
    "newfstatat",
    "dup",
    /* memory, threads, RCU */
    "mmap",
    "munmap",
    "mremap",
    "mprotect",
    "madvise",
    "brk",
    "futex",
    "membarrier",
    "rseq",
    "set_robust_list",
    "sched_yield",
    "sched_getaffinity",
    "getcpu",
    "set_tid_address",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "rt_sigtimedwait",
    "sigaltstack",
    "getpid",
    "gettid",
    "getuid",
    "geteuid",
    "getgid",
    "getegid",
    "tgkill",
    "getrandom",
    "restart_syscall",
    "getrusage",
    "prlimit64",
    "sysinfo",
    "uname",
    "exit",
    "exit_group",
};

static int priv_filter_add(scmp_filter_ctx filter)
{
	for (size_t i = 0; i < sizeof(priv_calls) / sizeof(priv_calls[0]); i++) {
		int nr = seccomp_syscall_resolve_name(priv_calls[i]);
		if (nr == __NR_SCMP_ERROR)
			continue;
		int r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, nr, 0);
		/* A pseudo-number: the call exists on another architecture only. */
		if (r < 0 && r != -EDOM)
			return r;
	}
	int r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
				 SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	/* Naming a thread; libraries that look for a file hear that there is none. */
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1,
				     SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME, 0));
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOENT), SCMP_SYS(openat), 0);
	/* A terminal?  No: stdio asks it of log output. */
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOTTY), SCMP_SYS(ioctl), 0);
	return r;
}

static int priv_load_filter(struct err *err)
{
	scmp_filter_ctx filter = seccomp_init(PRIV_UNLISTED);
	if (!filter)
		return err_set(err, "seccomp: no filter; is libseccomp whole?");
	int r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	if (r == 0)
		r = priv_filter_add(filter);
	if (r == 0)
		r = seccomp_load(filter);
	seccomp_release(filter);
	return r == 0 ? 0
		      : err_set(err, "seccomp: %s; the kernel needs CONFIG_SECCOMP_FILTER",
				strerror(-r));
}

/* uid 0 is refused: it would make everything else here pointless. */
static int priv_find_user(const char *name, uid_t *uid, gid_t *gid, struct err *err)
{
	errno = 0;
	const struct passwd *pw = getpwnam(name);
	if (!pw)
		return err_set(err, "user %s: %s; set `user` to one that exists", name,
			       errno ? strerror(errno) : "unknown");
	if (pw->pw_uid == 0 || pw->pw_gid == 0)
		return err_set(err, "user %s is root; set `user` to one without privileges", name);
	*uid = pw->pw_uid;
	*gid = pw->pw_gid;
	return 0;
}

static int priv_drop_user(const struct priv_node *p, struct err *err)
{
	uid_t uid = (uid_t)-1;
	gid_t gid = (gid_t)-1;
	struct rlimit none = {0, 0};
	if (priv_find_user(p->user, &uid, &gid, err) < 0)
		return -1;
	if (p->root && (chroot(p->root) < 0 || chdir("/") < 0))
		return err_set(err, "root directory %s: %s; make it: mkdir -p -m 0755 %s", p->root,
			       strerror(errno), p->root);
	/* The bounding set can be emptied only while there is CAP_SETPCAP. */
	capng_clear(CAPNG_SELECT_BOUNDS);
	if (capng_apply(CAPNG_SELECT_BOUNDS) < 0)
		return err_set(err, "capabilities: cannot empty the bounding set; start as root");
	if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return err_set(err, "user %s: %s; start as root", p->user, strerror(errno));
	capng_clear(CAPNG_SELECT_BOTH);
	if (capng_apply(CAPNG_SELECT_CAPS) < 0)
		return err_set(err, "capabilities: %s", strerror(errno));
	if (setuid(0) == 0 || capng_have_capabilities(CAPNG_SELECT_CAPS) != CAPNG_NONE)
		return err_set(err, "user %s: privileges are still there; refusing to go on",
			       p->user);
	/* Keys are in this memory: no core file, no debugger. */
	if (setrlimit(RLIMIT_CORE, &none) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_set(err, "process limits: %s", strerror(errno));
	return 0;
}

int priv_enter_node(const struct priv_node *p, struct err *err)
{
	/* What the C library reads from files later, it reads now. */
	tzset();
	if (priv_drop_user(p, err) < 0)
		return -1;
	return priv_load_filter(err);
}

int priv_enter_lookup(const char *user, struct err *err)
{
	const struct priv_node p = {.user = user};
	return priv_drop_user(&p, err);
}

int priv_enter_net(struct err *err)
{
	capng_clear(CAPNG_SELECT_BOTH);
	if (capng_updatev(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_BOUNDING_SET,
			  CAP_NET_ADMIN, CAP_NET_RAW, CAP_NET_BIND_SERVICE,
			  CAP_KILL,	       /* the node, which is another user */
			  CAP_DAC_READ_SEARCH, /* the configuration, whoever owns it */
			  CAP_DAC_OVERRIDE,    /* removing the control socket */
			  -1) < 0 ||
	    capng_apply(CAPNG_SELECT_BOTH) < 0)
		return err_set(err, "capabilities: %s; start as root", strerror(errno));
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_set(err, "no_new_privs: %s", strerror(errno));
	return 0;
}
