/* SPDX-License-Identifier: MIT */
/* A program for a debugger to look into: objects in known states, in a small arena. Prints "ready PID", and waits for its input to end. */
#include <shv/shv.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct node {
	long payload;
	SHV_REL(struct node) next;
};

shv_value *counter, *text;
shv_lock *gate;
struct node *first, *last;
int ordinary = 5;

static void *need(void *p)
{
	if (p)
		return p;
	fprintf(stderr, "gdb_target: %s\n", shv_errmsg());
	exit(1);
}

int main(void)
{
	const struct shv_arena_options opt = { .size = sizeof(opt), .name = "debugged", .capacity = (size_t)64 << 20 };
	shv_arena *a = need(shv_arena_create(&opt));
	const shv_type *bytes = need((void *)(uintptr_t)shv_type_parse("T{l:payload:l:next:}"));
	char c;

	counter = need(SHV_VALUE(a, int, 42));
	gate = need(shv_lock_new(a, SHV_PLAIN));
	text = need(shv_string_new(a, "fine \033[31m text", SHV_PLAIN));
	first = need(shv_raw_new(a, bytes, NULL));
	last = need(shv_raw_new(a, bytes, NULL));
	first->payload = 1;
	last->payload = 2;
	shv_rel_set(&first->next, last);
	if (shv_publish(counter, "counter") || shv_publish(text, "text") || shv_acquire(counter) || shv_acquire(counter))
		need(NULL);
	printf("ready %d\n", (int)getpid());
	fflush(stdout);
	while (read(STDIN_FILENO, &c, 1) > 0)
		;
	return ordinary != 5;
}
