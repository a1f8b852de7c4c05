/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The start-up self-test. Both ends are ours, the keys are fixed: what is tested is the kernel.
 */
#include "daemon/selftest.h"

#include <errno.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#ifndef SOL_TLS
#define SOL_TLS 282
#endif

union crypto_info {
	struct tls_crypto_info head;
	struct tls12_crypto_info_aes_gcm_128 aes128;
	struct tls12_crypto_info_aes_gcm_256 aes256;
	struct tls12_crypto_info_chacha20_poly1305 chacha;
};

static const struct suite {
	const char *id;
	uint16_t cipher;
	socklen_t len;
} suites[SELFTEST_REKEY] = {
        {"ktls.aes-128-gcm", TLS_CIPHER_AES_GCM_128, sizeof(struct tls12_crypto_info_aes_gcm_128)},
        {"ktls.aes-256-gcm", TLS_CIPHER_AES_GCM_256, sizeof(struct tls12_crypto_info_aes_gcm_256)},
        {"ktls.chacha20-poly1305", TLS_CIPHER_CHACHA20_POLY1305,
         sizeof(struct tls12_crypto_info_chacha20_poly1305)},
};

/* A connected pair of TCP sockets. 0, or -errno with the step. */
static int tcp_pair(int out[static 2], const char **step)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const struct timeval patience = {.tv_sec = 5};
	socklen_t n = sizeof(a);
	int ret = 0;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*step = "loopback connection";
	out[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	out[1] = -1;
	if (fd < 0 || out[0] < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) || listen(fd, 1) ||
	    getsockname(fd, (struct sockaddr *)&a, &n) ||
	    setsockopt(out[0], SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) ||
	    connect(out[0], (struct sockaddr *)&a, sizeof(a)) ||
	    (out[1] = accept4(fd, NULL, NULL, SOCK_CLOEXEC)) < 0 ||
	    setsockopt(out[1], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)))
		ret = -errno;
	if (fd >= 0)
		close(fd);
	return ret;
}

static int set_keys(int fd, int direction, const struct suite *s, int fill)
{
	union crypto_info info;

	memset(&info, fill, sizeof(info));
	info.head.version = TLS_1_3_VERSION;
	info.head.cipher_type = s->cipher;
	return setsockopt(fd, SOL_TLS, direction, &info, s->len) ? -errno : 0;
}

enum { OLD_KEY = 0x5a, NEW_KEY = 0xa5 };

static int one_record(const int fd[static 2])
{
	static const char text[] = "through the kernel and back";
	char got[sizeof(text)] = {0};

	if (send(fd[0], text, sizeof(text), MSG_NOSIGNAL) != sizeof(text))
		return -errno;
	if (recv(fd[1], got, sizeof(got), MSG_WAITALL) != sizeof(got))
		return -errno;
	return memcmp(got, text, sizeof(text)) ? -EBADMSG : 0;
}

static int through(const int fd[static 2], const struct suite *s, const char **step)
{
	int ret;

	for (int i = 0; i < 2; i++) {
		*step = "TCP_ULP tls";
		if (setsockopt(fd[i], IPPROTO_TCP, TCP_ULP, "tls", sizeof("tls")))
			return -errno;
	}
	*step = "TLS_RX";
	ret = set_keys(fd[1], TLS_RX, s, OLD_KEY);
	if (ret)
		return ret;
	*step = "TLS_TX";
	ret = set_keys(fd[0], TLS_TX, s, OLD_KEY);
	if (ret)
		return ret;
	*step = "a record";
	return one_record(fd);
}

/* A KeyUpdate (RFC 8446 section 4.6.3) out, and whether what arrives is one. */
static int key_update(const int fd[static 2])
{
	uint8_t update[5] = {24, 0, 0, 1, 0}, got[16] = {0};
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(1)];
	} control = {0};
	struct iovec iov = {update, sizeof(update)};
	struct msghdr m = {.msg_iov = &iov,
	                   .msg_iovlen = 1,
	                   .msg_control = control.space,
	                   .msg_controllen = sizeof(control.space)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_TLS;
	c->cmsg_type = TLS_SET_RECORD_TYPE;
	c->cmsg_len = CMSG_LEN(1);
	*CMSG_DATA(c) = 22;
	if (sendmsg(fd[0], &m, MSG_NOSIGNAL) != sizeof(update))
		return -errno;
	iov.iov_base = got;
	iov.iov_len = sizeof(got);
	m.msg_controllen = sizeof(control.space);

	ssize_t n = recvmsg(fd[1], &m, 0);

	if (n < 0)
		return -errno;
	return n != sizeof(update) || memcmp(got, update, sizeof(update)) ? -EBADMSG : 0;
}

static int rekey(const int fd[static 2], const struct suite *s, const char **step)
{
	int ret = through(fd, s, step);

	if (ret)
		return ret;
	*step = "a KeyUpdate";
	ret = key_update(fd);
	if (!ret) {
		*step = "the next TLS_TX";
		ret = set_keys(fd[0], TLS_TX, s, NEW_KEY);
	}
	if (!ret) {
		*step = "the next TLS_RX";
		ret = set_keys(fd[1], TLS_RX, s, NEW_KEY);
	}
	if (!ret) {
		*step = "a record under the next key";
		ret = one_record(fd);
	}
	return ret;
}

/* Of all suites: the kernel may know one cipher's rekey and not another's. */
static void run_rekey(struct selftest *out)
{
	const char *step = NULL;
	int ret = 0;

	for (size_t i = 0; i < SELFTEST_REKEY && !ret; i++) {
		int fd[2] = {-1, -1};

		ret = tcp_pair(fd, &step);
		if (!ret)
			ret = rekey(fd, &suites[i], &step);
		for (int k = 0; k < 2; k++) {
			if (fd[k] >= 0)
				close(fd[k]);
		}
	}
	out->id = "ktls.rekey";
	out->ok = !ret;
	if (!ret)
		snprintf(out->detail, sizeof(out->detail), "keys replaced after a KeyUpdate");
	else
		snprintf(out->detail, sizeof(out->detail),
		         "%s: %s; sessions end at a KeyUpdate and before their keys are used up",
		         step, strerror(-ret));
}

static void run_one(const struct suite *s, struct selftest *out)
{
	const char *step = NULL;
	int fd[2] = {-1, -1};
	int ret = tcp_pair(fd, &step);

	if (!ret)
		ret = through(fd, s, &step);
	for (int i = 0; i < 2; i++) {
		if (fd[i] >= 0)
			close(fd[i]);
	}
	out->id = s->id;
	out->ok = !ret;
	if (!ret)
		snprintf(out->detail, sizeof(out->detail), "sent and received");
	else
		snprintf(out->detail, sizeof(out->detail), "%s: %s%s", step, strerror(-ret),
		         ret == -ENOENT ? "; load the module: modprobe tls" : "");
}

bool selftest_run(struct selftest out[static SELFTESTS])
{
	bool ok = true;

	for (size_t i = 0; i < SELFTEST_REKEY; i++) {
		run_one(&suites[i], &out[i]);
		ok &= out[i].ok;
	}
	run_rekey(&out[SELFTEST_REKEY]);
	return ok;
}
