/* SPDX-License-Identifier: MIT */
/*
 * A search tree of values that processes build together, each at addresses of its own.
 *
 * Two kinds of links that are no addresses:
 *
 *	SHV_REL(struct node)   in the nodes: the distance from the pointer to its target, followed like a pointer
 *	shv_off                in the root: bytes from the start of the arena; shv_pointer() checks that what it leads to is in the arena
 *
 * The root is a value, and its lock is the tree's. Three processes put in words at once, each through a mapping of its own; one is killed in
 * between, and who comes next is told. A node is linked by a single store, so the tree is whole whatever happens; what the dead one
 * may leave is a node that hangs nowhere, and a count that lags.
 */
#include <shv/shv.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

struct node {
	SHV_REL(struct node) left;
	SHV_REL(struct node) right;
	long key;
	char text[16];
};

struct root {
	shv_off top;
	long count;
};

static const struct shv_field node_fields[] = { SHV_FIELD(struct node, left, SHV_INT64), SHV_FIELD(struct node, right, SHV_INT64),
						SHV_FIELD(struct node, key, SHV_LONG), SHV_FIELD(struct node, text, SHV_CHAR) };
static const struct shv_field root_fields[] = { SHV_FIELD(struct root, top, SHV_UINT64), SHV_FIELD(struct root, count, SHV_LONG) };

enum { PROCESSES = 3, KEYS = 400 };

static void die(const char *what)
{
	fprintf(stderr, "ptr_tree[%d]: %s: %s\n", (int)getpid(), what, shv_errmsg());
	exit(1);
}

static struct node *top_of(shv_arena *a, const struct root *r)
{
	struct node *n = shv_pointer(a, r->top, sizeof(*n));

	if (!n && r->top)
		die("the root leads out of the arena");
	return n;
}

static struct node *new_node(shv_arena *a, long key)
{
	const shv_type *type = shv_type_struct("node", sizeof(struct node), node_fields, 4);
	struct node *n = type ? shv_raw_new(a, type, NULL) : NULL;

	if (!n)
		die("node");
	n->key = key;
	snprintf(n->text, sizeof(n->text), "key %ld", key);
	return n;
}

/* With the lock held. False: the key is there. */
static bool hang(shv_arena *a, struct root *r, struct node *new)
{
	struct node *n = top_of(a, r);

	if (!n)
		r->top = shv_offset(a, new);
	while (n) {
		struct node *next;

		if (new->key == n->key)
			return false;
		next = new->key < n->key ? shv_rel_get(&n->left) : shv_rel_get(&n->right);
		if (!next && new->key < n->key)
			shv_rel_set(&n->left, new);
		else if (!next)
			shv_rel_set(&n->right, new);
		n = next;
	}
	r->count++;
	return true;
}

/* Walks in order. Returns how many there are; dies if they are out of order or their text is another's. */
static long walk(const struct node *n, long *last)
{
	long count;
	char text[16];

	if (!n)
		return 0;
	count = walk(shv_rel_get(&n->left), last);
	snprintf(text, sizeof(text), "key %ld", n->key);
	if (n->key <= *last || strcmp(n->text, text))
		die("the tree is out of order");
	*last = n->key;
	return count + 1 + walk(shv_rel_get(&n->right), last);
}

static long count_all(shv_arena *a, const struct root *r)
{
	long last = -1;

	return walk(top_of(a, r), &last);
}

static int put(shv_arena *a, shv_value *root, long key)
{
	struct node *n = new_node(a, key);
	bool new;
	int status = shv_acquire(root);

	if (status < 0)
		die("acquire");
	if (status == SHV_RECOVERED) /* all links are whole; the count may lag */
		((struct root *)shv_value_data(root))->count = count_all(a, shv_value_data(root));
	new = hang(a, shv_value_data(root), n);
	if (shv_release(root))
		die("release");
	if (!new && shv_raw_free(n))
		die("free");
	return status;
}

/* Keys come in an order that mixes small and large ones, and every third is put in by two. */
static void work(shv_arena *inherited, const shv_value *there, int i)
{
	shv_arena *a = shv_arena_attach(shv_arena_fd(inherited), 0);
	shv_value *root = a ? shv_find(a, "tree") : NULL;

	if (!root || root == there)
		die("attach at another address");
	for (long k = 0; k < KEYS; k++) {
		put(a, root, k * 7919 % KEYS * PROCESSES + i);
		if (k % 3 == 0)
			put(a, root, k * 7919 % KEYS * PROCESSES + (i + 1) % PROCESSES);
	}
	if (shv_arena_detach(a))
		die("detach");
}

/* Dies with the lock in hand, its node linked and not counted. */
static void die_inside(shv_arena *a, shv_value *root)
{
	struct root *r = shv_value_data(root);

	if (shv_acquire(root) || !hang(a, r, new_node(a, 1000000)))
		die("acquire");
	r->count--;
	raise(SIGKILL);
}

static pid_t child(void)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (!pid)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return pid;
}

/* From the leaves up, so that nothing hangs in the air meanwhile. */
static void fell(struct node *n)
{
	if (!n)
		return;
	fell(shv_rel_get(&n->left));
	fell(shv_rel_get(&n->right));
	if (shv_raw_free(n))
		die("free");
}

int main(void)
{
	const shv_type *type = shv_type_struct("root", sizeof(struct root), root_fields, 2);
	shv_value *root;
	struct root *r;
	shv_arena *a;
	pid_t pid;
	int status;

	setvbuf(stdout, NULL, _IOLBF, 0);
	a = shv_arena_create(&(struct shv_arena_options){ .name = "ptr_tree" });
	root = a && type ? shv_value_new(a, type, NULL, SHV_RECURSIVE) : NULL;
	if (!root || shv_publish(root, "tree"))
		die("create");
	for (int i = 0; i < PROCESSES; i++)
		if (!child()) {
			work(a, root, i);
			_exit(0);
		}
	for (int i = 0; i < PROCESSES; i++)
		if (wait(&status) < 0 || status)
			die("a child failed");
	r = shv_value_data(root);
	printf("%d processes built a tree of %ld nodes; %ld are found in order\n", PROCESSES, r->count, count_all(a, r));
	if (r->count != PROCESSES * KEYS || count_all(a, r) != r->count)
		die("nodes are missing");
	if (!(pid = child()))
		die_inside(a, root);
	if (waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status))
		die("the child should have died");
	if (put(a, root, 1000001) != SHV_RECOVERED || r->count != PROCESSES * KEYS + 2 || count_all(a, r) != r->count)
		die("we should be told of the death, and find the tree whole");
	printf("one was killed inside: told, counted anew, %ld nodes\n", r->count);
	/* A root that leads astray is noticed, not followed. */
	if (shv_pointer(a, UINT64_MAX - 8, sizeof(struct node)) || errno != ERANGE)
		die("an offset outside of the arena should be refused");
	fell(top_of(a, r));
	return shv_value_free(root) || shv_arena_detach(a) ? 1 : 0;
}
