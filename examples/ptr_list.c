/* SPDX-License-Identifier: MIT */
/*
 * A linked list that several processes see at different addresses.
 *
 * An address means nothing in another process, so the links are SHV_REL pointers, which hold the
 * distance from themselves to what they point at. The child here maps the arena a second time: same
 * bytes, other addresses, and every link still leads to the next node.
 */
#include <shv/shv.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

struct node {
	SHV_REL(struct node) next;
	long number;
};

/* Only so that shvdump can show it: to it, a link is a number of 8 bytes. */
static const struct shv_field node_fields[] = {
	SHV_FIELD(struct node, next, SHV_INT64),
	SHV_FIELD(struct node, number, SHV_LONG),
};

static void die(const char *what)
{
	fprintf(stderr, "ptr_list: %s: %s\n", what, shv_errmsg());
	exit(1);
}

static const shv_type *node_type(void)
{
	const shv_type *t = shv_type_struct("node", sizeof(struct node), node_fields, 2);

	if (!t)
		die("type");
	return t;
}

/* Puts a number in front. head is a value whose payload is the first node, so its lock is the list's. */
static void push(shv_arena *a, shv_value *head, long number)
{
	struct node *n = shv_raw_new(a, node_type(), NULL);

	if (!n)
		die("node");
	n->number = number;
	shv_with(head)
	{
		struct node *first = shv_value_data(head);

		shv_rel_set(&n->next, shv_rel_get(&first->next));
		shv_rel_set(&first->next, n);
	}
	if (shv_with_status())
		die("lock");
}

static long sum(shv_value *head, long *count)
{
	long s = 0;

	*count = 0;
	shv_with(head)
	{
		struct node *first = shv_value_data(head);

		for (struct node *n = shv_rel_get(&first->next); n; n = shv_rel_get(&n->next)) {
			s += n->number;
			++*count;
		}
	}
	return s;
}

static void child(shv_arena *inherited, shv_value *at)
{
	shv_arena *a = shv_arena_attach(shv_arena_fd(inherited), 0);
	shv_value *head = a ? shv_find(a, "list") : NULL;
	long count, s;

	if (!head)
		die("attach");
	s = sum(head, &count);
	printf("child:  the head is at %p as well as at %p; %ld nodes, sum %ld\n", (void *)head, (void *)at, count, s);
	if (head == at || count != 10 || s != 55)
		die("the child should see the list, elsewhere");
	for (long i = 11; i <= 20; i++)
		push(a, head, i);
	if (shv_arena_detach(a))
		die("detach");
}

int main(void)
{
	shv_value *head;
	shv_arena *a;
	long count, s;
	int status;
	pid_t pid;

	setvbuf(stdout, NULL, _IOLBF, 0);
	a = shv_arena_create(&(struct shv_arena_options){ .name = "ptr_list" });
	head = a ? shv_value_new(a, node_type(), NULL, SHV_RECURSIVE) : NULL;
	if (!head || shv_publish(head, "list"))
		die("create");
	for (long i = 1; i <= 10; i++)
		push(a, head, i);
	pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0) {
		child(a, head);
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid || status)
		die("the child failed");
	s = sum(head, &count);
	printf("parent: the head is at %p; %ld nodes, sum %ld\n", (void *)head, count, s);
	if (count != 20 || s != 210)
		die("the parent should see what the child added");

	/* Nodes of both makers are freed here. */
	shv_with(head)
	{
		struct node *first = shv_value_data(head), *n;

		while ((n = shv_rel_get(&first->next)) != NULL) {
			shv_rel_set(&first->next, shv_rel_get(&n->next));
			if (shv_raw_free(n))
				die("free");
		}
	}
	return shv_value_free(head) || shv_arena_detach(a) ? 1 : 0;
}
