/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that come when there is work and go when there is none. Knows nothing of sessions.
 *
 * A thread is made when more tasks wait than threads do. All signals are blocked in it: a signal
 * during a blocking send would, on older kernels, end a kTLS connection. A thread that leaves
 * joins the one that left before it, so that every thread is joined and none needs a reaper.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include "daemon/relay.h"

enum { STACK = 256 * 1024 };

struct relay_pool {
	pthread_mutex_t lock;
	pthread_cond_t work;  /* a task came, or the pool closes */
	pthread_cond_t quiet; /* the last thread has left */
	pthread_attr_t attr;
	unsigned max, idle_ms;
	/* Under lock. */
	struct relay_task *first, **last;
	unsigned queued, threads, idle;
	bool closing, have_left;
	pthread_t left; /* the last one that left; not joined yet */
};

static struct timespec after_ms(unsigned ms)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += ms / 1000;
	t.tv_nsec += (long)(ms % 1000) * 1000000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_nsec -= 1000000000;
		t.tv_sec++;
	}
	return t;
}

/* With the lock held. NULL: leave. */
static struct relay_task *next_task(struct relay_pool *p)
{
	while (!p->first) {
		struct timespec until = after_ms(p->idle_ms);
		int rc = 0;

		if (p->closing)
			return NULL;
		p->idle++;
		while (!p->first && !p->closing && rc != ETIMEDOUT)
			rc = pthread_cond_timedwait(&p->work, &p->lock, &until);
		p->idle--;
		if (!p->first && rc == ETIMEDOUT && p->threads > 1)
			return NULL;
	}

	struct relay_task *t = p->first;

	p->first = t->next;
	if (!p->first)
		p->last = &p->first;
	p->queued--;
	return t;
}

static void *worker(void *arg)
{
	struct relay_pool *p = arg;
	struct relay_task *t;

	pthread_mutex_lock(&p->lock);
	while ((t = next_task(p))) {
		void (*fn)(void *) = t->fn;
		void *of = t->arg;

		pthread_mutex_unlock(&p->lock);
		fn(of);
		pthread_mutex_lock(&p->lock);
	}

	bool join = p->have_left;
	pthread_t before = p->left;

	p->left = pthread_self();
	p->have_left = true;
	if (--p->threads == 0)
		pthread_cond_signal(&p->quiet);
	pthread_mutex_unlock(&p->lock);
	if (join)
		pthread_join(before, NULL);
	return NULL;
}

/* The caller has counted it already. */
static int spawn(struct relay_pool *p)
{
	pthread_t t;
	int err = pthread_create(&t, &p->attr, worker, p);

	if (err) {
		pthread_mutex_lock(&p->lock);
		p->threads--;
		pthread_mutex_unlock(&p->lock);
	}
	return -err;
}

int relay_pool_open(unsigned max, unsigned idle_ms, struct relay_pool **out)
{
	struct relay_pool *p = calloc(1, sizeof(*p));
	pthread_condattr_t monotonic;
	sigset_t all;

	if (!p)
		return -ENOMEM;
	p->max = max;
	p->idle_ms = idle_ms;
	p->last = &p->first;
	pthread_mutex_init(&p->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&p->work, &monotonic);
	pthread_cond_init(&p->quiet, &monotonic);
	pthread_condattr_destroy(&monotonic);
	sigfillset(&all);
	pthread_attr_init(&p->attr);
	pthread_attr_setstacksize(&p->attr, STACK);
	pthread_attr_setsigmask_np(&p->attr, &all);

	/* The first thread never leaves, so a task is never without one. */
	p->threads = 1;

	int ret = spawn(p);

	if (ret)
		relay_pool_close(p);
	else
		*out = p;
	return ret;
}

void relay_pool_post(struct relay_pool *p, struct relay_task *t)
{
	bool more;

	t->next = NULL;
	pthread_mutex_lock(&p->lock);
	*p->last = t;
	p->last = &t->next;
	p->queued++;
	more = p->queued > p->idle && p->threads < p->max;
	p->threads += more;
	pthread_cond_signal(&p->work);
	pthread_mutex_unlock(&p->lock);
	if (more)
		spawn(p);
}

unsigned relay_pool_threads(struct relay_pool *p)
{
	pthread_mutex_lock(&p->lock);

	unsigned n = p->threads;

	pthread_mutex_unlock(&p->lock);
	return n;
}

void relay_pool_close(struct relay_pool *p)
{
	pthread_mutex_lock(&p->lock);
	p->closing = true;
	pthread_cond_broadcast(&p->work);
	while (p->threads)
		pthread_cond_wait(&p->quiet, &p->lock);
	pthread_mutex_unlock(&p->lock);
	if (p->have_left)
		pthread_join(p->left, NULL);
	pthread_attr_destroy(&p->attr);
	pthread_cond_destroy(&p->work);
	pthread_cond_destroy(&p->quiet);
	pthread_mutex_destroy(&p->lock);
	free(p);
}
