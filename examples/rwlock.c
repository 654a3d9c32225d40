/* SPDX-License-Identifier: MIT */
/*
 * A lock policy of the program's own: many readers, or one writer.
 *
 * A policy has one acquire(), so which of the two is meant is a variable of the thread: begin_reading() sets it around
 * shv_acquire(). Whatever does not know of it (shv_get, shv_set, shv_value_free) takes the lock as a writer.
 *
 * The state says who is inside, reader by reader, so that any of them may be killed and be taken off the list:
 *
 *	writer       { pid, tid } of the writer, who may still be waiting for readers to leave; 0 = none
 *	reader[i]    { pid, tid } of a reader; 0 = a free place
 *	changes      counts departures; those that wait sleep on it
 *	damaged      a writer died inside: everybody is told, up to the next writer, who mends
 *
 * Reader: takes a place, then looks whether there is a writer, and if so steps back. Writer: enters himself, then looks whether there are
 * readers, and waits. Each announces himself before he looks, so they cannot miss each other. Every change is one
 * compare-and-swap, and an entry of a dead one is simply removed: there is no half-made state.
 *
 * holder() can name one, but there may be several inside, of whom one is dead. So it goes round: every 20 ms it names the
 * next. The library asks whenever a waiter has waited for a slice (some tens of milliseconds).
 *
 * Limits: PLACES readers at once, more wait. Writers go before readers, who may starve. No upgrade: -EDEADLK. Threads are known by pid
 * and tid as they see them, so use it within one pid namespace; a careful policy would store the start time too.
 *
 * Shown: readers inside together, writers alone, a killed reader and a killed writer, and many that are killed anywhere.
 */
#include <shv/shv.h>

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- the policy ------------------------------------------------------------------------------ */

enum { PLACES = 30 };

struct rw {
	uint64_t writer;
	uint64_t reader[PLACES];
	uint32_t changes, damaged;
};

static __thread bool reading; /* what this thread's next acquire means */

static uint64_t me(void)
{
	return (uint64_t)getpid() << 32 | (uint32_t)syscall(SYS_gettid);
}

