#include "haproxy/fragment.h"

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "tests/catch.h"

namespace {

using haproxy::Fragment;
using haproxy::FragmentBackend;
using haproxy::FragmentServer;
using haproxy::render;
using haproxy::render_options;
using haproxy::unified_diff;

const std::string kOptions = "check port 8008 inter 3s fall 3 rise 2 on-marked-down shutdown-sessions";

Fragment two_backends() {
  return {{{"pg_primary",
            true,
            "/primary",
            {{"pg2", "10.0.0.12:5432", kOptions, false}, {"pg1", "10.0.0.11:5432", kOptions, false}}},
           {"pg_replicas",
            false,
            "/replica",
            {{"pg1", "10.0.0.11:5432", kOptions, false}, {"pg2", "[2001:db8::12]:5432", kOptions, true}}}}};
}

/// One backend with one server, to be spoilt.
Fragment one_server() {
  return {{{"pg", true, "/primary", {{"pg1", "10.0.0.11:5432", "check", false}}}}};
}

std::string packaged_template() {
  std::ifstream in(std::string(POINTSMAN_FIXTURES) + "/../../templates/pg_backends.cfg.mustache", std::ios::binary);
  REQUIRE(in);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// What is wrong with a template.
std::string refusal(std::string_view mustache_template) {
  const auto text = render(two_backends(), mustache_template, "my.mustache");
  REQUIRE_FALSE(text);
  REQUIRE(text.error().operation == "render");
  REQUIRE(text.error().subject == "my.mustache");
  return text.error().detail;
}

}  // namespace

TEST_CASE("the packaged template renders whole sections, the writer's backend with balance first") {
  const std::string expected =
      R"(# Written by pointsman, which overwrites every edit. To change it, change pointsman's configuration or its template.

backend pg_primary
    mode tcp
    # One writer, listed first. A worker that has just started counts every server as up until its first check; `balance first`
    # then takes the first one. Whatever makes HAProxy pass over a healthy first server would send writes elsewhere, so no
    # redispatching, and no maxconn on a server.
    balance first
    no option redispatch
.if defined(POINTSMAN_HOLD)
    # haproxy.cfg has loaded hold.lua: who comes while there is no writer waits.
    tcp-request inspect-delay 60s
    tcp-request content lua.hold
.endif
    # HAProxy's own check goes on asking Patroni, and takes over where pointsman stops.
    option httpchk OPTIONS /primary
    http-check expect status 200
    server pg2 10.0.0.12:5432 check port 8008 inter 3s fall 3 rise 2 on-marked-down shutdown-sessions
    server pg1 10.0.0.11:5432 check port 8008 inter 3s fall 3 rise 2 on-marked-down shutdown-sessions

backend pg_replicas
    mode tcp
    balance leastconn
    # HAProxy's own check goes on asking Patroni, and takes over where pointsman stops.
    option httpchk OPTIONS /replica
    http-check expect status 200
    server pg1 10.0.0.11:5432 check port 8008 inter 3s fall 3 rise 2 on-marked-down shutdown-sessions
    server pg2 [2001:db8::12]:5432 backup check port 8008 inter 3s fall 3 rise 2 on-marked-down shutdown-sessions
)";
  const auto text = render(two_backends(), packaged_template(), "templates/pg_backends.cfg.mustache");
  REQUIRE(text);
  REQUIRE(*text == expected);
  REQUIRE(render(two_backends(), packaged_template(), "again") == expected);
}

TEST_CASE("nothing is escaped") {
  Fragment fragment = one_server();
  fragment.backends[0].servers[0].options = R"(check sni str(a&b) verifyhost "<x>" 'y')";
  const auto text =
      render(fragment, "{{#backends}}{{#servers}}{{options}}|{{{options}}}|{{&options}}\n{{/servers}}{{/backends}}", "t");
  REQUIRE(text == R"(check sni str(a&b) verifyhost "<x>" 'y'|check sni str(a&b) verifyhost "<x>" 'y'|check sni str(a&b) )"
                  "verifyhost \"<x>\" 'y'\n");
}

TEST_CASE("a server's name hides its backend's, and a backend's variables are seen from its servers") {
  const auto text =
      render(one_server(), "{{#backends}}{{name}}:{{#servers}}{{name}} {{check}}{{/servers}}{{/backends}}\n", "t");
  REQUIRE(text == "pg:pg1 /primary\n");
}

