/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands that ask keygated, against a server that expects one request and gives one answer;
 * and those that read policy files. What is checked: the request, the exit status, the words.
 */
#include "cli_run.h"

#include <sys/wait.h>

/* ------------------------------------------------------------------- the server */

/* In a process of its own: the request must be this; NULL: take any. 0 when it was. */
static int serve_one(int listener, const char *request, const char *answer)
{
	static char got[65536];
	int fd = accept(listener, NULL, NULL);
	size_t n = 0;

	if (fd < 0)
		return 1;
	while (n + 1 < sizeof(got) && read(fd, got + n, 1) == 1 && got[n] != '\n')
		n++;
	got[n] = '\0';
	if (request && strcmp(got, request)) {
		fprintf(stderr, "request: %s\nwanted:  %s\n", got, request);
		return 2;
	}
	if (write(fd, answer, strlen(answer)) != (ssize_t)strlen(answer))
		return 3;
	close(fd);
	return 0;
}

static pid_t serve(const char *request, const char *answer)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	pid_t pid;

	unlink(sock);
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", sock);
	assert_int_equal(bind(listener, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(listener, 1), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid)
		_exit(serve_one(listener, request, answer));
	close(listener);
	return pid;
}

static void served(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* --------------------------------------------------------------------- commands */

#define STATUS(armed) \
	"{\"ok\":true,\"version\":\"0.1.0\",\"kernel\":\"6.1.0\",\"pid\":77,\"started_at\":1700000000," \
	"\"armed\":" armed ",\"keyring_watch\":false," \
	"\"self_test\":[{\"id\":\"ktls\",\"ok\":true,\"detail\":\"\"}," \
	"{\"id\":\"ulp\",\"ok\":false,\"detail\":\"no tls module\"}]," \
	"\"policy\":{\"generation\":4,\"loaded_at\":1700000001,\"files\":2,\"destinations\":3," \
	"\"ledgers\":1,\"prefixes\":9,\"default\":\"deny\",\"warnings\":[{\"error\":false," \
	"\"file\":\"a\",\"line\":1,\"text\":\"t\"}],\"last_error\":{\"at\":1700000002,\"issues\":[]}}," \
	"\"names\":[{\"destination\":\"d\",\"host\":\"a.example\",\"addresses\":[\"192.0.2.1\"," \
	"\"2001:db8::1\"],\"resolved_at\":1,\"error\":null}],\"ledgers\":[]," \
	"\"heads\":[{\"origin\":\"log.example\",\"size\":12,\"root\":\"00\",\"saved_at\":1700000000}]," \
	"\"forks\":1,\"roles\":[],\"sessions\":{\"capacity\":4096,\"opening\":1,\"live\":2}," \
	"\"counters\":{\"released\":5,\"refused\":6,\"denied\":7,\"closed\":8}}\n"

static void status(void **state)
{
	pid_t pid;

	(void)state;
	pid = serve("{\"verb\":\"status\"}", STATUS("true"));
	assert_int_equal(RUN(cmd_status, "--socket", sock), CMD_YES);
	served(pid);
	says("keygated       0.1.0, pid 77, kernel 6.1.0, since 2023-11-14 22:13:20Z\n");
	says("armed          yes\n");
	says("self-test      ulp: no tls module\n");
	says("policy         generation 4, 3 destinations, 9 prefixes, default deny, loaded ");
	says("1 warnings (keygate policy check)\n");
	says("was REFUSED");
	says("name           a.example: 192.0.2.1, 2001:db8::1\n");
	says("ledger         log.example: size 12, seen 2023-11-14 22:13:20Z\n");
	says("FORKS          1 recorded");
	says("sessions       2 live, 1 opening, room for 4096\n");
	says("connections    5 released, 6 refused, 7 denied, 8 closed\n");
	assert_null(strstr((char *)out, "ktls"));

	pid = serve("{\"verb\":\"status\"}", STATUS("false"));
	assert_int_equal(RUN(cmd_status, "--socket", sock), CMD_NO);
	served(pid);
	says("NOTHING IS GATED");
	pid = serve("{\"verb\":\"status\"}", STATUS("true"));
	assert_int_equal(RUN(cmd_status, "--json", "--socket", sock), CMD_YES);
	served(pid);
	is_answer(STATUS("true"));
}

#define SESSION \
	"{\"id\":12,\"state\":\"live\",\"destination\":\"pay\",\"peer\":\"[2001:db8::1]:443\"," \
	"\"app\":{\"pid\":9,\"uid\":1000,\"comm\":\"curl\",\"cgroup\":1},\"since\":1," \
	"\"cipher\":\"TLS_AES_128_GCM_SHA256\",\"key\":555,\"key_state\":\"valid\"," \
	"\"released_at\":99999999999,\"until\":1,"

/* What the kernel said of a session, and what is called protected of it. */
static void sessions(void **state)
{
	static const struct {
		const char *rest, *says;
	} all[] = {
	        {"\"kernel_tls\":{\"version\":\"1.3\",\"cipher\":\"aes-128-gcm\","
	         "\"tx\":\"software\",\"rx\":\"software\"},\"protected\":true,"
	         "\"records\":{\"sent\":3,\"received\":4},"
	         "\"bytes\":{\"app_to_peer\":50,\"peer_to_app\":60}}",
	         "TLS_AES_128_GCM_SHA256  kTLS software  555 valid  0s   0s       3/4             "
	         "50/60\n"},
	        {"\"kernel_tls\":{\"version\":\"1.3\",\"cipher\":\"aes-128-gcm\","
	         "\"tx\":\"software\",\"rx\":\"none\"},\"protected\":false,"
	         "\"records\":null,\"bytes\":null}",
	         "  NOT PROTECTED  555 valid"},
	        {"\"kernel_tls\":null,\"protected\":false,\"records\":null,\"bytes\":null}",
	         "  unknown: NOT KNOWN TO BE PROTECTED  555 valid"},
	};
	char answer[2048];
	pid_t pid;

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		snprintf(answer, sizeof(answer), "{\"ok\":true,\"sessions\":[" SESSION "%s]}\n",
		         all[i].rest);
		pid = serve("{\"verb\":\"sessions\"}", answer);
		assert_int_equal(RUN(cmd_sessions, "--socket", sock), CMD_YES);
		served(pid);
		says("ID  STATE  DESTINATION  PEER               APPLICATION");
		says("12  live   pay          [2001:db8::1]:443  curl (pid 9, uid 1000)  ");
		says(all[i].says);
	}
	pid = serve("{\"verb\":\"sessions\"}", "{\"ok\":true,\"sessions\":[]}\n");
	assert_int_equal(RUN(cmd_sessions, "--socket", sock), CMD_YES);
	served(pid);
	is_answer("no sessions\n");
}

