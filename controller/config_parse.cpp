// The keys of the configuration, section by section, and what goes together.

#include <fmt/core.h>

#include <algorithm>
#include <exception>
#include <map>

#include "controller/config.h"
#include "controller/config_sections.h"
#include "haproxy/address.h"
#include "haproxy/fragment.h"

namespace controller {

namespace {

constexpr std::size_t kMostBytes = 1'000'000;
constexpr std::size_t kLongestSocketPath = 97;

/// What must be unlike in the whole file, by the line where it was first given.
struct Names {
  std::map<std::string, int> scopes, members, backends;
  std::vector<Entry> ramps;  ///< which go with a method that is read after them
};

bool is_new(std::map<std::string, int>& seen, const std::string& name, const Entry& entry, const char* kind,
            Complaints& complaints) {
  const auto [first, added] = seen.emplace(name, entry.line());
  if (!added) {
    complaints.add(entry.mark(), fmt::format("{} '{}' is given twice", kind, shown(name)),
                   fmt::format("the first is in line {}", first->second));
  }
  return added;
}

void read_lag(const Section& section, BackendConfig& backend, Complaints& complaints) {
  const auto max_lag = section.find("max_lag");
  const auto lag_back = section.find("lag_back");
  const auto lag_hold = section.find("lag_hold");
  const auto fallback = section.find("fallback");
  if (backend.serves == Serves::primary) {
    for (const auto* entry : {&max_lag, &lag_back, &lag_hold, &fallback}) {
      if (!*entry) continue;
      complaints.add((*entry)->key_mark, fmt::format("'{}' goes with serves: replica only", (*entry)->key), "remove it");
    }
    return;
  }
  if (fallback) backend.fallback_primary = read_choice(*fallback, {"primary"}, complaints).has_value();
  if (!max_lag) {
    for (const auto* entry : {&lag_back, &lag_hold}) {
      if (*entry)
        complaints.add((*entry)->key_mark, fmt::format("'{}' without 'max_lag'", (*entry)->key), "give max_lag as well");
    }
    return;
  }
  backend.max_lag_bytes = read_size(*max_lag, complaints);
  if (backend.max_lag_bytes == 0U) {
    complaints.add(max_lag->mark(), "'max_lag' is 0, which no replica can keep", "write a size such as 16MB");
  }
  const std::uint64_t most = backend.max_lag_bytes.value_or(0);
  backend.lag_back_bytes = most - most / 4;
  if (lag_back) {
    const auto bytes = read_size(*lag_back, complaints);
    if (bytes && backend.max_lag_bytes && *bytes > most) {
      complaints.add(lag_back->mark(), fmt::format("'lag_back' is {}, above 'max_lag'", lag_back->value.Scalar()),
                     fmt::format("write a size of at most {}", max_lag->value.Scalar()));
    }
    backend.lag_back_bytes = bytes.value_or(0);
  }
  if (lag_hold) backend.lag_hold = read_duration(*lag_hold, complaints).value_or(backend.lag_hold);
}

void read_primary(const Section& section, BackendConfig& backend, Names& names, Complaints& complaints) {
  const auto ramp = section.find("ramp");
  if (!ramp) return;
  if (backend.serves != Serves::primary) {
    complaints.add(ramp->key_mark, "'ramp' goes with serves: primary only", "remove it");
    return;
  }
  backend.ramp = read_ramp(*ramp, complaints);
  names.ramps.push_back(*ramp);
}

BackendConfig read_backend(const Entry& entry, Names& names, Complaints& complaints) {
  BackendConfig backend;
  backend.line = entry.line();
  const Section section(entry, {"name", "serves", "max_lag", "lag_back", "lag_hold", "fallback", "ramp", "server_options"},
                        complaints);
  if (const auto name = section.need("name", "write the name of a backend of HAProxy's configuration")) {
    backend.name = read_text(*name, complaints).value_or("");
    if (!backend.name.empty() && !haproxy::is_name(backend.name)) {
      complaints.add(name->mark(), fmt::format("'{}' is no name that HAProxy takes", shown(backend.name)),
                     "use letters, digits, '-', '_', '.' and ':'");
    } else if (!backend.name.empty()) {
      is_new(names.backends, backend.name, *name, "backend", complaints);
    }
  }
  const auto serves = section.need("serves", "write serves: primary or serves: replica");
  const auto choice = serves ? read_choice(*serves, {"primary", "replica"}, complaints) : std::nullopt;
  if (choice) {
    backend.serves = *choice == 0 ? Serves::primary : Serves::replica;
    read_lag(section, backend, complaints);
    read_primary(section, backend, names, complaints);
  }
  if (const auto options = section.find("server_options")) {
    backend.server_options = read_text(*options, complaints).value_or("");
    if (const auto rendered = haproxy::render_options(backend.server_options, 8008); !rendered) {
      complaints.add(options->mark(), fmt::format("'server_options': {}", shown(rendered.error().detail)),
                     rendered.error().hint);
    }
  }
  return backend;
}

Poll read_poll(const Entry& entry, Complaints& complaints) {
  Poll poll;
  const Section section(entry, {"calm", "alert", "timeout"}, complaints);
  const auto calm = section.find("calm");
  const auto alert = section.find("alert");
  const auto timeout = section.find("timeout");
  bool good = true;
  if (calm) {
    const auto value = read_duration(*calm, "100ms", "1min", complaints);
    good = value.has_value();
    poll.calm = value.value_or(poll.calm);
  }
  if (alert) {
    const auto value = read_duration(*alert, "10ms", "1min", complaints);
    good = good && value.has_value();
    poll.alert = value.value_or(poll.alert);
  }
  if (timeout) poll.timeout = read_duration(*timeout, "100ms", "30s", complaints).value_or(poll.timeout);
  if (good && poll.alert > poll.calm) {
    complaints.add(alert->mark(),
                   fmt::format("'alert' is {}, above 'calm', which is {}", alert->value.Scalar(),
                               calm ? calm->value.Scalar() : std::string("1s")),
                   "the alert pace is the faster one");
  }
  return poll;
}

std::vector<MemberUrl> read_members(const Entry& entry, Names& names, Complaints& complaints) {
  std::vector<MemberUrl> members;
  for (const Entry& element :
       read_list(entry, "write a list such as [http://10.0.0.11:8008, http://10.0.0.12:8008]", complaints)) {
    const auto text = read_text(element, complaints);
    if (!text) continue;
    auto url = parse_member_url(*text);
    if (!url) {
      complaints.add(element.mark(), fmt::format("member '{}': {}", shown(*text), shown(url.error().detail)), url.error().hint);
    } else if (is_new(names.members, url->url, element, "member", complaints)) {
      members.push_back(std::move(*url));
    }
  }
  return members;
}

ClusterConfig read_cluster(const Entry& entry, Names& names, Complaints& complaints) {
  ClusterConfig cluster;
  const Section section(
      entry, {"scope", "members", "backends", "poll", "tls", "watch", "keep_silent", "follow", "hold", "pre_hold"}, complaints);
  if (const auto scope = section.need("scope", "write the scope of Patroni's configuration")) {
    cluster.scope = read_text(*scope, complaints).value_or("");
    if (!cluster.scope.empty()) is_new(names.scopes, cluster.scope, *scope, "scope", complaints);
  }
  if (const auto members = section.need("members", "list the URLs of the members' REST APIs")) {
    cluster.members = read_members(*members, names, complaints);
  }
  if (const auto backends = section.need("backends", "list the backends of HAProxy that this cluster stands behind")) {
    for (const Entry& element :
         read_list(*backends, "write a list such as [{name: pg_primary, serves: primary}]", complaints)) {
      cluster.backends.push_back(read_backend(element, names, complaints));
    }
  }
  if (const auto poll = section.find("poll")) cluster.poll = read_poll(*poll, complaints);
  if (const auto tls = section.find("tls")) {
    cluster.tls = read_tls(*tls, complaints);
    const bool any = std::any_of(cluster.members.begin(), cluster.members.end(), [](const MemberUrl& m) { return m.https; });
    if (!any && !cluster.members.empty()) {
      complaints.add(tls->key_mark, "'tls' is given, and no member is https",
                     "write https:// in the members' URLs, or remove it");
    }
  }
  if (const auto watch = section.find("watch")) cluster.watch = read_watch(*watch, complaints);
  if (const auto keep = section.find("keep_silent")) cluster.keep_silent = read_duration(*keep, complaints);
  if (const auto follow = section.find("follow")) cluster.follow = read_duration(*follow, complaints).value_or(cluster.follow);
  if (const auto hold = section.find("hold")) cluster.hold = read_duration(*hold, "1s", "1h", complaints);
  if (const auto pre_hold = section.find("pre_hold")) {
    cluster.pre_hold = read_duration(*pre_hold, "0ms", "10s", complaints).value_or(cluster.pre_hold);
  }
  return cluster;
}

std::filesystem::path read_socket(const Section& section, std::string_view key, Complaints& complaints) {
  const auto entry = section.find(key);
  if (!entry) return {};
  const auto path = read_path(*entry, complaints);
  if (path && path->native().size() > kLongestSocketPath) {
    complaints.add(entry->mark(), fmt::format("'{}' is {} bytes long", key, path->native().size()),
                   fmt::format("HAProxy takes a socket's path of at most {} bytes", kLongestSocketPath));
  }
  return path.value_or("");
}

std::vector<std::string> read_command(const Entry& entry, Complaints& complaints) {
  std::vector<std::string> words;
  if (entry.value.IsScalar()) {
    complaints.add(entry.mark(), fmt::format("'{}' is '{}', no list", entry.key, shown(entry.value.Scalar())),
                   "write a list of words; there is no shell");
    return words;
  }
  for (const Entry& element : read_list(entry, "write a list of words; there is no shell", complaints)) {
    if (auto text = read_text(element, complaints)) words.push_back(std::move(*text));
  }
  return words;
}

void check_method(const Section& section, const Entry& entry, const HaproxyConfig& haproxy, Complaints& complaints) {
  const bool socket = section.find("socket").has_value();
  const bool master = section.find("master_socket").has_value();
  if (haproxy.method == Method::runtime) {
    if (!socket) complaints.add(entry.mark(), "method: runtime without 'socket'", "give the stats socket (level admin)");
    if (section.find("fragment")) return;
    for (const char* key : {"template", "validate", "reload"}) {
      const auto found = section.find(key);
      if (found)
        complaints.add(found->key_mark, fmt::format("'{}' without 'fragment'", key), "give fragment as well, or remove it");
    }
    return;
  }
  if (!section.find("fragment")) {
    complaints.add(entry.mark(), "method: file without 'fragment'", "give the path of the file that pointsman is to write");
  }
  if (!socket && !master) {
    complaints.add(entry.mark(), "method: file without 'socket' and 'master_socket'", "give one of them, or both");
  } else if (!master && !section.find("reload")) {
    complaints.add(entry.mark(), "method: file with neither 'master_socket' nor 'reload'",
                   "give master_socket, or a list of words that reloads HAProxy");
  }
}

HaproxyConfig read_haproxy(const Entry& entry, Complaints& complaints) {
  HaproxyConfig haproxy;
  const Section section(entry, {"method", "socket", "master_socket", "fragment", "template", "validate", "reload", "observe"},
                        complaints);
  if (!section.is_map()) return haproxy;
  bool method_known = true;
  if (const auto method = section.find("method")) {
    const auto choice = read_choice(*method, {"runtime", "file"}, complaints);
    method_known = choice.has_value();
    haproxy.method = choice == 1U ? Method::file : Method::runtime;
  }
  haproxy.socket = read_socket(section, "socket", complaints);
  haproxy.master_socket = read_socket(section, "master_socket", complaints);
  if (const auto fragment = section.find("fragment")) haproxy.fragment = read_path(*fragment, complaints).value_or("");
  if (const auto path = section.find("template")) haproxy.template_path = read_path(*path, complaints).value_or("");
  if (const auto validate = section.find("validate")) haproxy.validate = read_command(*validate, complaints);
  if (const auto reload = section.find("reload")) {
    if (!reload->value.IsScalar() || reload->value.Scalar() != "master_socket") {
      haproxy.reload = read_command(*reload, complaints);
    } else if (!section.find("master_socket")) {
      complaints.add(reload->mark(), "'reload' is master_socket, and there is no 'master_socket'",
                     "give its path as master_socket");
    }
  }
  if (const auto observe = section.find("observe")) haproxy.observe = read_flag(*observe, complaints).value_or(false);
  if (method_known) check_method(section, entry, haproxy, complaints);
  return haproxy;
}

HttpConfig read_http(const Entry& entry, HttpConfig http, Complaints& complaints) {
  if (entry.value.IsScalar() && (entry.value.Scalar() == "off" || entry.value.Scalar() == "false")) {
    http.enabled = false;
    return http;
  }
  if (!entry.value.IsMap()) {
    complaints.add(entry.mark(), "'http' is no mapping", "write {listen: \"127.0.0.1:8010\"}, or off");
    return http;
  }
  const Section section(entry, {"listen", "token_file"}, complaints);
  if (const auto token = section.find("token_file")) http.token_file = read_path(*token, complaints).value_or("");
  const auto listen = section.find("listen");
  const auto text = listen ? read_text(*listen, complaints) : std::nullopt;
  if (!text) return http;
  const auto colon = text->rfind(':');
  const auto ip = haproxy::parse_ip(std::string_view(*text).substr(0, colon));
  const auto port = colon == std::string::npos ? std::nullopt : haproxy::parse_port(std::string_view(*text).substr(colon + 1));
  if (!ip || !port || (ip->find(':') != std::string::npos) != text->starts_with('[')) {
    complaints.add(listen->mark(), fmt::format("'listen' is '{}', no address and port", shown(*text)),
                   "write an address such as 127.0.0.1:8010 or [::1]:8010, or http: off");
    return http;
  }
  http.address = *ip;
  http.port = *port;
  return http;
}

void read_rest(const Section& section, Config& config, Complaints& complaints) {
  if (const auto http = section.find("http")) config.http = read_http(*http, config.http, complaints);
  if (const auto state = section.find("state")) {
    std::optional<Entry> path = state;
    if (state->value.IsMap()) path = Section(*state, {"path"}, complaints).need("path", "write the path of a folder");
    if (path) config.state = read_path(*path, complaints).value_or(config.state);
  }
  config.journal = read_journal(section.find("journal"), config.state, complaints);
  const auto log = section.find("log");
  if (!log) return;
  const Section words(*log, {"level", "format"}, complaints);
  if (const auto level = words.find("level")) {
    const auto choice = read_choice(*level, {"debug", "info", "warning", "error"}, complaints);
    if (choice) config.log_level = static_cast<LogLevel>(*choice);
  }
  if (const auto format = words.find("format")) {
    const auto choice = read_choice(*format, {"text", "json"}, complaints);
    if (choice) config.log_format = static_cast<LogFormat>(*choice);
  }
}

Config read_document(const YAML::Node& root, Complaints& complaints) {
  Config config;
  Names names;
  const Entry whole{"the file", root.Mark(), root};
  const Section section(whole, {"clusters", "haproxy", "http", "state", "journal", "log"}, complaints);
  if (const auto clusters = section.need("clusters", "list the Patroni clusters")) {
    for (const Entry& element :
         read_list(*clusters, "write a list of clusters, each with scope, members and backends", complaints)) {
      config.clusters.push_back(read_cluster(element, names, complaints));
    }
  }
  if (const auto haproxy = section.need("haproxy", "give HAProxy's socket: haproxy: {socket: /run/haproxy/admin.sock}")) {
    config.haproxy = read_haproxy(*haproxy, complaints);
    for (const Entry& ramp : names.ramps) {
      if (config.haproxy.method == Method::file)
        complaints.add(ramp.key_mark, "'ramp' goes with method: runtime only", "remove it, or write method: runtime");
    }
  }
  read_rest(section, config, complaints);
  return config;
}

}  // namespace

Tls read_tls(const Entry& entry, Complaints& complaints) {
  Tls tls;
  const Section section(entry, {"ca", "cert", "key", "key_password_file", "server_name", "verify"}, complaints);
  const auto path = [&](std::string_view key) -> std::filesystem::path {
    const auto found = section.find(key);
    return found ? read_path(*found, complaints).value_or("") : std::filesystem::path();
  };
  tls.ca = path("ca");
  tls.cert = path("cert");
  tls.key = path("key");
  tls.key_password_file = path("key_password_file");
  if (const auto name = section.find("server_name")) {
    tls.server_name = read_text(*name, complaints).value_or("");
    if (!tls.server_name.empty() && !haproxy::is_host_name(tls.server_name) && !haproxy::parse_ip(tls.server_name)) {
      complaints.add(name->mark(), fmt::format("'server_name' is '{}', no host name", shown(tls.server_name)),
                     "write the name that the members' certificates carry");
    }
  }
  if (const auto verify = section.find("verify")) tls.verify = read_flag(*verify, complaints).value_or(true);

  const auto need = [&](std::string_view key, std::string_view other) {
    const auto found = section.find(key);
    if (found && !section.find(other)) {
      complaints.add(found->key_mark, fmt::format("'{}' without '{}'", key, other), fmt::format("give {} as well", other));
    }
  };
  need("cert", "key");
  need("key", "cert");
  need("key_password_file", "key");
  return tls;
}

tl::expected<Config, std::vector<Complaint>> parse_config(std::string_view yaml, const std::string& file) {
  Complaints complaints(file);
  try {
    if (yaml.size() > kMostBytes) {
      complaints.add_whole_file(fmt::format("the file has {} bytes", yaml.size()), "a configuration has at most 1000000");
    } else if (const auto root = load_yaml(yaml, complaints)) {
      if (root->IsNull()) {
        complaints.add_whole_file("the file is empty", "write the keys clusters and haproxy");
      } else {
        Config config = read_document(*root, complaints);
        if (complaints.empty()) return config;
      }
    }
  } catch (const std::exception& e) {
    complaints.add_whole_file(fmt::format("cannot understand it: {}", shown(e.what())), "");
  }
  return tl::unexpected(complaints.take());
}

}  // namespace controller
