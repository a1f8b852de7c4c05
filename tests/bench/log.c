/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A log of many leaves by keygate-log: built, cosigned, proved and verified, with the time and the
 * peak memory of each. The same steps at a hundredth of the size stand beside it: what is
 * logarithmic or constant is seen there.
 *
 * Takes the folder of the programs, an empty folder on the file system that is to be measured, and
 * the number of leaves. This program stays small and links no library: a child's peak memory, as
 * the kernel counts it, is at least that of the process that started it.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tests/bench/clock.h"

/*
 * A leaf here is a number, not a statement: of these the bundles would be some fifteen times as
 * large, and hashing them would be most of what is measured.
 */
enum { LEAF_LEN = 24, WITNESSES = 3, REPEAT = 20, SMALLER = 100, ARGS_MAX = 16 };

struct cost {
	double s;
	long kib;
};

static char log_bin[PATH_MAX];
static char keygate_bin[PATH_MAX];

static void leaf_of(uint64_t i, char out[static LEAF_LEN + 1])
{
	snprintf(out, LEAF_LEN + 1, "leaf%020" PRIu64, i);
}

/* Ends the program: a bench that can't go on has nothing to clean up, who calls it does. */
static void die(const char *what)
{
	fprintf(stderr, "bench-log: %s\n", what);
	exit(1);
}

/* Runs a program to its end; in < 0: without input. It must do what it was asked. */
static struct cost run(const char *bin, const char *const argv[], int in, const char *out)
{
	posix_spawn_file_actions_t f;
	struct rusage used = {0};
	double t0 = now_us();
	int status = -1;
	char *args[ARGS_MAX] = {NULL};
	pid_t pid;

	for (int i = 0; argv[i] && i < ARGS_MAX - 1; i++)
		args[i] = (char *)(uintptr_t)argv[i];
	posix_spawn_file_actions_init(&f);
	if (in >= 0)
		posix_spawn_file_actions_adddup2(&f, in, STDIN_FILENO);
	posix_spawn_file_actions_addopen(&f, STDOUT_FILENO, out, O_WRONLY | O_CREAT | O_TRUNC,
	                                 0644);
	if (posix_spawn(&pid, bin, &f, NULL, args, (char *[]){NULL}) ||
	    wait4(pid, &status, 0, &used) < 0 || status != 0)
		die(argv[1]);
	posix_spawn_file_actions_destroy(&f);
	return (struct cost){(now_us() - t0) / 1e6, used.ru_maxrss};
}

#define RUN(bin, out, ...) run(bin, (const char *const[]){"bench", __VA_ARGS__, NULL}, -1, out)

/* The least time of several runs, and the most memory. */
static struct cost least(const char *bin, const char *const argv[], const char *out)
{
	struct cost best = run(bin, argv, -1, out);

	for (int i = 1; i < REPEAT; i++) {
		struct cost c = run(bin, argv, -1, out);

		best.s = c.s < best.s ? c.s : best.s;
		best.kib = c.kib > best.kib ? c.kib : best.kib;
	}
	return best;
}

/* Writes leaves as append takes a batch, from another process. */
static int leaves(uint64_t from, uint64_t to, pid_t *writer)
{
	char leaf[LEAF_LEN + 1];
	int fd[2];
	FILE *f;

	if (pipe2(fd, O_CLOEXEC))
		die("pipe");
	fflush(stdout);
	*writer = fork();
	if (*writer < 0)
		die("fork");
	if (*writer) {
		close(fd[1]);
		return fd[0];
	}
	close(fd[0]);
	f = fdopen(fd[1], "w");
	for (; f && from < to; from++) {
		leaf_of(from, leaf);
		putc(0, f);
		putc(LEAF_LEN, f);
		fwrite(leaf, LEAF_LEN, 1, f);
	}
	_exit(!f || fclose(f));
}

static struct cost append(uint64_t from, uint64_t to)
{
	const char *const argv[] = {"bench",   "append",  "log", "--key",
	                            "log.key", "--batch", "-",   NULL};
	pid_t writer;
	int in = leaves(from, to, &writer);
	struct cost c = run(log_bin, argv, in, "out");
	int status = -1;

	close(in);
	if (waitpid(writer, &status, 0) < 0 || status != 0)
		die("the writer of leaves");
	return c;
}

