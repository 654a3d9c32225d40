/* SPDX-License-Identifier: MIT */
/*
 * A child creates, its parent uses and frees, with no server in between and the child already gone.
 *
 * A pointer made in the child means nothing to the parent, which may have mapped that part of the
 * arena or not. What travels is a reference, a number that means the same in every process (here
 * through a pipe), or a name. A reference to something that was freed is refused, for ever.
 *
 * A lock can be handed over too: one process takes it, another releases it, if it is SHV_HANDOFF.
 */
#include <shv/shv.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SQUARES = 1000 };

static void die(const char *what)
{
	fprintf(stderr, "handover: %s: %s\n", what, shv_errmsg());
	exit(1);
}

/* The child: SQUARES values whose references go through the pipe, and one that gets a name. */
static void produce(shv_arena *a, int to)
{
	static const char words[] = "made by a process that is gone";
	void *report;

	for (long i = 0; i < SQUARES; i++) {
		shv_value *v = SHV_VALUE(a, long, i * i, i % 2 ? SHV_PLAIN : SHV_RECURSIVE);
		shv_ref ref = v ? shv_ref_of(v) : 0;

		if (!ref || write(to, &ref, sizeof(ref)) != sizeof(ref))
			die("produce");
	}
	report = shv_raw_array_new(a, SHV_CHAR, sizeof(words), words);
	if (!report || shv_publish(report, "report"))
		die("publish");
	if (shv_arena_detach(a)) /* not needed before an exit, but polite: it gives back what it cached */
		die("detach");
}

static long consume(shv_arena *a, int from)
{
	shv_ref ref, first = 0;
	long sum = 0;

	while (read(from, &ref, sizeof(ref)) == sizeof(ref)) {
		shv_value *v = shv_deref(a, ref);

		if (!v)
			die("deref");
		sum += SHV_LOAD(v, long);
		if (shv_value_free(v))
			die("free");
		if (!first)
			first = ref;
	}
	if (shv_deref(a, first) || errno != ESTALE)
		die("a reference to a freed value should be refused");
	printf("a reference used too late: %s\n", shv_errmsg());
	return sum;
}

static void release_for_parent(shv_value *baton, shv_value *mine)
{
	if (shv_release(mine) != -EPERM || shv_release(baton))
		die("release");
}

/* The parent takes two locks. The child may release one of them. */
static void lock_handover(shv_arena *a)
{
	shv_value *baton = SHV_VALUE(a, int, 0, SHV_HANDOFF), *mine = SHV_VALUE(a, int, 0, SHV_PLAIN);
	int status;
	pid_t pid;

	if (!baton || !mine || shv_acquire(baton) || shv_acquire(mine))
		die("locks");
	pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0) {
		release_for_parent(baton, mine);
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid || status)
		die("the child failed");
	if (shv_try_acquire(baton))
		die("the child should have released it");
	printf("a lock taken here was released by a child; another, not of that kind, was not\n");
	if (shv_release(baton) || shv_release(mine) || shv_value_free(baton) || shv_value_free(mine))
		die("locks");
}

int main(void)
{
	long wanted = 0, sum;
	struct shv_stat st = { .size = sizeof(st) };
	int fds[2], status;
	shv_arena *a;
	char *report;
	pid_t pid;

	setvbuf(stdout, NULL, _IOLBF, 0);
	a = shv_arena_create(&(struct shv_arena_options){ .name = "handover" });
	if (!a || pipe(fds))
		die("start");
	pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0) {
		close(fds[0]);
		produce(a, fds[1]);
		_exit(0);
	}
	close(fds[1]);
	sum = consume(a, fds[0]);
	if (waitpid(pid, &status, 0) != pid || status)
		die("the child failed");
	for (long i = 0; i < SQUARES; i++)
		wanted += i * i;
	printf("sum of %d squares from a child: %ld\n", SQUARES, sum);

	report = shv_find(a, "report");
	if (!report)
		die("find");
	printf("found by name: %s\n", report);
	if (shv_raw_free(report))
		die("free");
	if (shv_raw_free(report) != -ESTALE)
		die("it should be gone");
	printf("freed twice: %s\n", shv_errmsg());
	if (shv_find(a, "report"))
		die("its name should be gone with it");

	lock_handover(a);
	if (shv_stat(a, &st) || st.objects || st.names)
		die("something was left");
	printf("left in the arena: %llu objects\n", (unsigned long long)st.objects);
	return sum == wanted && shv_arena_detach(a) == 0 ? 0 : 1;
}
