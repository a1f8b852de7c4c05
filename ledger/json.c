/* SPDX-License-Identifier: Apache-2.0 */
/* JSON from strangers on top of jansson. Knows no format. */
#include "ledger/json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* jansson recurses as deep as the text does, so the depth is known before it starts. */
static bool depth_ok(struct bytes text, unsigned max)
{
	bool quoted = false;
	unsigned depth = 0;

	for (size_t i = 0; i < text.n; i++) {
		uint8_t c = text.p[i];

		if (quoted && c == '\\')
			i++;
		else if (c == '"')
			quoted = !quoted;
		else if (!quoted && (c == '{' || c == '[') && ++depth > max)
			return false;
		else if (!quoted && (c == '}' || c == ']') && depth)
			depth--;
	}
	return true;
}

int json_read(struct bytes text, size_t max, unsigned depth, json_t **out)
{
	json_error_t error;
	json_t *j;

	*out = NULL;
	if (text.n == 0 || text.n > max || !depth_ok(text, depth))
		return -EINVAL;
	j = json_loadb((const char *)text.p, text.n, JSON_REJECT_DUPLICATES, &error);
	if (!j)
		return json_error_code(&error) == json_error_out_of_memory ? -ENOMEM : -EINVAL;
	if (!json_is_object(j)) {
		json_decref(j);
		return -EINVAL;
	}
	*out = j;
	return 0;
}

bool json_only(const json_t *object, const char *const *names)
{
	size_t found = 0;

	if (!json_is_object(object))
		return false;
	for (; *names; names++)
		found += json_object_get(object, *names) != NULL;
	return found == json_object_size(object);
}

json_t *json_member(const json_t *object, const char *name)
{
	json_t *v = json_object_get(object, name);

	return json_is_null(v) ? NULL : v;
}

bool json_text(const json_t *object, const char *name, char *out, size_t cap)
{
	const json_t *v = json_object_get(object, name);
	const char *s = json_string_value(v);
	size_t n = json_string_length(v);

	out[0] = '\0';
	if (!s || n == 0 || n >= cap)
		return false;
	for (size_t i = 0; i < n; i++)
		if (s[i] < 0x20 || s[i] > 0x7e)
			return false;
	memcpy(out, s, n + 1);
	return true;
}

struct bytes json_view(const json_t *value)
{
	if (!json_is_string(value))
		return BYTES_NONE;
	return (struct bytes){(const uint8_t *)json_string_value(value), json_string_length(value)};
}

bool json_number(const json_t *object, const char *name, uint64_t *out)
{
	const json_t *v = json_member(object, name);

	*out = 0;
	return !v || (json_is_string(v) && decimal_u64(json_view(v), INT64_MAX, out) == 0);
}

int json_base64(const json_t *value, struct bytes *out)
{
	struct bytes text = json_view(value);
	size_t cap = text.n / 4 * 3;
	uint8_t *p;
	int n;

	*out = BYTES_NONE;
	if (cap == 0)
		return -EINVAL;
	p = malloc(cap);
	if (!p)
		return -ENOMEM;
	n = base64_decode(text, p, cap);
	if (n <= 0) {
		free(p);
		return -EINVAL;
	}
	*out = (struct bytes){p, (size_t)n};
	return 0;
}
