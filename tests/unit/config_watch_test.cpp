#include "controller/config.h"
#include "tests/catch.h"

using controller::parse_config;
using controller::WatchConfig;

namespace {

std::string with_watch(const std::string& watch) {
  return "clusters:\n"
         "- scope: main\n"
         "  members: [http://10.0.0.11:8008]\n"
         "  backends:\n"
         "  - {name: w, serves: primary}\n"
         "  watch: " +
         watch + "\nhaproxy: {socket: /s}\n";
}

/// The complaints of a `watch` on line 6, whose value begins in column 10.
std::string complaints(const std::string& watch) {
  const auto config = parse_config(with_watch(watch), "f");
  if (config) return "";
  std::string all;
  for (const auto& complaint : config.error()) all += complaint.text() + "\n";
  return all;
}

WatchConfig read(const std::string& watch) {
  const auto config = parse_config(with_watch(watch), "f");
  REQUIRE(config);
  REQUIRE(config->clusters[0].watch);
  return *config->clusters[0].watch;
}

}  // namespace

TEST_CASE("a watch on etcd gets every default") {
  WatchConfig expected;
  expected.endpoints = {{"http://10.0.0.21:2379", false, "10.0.0.21", 2379}, {"http://etcd2:2380", false, "etcd2", 2380}};
  CHECK(read("{etcd: [http://10.0.0.21, 'http://ETCD2:2380']}") == expected);
  CHECK(expected.name_space == "/service");
}

TEST_CASE("every key of a watch is read into its place") {
  WatchConfig expected;
  expected.endpoints = {{"https://[fd00::1]:2379", true, "fd00::1", 2379}};
  expected.name_space = "/db";
  expected.tls.ca = "/ca";
  expected.tls.cert = "/cert";
  expected.tls.key = "/key";
  expected.username = "reader";
  expected.password_file = "/password";
  CHECK(read("{etcd: ['https://[fd00::1]'], namespace: /db, tls: {ca: /ca, cert: /cert, key: /key}, username: reader, "
             "password_file: /password}") == expected);
}

TEST_CASE("a watch on Consul has one URL and a token") {
  WatchConfig expected;
  expected.dcs = WatchConfig::Dcs::consul;
  expected.endpoints = {{"http://127.0.0.1:8500", false, "127.0.0.1", 8500}};
  expected.password_file = "/token";
  CHECK(read("{consul: http://127.0.0.1, password_file: /token}") == expected);
}

TEST_CASE("a watch is on one DCS") {
  CHECK(complaints("{etcd: [http://a], consul: http://b}") ==
        "f:6:29: 'consul' beside 'etcd' (keep the one that Patroni uses)\n");
  CHECK(complaints("{namespace: /x}") ==
        "f:6:10: 'watch' without 'etcd' or 'consul' (give etcd: [http://10.0.0.21:2379] or consul: http://127.0.0.1:8500)\n");
  CHECK(complaints("etcd") ==
        "f:6:10: 'watch' is 'etcd' (write a mapping with the keys etcd, consul, namespace, tls, username, password_file)\n");
  CHECK(complaints("{etdc: [http://a]}") ==
        "f:6:10: 'watch' without 'etcd' or 'consul' (give etcd: [http://10.0.0.21:2379] or consul: http://127.0.0.1:8500)\n"
        "f:6:11: unknown key 'etdc' (did you mean 'etcd'?)\n");
}

TEST_CASE("what a watch names must be there to be watched") {
  CHECK(complaints("{etcd: http://a}") ==
        "f:6:17: 'etcd' is no list (write a list such as [http://10.0.0.21:2379, http://10.0.0.22:2379])\n");
  CHECK(complaints("{etcd: []}") ==
        "f:6:17: 'etcd' is empty (write a list such as [http://10.0.0.21:2379, http://10.0.0.22:2379])\n");
  CHECK(complaints("{etcd: [http://a, 'http://A:2379/']}") == "f:6:28: etcd 'http://a:2379' is given twice (keep one)\n");
  CHECK(complaints("{etcd: ['a:2379']}") ==
        "f:6:18: etcd 'a:2379': it begins with neither http:// nor https:// (write a URL such as "
        "http://10.0.0.11:2379)\n");
  CHECK(complaints("{consul: [http://a]}") == "f:6:19: 'consul' is a list (write a single value)\n");
  CHECK(complaints("{consul: 'http://a/v1'}") ==
        "f:6:19: consul 'http://a/v1': it has a path (write a URL such as http://10.0.0.11:8500)\n");
}

TEST_CASE("a watch's keys go together") {
  CHECK(complaints("{etcd: [http://a], username: u}") ==
        "f:6:29: 'username' without 'password_file' (give password_file as well)\n");
  CHECK(complaints("{etcd: [http://a], password_file: /p}") ==
        "f:6:29: 'password_file' without 'username' (give username as well)\n");
  CHECK(complaints("{consul: http://a, username: u}") ==
        "f:6:29: 'username' goes with etcd only (remove it; password_file holds Consul's token)\n");
  CHECK(complaints("{etcd: [http://a], tls: {ca: /ca}}") ==
        "f:6:29: 'tls' is given, and nothing that is watched is https (write https:// in the URLs, or remove it)\n");
  CHECK(complaints("{etcd: [https://a], tls: {cert: /c}}") == "f:6:36: 'cert' without 'key' (give key as well)\n");
  CHECK(complaints("{etcd: [http://a], password_file: p, username: u}") ==
        "f:6:44: 'password_file' is 'p', not an absolute path (write the whole path, from '/' on)\n");
  CHECK(complaints("{etcd: [http://a], namespace: }") == "f:6:29: 'namespace' has no value (write one, or remove the key)\n");
}
