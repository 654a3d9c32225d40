/* SPDX-License-Identifier: MIT */
/* The page map scaled down; see map.h. */
#include "config.h"

#include "tools/map.h"

#include <errno.h>
#include <stdlib.h>

static int most_pages(const void *a, const void *b)
{
	const struct map_owner *x = a, *y = b;

	if (x->pages != y->pages)
		return x->pages > y->pages ? -1 : 1;
	return x->slot < y->slot ? -1 : x->slot > y->slot;
}

static size_t owner_of(const struct map *m, uint32_t slot)
{
	size_t i = 0;

	while (i < m->owners_n && m->owners[i].slot != slot)
		i++;
	return i;
}

static int find_owners(struct map *m, const struct look *l)
{
	size_t room = 0;

	for (size_t i = 0; i < l->runs_n; i++) {
		size_t k;

		if (l->runs[i].state != SHV_PAGE_OWNED)
			continue;
		k = owner_of(m, l->runs[i].owner);
		if (k == m->owners_n) {
			if (look_grow(&m->owners, m->owners_n, &room, sizeof(*m->owners)))
				return -ENOMEM;
			m->owners[m->owners_n++] = (struct map_owner){ .slot = l->runs[i].owner,
								       .process = look_process(l, l->runs[i].owner) };
		}
		m->owners[k].pages += l->runs[i].pages;
	}
	if (m->owners_n)
		qsort(m->owners, m->owners_n, sizeof(*m->owners), most_pages);
	return 0;
}

/* Pages of a cell by what they are: states, then owners. */
struct tally {
	uint64_t state[SHV_PAGE_SYSTEM + 1];
	uint64_t *owned;          /* by owner */
};

static void add_run(const struct map *m, struct tally *t, const struct shv_run_info *run, uint64_t pages)
{
	if ((unsigned)run->state > SHV_PAGE_SYSTEM)
		return;
	t->state[run->state] += pages;
	if (run->state == SHV_PAGE_OWNED)
		t->owned[owner_of(m, run->owner)] += pages;
}

static void judge(const struct map *m, struct tally *t, uint64_t pages, struct map_cell *cell)
{
	uint64_t best = 0;

	cell->state = SHV_PAGE_FREE;
	for (size_t i = 0; i < m->owners_n; i++) {
		if (t->owned[i] > best) {
			best = t->owned[i];
			cell->state = SHV_PAGE_OWNED;
			cell->owner = i;
		}
		t->owned[i] = 0;
	}
	for (int s = SHV_PAGE_ORPHAN; s <= SHV_PAGE_SYSTEM; s++)
		if (t->state[s] > best) {
			best = t->state[s];
			cell->state = (enum shv_page_state)s;
		}
	if (t->state[SHV_PAGE_ORPHAN]) {
		best = t->state[SHV_PAGE_ORPHAN];
		cell->state = SHV_PAGE_ORPHAN;
	}
	cell->whole = cell->state == SHV_PAGE_FREE || best == pages;
	for (int s = 0; s <= SHV_PAGE_SYSTEM; s++)
		t->state[s] = 0;
}

static void fill_cells(struct map *m, const struct look *l, struct tally *t)
{
	size_t run = 0;
	uint64_t at = 0;

	for (size_t c = 0; c < m->cells_n; c++) {
		uint64_t first = at, end = (c + 1) * m->per_cell < m->pages ? (c + 1) * m->per_cell : m->pages;

		while (at < end && run < l->runs_n) {
			uint64_t stop = l->runs[run].page + l->runs[run].pages;
			uint64_t upto = stop < end ? stop : end;

			if (upto > at)
				add_run(m, t, &l->runs[run], upto - at);
			at = upto > at ? upto : at;
			if (stop <= at)
				run++;
		}
		judge(m, t, end - first, &m->cells[c]);
		at = end;
	}
}

int map_make(struct map *m, const struct look *l, size_t most)
{
	struct tally t = { .owned = NULL };

	*m = (struct map){ .per_cell = 1 };
	if (l->runs_n)
		m->pages = l->runs[l->runs_n - 1].page + l->runs[l->runs_n - 1].pages;
	while ((m->pages + m->per_cell - 1) / m->per_cell > most)
		m->per_cell *= 2;
	m->cells_n = (size_t)((m->pages + m->per_cell - 1) / m->per_cell);
	m->cells = calloc(m->cells_n + 1, sizeof(*m->cells));
	if (m->cells && !find_owners(m, l))
		t.owned = calloc(m->owners_n + 1, sizeof(*t.owned));
	if (!t.owned) {
		map_free(m);
		return -ENOMEM;
	}
	fill_cells(m, l, &t);
	free(t.owned);
	return 0;
}

void map_free(struct map *m)
{
	free(m->cells);
	free(m->owners);
	*m = (struct map){ 0 };
}
