/* SPDX-License-Identifier: MIT */
/*
 * Who takes part: the process table, liveness by the kernel's word, and the library's own locks.
 *
 * A member holds a write lock (F_OFD_SETLK) on the byte of the memfd whose number is its slot, through a file description
 * of its own that only a mapping keeps open: neither closefrom() nor an inherited or leaked descriptor matters,
 * MADV_DONTFORK keeps it out of children, exec and death drop it. Whether a member lives is asked with F_OFD_GETLK: pids are
 * reused, and mean something else in another pid namespace.
 *
 * Registration of slot i (a death after any step leaves the slot as it was, or ALIVE without the lock, which recovery finds):
 *   1  word is FREE          2  lock byte i          3  word still FREE (else another process came and went)
 *   4  fill the entry        5  word = ALIVE, generation + 1 (release; pairs: P-process)
 *
 * A few slots more than the table's size are for visitors: a process that finds the table full takes one for as long as it needs
 * to recover the dead, who may be what fills the table. Visitors may die too, hence several, which are looked at first.
 */
#include "arena/arena_private.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- locks of this process alone ------------------------------------------------------------------ */

bool plock_try(struct shv_plock *l)
{
	uint32_t free_ = 0;

	return cas32(&l->word, &free_, 1);
}

void plock_acquire(struct shv_plock *l)
{
	if (plock_try(l))
		return;
	for (int i = 0; i < 100; i++) {
		cpu_relax();
		if (plock_try(l))
			return;
	}
	while (exchange_acq_rel(&l->word, 2))
		syscall(SYS_futex, &l->word, FUTEX_WAIT_PRIVATE, 2, NULL, NULL, 0);
}

void plock_release(struct shv_plock *l)
{
	if (exchange_acq_rel(&l->word, 0) == 2)
		syscall(SYS_futex, &l->word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* ---- liveness --------------------------------------------------------------------------------------- */

enum shv_liveness process_probe(int fd, uint32_t slot)
{
	struct flock fl = { .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = slot, .l_len = 1 };

	if (FAIL_POINT("ofd_getlk") || fcntl(fd, F_OFD_GETLK, &fl))
		return LIVENESS_UNKNOWN;
	return fl.l_type == F_UNLCK ? LIVENESS_DEAD : LIVENESS_ALIVE;
}

enum shv_liveness member_probe(struct shv_member *m, uint32_t slot)
{
	int fd;

	if (m->local->registered && m->local->proc == slot)
		return LIVENESS_ALIVE;
	fd = memfd_fd(m);
	return fd < 0 ? LIVENESS_UNKNOWN : process_probe(fd, slot);
}

#define SELF_STAT "/proc/self/stat" /* not by number: /proc may be that of another pid namespace, where ours is somebody else's */

/*
 * /proc/PATH/stat: field 2 is the command, in parentheses, which may itself contain anything; field 22 the start time. command: where
 * it goes, zeros behind it; NULL: nowhere.
 */
static uint64_t read_stat(const char *path, char *command, size_t size)
{
	char text[512], *p, *open_;
	unsigned long long start = 0;
	ssize_t n;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (command)
		memset(command, 0, size);
	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return 0;
	text[n] = 0;
	p = strrchr(text, ')');
	open_ = strchr(text, '(');
	if (command && p && open_ && open_ < p)
		name_copy(command, size, open_ + 1, (size_t)(p - open_ - 1));
	for (int field = 2; p && field < 22; field++)
		p = strchr(p + 1, ' ');
	if (p)
		start = strtoull(p, NULL, 10);
	return start;
}

uint64_t process_start_time(pid_t pid)
{
	char path[40] = SELF_STAT;

	if (pid)
		snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	return read_stat(path, NULL, 0);
}

static uint64_t own_pid_namespace(void)
{
	struct stat st;

	return stat("/proc/self/ns/pid", &st) ? 0 : (uint64_t)st.st_ino;
}

/* ---- registration ------------------------------------------------------------------------------------ */

static void raise_high(uint32_t *high, uint32_t to)
{
	uint32_t h = load_relaxed(high);

	while (h < to && !cas32(high, &h, to))
		;
}

/* Lock the slot's byte through `own`: false if somebody has it. */
static bool lock_byte(int own, uint32_t slot)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = slot, .l_len = 1 };

	return !fcntl(own, F_OFD_SETLK, &fl);
}