static void revoke_one(void **state)
{
	pid_t pid;

	(void)state;
	pid = serve("{\"verb\":\"revoke\",\"session\":12}", "{\"ok\":true,\"revoked\":1}\n");
	assert_int_equal(RUN(cmd_revoke, "--socket", sock, "12"), CMD_YES);
	served(pid);
	is_answer("1 ended\n");
	pid = serve("{\"verb\":\"revoke\",\"destination\":\"pay\"}",
	            "{\"ok\":false,\"kind\":\"no\",\"error\":\"no destination\"}\n");
	assert_int_equal(RUN(cmd_revoke, "--socket", sock, "--destination", "pay"), CMD_NO);
	served(pid);
	complains("keygate: no destination\n");
	pid = serve(NULL, "{\"ok\":false,\"kind\":\"no\",\"error\":\"no destination\"}\n");
	assert_int_equal(RUN(cmd_revoke, "--socket", sock, "--json", "--destination", "pay"),
	                 CMD_NO);
	served(pid);
	is_answer("{\"ok\":false,\"kind\":\"no\",\"error\":\"no destination\"}\n");
	assert_string_equal((char *)err, "");
	assert_int_equal(RUN(cmd_revoke, "--socket", sock, "-12"), CMD_USAGE);
	assert_int_equal(RUN(cmd_revoke, "--socket", sock, "x"), CMD_USAGE);
	assert_int_equal(RUN(cmd_revoke, "--socket", sock), CMD_USAGE);
	assert_int_equal(RUN(cmd_revoke, "--socket", sock, "--destination", "d", "12"), CMD_USAGE);
}