TEST_CASE("what a template names in vain is found even where nothing would be rendered") {
  CHECK(refusal("a\n{{nmae}}\n") == "line 2: there is no variable 'nmae' here");
  CHECK(refusal("{{name}}\n") == "line 1: there is no variable 'name' here");
  CHECK(refusal("{{#backends}}{{address}}{{/backends}}\n") == "line 1: there is no variable 'address' here");
  CHECK(refusal("{{^backends}}{{name}}{{/backends}}\n") == "line 1: there is no variable 'name' here");
  CHECK(refusal("{{#backends}}{{^read}}{{#write}}\n\n{{#wirte}}x{{/wirte}}{{/write}}{{/read}}{{/backends}}\n") ==
        "line 3: there is no variable 'wirte' here");
  CHECK(refusal("{{#backends}}{{{nmae}}}{{/backends}}\n") == "line 1: there is no variable 'nmae' here");
  CHECK(refusal("{{#backends}}{{& nmae }}{{/backends}}\n") == "line 1: there is no variable 'nmae' here");
  CHECK(refusal("{{#backends}}{{.}}{{/backends}}\n") == "line 1: there is no variable '.' here");
  CHECK(refusal("{{#backends}}{{servers.name}}{{/backends}}\n") == "line 1: there is no variable 'servers.name' here");
  CHECK(refusal("{{}}\n") == "line 1: there is no variable '' here");
}

TEST_CASE("a variable of the wrong kind would render as nothing and is refused") {
  CHECK(refusal("{{backends}}\n") == "line 1: 'backends' is not text: use it as a section, {{#backends}}");
  CHECK(refusal("{{#backends}}{{write}}{{/backends}}\n") == "line 1: 'write' is not text: use it as a section, {{#write}}");
  CHECK(refusal("{{#backends}}{{#name}}x{{/name}}{{/backends}}\n") == "line 1: 'name' is text and cannot be a section");
}

TEST_CASE("a syntax error in a template is refused with its line") {
  CHECK(refusal("{{#backends}}\n") == "section 'backends' is not closed");
  CHECK(refusal("\n{{/backends}}\n") == "line 2: section 'backends' ends but is not open");
  CHECK(refusal("{{#backends}}{{#servers}}{{/backends}}{{/servers}}\n") == "line 1: section 'backends' ends but is not open");
  CHECK(refusal("{{#backends}}\n{{name\n") == "line 2: a tag that is not closed");
  CHECK(refusal("{{") == "line 1: a tag that is not closed");
  CHECK(refusal("{{{") == "line 1: a tag that is not closed");
  CHECK(refusal("{{=<% %>=}}\n") == "line 1: partials and other delimiters are not supported");
  CHECK(refusal("{{> other}}\n") == "line 1: partials and other delimiters are not supported");
}

TEST_CASE("a comment may hold anything, over several lines") {
  REQUIRE(render(one_server(), "{{! {{nothing \n # / }}text\n", "t") == "text\n");
}

TEST_CASE("what HAProxy would not take as a file is refused") {
  CHECK(refusal("") == "the result is empty");
  CHECK(refusal(" \n\n") == "the result is empty");
  CHECK(refusal("{{^backends}}text{{/backends}}\n") == "the result is empty");
  CHECK(refusal("text") == "the result does not end in a newline, which HAProxy does not take");
  CHECK(refusal(std::string_view("te\0xt\n", 6)) == "the result holds a NUL byte, which HAProxy does not take");
}

TEST_CASE("a hostile name goes into no file") {
  const std::vector<std::string> hostile = {"",
                                            "a b",
                                            "a\nb",
                                            "a\n    server evil 6.6.6.6:5432",
                                            "a#",
                                            "a{",
                                            "a/b",
                                            "\xc3\xa4",
                                            std::string("a\0b", 3),
                                            std::string(300, 'a')};
  for (const std::string& name : hostile) {
    CAPTURE(name);
    Fragment fragment = one_server();
    fragment.backends[0].name = name;
    CHECK_FALSE(render(fragment, "text\n", "t"));
    fragment = one_server();
    fragment.backends[0].servers[0].name = name;
    CHECK_FALSE(render(fragment, "text\n", "t"));
  }
  REQUIRE(render(one_server(), "text\n", "t"));
}

