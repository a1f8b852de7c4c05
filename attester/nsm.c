/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evidence from the Nitro security module: a CBOR message in, a CBOR message out, by one ioctl.
 * Knows the messages and nothing of what a document means.
 *
 * Sources: include/uapi/linux/nsm.h of Linux 6.8, which Debian 12's headers do not have; the
 * Request and Response types of aws-nitro-enclaves-nsm-api.
 */
#include "attester/nsm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include "core/cbor.h"
#include "attester/evidence.h"

/* ------------------------------------------------------------------- messages */

void nsm_put_request(struct buf *out, const uint8_t user_data[static 64])
{
	enum { FIELDS = 3 };

	item_put_map(out, 1);
	item_put_text(out, "Attestation");
	item_put_map(out, FIELDS);
	item_put_text(out, "user_data");
	item_put_bytes(out, (struct bytes){user_data, 64});
	item_put_text(out, "nonce");
	item_put_null(out);
	item_put_text(out, "public_key");
	item_put_null(out);
}

/* A map of this one text key; its value comes next. Its length may be indefinite. */
static bool enter(struct reader *r, struct item_map *m, const char *only)
{
	struct item key;

	return item_map_open(r, m) && item_more(r, m) && item_key(r, m, &key) &&
	       item_is_text(&key, only);
}

static bool take_document(struct reader *r, struct bytes *document)
{
	struct item_map outer, inner;

	return enter(r, &outer, "Attestation") && enter(r, &inner, "document") &&
	       item_bytes(r, document) && !item_more(r, &inner) && !item_more(r, &outer);
}

static bool take_error(struct reader *r)
{
	struct item_map m;
	struct bytes word;

	return enter(r, &m, "Error") && item_text(r, &word) && !item_more(r, &m);
}

int nsm_take_response(struct bytes response, struct bytes *document)
{
	struct reader r = reader_of(response);
	struct bytes v;

	if (take_document(&r, &v) && rd_done(&r) && v.n) {
		*document = v;
		return 0;
	}
	r = reader_of(response);
	return take_error(&r) && rd_done(&r) ? -EIO : -EPROTO;
}

/* --------------------------------------------------------------------- device */

struct nsm_vector {
	uint64_t address;
	uint64_t length;
};

struct nsm_message {
	struct nsm_vector request, response;
};

#define NSM_IOCTL _IOWR(0x0A, 0x0, struct nsm_message)

struct nsm {
	int fd; /* the driver lets one message through at a time */
};

static int exchange(int fd, const struct buf *request, uint8_t *response, size_t *n)
{
	struct nsm_message m = {
	        .request = {(uintptr_t)request->p, request->n},
	        .response = {(uintptr_t)response, NSM_RESPONSE_MAX},
	};

	if (ioctl(fd, NSM_IOCTL, &m) == -1)
		return -errno;
	if (m.response.length > NSM_RESPONSE_MAX)
		return -EPROTO;
	*n = m.response.length;
	return 0;
}

static int nsm_evidence(void *ctx, const uint8_t report_data[static 64], struct evidence *out)
{
	const struct nsm *s = ctx;
	struct buf request = buf_make(NSM_REQUEST_MAX);
	uint8_t *response = malloc(NSM_RESPONSE_MAX);
	struct bytes document;
	size_t n = 0;
	int rc = response ? 0 : -ENOMEM;

	nsm_put_request(&request, report_data);
	if (request.bad)
		rc = -ENOMEM;
	if (rc == 0)
		rc = exchange(s->fd, &request, response, &n);
	if (rc == 0)
		rc = nsm_take_response((struct bytes){response, n}, &document);
	if (rc == 0) {
		out->tee = TEE_NITRO;
		buf_bytes(&out->report, document);
		rc = out->report.bad ? -ENOMEM : 0;
	}
	free(response);
	buf_free(&request);
	return rc;
}

int evidence_nsm_open(const char *device, struct evidence_source *out)
{
	struct nsm *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->fd = open(device, O_RDWR | O_CLOEXEC);
	if (s->fd == -1) {
		int rc = errno == ENOENT || errno == ENXIO ? -ENODEV : -errno;

		free(s);
		return rc;
	}
	*out = (struct evidence_source){.evidence = nsm_evidence, .ctx = s};
	return 0;
}

void evidence_nsm_close(struct evidence_source *source)
{
	struct nsm *s = source->ctx;

	if (s)
		close(s->fd);
	free(s);
	source->ctx = NULL;
}