static void reload(void **state)
{
	pid_t pid;

	(void)state;
	pid = serve("{\"verb\":\"reload\"}",
	            "{\"ok\":true,\"generation\":5,\"added\":[\"a\"],\"removed\":[\"r\"],"
	            "\"changed\":[\"c\"],\"sessions_cut\":2,\"warnings\":[{\"error\":false,"
	            "\"file\":\"f\",\"line\":3,\"text\":\"w\"}]}\n");
	assert_int_equal(RUN(cmd_reload, "--socket", sock), CMD_YES);
	served(pid);
	is_answer("f:3: warning: w\nadded    a\nchanged  c\nremoved  r\n"
	          "generation 5 is in force, 2 sessions ended\n");
	pid = serve(NULL,
	            "{\"ok\":false,\"kind\":\"usage\",\"error\":\"files are wrong\",\"issues\":["
	            "{\"error\":true,\"file\":\"f\",\"line\":3,\"text\":\"bad\"}]}\n");
	assert_int_equal(RUN(cmd_reload, "--socket", sock), CMD_USAGE);
	served(pid);
	is_answer("f:3: error: bad\n");
	complains("files are wrong");
	pid = serve(NULL, "{\"ok\":false,\"kind\":\"unavailable\",\"error\":\"already\"}\n");
	assert_int_equal(RUN(cmd_reload, "--socket", sock), CMD_UNKNOWN);
	served(pid);
}

static void arm_and_disarm(void **state)
{
	pid_t pid;

	(void)state;
	pid = serve("{\"verb\":\"arm\"}", "{\"ok\":true,\"armed\":true}\n");
	assert_int_equal(RUN(cmd_arm, "--socket", sock), CMD_YES);
	served(pid);
	is_answer("armed\n");
	pid = serve("{\"verb\":\"disarm\"}", "{\"ok\":true,\"armed\":false}\n");
	assert_int_equal(RUN(cmd_disarm, "--socket", sock), CMD_YES);
	served(pid);
	says("disarmed");
	pid = serve("{\"verb\":\"disarm\"}", "{\"ok\":true,\"armed\":false}\n");
	assert_int_equal(RUN(cmd_disarm, "--socket", sock, "--json"), CMD_YES);
	served(pid);
	is_answer("{\"ok\":true,\"armed\":false}\n");
	assert_int_equal(RUN(cmd_arm, "--socket", sock, "more"), CMD_USAGE);
	assert_int_equal(RUN(cmd_arm, "--policy", "x"), CMD_USAGE);
}

static void watch(void **state)
{
	static const char lines[] =
	        "{\"ok\":true,\"watching\":true}\n"
	        "{\"event\":\"session-cut\",\"at\":1700000000,\"session\":3,\"code\":\"c\",\"x\":[]}\n"
	        "{\"event\":\"armed\",\"at\":1700000001}\n";
	pid_t pid;

	(void)state;
	pid = serve("{\"verb\":\"watch\"}", lines);
	assert_int_equal(RUN(cmd_watch, "--socket", sock), CMD_UNKNOWN);
	served(pid);
	is_answer("2023-11-14 22:13:20Z session-cut session=3 code=\"c\"\n"
	          "2023-11-14 22:13:21Z armed\n");
	pid = serve("{\"verb\":\"watch\"}", lines);
	assert_int_equal(RUN(cmd_watch, "--socket", sock, "--json"), CMD_UNKNOWN);
	served(pid);
	says("{\"event\":\"session-cut\",\"at\":1700000000,\"session\":3,\"code\":\"c\",\"x\":[]}\n");
	pid = serve(NULL, "{\"ok\":false,\"kind\":\"unavailable\",\"error\":\"too many\"}\n");
	assert_int_equal(RUN(cmd_watch, "--socket", sock), CMD_UNKNOWN);
	served(pid);
	complains("too many");
}

