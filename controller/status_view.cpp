#include "controller/status_view.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <concepts>
#include <map>
#include <type_traits>
#include <utility>

#include "controller/json.h"
#include "controller/parse_patroni.h"

namespace controller {

namespace {

double seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

ShownVerdict shown_verdict(Place place, Reason reason, const std::string& evidence) {
  return {word(place), word(reason), printable(evidence, 1000)};
}

/// The sighting of a member; the lists stand in one order, and a URL that is elsewhere is looked for.
const Sighting* sighting_of(const PublishedCluster& cluster, std::size_t index) {
  const std::string& url = cluster.topology.members[index].url;
  if (index < cluster.members.size() && cluster.members[index].url == url) return &cluster.members[index];
  const auto found =
      std::find_if(cluster.members.begin(), cluster.members.end(), [&](const Sighting& s) { return s.url == url; });
  return found == cluster.members.end() ? nullptr : &*found;
}

ShownMember shown_member(const MemberVerdict& verdict, const Sighting* seen, Instant now) {
  ShownMember member;
  member.name = verdict.name;
  member.url = verdict.url;
  member.lag_bytes = verdict.lag_bytes;
  member.write = shown_verdict(verdict.write.place, verdict.write.reason, verdict.write.evidence);
  member.read = shown_verdict(verdict.read.place, verdict.read.reason, verdict.read.evidence);
  if (seen == nullptr) return member;
  if (seen->postgres) member.postgres = seen->postgres->text();
  if (const Answer* answer = seen->answer ? seen->answer->answer() : nullptr) {
    member.role = word(answer->role);
    member.state = word(answer->state);
    if (answer->timeline) member.timeline = *answer->timeline;
    member.answered_ago = seconds(now - seen->answer->asked_at);
  }
  if (seen->silence) {
    member.silent_for = seconds(now - seen->silence->since);
    member.silent_why = word(seen->silence->latest.failure);
  }
  return member;
}

ShownCluster shown_cluster(const PublishedCluster& published, Instant now) {
  const Topology& topology = published.topology;
  ShownCluster cluster;
  cluster.scope = published.scope;
  cluster.writer_state = word(topology.writer_state);
  if (topology.writer && *topology.writer < topology.members.size()) cluster.writer = topology.members[*topology.writer].name;
  cluster.claims = topology.claims;
  cluster.routes_right = published.routes_right;
  cluster.writer_in = published.writer_in;
  for (std::size_t i = 0; i < topology.members.size(); ++i) {
    cluster.members.push_back(shown_member(topology.members[i], sighting_of(published, i), now));
  }
  for (const PublishedServer& s : published.servers) {
    cluster.servers.push_back({s.backend, s.server, s.address, s.member, s.usable, s.backup, s.admin, s.operational, s.steering,
                               s.sessions, s.maxconn, shown_verdict(s.wanted, s.reason, s.evidence)});
  }
  if (published.watch.configured) cluster.watching = published.watch.connected;
  cluster.watch_trouble = printable(published.watch.trouble, 200);
  cluster.hold = word(published.hold);
  for (const PublishedHold& hold : published.holds) {
    cluster.holds.push_back({hold.backend, hold.state.waiting, hold.state.held, hold.state.expired, seconds(hold.state.left)});
  }
  for (const std::string& alarm : topology.alarms) cluster.alarms.push_back(printable(alarm, 1000));
  return cluster;
}

// What the JSON has of each value, once for writing and for reading: the keys, in their order.

template <class T, class Shown>
concept IsA = std::same_as<std::remove_const_t<T>, Shown>;

template <class Json, IsA<ShownVerdict> Verdict>
void fields(Json& json, Verdict& verdict) {
  json.field("place", verdict.place);
  json.field("reason", verdict.reason);
  json.field("evidence", verdict.evidence);
}

template <class Json, IsA<ShownMember> Member>
void fields(Json& json, Member& member) {
  json.field("name", member.name);
  json.field("url", member.url);
  json.field("postgres", member.postgres);
  json.field("role", member.role);
  json.field("state", member.state);
  json.field("timeline", member.timeline);
  json.field("lag_bytes", member.lag_bytes);
  json.field("answered_ago", member.answered_ago);
  json.field("silent_for", member.silent_for);
  json.field("silent_why", member.silent_why);
  json.field("write", member.write);
  json.field("read", member.read);
}

template <class Json, IsA<ShownServer> Server>
void fields(Json& json, Server& server) {
  json.field("backend", server.backend);
  json.field("server", server.server);
  json.field("address", server.address);
  json.field("member", server.member);
  json.field("usable", server.usable);
  json.field("backup", server.backup);
  json.field("admin", server.admin);
  json.field("operational", server.operational);
  json.field("steering", server.steering);
  json.field("sessions", server.sessions);
  json.field("maxconn", server.maxconn);
  json.field("wanted", server.wanted);
}

template <class Json, IsA<ShownHold> Hold>
void fields(Json& json, Hold& hold) {
  json.field("backend", hold.backend);
  json.field("waiting", hold.waiting);
  json.field("left", hold.left);
  json.field("held", hold.held);
  json.field("expired", hold.expired);
}

template <class Json, IsA<ShownCluster> Cluster>
void fields(Json& json, Cluster& cluster) {
  json.field("scope", cluster.scope);
  json.field("writer_state", cluster.writer_state);
  json.field("writer", cluster.writer);
  json.field("claims", cluster.claims);
  json.field("routes_right", cluster.routes_right);
  json.field("writer_in", cluster.writer_in);
  json.field("members", cluster.members);
  json.field("servers", cluster.servers);
  json.field("watching", cluster.watching);
  json.field("watch_trouble", cluster.watch_trouble);
  json.field("hold", cluster.hold);
  json.field("holds", cluster.holds);
  json.field("alarms", cluster.alarms);
}

template <class Json, IsA<StatusView> View>
void fields(Json& json, View& view) {
  json.field("source", view.source);
  json.field("version", view.version);
  json.field("age", view.age);
  json.field("method", view.method);
  json.field("observe", view.observe);
  json.object("haproxy", [&](auto& haproxy) {
    haproxy.field("error", view.haproxy_error);
    haproxy.field("version", view.haproxy_version);
    haproxy.field("pid", view.haproxy_pid);
    haproxy.field("started", view.haproxy_started);
  });
  json.field("journal_trouble", view.journal_trouble);
  json.field("clusters", view.clusters);
}

/// Written only.
void fields(auto& json, const Counters& counters) {
  json.field("rounds", counters.rounds);
  json.field("commands_sent", counters.commands_sent);
  json.field("commands_refused", counters.commands_refused);
  json.field("reloads", counters.reloads);
  json.field("reloads_failed", counters.reloads_failed);
  json.field("sessions_ended", counters.sessions_ended);
  json.field("fragment_writes", counters.fragment_writes);
  json.field("writer_changes", counters.writer_changes);
  json.field("foreign_restarts", counters.foreign_restarts);
  json.field("journal_lost", counters.journal_lost);
}

class Writer {
 public:
  template <class T>
  void field(const char* key, const T& value) {
    json_.key(key);
    put(value);
  }
  void object(const char* key, auto body) {
    json_.key(key);
    braced(body);
  }
  /// The whole of it.
  [[nodiscard]] std::string document(auto body) {
    braced(body);
    return json_.take();
  }

