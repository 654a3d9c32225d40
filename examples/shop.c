/* SPDX-License-Identifier: MIT */
/*
 * A program with troubles, to look at from outside with shvdump (examples/questions.sh does):
 *
 *   clerk    has taken the lock of `till`, and does not give it back
 *   seller   two of them count `stock` down and up: the hot lock
 *   leaker   makes receipts, one after the other, and frees none
 *   visitor  made a few thousand notes and was killed; a few of them are published, the rest nobody knows
 *
 *   shop           runs a moment and ends, for the tests
 *   shop --serve   prints "ready PID", goes on until its input ends
 */
#include <shv/shv.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NOTES 3000
#define KEPT 20
#define SELLERS 2

static shv_arena *arena;
static shv_value *stock, *till, *receipts;

static void need(bool ok)
{
	if (ok)
		return;
	fprintf(stderr, "shop: %s\n", shv_errmsg());
	exit(1);
}

static void moment(long ms)
{
	nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000 }, NULL);
}

static pid_t start(const char *name, void (*work)(void))
{
	pid_t parent = getpid(), pid = fork();

	if (pid > 0)
		return pid;
	need(pid == 0);
	/* Nobody stays when the shop closes, however that comes. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	prctl(PR_SET_NAME, name);
	work();
	_exit(0);
}

static void visitor(void)
{
	char name[32];

	for (int i = 0; i < NOTES; i++) {
		shv_value *note = SHV_VALUE(arena, double, i, SHV_PLAIN);

		need(note != NULL);
		snprintf(name, sizeof(name), "note-%d", i);
		if (i % (NOTES / KEPT) == 0)
			need(!shv_publish(note, name));
	}
	raise(SIGKILL);
}

static void clerk(void)
{
	need(!shv_acquire(till));
	for (;;)
		pause();
}

static void seller(void)
{
	for (;;)
		need(!shv_add(stock, -1, NULL) && !shv_add(stock, 1, NULL));
}

static void leaker(void)
{
	for (;;) {
		need(shv_array_new(arena, SHV_CHAR, 100, NULL, SHV_NONE) != NULL);
		need(!shv_add(receipts, 1, NULL));
		moment(2);
	}
}

int main(int argc, char **argv)
{
	const struct shv_arena_options opt = { .size = sizeof(opt), .name = "shop", .capacity = (size_t)1 << 30 };
	bool serve = argc > 1 && !strcmp(argv[1], "--serve");
	struct shv_holder holder = { .size = sizeof(holder) };
	pid_t children[SELLERS + 2];
	int n = 0, status;
	long made = 0;
	char c;

	prctl(PR_SET_NAME, "shop");
	arena = shv_arena_create(&opt);
	need(arena != NULL);
	stock = SHV_VALUE(arena, long, 1000);
	till = SHV_VALUE(arena, double, 99.5);
	receipts = SHV_VALUE(arena, long, 0, SHV_NONE);
	need(stock && till && receipts);
	need(!shv_publish(stock, "stock") && !shv_publish(till, "till") && !shv_publish(receipts, "receipts"));
	waitpid(start("visitor", visitor), &status, 0);
	need(shv_arena_recover(arena, NULL) >= 0);
	children[n++] = start("clerk", clerk);
	children[n++] = start("leaker", leaker);
	for (int i = 0; i < SELLERS; i++)
		children[n++] = start("seller", seller);
	/* Until there is something to be seen. */
	while (shv_value_holder(till, &holder) != 1 || made < 10) {
		moment(1);
		need(!shv_get(receipts, &made, sizeof(made)));
	}
	if (serve) {
		printf("ready %d\n", (int)getpid());
		fflush(stdout);
		while (read(STDIN_FILENO, &c, 1) > 0)
			;
	}
	for (int i = 0; i < n; i++) {
		kill(children[i], SIGKILL);
		waitpid(children[i], &status, 0);
	}
	need(!shv_arena_detach(arena));
	return 0;
}