static void unlock_byte(int own, uint32_t slot)
{
	struct flock fl = { .l_type = F_UNLCK, .l_whence = SEEK_SET, .l_start = slot, .l_len = 1 };

	(void)fcntl(own, F_OFD_SETLK, &fl);
}

static void fill_entry(struct shv_process_shm *p, uint32_t gen)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	p->pid = getpid();
	p->start_time = read_stat(SELF_STAT, p->command, sizeof(p->command));
	p->pid_namespace = own_pid_namespace();
	p->attached = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	p->sweep = p->trim = p->slots_freed = p->away = 0;
	p->created = p->freed = 0;
	store_release(&p->head, (uint64_t)gen << 32);
}

static bool claim(struct shv_member *m, int own, uint32_t slot)
{
	struct shv_process_shm *p = process_at(m->base, &m->geo, slot);
	uint64_t w = load_acquire(&p->word);
	uint32_t gen = proc_gen(w) + 1;

	if (proc_state(w) != SHV_PROC_FREE || !lock_byte(own, slot))
		return false;
	CRASH_POINT("process-locked");
	if (load_acquire(&p->word) != w) {
		unlock_byte(own, slot);
		return false;
	}
	if (gen == 0)
		gen = 1;
	fill_entry(p, gen);
	CRASH_POINT("process-filled");
	raise_high(&super_of(m->base)->processes_high, slot + 1); /* before: nobody may be alive, or dead, where nobody looks */
	CRASH_POINT("process-high");
	if (!cas64(&p->word, &w, proc_word(SHV_PROC_ALIVE, gen))) {
		unlock_byte(own, slot);
		return false;
	}
	CRASH_POINT("process-alive");
	m->local->proc = slot;
	m->local->gen = gen;
	return true;
}

/* Of another user's memfd we can open none; a server may give us one. */
static int asked_description(struct shv_member *m)
{
	int fds[2];

	if (!m->server[0] || serve_ask(m->server, false, fds))
		return -1;
	close(fds[1]);
	if (memfd_is(fds[0], &m->geo))
		return fds[0];
	close(fds[0]); /* that of another arena, which is served there now */
	return -1;
}

/* A description of our own for the memfd, kept by a mapping. */
static int own_description(struct shv_member *m)
{
	char path[40];
	int fd = memfd_fd(m), own;

	if (fd < 0)
		return fd;
	if (m->given >= 0) {
		own = m->given;
		m->given = -1;
		if (memfd_is(own, &m->geo) && (fcntl(own, F_GETFL) & O_ACCMODE) == O_RDWR)
			return own;
		close(own); /* a server that sent something else: let us see whether we can do without */
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	own = FAIL_POINT("reopen") ? (errno = EMFILE, -1) : open(path, O_RDWR | O_CLOEXEC);
	if (own >= 0)
		return own;
	if (errno == EACCES || errno == EPERM) {
		own = asked_description(m);
		if (own >= 0)
			return own;
		errno = EACCES;
	}
	fail_call("reopening the arena's memfd through /proc/self/fd",
		  "a member needs a file description of its own; is /proc mounted, and the memfd this user's?");
	return errno == EMFILE || errno == ENFILE || errno == ENOMEM ? -errno : -EACCES;
}

static int register_in(struct shv_member *m, uint32_t from, uint32_t to)
{
	int own = own_description(m), r = -EUSERS;
	void *page;

	if (own < 0)
		return own;
	page = FAIL_POINT("mmap-liveness") ? MAP_FAILED : mmap(NULL, SHV_PAGE_SIZE, PROT_READ, MAP_SHARED, own, 0);
	if (page == MAP_FAILED || FAIL_POINT("madvise-liveness") || madvise(page, SHV_PAGE_SIZE, MADV_DONTFORK)) {
		if (page != MAP_FAILED)
			munmap(page, SHV_PAGE_SIZE);
		close(own);
		return fail(-ENOMEM, "arena '%s': no memory to map the page that shows that this process lives", m->name);
	}
	for (uint32_t slot = from; slot < to && r; slot++)
		if (claim(m, own, slot))
			r = 0;
	close(own);
	if (r) {
		munmap(page, SHV_PAGE_SIZE);
		return r;
	}
	m->local->liveness = page;
	store_release(&m->local->ok, 1);
	store_release(&m->local->registered, 1);
	return 0;
}

int process_register(struct shv_member *m)
{
	int r;

	heap_after_fork(m);
	/*
	 * To be among those whom the barriers of waiters reach (locks/word.c, values/wait.c). Where the kernel refuses, releases are
	 * exchanges, and who waits for a content looks again now and then.
	 */
	shv_lock_biased = !syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0);
	r = register_in(m, 0, m->geo.max_processes);
	return r != -EUSERS ? r :
	       fail(-EUSERS, "arena '%s': its process table is full (%u): create it with a larger max_processes", m->name,
		    m->geo.max_processes);
}