#define MATCH(action) \
	"{\"address\":\"192.0.2.1\",\"action\":\"" action "\",\"destination\":\"pay\"," \
	"\"file\":\"/f.conf\",\"line\":12,\"requirement\":[\"platform: snp\"]}"
#define RECORD(outcome, code, word) \
	"{\"at\":1700000000,\"session\":1,\"destination\":\"pay\",\"peer\":\"192.0.2.1:443\"," \
	"\"app\":{\"pid\":9,\"uid\":0,\"comm\":\"curl\",\"cgroup\":1},\"outcome\":\"" outcome \
	"\"," \
	"\"code\":\"" code \
	"\",\"title\":\"quorum\",\"advice\":\"Do this.\",\"detail\":\"1 of 2\"," \
	"\"verdict\":{\"verdict\":\"" word \
	"\",\"checks\":[{\"id\":\"snp.chain\",\"status\":\"pass\",\"detail\":\"ok\"}," \
	"{\"id\":\"ledger.quorum\",\"status\":\"fail\",\"detail\":\"1 of 2\",\"advice\":\"Do this.\"}]," \
	"\"loosened\":[\"vmpl = 1\"]}}"
#define EXPLAIN(matches, last) \
	"{\"ok\":true,\"host\":\"192.0.2.1\",\"port\":443,\"armed\":true,\"matches\":[" matches \
	"],\"last\":" last "}\n"

static void explain(void **state)
{
	static const char request[] = "{\"verb\":\"explain\",\"host\":\"192.0.2.1\",\"port\":443,"
	                              "\"addresses\":[\"192.0.2.1\"]}";
	pid_t pid;

	(void)state;
	pid = serve(request, EXPLAIN(MATCH("gate"), RECORD("refused", "ledger.quorum", "fail")));
	assert_int_equal(RUN(cmd_explain, "--socket", sock, "192.0.2.1:443"), CMD_NO);
	served(pid);
	is_answer(
	        "192.0.2.1: gate, destination \"pay\" (/f.conf:12)\n"
	        "    platform: snp\n"
	        "last connection: refused at 2023-11-14 22:13:20Z, to 192.0.2.1:443, by curl (pid "
	        "9)\n"
	        "  ledger.quorum: quorum (1 of 2)\n"
	        "  Do this.\n"
	        "    pass  snp.chain      ok\n"
	        "    fail  ledger.quorum  1 of 2\n"
	        "                         Do this.\n"
	        "    loosened: vmpl = 1\n");
	pid = serve(request, EXPLAIN(MATCH("gate"), RECORD("released", "", "pass")));
	assert_int_equal(RUN(cmd_explain, "--socket", sock, "192.0.2.1:443"), CMD_YES);
	served(pid);
	/* What could not be looked at is not known to be wrong. */
	pid = serve(request,
	            EXPLAIN(MATCH("gate"), RECORD("refused", "policy.ledger", "unavailable")));
	assert_int_equal(RUN(cmd_explain, "--socket", sock, "192.0.2.1:443"), CMD_UNKNOWN);
	served(pid);
	pid = serve(request, EXPLAIN(MATCH("gate"), "null"));
	assert_int_equal(RUN(cmd_explain, "--socket", sock, "192.0.2.1:443"), CMD_YES);
	served(pid);
	says("no connection there since keygated was started\n");
	pid = serve(request, EXPLAIN(MATCH("deny"), "null"));
	assert_int_equal(RUN(cmd_explain, "--socket", sock, "192.0.2.1:443"), CMD_NO);
	served(pid);
	pid = serve(request, EXPLAIN("", "null"));
	assert_int_equal(RUN(cmd_explain, "--socket", sock, "192.0.2.1:443"), CMD_UNKNOWN);
	served(pid);
	says("has no known address");
	pid = serve("{\"verb\":\"explain\",\"host\":\"2001:db8::1\",\"port\":1,"
	            "\"addresses\":[\"2001:db8::1\"]}",
	            "{\"ok\":false,\"kind\":\"usage\",\"error\":\"no\"}\n");
	assert_int_equal(RUN(cmd_explain, "--socket", sock, "[2001:db8::1]:1"), CMD_USAGE);
	served(pid);
}

