/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands that ask keygated, against a server that expects one request and gives one answer;
 * and those that read policy files. What is checked: the request, the exit status, the words.
 */
#include "cli_run.h"

#include <sys/wait.h>

/* ------------------------------------------------------------------- the server */

/* In a process of its own: the request must be this; NULL: take any. 0 when it was. */
static int serve_on(int fd, const char *request, const char *answer)
{
	static char got[65536];
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
	return write(fd, answer, strlen(answer)) == (ssize_t)strlen(answer) ? 0 : 3;
}

static int serve_one(int listener, const char *request, const char *answer)
{
	return serve_on(accept(listener, NULL, NULL), request, answer);
}

static int listen_at_sock(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	unlink(sock);
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", sock);
	assert_int_equal(bind(listener, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(listener, 1), 0);
	return listener;
}

static pid_t serve(const char *request, const char *answer)
{
	int listener = listen_at_sock();
	pid_t pid = fork();

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

#define STATUS_WITH(armed, upcall) \
	"{\"ok\":true,\"version\":\"0.1.0\",\"kernel\":\"6.1.0\",\"pid\":77,\"started_at\":1700000000," \
	"\"armed\":" armed ",\"keyring_watch\":false,\"tunnels_refused\":false," \
	"\"guard\":{\"on\":false,\"off\":\"no LSM\"},\"handshake_upcall\":\"" upcall "\"," \
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

#define STATUS(armed) STATUS_WITH(armed, "off")

static void status(void **state)
{
	pid_t pid;

	(void)state;
	pid = serve("{\"verb\":\"status\"}", STATUS("true"));
	assert_int_equal(RUN(cmd_status, "--socket", sock), CMD_YES);
	served(pid);
	says("keygated       0.1.0, pid 77, kernel 6.1.0, since 2023-11-14 22:13:20Z\n");
	says("armed          yes\n");
	says("L2TP sockets   OPEN to everybody");
	says("guard          off: no LSM\n");
	says("kernel's TLS   its handshakes are not made here");
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

	pid = serve("{\"verb\":\"status\"}", STATUS_WITH("true", "on"));
	assert_int_equal(RUN(cmd_status, "--socket", sock), CMD_YES);
	served(pid);
	says("kernel's TLS   its handshakes are made here\n");
	pid = serve("{\"verb\":\"status\"}", STATUS_WITH("true", "unavailable"));
	assert_int_equal(RUN(cmd_status, "--socket", sock), CMD_YES);
	served(pid);
	says("kernel's TLS   unavailable");
	pid = serve("{\"verb\":\"status\"}", STATUS("false"));
	assert_int_equal(RUN(cmd_status, "--socket", sock), CMD_NO);
	served(pid);
	says("NOTHING IS GATED");
	pid = serve("{\"verb\":\"status\"}", STATUS("true"));
	assert_int_equal(RUN(cmd_status, "--json", "--socket", sock), CMD_YES);
	served(pid);
	is_answer(STATUS("true"));
}

/* --------------------------------------------------------------- ledger watch */

#define ALERT(index) \
	"{\"index\":" index ",\"at\":1700000000,\"leaf\":\"5a5a\",\"code\":\"ledger.unexpected\"," \
	"\"subject\":\"service\",\"version\":\"1.2\",\"detail\":\"snp:11\",\"launch\":[]}"
#define LOG(origin, ok, code, alerts) \
	"{\"ledger\":\"acme\",\"origin\":\"" origin "\",\"size\":9,\"head\":9,\"ok\":" ok \
	",\"code\":\"" code "\",\"detail\":\"\",\"tried_at\":1,\"ok_at\":1,\"dropped\":0," \
	"\"alerts\":[" alerts "]}"
#define LOGS(list) "{\"ok\":true,\"logs\":[" list "]}"
#define WORDS(index) \
	"2023-11-14 22:13:20Z log.a " index " ledger.unexpected \"service\" 1.2 leaf:5a5a snp:11\n"

static void ledger_watch_once(void **state)
{
	static const struct {
		const char *answer;
		const char *since, *origin;
		int status;
		const char *words;
	} cases[] = {
	        {LOGS(LOG("log.a", "true", "", "")), NULL, NULL, CMD_YES, ""},
	        {LOGS(LOG("log.a", "true", "", ALERT("3"))), NULL, NULL, CMD_NO, WORDS("3")},
	        {LOGS(LOG("log.a", "true", "", ALERT("3") "," ALERT("7"))), "4", NULL, CMD_NO,
	         WORDS("7")},
	        {LOGS(LOG("log.a", "true", "", ALERT("3") "," ALERT("7"))), "7", NULL, CMD_NO,
	         WORDS("7")},
	        {LOGS(LOG("log.a", "true", "", ALERT("3") "," ALERT("7"))), "8", NULL, CMD_YES, ""},
	        {LOGS(LOG("log.a", "false", "log.unreachable", "")), NULL, NULL, CMD_UNKNOWN,
	         "log.a: 9 of 9 entries read: log.unreachable\n"},
	        {LOGS(LOG("log.a", "false", "", "")), NULL, NULL, CMD_UNKNOWN,
	         "log.a: 9 of 9 entries read\n"},
	        {LOGS(LOG("log.a", "false", "log.wrong-entries", "")), NULL, NULL, CMD_NO,
	         "log.a: 9 of 9 entries read: log.wrong-entries\n"},
	        /* A no of one log is not lost by a can't tell of another. */
	        {LOGS(LOG("log.a", "true", "", ALERT("3")) "," LOG("log.b", "false", "log.slow",
	                                                           "")),
	         NULL, NULL, CMD_NO, WORDS("3") "log.b: 9 of 9 entries read: log.slow\n"},
	        {LOGS(LOG("log.b", "false", "log.slow", "") "," LOG("log.a", "true", "",
	                                                            ALERT("3"))),
	         "3", "log.a", CMD_NO, WORDS("3")},
	        {LOGS(LOG("log.a", "true", "", ALERT("3")) "," LOG("log.b", "true", "", "")), "1",
	         NULL, CMD_USAGE, ""},
	        {LOGS(LOG("log.a", "true", "", "")), NULL, "log.c", CMD_USAGE, ""},
	        {"{\"ok\":false,\"kind\":\"usage\",\"error\":\"x\"}", NULL, NULL, CMD_USAGE, ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *since = cases[i].since ? cases[i].since : "0",
		           *origin = cases[i].origin;
		char line[2048];
		pid_t pid;

		snprintf(line, sizeof(line), "%s\n", cases[i].answer);
		pid = serve("{\"verb\":\"ledger-watch\"}", line);
		assert_int_equal(origin ? RUN(cmd_ledger_watch, "--socket", sock, "--once",
		                              "--since", since, "--origin", origin)
		                        : RUN(cmd_ledger_watch, "--socket", sock, "--once",
		                              "--since", since),
		                 cases[i].status);
		served(pid);
		is_answer(cases[i].words);
	}
	assert_int_equal(RUN(cmd_ledger_watch, "--socket", sock, "--once", "--since", "x"),
	                 CMD_USAGE);
	assert_int_equal(RUN(cmd_ledger_watch, "--socket", sock, "x"), CMD_USAGE);
}

static void ledger_watch_once_json(void **state)
{
	pid_t pid = serve(NULL, LOGS(LOG("log.a", "true", "", ALERT("3") "," ALERT("7"))) "\n");

	(void)state;
	assert_int_equal(
	        RUN(cmd_ledger_watch, "--socket", sock, "--once", "--json", "--since", "5"),
	        CMD_NO);
	served(pid);
	is_answer(LOGS(LOG("log.a", "true", "", ALERT("7"))) "\n");
}

/* The stream first, what is kept on another connection, and then events; none twice. */
static int stream(int listener)
{
	static const char events[] =
	        "{\"event\":\"ledger-alert\",\"origin\":\"log.a\",\"index\":3,\"at\":1,\"leaf\":\"5a5a\"}\n"
	        "{\"event\":\"head-saved\",\"origin\":\"log.a\",\"size\":9}\n"
	        "{\"event\":\"ledger-alert\",\"origin\":\"log.b\",\"index\":3,\"at\":1,\"leaf\":\"5a5a\","
	        "\"code\":\"ledger.unreadable\",\"subject\":\"\",\"version\":\"\",\"detail\":\"d\"}\n"
	        "{\"event\":\"ledger-watch\",\"origin\":\"log.a\",\"size\":9,\"code\":\"log.slow\","
	        "\"detail\":\"x\",\"at\":1}\n"
	        "{\"event\":\"ledger-watch\",\"origin\":\"log.a\",\"size\":9,\"code\":\"\","
	        "\"detail\":\"\",\"at\":1}\n";
	int fd = accept(listener, NULL, NULL);

	if (serve_on(fd, "{\"verb\":\"watch\"}", "{\"ok\":true,\"watching\":true}\n") ||
	    serve_one(listener, "{\"verb\":\"ledger-watch\"}",
	              LOGS(LOG("log.a", "true", "", ALERT("3"))) "\n"))
		return 4;
	return write(fd, events, strlen(events)) == (ssize_t)strlen(events) ? 0 : 5;
}

static void ledger_watch_stream(void **state)
{
	int listener = listen_at_sock();
	pid_t pid = fork();

	(void)state;
	assert_true(pid >= 0);
	if (!pid)
		_exit(stream(listener));
	assert_int_equal(RUN(cmd_ledger_watch, "--socket", sock), CMD_UNKNOWN);
	served(pid);
	close(listener);
	is_answer(WORDS("3") "1970-01-01 00:00:01Z log.b 3 ledger.unreadable leaf:5a5a d\n"
	                     "log.a: 9 entries read: log.slow, x\n"
	                     "log.a: 9 entries read: well again\n");
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

/* A session that rests on a lease says so where its state stands. */
static void session_on_a_lease(void **state)
{
	pid_t pid = serve("{\"verb\":\"sessions\"}",
	                  "{\"ok\":true,\"sessions\":[" SESSION "\"attested\":7}]}\n");

	(void)state;
	assert_int_equal(RUN(cmd_sessions, "--socket", sock), CMD_YES);
	served(pid);
	says("12  live, lease of 7  pay ");
}

#define LEASE \
	"{\"session\":7,\"destination\":\"pay\",\"peer\":\"[2001:db8::1]:443\",\"key\":555," \
	"\"ring\":5,\"until\":1,\"uses\":42,\"attested_at\":1700000000,\"renew_at\":1," \
	"\"key_state\":\"valid\",\"binder\":\"lease-key\",\"leader\":"

static void leases(void **state)
{
	pid_t pid;

	(void)state;
	pid = serve("{\"verb\":\"leases\"}", "{\"ok\":true,\"leases\":[]}\n");
	assert_int_equal(RUN(cmd_leases, "--socket", sock), CMD_YES);
	served(pid);
	is_answer("no leases\n");
	pid = serve(NULL, "{\"ok\":true,\"leases\":[" LEASE "null}]}\n");
	assert_int_equal(RUN(cmd_leases, "--socket", sock), CMD_YES);
	served(pid);
	says("SESSION  DESTINATION  PEER               BINDER     ATTESTED AT           KEY        ENDS IN  "
	     "RENEWED IN  USES\n");
	says("7        pay          [2001:db8::1]:443  lease-key  2023-11-14 22:13:20Z  555 valid  0s       0s  "
	     "        42\n");
	pid = serve(NULL, "{\"ok\":true,\"leases\":[" LEASE "8}]}\n");
	assert_int_equal(RUN(cmd_leases, "--socket", sock), CMD_YES);
	served(pid);
	says("now, by 8");
	pid = serve(NULL, "{\"ok\":true,\"leases\":[]}\n");
	assert_int_equal(RUN(cmd_leases, "--json", "--socket", sock), CMD_YES);
	served(pid);
	is_answer("{\"ok\":true,\"leases\":[]}\n");
	assert_int_equal(RUN(cmd_leases, "more"), CMD_USAGE);
}

static void revoke_a_lease(void **state)
{
	pid_t pid;

	(void)state;
	pid = serve("{\"verb\":\"revoke\",\"lease\":7}",
	            "{\"ok\":true,\"revoked\":0,\"leases\":1}\n");
	assert_int_equal(RUN(cmd_revoke, "--socket", sock, "--lease", "7"), CMD_YES);
	served(pid);
	is_answer("1 leases ended\n");
	pid = serve("{\"verb\":\"revoke\",\"destination\":\"pay\"}",
	            "{\"ok\":true,\"revoked\":3,\"leases\":2}\n");
	assert_int_equal(RUN(cmd_revoke, "--socket", sock, "--destination", "pay"), CMD_YES);
	served(pid);
	is_answer("3 ended\n2 leases ended\n");
	assert_int_equal(RUN(cmd_revoke, "--socket", sock, "--lease", "x"), CMD_USAGE);
	assert_int_equal(RUN(cmd_revoke, "--socket", sock, "--lease", "7", "7"), CMD_USAGE);
	assert_int_equal(RUN(cmd_revoke, "--socket", sock, "--lease", "7", "--destination", "d"),
	                 CMD_USAGE);
	assert_int_equal(RUN(cmd_sessions, "--socket", sock, "--lease", "7"), CMD_USAGE);
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
	            "\"changed\":[\"c\"],\"moved\":[\"m\"],\"default\":{\"before\":\"deny\","
	            "\"after\":\"allow\"},\"blocks\":[{\"kind\":\"ledger\",\"name\":\"l\","
	            "\"change\":\"changed\"}],\"sessions_cut\":2,\"sessions\":[{\"id\":7,"
	            "\"destination\":\"d\",\"peer\":\"192.0.2.7:443\",\"why\":\"gone\"}],"
	            "\"warnings\":[{\"error\":false,"
	            "\"file\":\"f\",\"line\":3,\"text\":\"w\"}]}\n");
	assert_int_equal(RUN(cmd_reload, "--socket", sock), CMD_YES);
	served(pid);
	is_answer("f:3: warning: w\ndefault  allow (before: deny)\nchanged  ledger l\n"
	          "added    a\nchanged  c\nremoved  r\nmoved    m\n"
	          "ended    session 7 to d (192.0.2.7:443): gone\n"
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

#define DEPENDS(action) \
	"{\"address\":\"192.0.2.1\",\"action\":\"gate\",\"destination\":\"pay\",\"file\":\"/f.conf\"," \
	"\"line\":12,\"requirement\":[],\"application\":\"\",\"depends\":[{\"destination\":\"web\"," \
	"\"action\":\"" action \
	"\",\"file\":\"/f.conf\",\"line\":3,\"application\":\"user www\"}]}"

/* What of the application decides is said, and asked for. */
static void explain_for_somebody(void **state)
{
	pid_t pid;

	(void)state;
	pid = serve("{\"verb\":\"explain\",\"host\":\"192.0.2.1\",\"port\":443,"
	            "\"addresses\":[\"192.0.2.1\"],\"user\":0,\"unit\":\"a.service\","
	            "\"cgroup\":\"/x/y\",\"executable\":\"/bin/x\"}",
	            EXPLAIN(DEPENDS("gate"), "null"));
	assert_int_equal(RUN(cmd_explain, "--socket", sock, "--user", "root", "--unit", "a.service",
	                     "--cgroup", "/x/y", "--exe", "/bin/x", "192.0.2.1:443"),
	                 CMD_YES);
	served(pid);
	says("192.0.2.1: gate, destination \"web\" (/f.conf:3), if it is user www\n"
	     "else 192.0.2.1: gate, destination \"pay\" (/f.conf:12)\n");
	/* Denied to some, and nobody said to whom. */
	pid = serve("{\"verb\":\"explain\",\"host\":\"192.0.2.1\",\"port\":443,"
	            "\"addresses\":[\"192.0.2.1\"],\"user\":1000}",
	            EXPLAIN(DEPENDS("deny"), "null"));
	assert_int_equal(RUN(cmd_explain, "--socket", sock, "--user", "1000", "192.0.2.1:443"),
	                 CMD_UNKNOWN);
	served(pid);
	assert_int_equal(RUN(cmd_explain, "--user", "nobody-such", "192.0.2.1:443"), CMD_USAGE);
	assert_int_equal(RUN(cmd_explain, "--cgroup", "x", "192.0.2.1:443"), CMD_USAGE);
	assert_int_equal(RUN(cmd_explain, "--exe", "/a//b", "192.0.2.1:443"), CMD_USAGE);
}

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
	static int (*const fn[])(int, char **) = {cmd_status,  cmd_sessions,     cmd_leases,
	                                          cmd_revoke,  cmd_reload,       cmd_arm,
	                                          cmd_disarm,  cmd_watch,        cmd_ledger_watch,
	                                          cmd_explain, cmd_policy_check, cmd_anchors};

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
	        cmocka_unit_test(status),
	        cmocka_unit_test(sessions),
	        cmocka_unit_test(session_on_a_lease),
	        cmocka_unit_test(leases),
	        cmocka_unit_test(revoke_a_lease),
	        cmocka_unit_test(revoke_one),
	        cmocka_unit_test(reload),
	        cmocka_unit_test(arm_and_disarm),
	        cmocka_unit_test(watch),
	        cmocka_unit_test(ledger_watch_once),
	        cmocka_unit_test(ledger_watch_once_json),
	        cmocka_unit_test(ledger_watch_stream),
	        cmocka_unit_test(explain),
	        cmocka_unit_test(explain_for_somebody),
	        cmocka_unit_test(explain_target),
	        cmocka_unit_test(no_answer),
	        cmocka_unit_test(policy_files),
	        cmocka_unit_test(helps),
	};

	return cmocka_run_group_tests(tests, cli_open, remove_dir);
}
