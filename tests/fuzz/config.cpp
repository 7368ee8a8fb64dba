// The configuration: YAML.

#include <algorithm>
#include <chrono>
#include <set>

#include "controller/config.h"
#include "haproxy/address.h"
#include "haproxy/fragment.h"
#include "tests/fuzz/fuzz.h"

namespace {

using namespace controller;
using namespace std::chrono_literals;
using fuzz::require;

bool has_control(const std::string& text) {
  return std::any_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

template <class T>
bool within(const T& value, const T& least, const T& most) {
  return least <= value && value <= most;
}

void require_sound(const MemberUrl& url) {
  const auto again = parse_member_url(url.url);
  require(again && *again == url, "a URL is in its one spelling");
  require(url.port > 0, "a URL has a port");
  require(haproxy::parse_ip(url.host) == url.host || haproxy::is_host_name(url.host), "a URL's host is one");
}

void require_sound(const BackendConfig& backend) {
  require(haproxy::is_name(backend.name), "a backend's name is one");
  require(backend.max_lag_bytes != 0U, "max_lag is above 0");
  require(backend.lag_back_bytes <= backend.max_lag_bytes.value_or(0), "lag_back is at most max_lag");
  require(backend.serves == Serves::replica || !backend.max_lag_bytes, "max_lag goes with replica only");
  require(backend.serves == Serves::replica || !backend.fallback_primary, "fallback goes with replica only");
  require(backend.serves == Serves::primary || !backend.ramp, "ramp goes with primary only");
  if (backend.ramp) {
    require(within(backend.ramp->start, 1U, 10'000U), "a ramp starts with 1 to 10000");
    require(within<milliseconds>(backend.ramp->over, 100ms, 1min), "a ramp is over in 100 ms to 1 min");
  }
  const auto options = haproxy::render_options(backend.server_options, 8008);
  require(options.has_value(), "server_options can be rendered");
  require(backend.line > 0, "a backend stands in a line");
}

void require_sound(const ClusterConfig& cluster) {
  require(!cluster.scope.empty() && !has_control(cluster.scope), "a cluster has a scope");
  require(!cluster.members.empty() && !cluster.backends.empty(), "a cluster has members and backends");
  std::set<std::string> urls;
  for (const MemberUrl& member : cluster.members) {
    require_sound(member);
    require(urls.insert(member.url).second, "no member is given twice");
  }
  for (const BackendConfig& backend : cluster.backends) require_sound(backend);
  require(within<milliseconds>(cluster.poll.calm, 100ms, 1min), "calm is 100 ms to 1 min");
  require(within<milliseconds>(cluster.poll.alert, 10ms, cluster.poll.calm), "alert is 10 ms to calm");
  require(within<milliseconds>(cluster.poll.timeout, 100ms, 30s), "timeout is 100 ms to 30 s");
  require(within<milliseconds>(cluster.pre_hold, 0ms, 10s), "pre_hold is at most 10 s");
  require(!cluster.hold || within<milliseconds>(*cluster.hold, 1s, 1h), "hold is 1 s to 1 h");
  require(within<milliseconds>(cluster.follow, 0ms, 24h), "follow is at most a day");
  require(!cluster.keep_silent || within<milliseconds>(*cluster.keep_silent, 0ms, 24h), "keep_silent is at most a day");
  require(cluster.tls.cert.empty() == cluster.tls.key.empty(), "a certificate comes with its key");
  if (!cluster.watch) return;
  require(!cluster.watch->endpoints.empty(), "a watch has an endpoint");
  for (const MemberUrl& endpoint : cluster.watch->endpoints) require_sound(endpoint);
}

void require_sound(const Config& config) {
  require(!config.clusters.empty(), "there is a cluster");
  std::set<std::string> backends;
  std::set<std::string> scopes;
  for (const ClusterConfig& cluster : config.clusters) {
    require_sound(cluster);
    require(scopes.insert(cluster.scope).second, "no scope is given twice");
    for (const BackendConfig& backend : cluster.backends) {
      require(backends.insert(backend.name).second, "no backend is given twice");
      require(config.haproxy.method == Method::runtime || !backend.ramp, "ramp goes with runtime only");
    }
  }
  const HaproxyConfig& haproxy = config.haproxy;
  for (const auto* path : {&haproxy.socket, &haproxy.master_socket, &haproxy.fragment, &haproxy.template_path, &config.state}) {
    require(path->empty() || path->is_absolute(), "paths are absolute");
    require(!has_control(path->native()), "paths are printable");
  }
  require(haproxy.socket.native().size() <= 97 && haproxy.master_socket.native().size() <= 97, "sockets' paths are short");
  require(!haproxy.socket.empty() || haproxy.method == Method::file, "runtime has a socket");
  require(!haproxy.fragment.empty() || haproxy.method == Method::runtime, "file has a fragment");
  require(haproxy::parse_ip(config.http.address) == config.http.address && config.http.port > 0, "it listens on an address");
}

void require_sound(const std::vector<Complaint>& complaints, std::string_view text) {
  require(!complaints.empty(), "a refusal says why");
  const auto lines = 1 + std::count(text.begin(), text.end(), '\n') + std::count(text.begin(), text.end(), '\r');
  const auto after = [](const Complaint& a, const Complaint& b) {
    return std::pair(a.line, a.column) < std::pair(b.line, b.column);
  };
  require(std::is_sorted(complaints.begin(), complaints.end(), after), "complaints are in the order of the file");
  for (const Complaint& complaint : complaints) {
    require(complaint.file == "pointsman.yml" && !complaint.what.empty(), "a complaint says where and what");
    require(!has_control(complaint.what) && !has_control(complaint.remedy), "a complaint is one line");
    require(complaint.what.size() + complaint.remedy.size() < 1000, "a complaint is short");
    require(complaint.line >= 0 && complaint.line <= lines, "its line is in the file");
    require((complaint.line == 0) == (complaint.column == 0), "line and column count from 1, both or neither");
  }
}

}  // namespace

bool fuzz::look_at(std::string_view input) {
  const auto config = parse_config(input, "pointsman.yml");
  config ? ::require_sound(*config) : ::require_sound(config.error(), input);
  const auto url = parse_member_url(input);
  if (url) ::require_sound(*url);
  const auto duration = parse_duration(input);
  require(!duration || within<milliseconds>(*duration, 0ms, 24h), "at most a day");
  return config || url || duration;
}