static void cosign(const char *vkey)
{
	for (int i = 0; i < WITNESSES; i++) {
		char key[32], name[32];

		snprintf(key, sizeof(key), "w%d.key", i);
		snprintf(name, sizeof(name), "w%d.example", i);
		RUN(log_bin, "out", "cosign", "log", "--key", key, "--name", name, "--log", vkey);
	}
}

/* The last line of a file. */
static void last_line(const char *path, char *out, int cap)
{
	FILE *f = fopen(path, "re");

	out[0] = '\0';
	while (f && fgets(out, cap, f))
		continue;
	if (f)
		fclose(f);
	out[strcspn(out, "\n")] = '\0';
	if (!out[0])
		die(path);
}

/* The log, its witnesses, and the policy that asks for all of them. */
static void start(char *vkey, int cap)
{
	FILE *policy = fopen("policy", "we");

	if (!policy)
		die("policy");
	RUN(log_bin, "out", "create", "log", "--origin", "log.example/bench", "--key", "log.key");
	last_line("out", vkey, cap);
	fprintf(policy, "log %s\n", vkey);
	for (int i = 0; i < WITNESSES; i++) {
		char key[32], name[32], line[256];

		snprintf(key, sizeof(key), "w%d.key", i);
		snprintf(name, sizeof(name), "w%d.example", i);
		RUN(log_bin, "out", "witness-key", key, "--name", name);
		last_line("out", line, sizeof(line));
		fprintf(policy, "witness w%d %s\n", i, line);
	}
	fprintf(policy, "group all all w0 w1 w2\nquorum all\n");
	if (fclose(policy))
		die("policy");
}

static void write_leaf(uint64_t i)
{
	char leaf[LEAF_LEN + 1];
	FILE *f = fopen("leaf", "we");

	leaf_of(i, leaf);
	if (!f || fwrite(leaf, LEAF_LEN, 1, f) != 1 || fclose(f))
		die("leaf");
}

static void say(const char *what, struct cost c)
{
	printf("  %-36s %10.3f s %8.1f MiB\n", what, c.s, (double)c.kib / 1024);
	fflush(stdout);
}

/* From one size to the next, and what can be asked of it there. */
static void grow(uint64_t from, uint64_t to, const char *vkey)
{
	char index[24];
	struct cost c = append(from, to);

	printf("%" PRIu64 " leaves of %d bytes\n", to, LEAF_LEN);
	snprintf(index, sizeof(index), "%" PRIu64, to / 3);
	write_leaf(to / 3);
	say("append, from a pipe", c);
	printf("  %-36s %10.0f leaves a second\n", "", (double)(to - from) / c.s);
	say("checkpoint", RUN(log_bin, "out", "checkpoint", "log", "--key", "log.key"));
	cosign(vkey);
	say("prove --index",
	    least(log_bin, (const char *const[]){"bench", "prove", "log", "--index", index, NULL},
	          "proof"));
	say("keygate verify proof",
	    least(keygate_bin,
	          (const char *const[]){"bench", "verify", "proof", "--policy", "policy", "--leaf",
	                                "leaf", "--max-age", "86400", "proof", NULL},
	          "out"));
	say("prove --leaf (looks for it)", RUN(log_bin, "proof", "prove", "log", "--leaf", "leaf"));
	say("verify (reads all of it)", RUN(log_bin, "out", "verify", "log", "--vkey", vkey));
}

int main(int argc, char **argv)
{
	uint64_t n = argc == 4 ? strtoull(argv[3], NULL, 10) : 0;
	char bin[PATH_MAX - 32];
	char vkey[512];

	if (n < SMALLER || n > INT_MAX) {
		fprintf(stderr, "usage: %s BIN DIR LEAVES\n", argv[0]);
		return 1;
	}
	if (!realpath(argv[1], log_bin) || strlen(log_bin) >= sizeof(bin) || chdir(argv[2]))
		die("a folder is not there");
	strcpy(bin, log_bin);
	snprintf(log_bin, sizeof(log_bin), "%s/keygate-log", bin);
	snprintf(keygate_bin, sizeof(keygate_bin), "%s/keygate", bin);
	start(vkey, sizeof(vkey));
	grow(0, n / SMALLER, vkey);
	grow(n / SMALLER, n, vkey);
	return 0;
}