/* The table is full: visit, recover the dead, and see. The caller holds no lock and has no thread cache yet. */
int process_register_visitor(struct shv_member *m)
{
	return register_in(m, m->geo.max_processes, m->geo.last_process + 1);
}

int process_ours(struct shv_member *m)
{
	const struct shv_local *l = m->local;

	if (likely(l->registered && load_relaxed(&process_at(m->base, &m->geo, l->proc)->word) == proc_word(SHV_PROC_ALIVE, l->gen)))
		return 0;
	return fail(-ENOTRECOVERABLE, "arena '%s': this process's slot in the process table was taken from it: "
				      "its shared bookkeeping is damaged; detach", m->name);
}

void process_leave(struct shv_member *m)
{
	struct shv_local *l = m->local;

	if (l->liveness)
		munmap(l->liveness, SHV_PAGE_SIZE);
	l->liveness = NULL;
	l->registered = 0;
}

/* ---- owners of locks ---------------------------------------------------------------------------------- */

static void describe(const struct shv_process_shm *p, uint32_t slot, int32_t tid, struct shv_holder *out)
{
	out->pid = p->pid;
	out->tid = tid;
	out->start_time = p->start_time;
	memcpy(out->command, p->command, sizeof(out->command));
	out->command[sizeof(out->command) - 1] = 0;
	out->process = slot;
}

bool owner_describe(const char *base, const struct shv_geo *g, uint32_t owner, struct shv_holder *out)
{
	const struct shv_thread_shm *t;
	uint64_t w;
	uint32_t slot;

	if (!owner || owner > g->max_threads || owner > load_acquire(&super_of(base)->threads_high))
		return false;
	t = thread_at(base, g, owner - 1);
	w = load_acquire(&t->word);
	slot = thread_proc(w);
	if (thread_state(w) == SHV_THREAD_FREE || slot > g->last_process)
		return false;
	describe(process_at(base, g, slot), slot, t->tid, out);
	out->alive = thread_state(w) == SHV_THREAD_ALIVE;
	return load_acquire(&t->word) == w;
}

/* A thread of a living process that went without our destructor (or whose cache was made after it ran). */
static bool thread_vanished(struct shv_member *m, const struct shv_process_shm *p, const struct shv_thread_shm *t)
{
	const struct shv_process_shm *me = process_at(m->base, &m->geo, m->local->proc);

	if (p->pid_namespace != me->pid_namespace || !p->pid_namespace)
		return false; /* its numbers mean nothing here */
	return syscall(SYS_tgkill, p->pid, t->tid, 0) && errno == ESRCH;
}