 private:
  void braced(auto body) {
    json_.begin_object();
    body(*this);
    json_.end_object();
  }
  void put(const std::string& value) { json_.text(value); }
  void put(bool value) { json_.boolean(value); }
  void put(std::uint64_t value) { json_.number(value); }
  void put(std::int64_t value) { json_.number(value); }
  void put(double value) { json_.number(value); }
  template <class T>
  void put(const T& value) {
    braced([&](Writer& inner) { fields(inner, value); });
  }
  template <class T>
  void put(const std::optional<T>& value) {
    value ? put(*value) : static_cast<void>(json_.null());
  }
  template <class T>
  void put(const std::vector<T>& values) {
    json_.begin_array();
    for (const T& value : values) put(value);
    json_.end_array();
  }
  void put(const std::map<std::string, std::uint64_t>& counts) {
    braced([&](Writer& inner) {
      for (const auto& [name, count] : counts) inner.field(printable(name).c_str(), count);
    });
  }

  JsonText json_{true};
};

/// Reads the keys of one object and remembers the first that is missing or of another type.
class Reader {
 public:
  Reader(const rapidjson::Value& object, std::string& missing) : object_(object), missing_(missing) {}
  void field(const char* key, std::string& value) { need(key, value, json_string(object_, key)); }
  void field(const char* key, bool& value) { need(key, value, json_bool(object_, key)); }
  void field(const char* key, std::uint64_t& value) { need(key, value, json_uint(object_, key)); }
  void field(const char* key, std::int64_t& value) { need(key, value, json_int(object_, key)); }
  void field(const char* key, double& value) { need(key, value, json_double(object_, key)); }
  void field(const char* key, std::optional<std::string>& value) { value = json_string(object_, key); }
  void field(const char* key, std::optional<bool>& value) { value = json_bool(object_, key); }
  void field(const char* key, std::optional<std::uint64_t>& value) { value = json_uint(object_, key); }
  void field(const char* key, std::optional<double>& value) { value = json_double(object_, key); }
  template <class T>
  void field(const char* key, T& value) {
    object(key, [&](Reader& inner) { fields(inner, value); });
  }
  template <class T>
  void field(const char* key, std::vector<T>& values) {
    const rapidjson::Value* array = json_array(object_, key);
    if (array == nullptr) return miss(key);
    for (const rapidjson::Value& element : array->GetArray()) {
      Reader inner(element, missing_);
      fields(inner, values.emplace_back());
    }
  }
  void field(const char* key, std::vector<std::string>& values) {
    const rapidjson::Value* array = json_array(object_, key);
    if (array == nullptr) return miss(key);
    for (const rapidjson::Value& element : array->GetArray()) {
      if (!element.IsString()) return miss(key);
      values.emplace_back(element.GetString(), element.GetStringLength());
    }
  }
  void object(const char* key, auto body) {
    const rapidjson::Value* value = json_object(object_, key);
    if (value == nullptr) return miss(key);
    Reader inner(*value, missing_);
    body(inner);
  }

