/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's handshake upcall by libnl. Two sockets: one hears, one commands, so that an answer
 * is never taken for an announcement. The kernel answers a command before sending it returns, so
 * nothing here waits.
 */
#include "daemon/handshake.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include <netlink/netlink.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>

/* <linux/handshake.h>, which Debian 12's kernel headers are too old for. */
#define FAMILY "handshake"
#define GROUP  "tlshd"
enum { VERSION = 1, CLASS_TLSHD = 1 };
enum { CMD_ACCEPT = 2, CMD_DONE = 3 };
enum { TYPE_CLIENTHELLO = 1 };
enum { AUTH_UNAUTH = 1, AUTH_PSK = 2 };
enum {
	A_ACCEPT_SOCKFD = 1,
	A_ACCEPT_HANDLER_CLASS = 2,
	A_ACCEPT_MESSAGE_TYPE = 3,
	A_ACCEPT_AUTH_MODE = 5,
	A_ACCEPT_PEER_IDENTITY = 6,
	A_ACCEPT_CERTIFICATE = 7,
	A_ACCEPT_MAX = A_ACCEPT_CERTIFICATE,
};
enum { A_DONE_STATUS = 1, A_DONE_SOCKFD = 2, A_DONE_REMOTE_AUTH = 3 };

enum { ANSWERS = 4 }; /* that one command may have, its acknowledgement included */

struct handshake {
	struct nl_sock *ears, *mouth;
	int family, group;
	/* Of the command that is under way. */
	struct handshake_request *out; /* NULL: none is asked for */
	bool over;
	int error;
};

/* ----------------------------------------------------------------- what comes */

static int on_request(struct nl_msg *msg, void *arg)
{
	static const struct nla_policy shape[A_ACCEPT_MAX + 1] = {
	        [A_ACCEPT_SOCKFD] = {.type = NLA_U32},
	        [A_ACCEPT_MESSAGE_TYPE] = {.type = NLA_U32},
	        [A_ACCEPT_AUTH_MODE] = {.type = NLA_U32},
	        [A_ACCEPT_PEER_IDENTITY] = {.type = NLA_U32},
	        [A_ACCEPT_CERTIFICATE] = {.type = NLA_NESTED},
	};
	struct handshake *h = arg;
	struct nlattr *a[A_ACCEPT_MAX + 1];
	uint32_t auth;

	/* By number of attribute only: newer kernels have more. */
	if (!h->out || genlmsg_parse(nlmsg_hdr(msg), 0, a, A_ACCEPT_MAX, shape) ||
	    !a[A_ACCEPT_SOCKFD])
		return NL_OK;
	auth = a[A_ACCEPT_AUTH_MODE] ? nla_get_u32(a[A_ACCEPT_AUTH_MODE]) : 0;
	*h->out = (struct handshake_request){
	        .fd = (int)nla_get_u32(a[A_ACCEPT_SOCKFD]),
	        .client = a[A_ACCEPT_MESSAGE_TYPE] &&
	                  nla_get_u32(a[A_ACCEPT_MESSAGE_TYPE]) == TYPE_CLIENTHELLO,
	        /* Named or not, it is to be shown. What is not known would not be kept to. */
	        .certificate = a[A_ACCEPT_CERTIFICATE] || (auth != AUTH_UNAUTH && auth != AUTH_PSK),
	        .psk = auth == AUTH_PSK && a[A_ACCEPT_PEER_IDENTITY],
	        .peer = a[A_ACCEPT_PEER_IDENTITY] ? nla_get_u32(a[A_ACCEPT_PEER_IDENTITY]) : 0,
	};
	h->out = NULL;
	return NL_OK;
}

static int on_ack(struct nl_msg *msg, void *arg)
{
	struct handshake *h = arg;

	(void)msg;
	h->over = true;
	return NL_STOP;
}

static int on_error(struct sockaddr_nl *who, struct nlmsgerr *e, void *arg)
{
	struct handshake *h = arg;

	(void)who;
	h->over = true;
	h->error = e->error;
	return NL_STOP;
}

static int ignore(struct nl_msg *msg, void *arg)
{
	(void)msg, (void)arg;
	return NL_OK;
}

/* ----------------------------------------------------------------- what goes */