bool thread_gone(struct shv_member *m, uint32_t slot, int32_t tid)
{
	struct shv_thread_shm t = { .tid = tid };

	return thread_vanished(m, process_at(m->base, &m->geo, slot), &t);
}

bool owner_dead(struct shv_member *m, uint32_t owner, struct shv_holder *out)
{
	const struct shv_thread_shm *t;
	const struct shv_process_shm *p;
	uint64_t tw, pw;
	uint32_t slot;

	if (owner > m->geo.max_threads || !owner)
		return true; /* no such thread: the word was damaged */
	if (out)
		owner_describe(m->base, &m->geo, owner, out);
	t = thread_at(m->base, &m->geo, owner - 1);
	tw = load_acquire(&t->word);
	slot = thread_proc(tw);
	if (thread_state(tw) != SHV_THREAD_ALIVE || slot > m->geo.last_process)
		return true;
	p = process_at(m->base, &m->geo, slot);
	pw = load_acquire(&p->word);
	if (proc_state(pw) != SHV_PROC_ALIVE || proc_gen(pw) != thread_gen(tw))
		return true;
	if (thread_vanished(m, p, t))
		return member_probe(m, slot) != LIVENESS_UNKNOWN && load_acquire(&t->word) == tw;
	return member_probe(m, slot) == LIVENESS_DEAD;
}

int policy_try(const struct shv_lock_policy *ops, void *state)
{
	struct timespec over = { 0, 0 };
	int r = ops->try_acquire ? ops->try_acquire(state) : ops->acquire(state, &over);

	return r == -ETIMEDOUT ? -EBUSY : r;
}

bool policy_holder(struct shv_member *m, const struct shv_lock_policy *ops, void *state, struct shv_holder *h)
{
	uint32_t high = load_acquire(&super_of(m->base)->processes_high);

	memset(h, 0, sizeof(*h));
	h->size = sizeof(*h);
	if (!ops->holder || ops->holder(state, h))
		return false;
	h->alive = false;
	for (uint32_t i = 0; i < high && i < m->geo.max_processes; i++) {
		const struct shv_process_shm *p = process_at(m->base, &m->geo, i);
		if (proc_state(load_acquire(&p->word)) == SHV_PROC_FREE || p->pid != h->pid ||
		    (h->start_time && p->start_time != h->start_time))
			continue;
		h->process = i;
		h->start_time = p->start_time;
		memcpy(h->command, p->command, sizeof(h->command));
		h->alive = member_probe(m, i) != LIVENESS_DEAD && !(h->tid && thread_gone(m, i, h->tid));
		break;
	}
	return true;
}

/* ---- graves -------------------------------------------------------------------------------------------- */

static struct shv_grave_shm *grave_at(const char *base, const struct shv_geo *g, uint64_t number)
{
	return (struct shv_grave_shm *)(uintptr_t)(base + g->graves_off) + number % SHV_GRAVES;
}

uint32_t grave_of(struct shv_member *m, const struct shv_holder *h)
{
	struct shv_super_shm *s = super_of(m->base);
	uint64_t number = fetch_add_relaxed(&s->graves, 1) + 1;
	struct shv_grave_shm *g;

	/* 20 bits go into the lock word; 0 and OWNER_GONE have a meaning there. */
	while (!(number & LOCK_OWNER_MASK) || (number & LOCK_OWNER_MASK) == LOCK_OWNER_GONE)
		number = fetch_add_relaxed(&s->graves, 1) + 1;
	g = grave_at(m->base, &m->geo, number);
	store_release(&g->number, 0);
	g->start_time = h->start_time;
	g->pid = h->pid;
	g->tid = h->tid;
	g->process = h->process;
	memcpy(g->command, h->command, sizeof(g->command));
	store_release(&g->number, number);
	return (uint32_t)(number & LOCK_OWNER_MASK);
}