 private:
  template <class T>
  void need(const char* key, T& value, std::optional<T> read) {
    if (!read) return miss(key);
    value = std::move(*read);
  }
  void miss(const char* key) {
    if (missing_.empty()) missing_ = key;
  }
  const rapidjson::Value& object_;
  std::string& missing_;
};

}  // namespace

StatusView status_view(const Published& published, Instant now, std::string_view source) {
  StatusView view;
  view.source = source;
  view.version = published.version;
  view.age = seconds(now - published.at);
  view.method = published.method;
  view.observe = published.observe;
  view.haproxy_error = printable(published.haproxy_error, 1000);
  view.journal_trouble = printable(published.journal_trouble, 1000);
  view.haproxy_version = printable(published.worker.version);
  view.haproxy_pid = published.worker.pid;
  view.haproxy_started = published.worker.start_time_sec;
  for (const PublishedCluster& cluster : published.clusters) view.clusters.push_back(shown_cluster(cluster, now));
  return view;
}

std::string render_status_json(const StatusView& view, const Counters& counters) {
  return Writer().document([&](Writer& writer) {
    fields(writer, view);
    writer.field("counters", counters);
  });
}

haproxy::Result<StatusView> parse_status_json(std::string_view text) {
  const auto document = read_json(text, "status");
  if (!document) return tl::unexpected(document.error());
  std::string missing;
  StatusView view;
  Reader reader(*document, missing);
  fields(reader, view);
  if (missing.empty()) return view;
  return haproxy::fail("read", "status", fmt::format("'{}' is missing or of the wrong type", missing),
                       "is the daemon of another version?");
}

}  // namespace controller