static void explain_target(void **state)
{
	static const char *const wrong[] = {
	        "a.example",       "a.example:",      ":443",
	        "a.example:0",     "a.example:65536", "a.example:x",
	        "2001:db8::1:443", "[]:443",          "",
	        "a.example:+1",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_int_equal(RUN(cmd_explain, "--socket", sock, wrong[i]), CMD_USAGE);
		complains("is not HOST:PORT");
	}
}

/* Whatever is no answer is "can't tell". */
static void no_answer(void **state)
{
	static const char *const bad[] = {"",
	                                  "\n",
	                                  "[]\n",
	                                  "{\"ok\":true",
	                                  "{\"ok\":1}\n",
	                                  "{\"ok\":true,\"ok\":true}\n",
	                                  "{}\n",
	                                  "nonsense\n"};
	pid_t pid;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		pid = serve(NULL, bad[i]);
		assert_int_equal(RUN(cmd_arm, "--socket", sock), CMD_UNKNOWN);
		served(pid);
	}
	unlink(sock);
	assert_int_equal(RUN(cmd_arm, "--socket", sock), CMD_UNKNOWN);
	complains("keygated does not answer at");
	assert_int_equal(RUN(cmd_arm, "--socket", sock, "--json"), CMD_UNKNOWN);
	says("{\"ok\":false,\"kind\":\"unavailable\",\"error\":\"keygated does not answer at ");
	assert_int_equal(RUN(cmd_watch, "--socket", sock), CMD_UNKNOWN);
}

/* ------------------------------------------------------------------ policy files */

static void put_file(const char *name, const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(file_write_atomic(path, bytes_str(text), 0644), 0);
}