/* Takes msg. What the kernel said of it, 0 or -errno. */
static int command(struct handshake *h, struct nl_msg *msg, struct handshake_request *out)
{
	int ret;

	h->out = out;
	h->over = false;
	h->error = 0;
	ret = nl_send_auto(h->mouth, msg);
	nlmsg_free(msg);
	if (ret < 0)
		return -EIO;
	for (int i = 0; i < ANSWERS && !h->over && ret >= 0; i++)
		ret = nl_recvmsgs_default(h->mouth);
	h->out = NULL;
	return h->over ? h->error : -EIO;
}

static struct nl_msg *begin(const struct handshake *h, uint8_t cmd)
{
	struct nl_msg *msg = nlmsg_alloc();

	if (msg && !genlmsg_put(msg, NL_AUTO_PORT, NL_AUTO_SEQ, h->family, 0, 0, cmd, VERSION)) {
		nlmsg_free(msg);
		msg = NULL;
	}
	return msg;
}

int handshake_accept(struct handshake *h, struct handshake_request *out)
{
	struct nl_msg *msg = begin(h, CMD_ACCEPT);
	int ret;

	*out = (struct handshake_request){.fd = -1};
	if (!msg || nla_put_u32(msg, A_ACCEPT_HANDLER_CLASS, CLASS_TLSHD)) {
		nlmsg_free(msg);
		return -ENOMEM;
	}
	ret = command(h, msg, out);
	if (!ret && out->fd < 0)
		ret = -EPROTO;
	if (ret && out->fd >= 0) {
		close(out->fd);
		out->fd = -1;
	}
	return ret;
}

int handshake_done(struct handshake *h, int fd, int error, const uint32_t *peer)
{
	struct nl_msg *msg = begin(h, CMD_DONE);

	if (!msg || nla_put_u32(msg, A_DONE_SOCKFD, (uint32_t)fd) ||
	    nla_put_u32(msg, A_DONE_STATUS, (uint32_t)error) ||
	    (peer && nla_put_u32(msg, A_DONE_REMOTE_AUTH, *peer))) {
		nlmsg_free(msg);
		return -ENOMEM;
	}
	return command(h, msg, NULL);
}

/* ------------------------------------------------------------- open and close */

static int open_all(struct handshake *h)
{
	h->ears = nl_socket_alloc();
	h->mouth = nl_socket_alloc();
	if (!h->ears || !h->mouth)
		return -ENOMEM;
	if (genl_connect(h->ears) || genl_connect(h->mouth))
		return -EIO;
	h->family = genl_ctrl_resolve(h->mouth, FAMILY);
	h->group = h->family < 0 ? -1 : genl_ctrl_resolve_grp(h->mouth, FAMILY, GROUP);
	if (h->group < 0)
		return -ENOENT;
	nl_socket_disable_seq_check(h->ears);
	if (nl_socket_modify_cb(h->ears, NL_CB_VALID, NL_CB_CUSTOM, ignore, NULL) ||
	    nl_socket_modify_cb(h->mouth, NL_CB_VALID, NL_CB_CUSTOM, on_request, h) ||
	    nl_socket_modify_cb(h->mouth, NL_CB_ACK, NL_CB_CUSTOM, on_ack, h) ||
	    nl_socket_modify_err_cb(h->mouth, NL_CB_CUSTOM, on_error, h) ||
	    nl_socket_set_nonblocking(h->ears) || nl_socket_set_nonblocking(h->mouth))
		return -EIO;
	return 0;
}

int handshake_open(struct handshake **out)
{
	struct handshake *h = calloc(1, sizeof(*h));
	int ret = h ? open_all(h) : -ENOMEM;

	if (ret) {
		handshake_close(h);
		return ret;
	}
	*out = h;
	return 0;
}

void handshake_close(struct handshake *h)
{
	if (!h)
		return;
	nl_socket_free(h->ears);
	nl_socket_free(h->mouth);
	free(h);
}

int handshake_join(struct handshake *h, bool on)
{
	int ret = on ? nl_socket_add_membership(h->ears, h->group)
	             : nl_socket_drop_membership(h->ears, h->group);

	return ret ? -EIO : 0;
}

int handshake_fd(const struct handshake *h)
{
	return nl_socket_get_fd(h->ears);
}

/* An overrun is as good as an announcement. */
void handshake_heard(struct handshake *h)
{
	for (int i = 0; i < 64 && nl_recvmsgs_default(h->ears) >= 0; i++)
		;
}
