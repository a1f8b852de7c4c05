/* SPDX-License-Identifier: Apache-2.0 */
/* Whole files: bounds, what is no regular file, atomic replacement, sealed memfds. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "core/file.h"

static char dir[64];

static int setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/keygate-file.XXXXXX");
	return mkdtemp(dir) && chdir(dir) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	DIR *d = opendir(".");

	if (!d)
		return -1;
	for (struct dirent *e; (e = readdir(d));)
		unlink(e->d_name);
	closedir(d);
	return chdir("/") || rmdir(dir);
}

static int entries(void)
{
	DIR *d = opendir(".");
	int n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

static void assert_content(const char *path, size_t max, struct bytes want)
{
	uint8_t *out = NULL;
	size_t n = 0;

	assert_int_equal(file_read(path, max, &out, &n), 0);
	assert_true(bytes_equal((struct bytes){out, n}, want));
	assert_int_equal(out[n], 0);
	free(out);
}

static void write_then_read(void **state)
{
	(void)state;
	struct stat st;

	assert_int_equal(file_write_atomic("a", bytes_str("hello"), 0640), 0);
	assert_content("a", 5, bytes_str("hello"));
	assert_content("./a", 6, bytes_str("hello"));
	assert_int_equal(stat("a", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	/* Replaced as a whole, with the new mode, and no temporary file stays. */
	assert_int_equal(file_write_atomic("a", BYTES_NONE, 0600), 0);
	assert_content("a", 0, BYTES_NONE);
	assert_int_equal(stat("a", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(entries(), 1);
}

static void large(void **state)
{
	(void)state;
	size_t n = 100000;
	uint8_t *p = malloc(n);

	assert_non_null(p);
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(i * 31);
	assert_int_equal(file_write_atomic("big", (struct bytes){p, n}, 0600), 0);
	assert_content("big", n, (struct bytes){p, n});

	uint8_t *out = NULL;
	size_t got = 77;

	assert_int_equal(file_read("big", n - 1, &out, &got), -EFBIG);
	assert_int_equal(file_read("big", 0, &out, &got), -EFBIG);
	assert_null(out);
	assert_int_equal(got, 77);
	free(p);
}

static void refuses(void **state)
{
	(void)state;
	uint8_t *out = NULL;
	size_t n = 0;

	assert_int_equal(file_read("none", 10, &out, &n), -ENOENT);
	assert_int_equal(file_read(".", 10, &out, &n), -EISDIR);
	assert_int_equal(file_read("/dev/zero", 10, &out, &n), -EINVAL);
	assert_int_equal(mkfifo("fifo", 0600), 0);
	assert_int_equal(file_read("fifo", 10, &out, &n), -EINVAL);
	assert_int_equal(file_write_atomic("a", bytes_str("x"), 0600), 0);
	assert_int_equal(file_read("a", SIZE_MAX, &out, &n), -EINVAL);
	assert_null(out);
}

static void failed_write_leaves_the_old(void **state)
{
	(void)state;
	char path[5000];

	assert_int_equal(file_write_atomic("none/a", bytes_str("x"), 0600), -ENOENT);
	memset(path, 'a', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(file_write_atomic(path, bytes_str("x"), 0600), -ENAMETOOLONG);
	/* A directory in place of the file: rename fails after the temporary file was written. */
	assert_int_equal(mkdir("d", 0700), 0);
	assert_int_equal(file_write_atomic("d", bytes_str("x"), 0600), -EISDIR);
	assert_int_equal(entries(), 1);
	assert_int_equal(rmdir("d"), 0);
}

static void put_in_place(void **state)
{
	(void)state;
	int at = open(".", O_RDONLY | O_DIRECTORY);
	mode_t mask = umask(0077);
	struct stat st;

	assert_int_equal(file_put_at(at, "f", bytes_str("old"), 0644), 0);
	umask(mask);
	assert_int_equal(stat("f", &st), 0);
	assert_int_equal(st.st_mode & 0777, 0644);
	assert_int_equal(link("f", "backup"), 0);
	assert_int_equal(file_put_at(at, "f", bytes_str("newer"), 0600), 0);
	assert_content("f", 16, bytes_str("newer"));
	assert_content("backup", 16, bytes_str("old"));
	/* Not through a link to somewhere else. */
	assert_int_equal(symlink("backup", "l"), 0);
	assert_int_equal(file_put_at(at, "l", bytes_str("here"), 0644), 0);
	assert_content("backup", 16, bytes_str("old"));
	assert_int_equal(file_put_at(at, "none/f", bytes_str("x"), 0644), -ENOENT);
	assert_int_equal(entries(), 3);
	close(at);
}

static void in_the_root_and_below(void **state)
{
	(void)state;
	char path[128];

	snprintf(path, sizeof(path), "%s/a", dir);
	assert_int_equal(file_write_atomic(path, bytes_str("x"), 0600), 0);
	assert_content("a", 1, bytes_str("x"));
}

static void standard_input(void **state)
{
	(void)state;
	int fd[2];
	int saved = dup(STDIN_FILENO);

	assert_int_equal(pipe(fd), 0);
	assert_int_equal(write(fd[1], "piped", 5), 5);
	close(fd[1]);
	assert_true(dup2(fd[0], STDIN_FILENO) >= 0);
	close(fd[0]);
	assert_content("-", 5, bytes_str("piped"));
	assert_true(saved < 0 || dup2(saved, STDIN_FILENO) >= 0);
	close(saved);
}

static void memfd(void **state)
{
	(void)state;
	int fd = file_memfd("keygate-test", bytes_str("sealed"));
	uint8_t *out = NULL;
	size_t n = 0;

	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GET_SEALS),
	                 F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL);
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(write(fd, "x", 1), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(ftruncate(fd, 100), -1);
	/* From offset 0 wherever the descriptor stands, twice, and it stays open. */
	assert_int_equal(lseek(fd, 3, SEEK_SET), 3);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(file_read_fd(fd, 6, &out, &n), 0);
		assert_true(bytes_equal((struct bytes){out, n}, bytes_str("sealed")));
		free(out);
	}
	out = NULL;
	assert_int_equal(file_read_fd(fd, 5, &out, &n), -EFBIG);
	assert_null(out);
	close(fd);
	assert_int_equal(file_read_fd(fd, 5, &out, &n), -EBADF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(write_then_read, setup, teardown),
	        cmocka_unit_test_setup_teardown(large, setup, teardown),
	        cmocka_unit_test_setup_teardown(refuses, setup, teardown),
	        cmocka_unit_test_setup_teardown(failed_write_leaves_the_old, setup, teardown),
	        cmocka_unit_test_setup_teardown(put_in_place, setup, teardown),
	        cmocka_unit_test_setup_teardown(in_the_root_and_below, setup, teardown),
	        cmocka_unit_test_setup_teardown(standard_input, setup, teardown),
	        cmocka_unit_test(memfd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