static void policy_files(void **state)
{
	char path[96], top[96];

	(void)state;
	snprintf(top, sizeof(top), "%s/etc", dir);
	snprintf(path, sizeof(path), "%s/etc/policy.d", dir);
	assert_int_equal(mkdir(top, 0755), 0);
	assert_int_equal(RUN(cmd_policy_check, top), CMD_USAGE);
	says("there is no *.conf in it");
	assert_int_equal(mkdir(path, 0755), 0);
	put_file("etc/policy.d/20.conf",
	         "destination late { address = 127.0.0.2 action = allow }\n");
	put_file(
	        "etc/policy.d/10.conf",
	        "default-action = deny\ndestination early { address = 127.0.0.2 port = 443 action = "
	        "deny }\n");
	put_file("etc/policy.d/.30.conf", "not read");
	put_file("etc/policy.d/30.conf.old", "not read");
	assert_int_equal(RUN(cmd_policy_check, top), CMD_YES);
	is_answer("2 files, 2 destinations, 0 ledgers, 0 anchors, default deny: ok\n");
	assert_int_equal(RUN(cmd_policy_check, path), CMD_YES);
	/* Lexical order: the first file's destination decides. Nobody answers: never a yes. */
	unlink(sock);
	assert_int_equal(RUN(cmd_explain, "--socket", sock, "--policy", top, "127.0.0.2:443"),
	                 CMD_UNKNOWN);
	complains("does not answer");
	says("whether they are in force or not");
	says("127.0.0.2: deny, destination \"early\"");
	assert_int_equal(RUN(cmd_explain, "--socket", sock, "--policy", top, "127.0.0.2:80"),
	                 CMD_UNKNOWN);
	says("127.0.0.2: allow, destination \"late\"");
	assert_int_equal(RUN(cmd_explain, "--socket", sock, "--policy", top, "127.0.0.3:80"),
	                 CMD_UNKNOWN);
	says("127.0.0.3: allow, no destination matches: the default\n");
	assert_int_equal(
	        RUN(cmd_explain, "--json", "--socket", sock, "--policy", top, "127.0.0.2:443"),
	        CMD_UNKNOWN);
	says("{\"ok\":false,\"kind\":\"unavailable\",\"host\":\"127.0.0.2\"");
	put_file("etc/keygate.conf", "}");
	assert_int_equal(RUN(cmd_policy_check, top), CMD_USAGE);
	says("etc/keygate.conf:1: error: \"}\" closes nothing\n");
	says("1 error\n");
	assert_int_equal(RUN(cmd_policy_check, "--json", top), CMD_USAGE);
	says("{\"ok\":false,\"files\":3,\"destinations\":0,\"ledgers\":0,\"anchors\":0,\"default\":null,"
	     "\"issues\":[{\"error\":true,");
	assert_int_equal(RUN(cmd_explain, "--socket", sock, "--policy", top, "127.0.0.2:443"),
	                 CMD_UNKNOWN);
	assert_int_equal(RUN(cmd_policy_check, "/nonexistent"), CMD_USAGE);
	says("/nonexistent: error: can't be read: No such file or directory\n");
	assert_int_equal(RUN(cmd_policy_check, "a", "b"), CMD_USAGE);
	assert_int_equal(RUN(cmd_policy_check, "--socket"), CMD_USAGE);
	assert_int_equal(RUN(cmd_anchors, "--json"), CMD_YES);
	says("{\"tee\":\"snp\",\"name\":\"ARK-Milan\",\"spki_sha256\":\"9f056bee");
}

static void helps(void **state)
{
	static int (*const fn[])(int, char **) = {
	        cmd_status, cmd_sessions, cmd_revoke,  cmd_reload,       cmd_arm,
	        cmd_disarm, cmd_watch,    cmd_explain, cmd_policy_check, cmd_anchors};

	(void)state;
	for (size_t i = 0; i < sizeof(fn) / sizeof(fn[0]); i++) {
		assert_int_equal(RUN(fn[i], "--help"), CMD_YES);
		says("usage: keygate test [--json]");
		assert_int_equal(RUN(fn[i], "--frob"), CMD_USAGE);
		complains("usage: keygate test");
	}
}

static int remove_dir(void **state)
{
	static const char *const names[] = {"etc/policy.d/10.conf", "etc/policy.d/20.conf",
	                                    "etc/policy.d/.30.conf", "etc/policy.d/30.conf.old",
	                                    "etc/keygate.conf"};
	char path[128];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
	}
	snprintf(path, sizeof(path), "%s/etc/policy.d", dir);
	rmdir(path);
	snprintf(path, sizeof(path), "%s/etc", dir);
	rmdir(path);
	return cli_close(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(status),         cmocka_unit_test(sessions),
	        cmocka_unit_test(revoke_one),     cmocka_unit_test(reload),
	        cmocka_unit_test(arm_and_disarm), cmocka_unit_test(watch),
	        cmocka_unit_test(explain),        cmocka_unit_test(explain_target),
	        cmocka_unit_test(no_answer),      cmocka_unit_test(policy_files),
	        cmocka_unit_test(helps),
	};

	return cmocka_run_group_tests(tests, cli_open, remove_dir);
}