uint32_t grave_dig(struct shv_member *m, uint32_t owner)
{
	struct shv_holder h = { .size = sizeof(h) };

	owner_describe(m->base, &m->geo, owner, &h);
	return grave_of(m, &h);
}

bool grave_describe(const char *base, const struct shv_geo *g, uint32_t number, struct shv_holder *out)
{
	const struct shv_grave_shm *grave = grave_at(base, g, number);
	uint64_t n = load_acquire(&grave->number);

	if (!n || (n & LOCK_OWNER_MASK) != number)
		return false; /* overwritten by later ones */
	out->pid = grave->pid;
	out->tid = grave->tid;
	out->start_time = grave->start_time;
	out->process = grave->process;
	memcpy(out->command, grave->command, sizeof(out->command));
	out->command[sizeof(out->command) - 1] = 0;
	out->alive = false;
	fence_acquire();
	return load_relaxed(&grave->number) == n;
}

/* ---- the library's own locks ------------------------------------------------------------------------------ */

static struct shv_syslock_shm *syslock(struct shv_member *m, enum shv_rank rank)
{
	struct shv_super_shm *s = super_of(m->base);

	switch (rank) {
	case RANK_RECOVERY:
		return &s->recovery;
	case RANK_NAMES:
		return &s->names;
	case RANK_TYPES:
		return &s->types_lock;
	case RANK_POLICIES:
		return &s->policies_lock;
	default:
		return &s->pool;
	}
}

static bool sys_dead(void *ctx, uint32_t owner)
{
	return owner_dead(ctx, owner, NULL);
}
static uint32_t sys_bury(void *ctx, uint32_t owner)
{
	return grave_dig(ctx, owner);
}
static bool sys_valid(void *ctx)
{
	(void)ctx;
	return true;
}
static void sys_inherit(void *ctx, uint32_t owner, bool buried)
{
	(void)ctx;
	(void)owner;
	(void)buried;
}
static const struct shv_lock_host sys_host = { sys_dead, sys_bury, sys_valid, NULL, sys_inherit };

/* What a dead holder had begun. */
static void redo(struct shv_member *m, enum shv_rank rank)
{
	if (rank == RANK_POOL)
		pool_redo(m);
	else if (rank == RANK_NAMES)
		name_redo(m);
	else if (rank == RANK_RECOVERY)
		recover_redo(m);
	/* Types and policies are committed by one store each. */
}

static int sys_take(struct shv_member *m, enum shv_rank rank, const struct timespec *deadline)
{
	struct shv_tc *tc = tc_get(m);
	uint64_t *word = &syslock(m, rank)->word;
	int r;

	if (!tc)
		return -errno;
	if (process_ours(m))
		return -ENOTRECOVERABLE;
	if (likely(lock_acquire_fast(word, tc->me))) {
		tc->ranks |= 1u << rank;
		return 0;
	}
	r = lock_acquire_slow(word, tc->me, LOCK_PLAIN, false, deadline, &sys_host, m);
	if (r == 0 || r == SHV_RECOVERED)
		tc->ranks |= 1u << rank;
	if (r == SHV_RECOVERED) {
		redo(m, rank);
		return 0;
	}
	if (r == -ETIMEDOUT)
		return r;
	if (r)
		return fail(-EUCLEAN, "arena '%s': one of its own locks is damaged (%d)", m->name, -r);
	return 0;
}

int sys_lock(struct shv_member *m, enum shv_rank rank)
{
	return sys_take(m, rank, NULL);
}

int sys_lock_for(struct shv_member *m, enum shv_rank rank, unsigned milliseconds)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_nsec += (long)milliseconds * 1000000;
	t.tv_sec += t.tv_nsec / 1000000000;
	t.tv_nsec %= 1000000000;
	return sys_take(m, rank, &t);
}

void sys_unlock(struct shv_member *m, enum shv_rank rank)
{
	struct shv_tc *tc = tc_get(m);

	tc->ranks &= ~(1u << rank);
	lock_release(&syslock(m, rank)->word, tc->me, LOCK_PLAIN);
}