TEST_CASE("an address goes in only as Address::text() makes it") {
  const std::vector<std::string> refused = {"",
                                            "10.0.0.1",
                                            "10.0.0.1:",
                                            "10.0.0.1:0",
                                            "10.0.0.1:70000",
                                            "10.0.0.1:05432",
                                            "10.0.0.1:5432 disabled",
                                            "10.0.0.1:5432\n",
                                            "010.0.0.1:5432",
                                            "[10.0.0.1]:5432",
                                            "::1:5432",
                                            "[::0001]:5432",
                                            "[2001:DB8::1]:5432",
                                            "pg1.example.com:5432",
                                            "[fe80::1%eth0]:5432",
                                            "/var/run/x:5432"};
  for (const std::string& address : refused) {
    CAPTURE(address);
    Fragment fragment = one_server();
    fragment.backends[0].servers[0].address = address;
    CHECK_FALSE(render(fragment, "text\n", "t"));
  }
  Fragment fragment = one_server();
  fragment.backends[0].servers[0].address = "[::1]:65535";
  REQUIRE(render(fragment, "text\n", "t"));
}

TEST_CASE("a control character in options is refused, and the message shows it harmlessly") {
  for (const char c : {'\n', '\r', '\0', '\t', '\x1b', '\x7f'}) {
    Fragment fragment = one_server();
    fragment.backends[0].servers[0].options = std::string("check") + c + "disabled";
    const auto text = render(fragment, "text\n", "t");
    REQUIRE_FALSE(text);
    CHECK(text.error().detail == "pg/pg1: control character in 'check?disabled'");
  }
}

TEST_CASE("the path of a check is one harmless word") {
  for (const std::string check : {"", "primary", "/a b", "/a\nb", "/a#", "/a\"", "/a'", "/a\\", "/$HOME"}) {
    CAPTURE(check);
    Fragment fragment = one_server();
    fragment.backends[0].check = check;
    CHECK_FALSE(render(fragment, "text\n", "t"));
  }
  Fragment fragment = one_server();
  fragment.backends[0].check = "/replica?lag=16MB&tag_x=a-b.c";
  REQUIRE(render(fragment, "text\n", "t"));
}

TEST_CASE("api_port is the only variable of server_options") {
  CHECK(render_options("check port {{api_port}} inter 3s", 8008) == "check port 8008 inter 3s");
  CHECK(render_options("{{ api_port }}{{api_port}}", 1) == "11");
  CHECK(render_options("check", 8008) == "check");
  CHECK(render_options("", 8008) == "");
  CHECK(render_options("a }} b", 8008) == "a }} b");
  CHECK(render_options("port {{port}}", 8008).error().detail == "there is no variable 'port'");
  CHECK(render_options("port {{{api_port}}}", 8008).error().detail == "there is no variable '{api_port'");
  CHECK(render_options("port {{api_port", 8008).error().detail == "a {{ that is not closed");
  CHECK(render_options("check\ndisabled", 8008).error().detail == "a newline or another control character");
}

TEST_CASE("two equal texts have no diff") {
  CHECK(unified_diff("", "", "a", "b").empty());
  CHECK(unified_diff("x\ny", "x\ny", "a", "b").empty());
}

TEST_CASE("a diff has three lines of context, and joins changes that are near each other") {
  const std::string before = "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n13\n14\n15\n16\n17\n18\n19\n20\n";
  const std::string after = "1\n2\n3\n4\nfive\n6\n7\n8\n9\n10\n11\ntwelve\n13\n14\n15\n16\n17\n18\n19\n19.5\n20\n";
  const std::string expected = R"(--- old
+++ new
@@ -2,14 +2,14 @@
 2
 3
 4
-5
+five
 6
 7
 8
 9
 10
 11
-12
+twelve
 13
 14
 15
@@ -17,4 +17,5 @@
 17
 18
 19
+19.5
 20
)";
  // 12 and 19.5 are seven lines apart: two hunks; 5 and 12 are six: one.
  CHECK(unified_diff(before, after, "old", "new") == expected);
}

TEST_CASE("a diff of the first or the last text, and of a missing newline") {
  CHECK(unified_diff("", "a\nb\n", "old", "new") == "--- old\n+++ new\n@@ -0,0 +1,2 @@\n+a\n+b\n");
  CHECK(unified_diff("a\n", "", "old", "new") == "--- old\n+++ new\n@@ -1 +0,0 @@\n-a\n");
  CHECK(unified_diff("a\nb", "a\nb\n", "old", "new") ==
        "--- old\n+++ new\n@@ -1,2 +1,2 @@\n a\n-b\n\\ No newline at end of file\n+b\n");
}