static bool swap(uint64_t *entry, uint64_t from, uint64_t to)
{
	return __atomic_compare_exchange_n(entry, &from, to, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static uint64_t look(const uint64_t *entry)
{
	return __atomic_load_n(entry, __ATOMIC_SEQ_CST);
}

static uint32_t now(const struct rw *s)
{
	return __atomic_load_n(&s->changes, __ATOMIC_SEQ_CST);
}

/* Somebody left. A waiter that read the count before looking around will not sleep. */
static void changed(struct rw *s)
{
	__atomic_fetch_add(&s->changes, 1, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, &s->changes, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/* The deadline is absolute, CLOCK_MONOTONIC. False: it is over. */
static bool wait_for_change(struct rw *s, uint32_t seen, const struct timespec *deadline)
{
	return !syscall(SYS_futex, &s->changes, FUTEX_WAIT_BITSET, seen, deadline, NULL, FUTEX_BITSET_MATCH_ANY) || errno != ETIMEDOUT;
}

static int place_of(const struct rw *s, uint64_t who)
{
	for (int i = 0; i < PLACES; i++)
		if (look(&s->reader[i]) == who)
			return i;
	return -1;
}

static bool readers(const struct rw *s)
{
	for (int i = 0; i < PLACES; i++)
		if (look(&s->reader[i]))
			return true;
	return false;
}

static bool try_to_read(struct rw *s, uint64_t self)
{
	int i = -1;

	if (look(&s->writer))
		return false;
	do
		i = place_of(s, 0);
	while (i >= 0 && !swap(&s->reader[i], 0, self));
	if (i < 0)
		return false;
	if (!look(&s->writer))
		return true;
	swap(&s->reader[i], self, 0);
	changed(s);
	return false;
}

static int rw_acquire(void *state, const struct timespec *deadline)
{
	struct rw *s = state;
	uint64_t self = me();
	bool entered = false; /* as the writer, but not alone yet */

	if (look(&s->writer) == self || place_of(s, self) >= 0)
		return -EDEADLK;
	for (;;) {
		uint32_t seen = now(s);

		if (reading && try_to_read(s, self))
			return __atomic_load_n(&s->damaged, __ATOMIC_SEQ_CST) ? SHV_RECOVERED : 0;
		if (!reading && !entered)
			entered = swap(&s->writer, 0, self);
		if (entered && !readers(s))
			return __atomic_exchange_n(&s->damaged, 0, __ATOMIC_SEQ_CST) ? SHV_RECOVERED : 0;
		if (wait_for_change(s, seen, deadline))
			continue;
		if (entered) {
			swap(&s->writer, self, 0);
			changed(s);
		}
		return -ETIMEDOUT;
	}
}

static int rw_release(void *state)
{
	struct rw *s = state;
	uint64_t self = me();
	int i = place_of(s, self);

	if (!swap(&s->writer, self, 0) && (i < 0 || !swap(&s->reader[i], self, 0)))
		return -EPERM;
	changed(s);
	return 0;
}

/* One of those inside, every 20 ms another one. */
static int rw_holder(const void *state, struct shv_holder *out)
{
	const struct rw *s = state;
	uint64_t inside[PLACES + 1], w;
	struct timespec t;
	unsigned n = 0;

	if ((w = look(&s->writer)))
		inside[n++] = w;
	for (int i = 0; i < PLACES; i++)
		if ((w = look(&s->reader[i])))
			inside[n++] = w;
	if (!n)
		return -ENOENT;
	clock_gettime(CLOCK_MONOTONIC, &t);
	w = inside[((uint64_t)t.tv_sec * 50 + (uint64_t)t.tv_nsec / 20000000) % n];
	out->pid = (pid_t)(w >> 32);
	out->tid = (pid_t)(uint32_t)w;
	return 0;
}

/* First the mark, then the entry: who dies in between leaves both to be done again. */
static int rw_recover(void *state, const struct shv_holder *dead)
{
	struct rw *s = state;
	uint64_t who = (uint64_t)dead->pid << 32 | (uint32_t)dead->tid;
	int i = place_of(s, who);

	if (look(&s->writer) == who) { /* perhaps he still waited for readers, and wrote nothing: that cannot be told any more */
		__atomic_store_n(&s->damaged, 1, __ATOMIC_SEQ_CST);
		swap(&s->writer, who, 0);
	} else if (i >= 0) {
		swap(&s->reader[i], who, 0);
	} else {
		return -EAGAIN;
	}
	changed(s);
	return 0;
}

static const struct shv_lock_policy rw = {
	.struct_size = sizeof(rw),
	.name = "readers-writer",
	.size = sizeof(struct rw),
	.align = 8,
	.acquire = rw_acquire,
	.release = rw_release,
	.recover = rw_recover,
	.holder = rw_holder,
};

static int begin_reading(shv_value *v)
{
	int r;

	reading = true;
	r = shv_acquire(v);
	reading = false;
	return r;
}

/* ---- what it guards -------------------------------------------------------------------------- */

/* The first two are equal when no writer is inside. */
struct page {
	long first, second;
};

static const struct shv_field page_fields[] = { SHV_FIELD(struct page, first, SHV_LONG), SHV_FIELD(struct page, second, SHV_LONG) };

enum { READERS = 3, WRITERS = 2, TURNS = 1000, KILLS = 12 };

static void die(const char *what)
{
	fprintf(stderr, "rwlock[%d]: %s: %s\n", (int)getpid(), what, shv_errmsg());
	exit(1);
}

static struct page *content(shv_value *v)
{
	struct page *p = shv_value_data(v);

	if (!p)
		die("data");
	return p;
}

static int write_once(shv_value *v)
{
	struct page *p = content(v);
	int r = shv_acquire(v);

	if (r < 0)
		die("acquire");
	if (r == SHV_RECOVERED)
		p->second = p->first;
	if (p->first != p->second)
		die("half an update, and nobody said that its writer had died");
	p->first++;
	sched_yield();
	p->second++;
	if (shv_release(v))
		die("release");
	return r;
}

static int read_once(shv_value *v)
{
	struct page *p = content(v);
	int r = begin_reading(v);
	long first, second;

	if (r < 0)
		die("acquire to read");
	first = __atomic_load_n(&p->first, __ATOMIC_RELAXED);
	sched_yield();
	second = __atomic_load_n(&p->second, __ATOMIC_RELAXED);
	if (first != second && r != SHV_RECOVERED)
		die("a writer was inside beside a reader");
	if (shv_release(v))
		die("release");
	return r;
}

static pid_t start(void (*work)(shv_value *v, const int *fds), shv_value *v, const int *fds)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		work(v, fds);
		_exit(0);
	}
	return pid;
}

static void reap(pid_t pid, int signal_)
{
	int status;

	if (waitpid(pid, &status, 0) != pid || (signal_ ? !WIFSIGNALED(status) || WTERMSIG(status) != signal_ : status))
		die("a child ended otherwise than it should");
}

static void tell(int fd)
{
	if (write(fd, "", 1) != 1)
		die("write");
}

static void hear(int fd)
{
	char c;

	if (read(fd, &c, 1) != 1)
		die("read");
}

/* ---- 1. readers are inside together; a writer is not ------------------------------------------ */

/* Inside: says so, and stays until it is told to go. fds: says, is told. */
static void read_and_stay(shv_value *v, const int *fds)
{
	if (begin_reading(v))
		die("acquire to read");
	tell(fds[1]);
	hear(fds[2]);
	if (shv_release(v))
		die("release");
}

static void write_and_stay(shv_value *v, const int *fds)
{
	if (shv_acquire(v))
		die("acquire");
	content(v)->first++;
	tell(fds[1]);
	hear(fds[2]);
}

static void together(shv_value *v)
{
	int fds[4];
	pid_t pid[READERS];

	if (pipe(fds) || pipe(fds + 2))
		die("pipe");
	for (int i = 0; i < READERS; i++)
		pid[i] = start(read_and_stay, v, (int[]){ fds[0], fds[1], fds[2] });
	for (int i = 0; i < READERS; i++)
		hear(fds[0]); /* all of them are inside now */
	if (shv_try_acquire(v) != -EBUSY)
		die("a writer should not come in");
	if (begin_reading(v) || shv_acquire(v) != -EDEADLK || shv_release(v))
		die("but a reader should, and is no writer then");
	for (int i = 0; i < READERS; i++)
		tell(fds[3]);
	for (int i = 0; i < READERS; i++)
		reap(pid[i], 0);
	if (shv_try_acquire(v) || shv_release(v) || shv_release(v) != -EPERM)
		die("now a writer should");
	for (int i = 0; i < 4; i++)
		close(fds[i]);
	printf("%d readers and we were inside together, a writer was not\n", READERS);
}

static void readers_work(shv_value *v, const int *fds)
{
	(void)fds;
	for (int i = 0; i < TURNS; i++)
		read_once(v);
}

static void writers_work(shv_value *v, const int *fds)
{
	(void)fds;
	for (int i = 0; i < TURNS; i++)
		write_once(v);
}

static void all_at_once(shv_value *v)
{
	pid_t pid[READERS + WRITERS];
	long before = content(v)->first;

	for (int i = 0; i < READERS + WRITERS; i++)
		pid[i] = start(i < READERS ? readers_work : writers_work, v, NULL);
	for (int i = 0; i < READERS + WRITERS; i++)
		reap(pid[i], 0);
	printf("%d writers and %d readers: %ld of %d updates\n", WRITERS, READERS, content(v)->first - before, WRITERS * TURNS);
	if (content(v)->first - before != WRITERS * TURNS)
		die("some were lost");
}

/* ---- 2. deaths ---------------------------------------------------------------------------------- */

static void kill_inside(shv_value *v, void (*work)(shv_value *v, const int *fds))
{
	int fds[4];
	pid_t pid;

	if (pipe(fds) || pipe(fds + 2))
		die("pipe");
	pid = start(work, v, (int[]){ fds[0], fds[1], fds[2] });
	hear(fds[0]);
	kill(pid, SIGKILL);
	reap(pid, SIGKILL);
	for (int i = 0; i < 4; i++)
		close(fds[i]);
}

static void deaths(shv_value *v)
{
	/* A dead reader, beside a living one: he is found, and the living one counts on. */
	int fds[4];
	pid_t pid;

	if (pipe(fds) || pipe(fds + 2))
		die("pipe");
	pid = start(read_and_stay, v, (int[]){ fds[0], fds[1], fds[2] });
	hear(fds[0]);
	kill_inside(v, read_and_stay);
	if (shv_acquire_for(v, &(struct timespec){ 1, 0 }) != -ETIMEDOUT)
		die("a living reader is inside");
	tell(fds[3]);
	reap(pid, 0);
	for (int i = 0; i < 4; i++)
		close(fds[i]);
	write_once(v);
	if (write_once(v))
		die("nothing should be wrong after a reader's death");
	/* A dead writer: everybody is told, until a writer has mended it. */
	kill_inside(v, write_and_stay);
	if (read_once(v) != SHV_RECOVERED || read_once(v) != SHV_RECOVERED || write_once(v) != SHV_RECOVERED || read_once(v) || write_once(v))
		die("we should be told of a writer's death until it is mended");
	printf("a reader and a writer were killed inside: found, and told\n");
}

static void for_ever(shv_value *v, const int *fds)
{
	(void)fds;
	for (unsigned i = (unsigned)getpid();; i++)
		(void)(i % 3 ? read_once(v) : write_once(v));
}

static void anywhere(shv_value *v)
{
	for (int k = 0; k < KILLS; k++) {
		pid_t pid[2] = { start(for_ever, v, NULL), start(for_ever, v, NULL) };

		for (int i = 0; i < 20; i++) {
			read_once(v);
			write_once(v);
		}
		for (int i = 0; i < 2; i++) {
			kill(pid[i], SIGKILL);
			reap(pid[i], SIGKILL);
		}
		write_once(v);
	}
	printf("%d more were killed anywhere: the lock was always there for the others\n", 2 * KILLS);
}

int main(void)
{
	const shv_type *type;
	shv_arena *a;
	shv_value *v;

	setvbuf(stdout, NULL, _IOLBF, 0);
	a = shv_arena_create(&(struct shv_arena_options){ .name = "rwlock" });
	if (!a || shv_lock_register(a, &rw))
		die("start");
	type = shv_type_struct("page", sizeof(struct page), page_fields, sizeof(page_fields) / sizeof(page_fields[0]));
	v = type ? shv_value_new(a, type, NULL, SHV_POLICY(&rw)) : NULL;
	if (!v)
		die("new");
	together(v);
	all_at_once(v);
	deaths(v);
	anywhere(v);
	return shv_value_free(v) || shv_arena_detach(a) ? 1 : 0;
}
