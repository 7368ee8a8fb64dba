#include "controller/config.h"

#include <fstream>
#include <sstream>

#include "tests/catch.h"

using controller::Config;
using controller::Method;
using controller::milliseconds;
using controller::parse_config;
using controller::parse_duration;
using controller::parse_member_url;
using controller::parse_size;
using controller::Serves;

namespace {

/// The complaints of a text, one a line; the configuration's place is "f".
std::string complaints(std::string_view yaml) {
  const auto config = parse_config(yaml, "f");
  if (config) return "";
  std::string all;
  for (const auto& complaint : config.error()) all += complaint.text() + "\n";
  return all;
}

const std::string kCluster =
    "clusters:\n"
    "- scope: main\n"
    "  members: [http://10.0.0.11:8008]\n"
    "  backends:\n"
    "  - {name: w, serves: primary}\n";
const std::string kHaproxy = "haproxy: {socket: /s}\n";

std::string with_backend(const std::string& backend) {
  return "clusters:\n- scope: main\n  members: [http://10.0.0.11]\n  backends:\n  - " + backend + "\n" + kHaproxy;
}
std::string with_members(const std::string& members) {
  return "clusters:\n- scope: main\n  members: " + members + "\n  backends: [{name: w, serves: primary}]\n" + kHaproxy;
}
std::string with_haproxy(const std::string& haproxy) {
  return kCluster + "haproxy: {" + haproxy + "}\n";
}
std::string with_cluster_key(const std::string& line) {
  return kCluster + "  " + line + "\n" + kHaproxy;
}

std::string slurp(const std::string& path) {
  std::ifstream in(path);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

}  // namespace

TEST_CASE("the smallest configuration gets every default") {
  const auto config = parse_config(kCluster + kHaproxy, "f");
  REQUIRE(config);
  Config expected;
  expected.clusters.resize(1);
  expected.clusters[0].scope = "main";
  expected.clusters[0].members = {{"http://10.0.0.11:8008", false, "10.0.0.11", 8008}};
  expected.clusters[0].backends.resize(1);
  expected.clusters[0].backends[0].name = "w";
  expected.clusters[0].backends[0].line = 5;
  expected.haproxy.socket = "/s";
  CHECK(*config == expected);
}

TEST_CASE("every key is read into its place") {
  const auto config = parse_config(
      "clusters:\n"
      "  - scope: main\n"
      "    members: [https://PG1.example, 'https://[fd00::2]:8009']\n"
      "    backends:\n"
      "      - {name: w, serves: primary, server_options: 'check port {{api_port}}'}\n"
      "      - name: r\n"
      "        serves: replica\n"
      "        max_lag: 16MB\n"
      "        lag_back: 1MB\n"
      "        lag_hold: 2s\n"
      "        fallback: primary\n"
      "    poll: {calm: 2s, alert: 20ms, timeout: 700ms}\n"
      "    tls: {ca: /ca, cert: /cert, key: /key, key_password_file: /pw, server_name: pg.example, verify: false}\n"
      "    keep_silent: 1min\n"
      "    follow: 20s\n"
      "haproxy:\n"
      "  method: file\n"
      "  socket: /s\n"
      "  master_socket: /m\n"
      "  fragment: /d/f.cfg\n"
      "  template: /t\n"
      "  validate: [haproxy, -c, -f, /d]\n"
      "  reload: [systemctl, reload, haproxy]\n"
      "  observe: true\n"
      "http: {listen: '[::1]:9000'}\n"
      "state: {path: /var/x}\n"
      "journal: {path: /var/j, keep: 1GB}\n"
      "log: {level: warning, format: json}\n",
      "f");
  REQUIRE(config);
  Config expected;
  controller::ClusterConfig cluster;
  cluster.scope = "main";
  cluster.members = {{"https://pg1.example:8008", true, "pg1.example", 8008},
                     {"https://[fd00::2]:8009", true, "fd00::2", 8009}};
  controller::BackendConfig writes, reads;
  writes.name = "w";
  writes.server_options = "check port {{api_port}}";
  writes.line = 5;
  reads.name = "r";
  reads.serves = Serves::replica;
  reads.max_lag_bytes = 16'777'216;
  reads.lag_back_bytes = 1'048'576;
  reads.lag_hold = milliseconds(2000);
  reads.fallback_primary = true;
  reads.line = 6;
  cluster.backends = {writes, reads};
  cluster.poll = {milliseconds(2000), milliseconds(20), milliseconds(700)};
  cluster.tls = {"/ca", "/cert", "/key", "/pw", "pg.example", false};
  cluster.keep_silent = milliseconds(60'000);
  cluster.follow = milliseconds(20'000);
  expected.clusters = {cluster};
  expected.haproxy = {
      Method::file, "/s", "/m", "/d/f.cfg", "/t", {"haproxy", "-c", "-f", "/d"}, {"systemctl", "reload", "haproxy"}, true};
  expected.http = {"::1", 9000, true};
  expected.state = "/var/x";
  expected.journal = {true, "/var/j", 1'073'741'824};
  expected.log_level = controller::LogLevel::warning;
  expected.log_format = controller::LogFormat::json;
  CHECK(*config == expected);
}

TEST_CASE("lag_back is three quarters of max_lag where it is not given") {
  const auto config = parse_config(with_backend("{name: r, serves: replica, max_lag: 16MB}"), "f");
  REQUIRE(config);
  CHECK(config->clusters[0].backends[0].lag_back_bytes == 12'582'912);
}

TEST_CASE("reload: master_socket is the empty command, and http: off switches the listener off") {
  const auto config =
      parse_config(with_haproxy("method: file, master_socket: /m, fragment: /f, reload: master_socket") + "http: off\n", "f");
  REQUIRE(config);
  CHECK(config->haproxy.reload.empty());
  CHECK_FALSE(config->http.enabled);
}

TEST_CASE("the journal is in the folder of the state unless it says otherwise, or is off") {
  const auto journal = [](const std::string& lines) {
    const auto config = parse_config(kCluster + kHaproxy + lines, "f");
    REQUIRE(config);
    return config->journal;
  };
  CHECK(journal("") == controller::JournalConfig{true, "/var/lib/pointsman", 67'108'864});
  CHECK(journal("state: /srv/p\n").path == "/srv/p");
  CHECK(journal("state: /srv/p\njournal: {keep: 1MB}\n") == controller::JournalConfig{true, "/srv/p", 1'048'576});
  CHECK(journal("state: /srv/p\njournal: /srv/j\n").path == "/srv/j");
  CHECK_FALSE(journal("journal: off\n").enabled);
  CHECK(complaints(kCluster + kHaproxy + "journal: {keep: 900kB}\n") ==
        "f:7:17: 'keep' is 900kB, out of range (write a size from 1MB to 1TB)\n");
  CHECK(complaints(kCluster + kHaproxy + "journal: {keep: lots, pth: /x}\n") ==
        "f:7:17: 'keep' is 'lots', no size (write a size such as 512kB, 16MB or 1GB)\n"
        "f:7:23: unknown key 'pth' (did you mean 'path'?)\n");
  CHECK(complaints(kCluster + kHaproxy + "journal: var\n") ==
        "f:7:10: 'journal' is 'var', not an absolute path (write the whole path, from '/' on)\n");
}

TEST_CASE("a state that is a bare path is taken") {
  const auto config = parse_config(kCluster + kHaproxy + "state: /srv/p\n", "f");
  REQUIRE(config);
  CHECK(config->state == "/srv/p");
}

TEST_CASE("the packaged example is taken, with the optional keys commented out and with all of them in") {
  const std::string example = slurp(POINTSMAN_FIXTURES "/../../packaging/pointsman.yml");
  REQUIRE(!example.empty());
  CHECK(complaints(example) == "");

  std::string full;
  std::istringstream lines(example);
  for (std::string line; std::getline(lines, line);) full += (line.starts_with("#-") ? line.substr(2) : line) + "\n";
  // Its members are http, and tls is for https only.
  for (std::size_t at = 0; (at = full.find("- http://", at)) != std::string::npos;) full.replace(at, 9, "- https://");
  CHECK(complaints(full) == "");

  // What is commented out is the default, but for the keys that have none.
  const auto with_defaults = parse_config(example, "f");
  const auto written_out = parse_config(full, "f");
  REQUIRE(with_defaults);
  REQUIRE(written_out);
  CHECK(written_out->clusters[0].poll == with_defaults->clusters[0].poll);
  CHECK(written_out->clusters[0].follow == with_defaults->clusters[0].follow);
  CHECK(written_out->clusters[0].tls.verify == with_defaults->clusters[0].tls.verify);
  CHECK(written_out->clusters[0].backends[0].server_options == with_defaults->clusters[0].backends[0].server_options);
  CHECK(written_out->clusters[0].backends[1].lag_hold == with_defaults->clusters[0].backends[1].lag_hold);
  CHECK(written_out->haproxy.reload == with_defaults->haproxy.reload);
  CHECK(written_out->haproxy.observe == with_defaults->haproxy.observe);
  CHECK(written_out->http.address == with_defaults->http.address);
  CHECK(written_out->http.port == with_defaults->http.port);
  CHECK(written_out->state == with_defaults->state);
  CHECK(written_out->log_level == with_defaults->log_level);
  CHECK(written_out->log_format == with_defaults->log_format);
}

TEST_CASE("a file that is empty, no YAML, or no mapping is one complaint") {
  CHECK(complaints("") == "f: the file is empty (write the keys clusters and haproxy)\n");
  CHECK(complaints("# nothing\n") == "f: the file is empty (write the keys clusters and haproxy)\n");
  CHECK(complaints("x") ==
        "f:1:1: 'the file' is 'x' (write a mapping with the keys clusters, haproxy, http, state, journal, log)\n");
  CHECK(complaints("- a") ==
        "f:1:1: 'the file' is a list (write a mapping with the keys clusters, haproxy, http, state, journal, log)\n");
  CHECK(complaints("clusters:\n  - scope: a: b\n") ==
        "f:2:13: this is no YAML: illegal map value (check the indentation, the colons and the brackets)\n");
  CHECK(complaints("a: [b") ==
        "f:1:1: this is no YAML: end of sequence flow not found (check the indentation, the colons and the brackets)\n");
}

TEST_CASE("a file that begins with a comma has an end") {
  CHECK_FALSE(complaints(",").empty());
  CHECK_FALSE(complaints(",a: 1\n").empty());
}

TEST_CASE("a second document and an alias are refused where they stand") {
  CHECK(complaints("a: 1\n---\nb: 1\n") == "f:2:1: a second document begins here (keep one document in the file)\n");
  CHECK(complaints("a: &x [1]\nb: *x\n") == "f:2:4: an alias ('*NAME') is not read (write its value out)\n");
  CHECK(complaints("a: &x [*x]\n").find("f:1:8: an alias") == 0);
}

TEST_CASE("deep nesting and a bomb of aliases end in a complaint") {
  CHECK(complaints(std::string(100'000, '[')).find("this is no YAML") != std::string::npos);
  CHECK(complaints(std::string(100'000, '{')).find("this is no YAML") != std::string::npos);
  std::string deep = "a";
  for (int i = 0; i < 100'000; ++i) deep += ":\n" + std::string(1, ' ');
  CHECK(!complaints(deep).empty());
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 30; ++i) {
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int j = 0; j < 10; ++j) bomb += "*a" + std::to_string(i - 1) + ", ";
    bomb += "]\n";
  }
  CHECK(complaints(bomb).find("f:2:10: an alias ('*NAME') is not read (write its value out)\n") == 0);
  CHECK(complaints(std::string(1'000'001, '#')) == "f: the file has 1000001 bytes (a configuration has at most 1000000)\n");
}

TEST_CASE("every cut and every changed byte of the example is taken or refused, never more") {
  const std::string example = slurp(POINTSMAN_FIXTURES "/../../packaging/pointsman.yml");
  REQUIRE(example.size() > 1000);
  const std::string all = [&] {
    std::string text;
    std::istringstream lines(example);
    for (std::string line; std::getline(lines, line);) {
      const auto hash = line.find("# ");
      const std::string kept = line.starts_with("#-") ? line.substr(2) : line.substr(0, hash);
      if (kept.find_first_not_of(" #") != std::string::npos) text += kept + "\n";
    }
    return text;
  }();
  std::size_t taken = 0;
  for (std::size_t at = 0; at < all.size(); ++at) {
    if (at % 3 == 0) taken += complaints(all.substr(0, at)).empty() ? 1U : 0U;
    for (const char c : {'\t', ':', '*', '\0', '\xff', '[', '"', '\n', '&', '!'}) {
      if ((at + static_cast<unsigned char>(c)) % 7 != 0) continue;
      std::string broken = all;
      broken[at] = c;
      taken += complaints(broken).empty() ? 1U : 0U;
    }
  }
  CHECK(taken < all.size());
}

TEST_CASE("an unknown key is named, with the near one or with all there are") {
  CHECK(complaints(with_cluster_key("folow: 15s")) == "f:6:3: unknown key 'folow' (did you mean 'follow'?)\n");
  CHECK(complaints(with_cluster_key("bakcends: []")) == "f:6:3: unknown key 'bakcends' (did you mean 'backends'?)\n");
  CHECK(complaints(with_cluster_key("auth: {}")) ==
        "f:6:3: unknown key 'auth' (the keys here are scope, members, backends, poll, tls, watch, keep_silent, follow, hold, "
        "pre_hold)\n");
  CHECK(complaints(with_cluster_key("<<: {a: b}")) ==
        "f:6:3: unknown key '<<' (the keys here are scope, members, backends, poll, tls, watch, keep_silent, follow, hold, "
        "pre_hold)\n");
  CHECK(complaints(with_cluster_key("[a, b]: c")) ==
        "f:6:3: a key that is no word (the keys here are scope, members, backends, poll, tls, watch, keep_silent, follow, "
        "hold, pre_hold)\n");
  for (const char* key : {"auth", "forget"}) {
    CHECK(complaints(with_cluster_key(std::string(key) + ": 1s")).find("unknown key") != std::string::npos);
  }
  for (const char* key : {"port", "tags", "prefer", "match"}) {
    CHECK(complaints(with_backend("{name: r, serves: replica, " + std::string(key) + ": x}")).find("unknown key") !=
          std::string::npos);
  }
}

TEST_CASE("a doubled key is found, in any mapping") {
  CHECK(complaints(with_cluster_key("scope: other")) ==
        "f:6:3: key 'scope' is given twice (the first is in line 2; keep one)\n");
  CHECK(complaints(with_backend("{name: w, serves: primary, name: v}")) ==
        "f:5:32: key 'name' is given twice (the first is in line 5; keep one)\n");
  CHECK(complaints(kCluster + kHaproxy + kHaproxy) ==
        "f:7:1: key 'haproxy' is given twice (the first is in line 6; keep one)\n");
}

TEST_CASE("what is missing is named where it should stand") {
  CHECK(complaints(kCluster) ==
        "f:1:1: 'haproxy' is missing (give HAProxy's socket: haproxy: {socket: /run/haproxy/admin.sock})\n");
  CHECK(complaints(kHaproxy) == "f:1:1: 'clusters' is missing (list the Patroni clusters)\n");
  CHECK(complaints("clusters:\n- {}\n" + kHaproxy) ==
        "f:2:3: 'scope' is missing (write the scope of Patroni's configuration)\n"
        "f:2:3: 'members' is missing (list the URLs of the members' REST APIs)\n"
        "f:2:3: 'backends' is missing (list the backends of HAProxy that this cluster stands behind)\n");
  CHECK(complaints(with_backend("{}")) ==
        "f:5:5: 'name' is missing (write the name of a backend of HAProxy's configuration)\n"
        "f:5:5: 'serves' is missing (write serves: primary or serves: replica)\n");
  CHECK(complaints("clusters: []\n" + kHaproxy) ==
        "f:1:11: 'clusters' is empty (write a list of clusters, each with scope, members and backends)\n");
  CHECK(complaints(with_members("")) ==
        "f:3:3: 'members' has no value (write a list such as [http://10.0.0.11:8008, http://10.0.0.12:8008])\n");
}

TEST_CASE("a value of the wrong type is refused") {
  CHECK(complaints(with_members("http://10.0.0.11")) ==
        "f:3:12: 'members' is no list (write a list such as [http://10.0.0.11:8008, http://10.0.0.12:8008])\n");
  CHECK(complaints(with_backend("{name: [w], serves: primary}")) == "f:5:12: 'name' is a list (write a single value)\n");
  CHECK(complaints(with_backend("{name: {a: b}, serves: primary}")) == "f:5:12: 'name' is a mapping (write a single value)\n");
  CHECK(complaints(with_backend("{name: , serves: primary}")) == "f:5:6: 'name' has no value (write one, or remove the key)\n");
  CHECK(complaints(with_backend("{name: '', serves: primary}")) ==
        "f:5:12: 'name' has no value (write one, or remove the key)\n");
  CHECK(complaints(with_backend("w")) ==
        "f:5:5: 'backends' is 'w' (write a mapping with the keys name, serves, max_lag, lag_back, lag_hold, fallback, "
        "ramp, server_options)\n");
  CHECK(complaints(with_cluster_key("poll: 1s")) ==
        "f:6:9: 'poll' is '1s' (write a mapping with the keys calm, alert, timeout)\n");
  CHECK(complaints(with_haproxy("socket: /s, observe: maybe")) == "f:6:32: 'observe' is 'maybe' (write true or false)\n");
  CHECK(complaints(with_backend("{name: \"a\\nb\", serves: primary}")) ==
        "f:5:12: 'name' has a control character in it: 'a\\x0ab' (write it on one line, in printable characters)\n");
  CHECK(complaints(with_haproxy("socket: \"/s\\0\"")) ==
        "f:6:19: 'socket' has a control character in it: '/s\\x00' (write it on one line, in printable characters)\n");
}

TEST_CASE("a ramp has a start, and takes 2 s where it does not say how long") {
  const auto ramp = [](const std::string& text) {
    return parse_config(with_backend("{name: w, serves: primary, ramp: " + text + "}"), "f")->clusters[0].backends[0].ramp;
  };
  CHECK(ramp("{start: 20}") == controller::RampConfig{20, milliseconds(2000)});
  CHECK(ramp("{start: 10000, over: 100ms}") == controller::RampConfig{10'000, milliseconds(100)});
  CHECK(ramp("{over: 1min, start: 1}") == controller::RampConfig{1, milliseconds(60'000)});
  CHECK_FALSE(parse_config(kCluster + kHaproxy, "f")->clusters[0].backends[0].ramp);
}

TEST_CASE("what is no ramp is refused") {
  const auto ramp = [](const std::string& text) {
    return complaints(with_backend("{name: w, serves: primary, ramp: " + text + "}"));
  };
  CHECK(ramp("20") == "f:5:38: 'ramp' is '20' (write a mapping with the keys start, over)\n");
  CHECK(ramp("{over: 1s}") ==
        "f:5:38: 'start' is missing (write how many connections a new writer takes at first, such as 20)\n");
  CHECK(ramp("{start: 0}") == "f:5:46: 'start' is '0' (write a whole number, 1 to 10000)\n");
  CHECK(ramp("{start: 10001}") == "f:5:46: 'start' is '10001' (write a whole number, 1 to 10000)\n");
  CHECK(ramp("{start: -1}") == "f:5:46: 'start' is '-1' (write a whole number, 1 to 10000)\n");
  CHECK(ramp("{start: 20s}") == "f:5:46: 'start' is '20s' (write a whole number, 1 to 10000)\n");
  CHECK(ramp("{start: 99999999999}") == "f:5:46: 'start' is '99999999999' (write a whole number, 1 to 10000)\n");
  CHECK(ramp("{start: 20, over: 50ms}") == "f:5:56: 'over' is 50ms, out of range (write a duration from 100ms to 1min)\n");
  CHECK(ramp("{start: 20, over: 2min}") == "f:5:56: 'over' is 2min, out of range (write a duration from 100ms to 1min)\n");
  CHECK(ramp("{start: 20, ower: 2s}") == "f:5:50: unknown key 'ower' (did you mean 'over'?)\n");
  CHECK(complaints(with_backend("{name: r, serves: replica, ramp: {start: 20}}")) ==
        "f:5:32: 'ramp' goes with serves: primary only (remove it)\n");
}

TEST_CASE("a ramp goes with method: runtime only") {
  const std::string cluster =
      "clusters:\n- scope: main\n  members: [http://10.0.0.11]\n  backends:\n  - {name: w, serves: primary, ramp: {start: "
      "20}}\n";
  CHECK(complaints(cluster + "haproxy: {method: file, master_socket: /m, fragment: /d/f.cfg}\n") ==
        "f:5:32: 'ramp' goes with method: runtime only (remove it, or write method: runtime)\n");
  CHECK(complaints(cluster + "haproxy: {method: runtime, socket: /s, fragment: /d/f.cfg}\n") == "");
}

TEST_CASE("a backend's keys must go together") {
  CHECK(complaints(with_backend("{name: 'a b', serves: sync}")) ==
        "f:5:12: 'a b' is no name that HAProxy takes (use letters, digits, '-', '_', '.' and ':')\n"
        "f:5:27: 'serves' is 'sync' (write primary or replica)\n");
  CHECK(complaints(with_backend("{name: w, serves: primary, max_lag: 16MB, fallback: primary}")) ==
        "f:5:32: 'max_lag' goes with serves: replica only (remove it)\n"
        "f:5:47: 'fallback' goes with serves: replica only (remove it)\n");
  CHECK(complaints(with_backend("{name: r, serves: replica, max_lag: 16MB, lag_back: 17MB}")) ==
        "f:5:57: 'lag_back' is 17MB, above 'max_lag' (write a size of at most 16MB)\n");
  CHECK(complaints(with_backend("{name: r, serves: replica, lag_hold: 3s, fallback: replica}")) ==
        "f:5:32: 'lag_hold' without 'max_lag' (give max_lag as well)\n"
        "f:5:56: 'fallback' is 'replica' (the only value is primary)\n");
  CHECK(complaints(with_backend("{name: r, serves: replica, max_lag: lots}")) ==
        "f:5:41: 'max_lag' is 'lots', no size (write a size such as 512kB, 16MB or 1GB)\n");
  CHECK(complaints(with_backend("{name: r, serves: replica, max_lag: 0}")) ==
        "f:5:41: 'max_lag' is 0, which no replica can keep (write a size such as 16MB)\n");
  CHECK(complaints(with_backend("{name: w, serves: primary, server_options: 'check port {{port}}'}"))
            .find("f:5:48: 'server_options': ") == 0);
}

TEST_CASE("scopes, members and backends are each given once in the whole file") {
  CHECK(complaints("clusters:\n"
                   "- scope: main\n"
                   "  members: [http://10.0.0.11]\n"
                   "  backends: [{name: w, serves: primary}]\n"
                   "- scope: main\n"
                   "  members: ['http://10.0.0.11:8008/']\n"
                   "  backends: [{name: w, serves: replica}]\n" +
                   kHaproxy) ==
        "f:5:10: scope 'main' is given twice (the first is in line 2)\n"
        "f:6:13: member 'http://10.0.0.11:8008' is given twice (the first is in line 3)\n"
        "f:7:21: backend 'w' is given twice (the first is in line 4)\n");
}

TEST_CASE("a member that is no URL is refused with its reason") {
  const std::string remedy = " (write a URL such as http://10.0.0.11:8008)\n";
  CHECK(complaints(with_members("[ftp://a]")) ==
        "f:3:13: member 'ftp://a': it begins with neither http:// nor https://" + remedy);
  CHECK(complaints(with_members("['http://a:b@c']")) == "f:3:13: member 'http://a:b@c': it has a user in it" + remedy);
  CHECK(complaints(with_members("[http://a/x]")) == "f:3:13: member 'http://a/x': it has a path" + remedy);
  CHECK(complaints(with_members("['http://a?x']")) == "f:3:13: member 'http://a?x': it has a query or a fragment" + remedy);
  CHECK(complaints(with_members("['http://']")) == "f:3:13: member 'http://': it has no host" + remedy);
  CHECK(complaints(with_members("[http://1.2.3]")) ==
        "f:3:13: member 'http://1.2.3': '1.2.3' is neither an address nor a host name" + remedy);
  CHECK(complaints(with_members("['http://a:0']")) ==
        "f:3:13: member 'http://a:0': '0' is no port (write a port from 1 to 65535)\n");
  CHECK(
      complaints(with_members("['http://fd00::1']")) ==
      "f:3:13: member 'http://fd00::1': an IPv6 address must stand in brackets (write a URL such as http://[fd00::11]:8008)\n");
}

TEST_CASE("the pace of asking stays within its bounds") {
  CHECK(complaints(with_cluster_key("poll: {calm: 1, timeout: 1m}")) ==
        "f:6:16: 'calm' is '1', no duration (write a duration such as 500ms, 1s or 2min)\n"
        "f:6:28: 'timeout' is '1m', no duration (write a duration such as 500ms, 1s or 2min)\n");
  CHECK(complaints(with_cluster_key("poll: {calm: 99ms, alert: 9ms, timeout: 31s}")) ==
        "f:6:16: 'calm' is 99ms, out of range (write a duration from 100ms to 1min)\n"
        "f:6:29: 'alert' is 9ms, out of range (write a duration from 10ms to 1min)\n"
        "f:6:43: 'timeout' is 31s, out of range (write a duration from 100ms to 30s)\n");
  CHECK(complaints(with_cluster_key("poll: {alert: 5s}")) ==
        "f:6:17: 'alert' is 5s, above 'calm', which is 1s (the alert pace is the faster one)\n");
  CHECK(complaints(with_cluster_key("poll: {calm: 60s, alert: 60s, timeout: 30s}")) == "");
}

TEST_CASE("tls needs an https member, and a certificate its key") {
  CHECK(complaints(with_cluster_key("tls: {ca: ca.pem, cert: /c, key_password_file: /k}")) ==
        "f:6:3: 'tls' is given, and no member is https (write https:// in the members' URLs, or remove it)\n"
        "f:6:13: 'ca' is 'ca.pem', not an absolute path (write the whole path, from '/' on)\n"
        "f:6:21: 'cert' without 'key' (give key as well)\n"
        "f:6:31: 'key_password_file' without 'key' (give key as well)\n");
  CHECK(complaints(with_cluster_key("tls: {key: /k, server_name: 'a b'}")).find("'key' without 'cert' (give cert as well)\n") !=
        std::string::npos);
  CHECK(complaints(with_cluster_key("tls: {server_name: 'a b'}")).find("'server_name' is 'a b', no host name") !=
        std::string::npos);
}

TEST_CASE("haproxy's keys must go together") {
  CHECK(complaints(with_haproxy("method: file, socket: /s")) ==
        "f:6:10: method: file without 'fragment' (give the path of the file that pointsman is to write)\n"
        "f:6:10: method: file with neither 'master_socket' nor 'reload' (give master_socket, or a list of words that reloads "
        "HAProxy)\n");
  CHECK(complaints(with_haproxy("method: file, fragment: /f, reload: [x]")) ==
        "f:6:10: method: file without 'socket' and 'master_socket' (give one of them, or both)\n");
  CHECK(complaints(with_haproxy("method: runtime, master_socket: /m")) ==
        "f:6:10: method: runtime without 'socket' (give the stats socket (level admin))\n");
  CHECK(complaints(with_haproxy("socket: /s, template: /t")) ==
        "f:6:23: 'template' without 'fragment' (give fragment as well, or remove it)\n");
  CHECK(complaints(with_haproxy("socket: /s, fragment: /f, reload: master_socket")) ==
        "f:6:45: 'reload' is master_socket, and there is no 'master_socket' (give its path as master_socket)\n");
  CHECK(complaints(with_haproxy("socket: /s, fragment: /f, validate: haproxy -c, reload: systemctl reload haproxy")) ==
        "f:6:47: 'validate' is 'haproxy -c', no list (write a list of words; there is no shell)\n"
        "f:6:67: 'reload' is 'systemctl reload haproxy', no list (write a list of words; there is no shell)\n");
  CHECK(complaints(with_haproxy("socket: /s, fragment: /f, validate: []")) ==
        "f:6:47: 'validate' is empty (write a list of words; there is no shell)\n");
  CHECK(complaints(with_haproxy("method: both, socket: /s")) == "f:6:19: 'method' is 'both' (write runtime or file)\n");
  CHECK(complaints(with_haproxy("socket: s")) ==
        "f:6:19: 'socket' is 's', not an absolute path (write the whole path, from '/' on)\n");
  CHECK(complaints(with_haproxy("socket: /" + std::string(96, 'a'))) == "");
  CHECK(complaints(with_haproxy("socket: /" + std::string(97, 'a'))) ==
        "f:6:19: 'socket' is 98 bytes long (HAProxy takes a socket's path of at most 97 bytes)\n");
}

TEST_CASE("http, state and log are checked") {
  const std::string good = kCluster + kHaproxy;
  const std::string remedy = ", no address and port (write an address such as 127.0.0.1:8010 or [::1]:8010, or http: off)\n";
  CHECK(complaints(good + "http: {listen: 'localhost:80'}\n") == "f:7:16: 'listen' is 'localhost:80'" + remedy);
  CHECK(complaints(good + "http: {listen: '127.0.0.1'}\n") == "f:7:16: 'listen' is '127.0.0.1'" + remedy);
  CHECK(complaints(good + "http: {listen: '::1:80'}\n") == "f:7:16: 'listen' is '::1:80'" + remedy);
  CHECK(complaints(good + "http: {listen: '127.0.0.1:70000'}\n") == "f:7:16: 'listen' is '127.0.0.1:70000'" + remedy);
  CHECK(complaints(good + "http: on\n") == "f:7:7: 'http' is no mapping (write {listen: \"127.0.0.1:8010\"}, or off)\n");
  CHECK(complaints(good + "state: var\n") ==
        "f:7:8: 'state' is 'var', not an absolute path (write the whole path, from '/' on)\n");
  CHECK(complaints(good + "state: {pth: /a}\n") ==
        "f:7:8: 'path' is missing (write the path of a folder)\n"
        "f:7:9: unknown key 'pth' (did you mean 'path'?)\n");
  CHECK(complaints(good + "log: {level: verbose, format: xml}\n") ==
        "f:7:14: 'level' is 'verbose' (write one of debug, info, warning, error)\n"
        "f:7:31: 'format' is 'xml' (write text or json)\n");
}

TEST_CASE("a file that cannot be read is one complaint without a line") {
  const auto config = controller::read_config("/nowhere/pointsman.yml");
  REQUIRE(!config);
  REQUIRE(config.error().size() == 1);
  CHECK(config.error()[0].file == "/nowhere/pointsman.yml");
  CHECK(config.error()[0].line == 0);
  CHECK(config.error()[0].what == "cannot read it: no such file");
}

TEST_CASE("durations have a unit, and no sign, fraction or blank") {
  CHECK(parse_duration("500ms") == milliseconds(500));
  CHECK(parse_duration("1s") == milliseconds(1000));
  CHECK(parse_duration("2min") == milliseconds(120'000));
  CHECK(parse_duration("24h") == milliseconds(86'400'000));
  CHECK(parse_duration("0s") == milliseconds(0));
  for (const char* bad : {"", "1", "s", "1.5s", "-1s", "+1s", " 1s", "1 s", "1s ", "25h", "1m", "1d", "1S",
                          "18446744073709551617ms", "99999999999999999999999h", "0x1s"}) {
    INFO(bad);
    CHECK_FALSE(parse_duration(bad));
  }
}

TEST_CASE("sizes count in powers of 1024") {
  CHECK(parse_size("1048576") == 1'048'576U);
  CHECK(parse_size("512kB") == 524'288U);
  CHECK(parse_size("16MB") == 16'777'216U);
  CHECK(parse_size("1GB") == 1'073'741'824U);
  for (const char* bad : {"", "MB", "1.5MB", "-1", "16 MB", "16mb", "16777216TB", "18446744073709551616"}) {
    INFO(bad);
    CHECK_FALSE(parse_size(bad));
  }
}

TEST_CASE("a member's URL is normalised") {
  CHECK(parse_member_url("http://10.0.0.11")->url == "http://10.0.0.11:8008");
  CHECK(parse_member_url("https://PG1.Example:443/")->url == "https://pg1.example:443");
  CHECK(parse_member_url("http://[FD00:0::1]")->url == "http://[fd00::1]:8008");
  CHECK(parse_member_url("http://[FD00:0::1]")->host == "fd00::1");
  CHECK(parse_member_url("https://a")->https);
  for (const char* bad : {"", "http://", "http://:80", "10.0.0.1", "http://[10.0.0.1]", "http://[::1", "http://[::1]x",
                          "http://a:", "http://a:+1", "http://a b", "http:///", "http://a//"}) {
    INFO(bad);
    CHECK_FALSE(parse_member_url(bad));
  }
}
