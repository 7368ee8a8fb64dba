#include "controller/status_view.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>

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

void write(JsonText& json, const char* key, const std::string& value) {
  json.key(key).text(value);
}
void write(JsonText& json, const char* key, bool value) {
  json.key(key).boolean(value);
}
void write(JsonText& json, const char* key, std::uint64_t value) {
  json.key(key).number(value);
}
void write(JsonText& json, const char* key, std::int64_t value) {
  json.key(key).number(value);
}
void write(JsonText& json, const char* key, double value) {
  json.key(key).number(value);
}
template <class T>
void write(JsonText& json, const char* key, const std::optional<T>& value) {
  if (value)
    write(json, key, *value);
  else
    json.key(key).null();
}
void write(JsonText& json, const char* key, const ShownVerdict& verdict) {
  json.key(key).begin_object();
  write(json, "place", verdict.place);
  write(json, "reason", verdict.reason);
  write(json, "evidence", verdict.evidence);
  json.end_object();
}
void write(JsonText& json, const char* key, const std::map<std::string, std::uint64_t>& counts) {
  json.key(key).begin_object();
  for (const auto& [name, count] : counts) json.key(printable(name)).number(count);
  json.end_object();
}

void write_member(JsonText& json, const ShownMember& member) {
  json.begin_object();
  write(json, "name", member.name);
  write(json, "url", member.url);
  write(json, "postgres", member.postgres);
  write(json, "role", member.role);
  write(json, "state", member.state);
  write(json, "timeline", member.timeline);
  write(json, "lag_bytes", member.lag_bytes);
  write(json, "answered_ago", member.answered_ago);
  write(json, "silent_for", member.silent_for);
  write(json, "silent_why", member.silent_why);
  write(json, "write", member.write);
  write(json, "read", member.read);
  json.end_object();
}

void write_server(JsonText& json, const ShownServer& server) {
  json.begin_object();
  write(json, "backend", server.backend);
  write(json, "server", server.server);
  write(json, "address", server.address);
  write(json, "member", server.member);
  write(json, "usable", server.usable);
  write(json, "backup", server.backup);
  write(json, "admin", server.admin);
  write(json, "operational", server.operational);
  write(json, "steering", server.steering);
  write(json, "sessions", server.sessions);
  write(json, "maxconn", server.maxconn);
  write(json, "wanted", server.wanted);
  json.end_object();
}

void write_cluster(JsonText& json, const ShownCluster& cluster) {
  json.begin_object();
  write(json, "scope", cluster.scope);
  write(json, "writer_state", cluster.writer_state);
  write(json, "writer", cluster.writer);
  write(json, "claims", cluster.claims);
  write(json, "routes_right", cluster.routes_right);
  write(json, "writer_in", cluster.writer_in);
  json.key("members").begin_array();
  for (const ShownMember& member : cluster.members) write_member(json, member);
  json.end_array().key("servers").begin_array();
  for (const ShownServer& server : cluster.servers) write_server(json, server);
  json.end_array();
  write(json, "watching", cluster.watching);
  write(json, "watch_trouble", cluster.watch_trouble);
  write(json, "hold", cluster.hold);
  json.key("holds").begin_array();
  for (const ShownHold& hold : cluster.holds) {
    json.begin_object();
    write(json, "backend", hold.backend);
    write(json, "waiting", hold.waiting);
    write(json, "left", hold.left);
    write(json, "held", hold.held);
    write(json, "expired", hold.expired);
    json.end_object();
  }
  json.end_array().key("alarms").begin_array();
  for (const std::string& alarm : cluster.alarms) json.text(alarm);
  json.end_array().end_object();
}

void write_counters(JsonText& json, const Counters& counters) {
  json.key("counters").begin_object();
  write(json, "rounds", counters.rounds);
  write(json, "commands_sent", counters.commands_sent);
  write(json, "commands_refused", counters.commands_refused);
  write(json, "reloads", counters.reloads);
  write(json, "reloads_failed", counters.reloads_failed);
  write(json, "sessions_ended", counters.sessions_ended);
  write(json, "fragment_writes", counters.fragment_writes);
  write(json, "writer_changes", counters.writer_changes);
  write(json, "foreign_restarts", counters.foreign_restarts);
  json.end_object();
}

/// Reads the keys of one object and remembers the first that is missing or of another type.
class Reader {
 public:
  Reader(const rapidjson::Value& object, std::string& missing) : object_(object), missing_(missing) {}
  std::string text(const char* key) { return need(key, json_string(object_, key)); }
  bool flag(const char* key) { return need(key, json_bool(object_, key)); }
  std::uint64_t count(const char* key) { return need(key, json_uint(object_, key)); }
  std::int64_t whole(const char* key) { return need(key, json_int(object_, key)); }
  double number(const char* key) { return need(key, json_double(object_, key)); }
  ShownVerdict verdict(const char* key) {
    const rapidjson::Value* object = json_object(object_, key);
    if (object == nullptr) {
      miss(key);
      return {};
    }
    Reader reader(*object, missing_);
    return {reader.text("place"), reader.text("reason"), reader.text("evidence")};
  }
  template <class Each>
  void list(const char* key, Each each) {
    const rapidjson::Value* array = json_array(object_, key);
    if (array == nullptr) return miss(key);
    for (const rapidjson::Value& value : array->GetArray()) each(value);
  }
  [[nodiscard]] const rapidjson::Value& object() const { return object_; }

 private:
  template <class T>
  T need(const char* key, std::optional<T> value) {
    if (!value) miss(key);
    return value.value_or(T{});
  }
  void miss(const char* key) {
    if (missing_.empty()) missing_ = key;
  }
  const rapidjson::Value& object_;
  std::string& missing_;
};

ShownMember read_member(Reader json) {
  ShownMember member;
  member.name = json.text("name");
  member.url = json.text("url");
  member.postgres = json_string(json.object(), "postgres");
  member.role = json_string(json.object(), "role");
  member.state = json_string(json.object(), "state");
  member.timeline = json_uint(json.object(), "timeline");
  member.lag_bytes = json_uint(json.object(), "lag_bytes");
  member.answered_ago = json_double(json.object(), "answered_ago");
  member.silent_for = json_double(json.object(), "silent_for");
  member.silent_why = json.text("silent_why");
  member.write = json.verdict("write");
  member.read = json.verdict("read");
  return member;
}

ShownServer read_server(Reader json) {
  ShownServer server;
  server.backend = json.text("backend");
  server.server = json.text("server");
  server.address = json.text("address");
  server.member = json.text("member");
  server.usable = json.flag("usable");
  server.backup = json.flag("backup");
  server.admin = json.text("admin");
  server.operational = json.text("operational");
  server.steering = json.text("steering");
  server.sessions = json.count("sessions");
  server.maxconn = json.count("maxconn");
  server.wanted = json.verdict("wanted");
  return server;
}

ShownCluster read_cluster(Reader json, std::string& missing) {
  ShownCluster cluster;
  cluster.scope = json.text("scope");
  cluster.writer_state = json.text("writer_state");
  cluster.writer = json_string(json.object(), "writer");
  cluster.claims = json.count("claims");
  cluster.routes_right = json.flag("routes_right");
  cluster.writer_in = json.flag("writer_in");
  json.list("members", [&](const rapidjson::Value& value) { cluster.members.push_back(read_member({value, missing})); });
  json.list("servers", [&](const rapidjson::Value& value) { cluster.servers.push_back(read_server({value, missing})); });
  cluster.watching = json_bool(json.object(), "watching");
  cluster.watch_trouble = json.text("watch_trouble");
  cluster.hold = json.text("hold");
  json.list("holds", [&](const rapidjson::Value& value) {
    Reader hold(value, missing);
    ShownHold shown;
    shown.backend = hold.text("backend");
    shown.waiting = hold.count("waiting");
    shown.left = hold.number("left");
    shown.held = hold.count("held");
    shown.expired = hold.count("expired");
    cluster.holds.push_back(std::move(shown));
  });
  json.list("alarms", [&](const rapidjson::Value& value) {
    if (value.IsString())
      cluster.alarms.emplace_back(value.GetString(), value.GetStringLength());
    else
      missing = "alarms";
  });
  return cluster;
}

}  // namespace

StatusView status_view(const Published& published, Instant now, std::string_view source) {
  StatusView view;
  view.source = source;
  view.version = published.version;
  view.age = seconds(now - published.at);
  view.method = published.method;
  view.observe = published.observe;
  view.haproxy_error = printable(published.haproxy_error, 1000);
  view.haproxy_version = printable(published.worker.version);
  view.haproxy_pid = published.worker.pid;
  view.haproxy_started = published.worker.start_time_sec;
  for (const PublishedCluster& cluster : published.clusters) view.clusters.push_back(shown_cluster(cluster, now));
  return view;
}

std::string render_status_json(const StatusView& view, const Counters& counters) {
  JsonText json(true);
  json.begin_object();
  write(json, "source", view.source);
  write(json, "version", view.version);
  write(json, "age", view.age);
  write(json, "method", view.method);
  write(json, "observe", view.observe);
  json.key("haproxy").begin_object();
  write(json, "error", view.haproxy_error);
  write(json, "version", view.haproxy_version);
  write(json, "pid", view.haproxy_pid);
  write(json, "started", view.haproxy_started);
  json.end_object();
  json.key("clusters").begin_array();
  for (const ShownCluster& cluster : view.clusters) write_cluster(json, cluster);
  json.end_array();
  write_counters(json, counters);
  json.end_object();
  return json.take();
}

haproxy::Result<StatusView> parse_status_json(std::string_view text) {
  const auto document = read_json(text, "status");
  if (!document) return tl::unexpected(document.error());
  std::string missing;
  StatusView view;
  Reader json(*document, missing);
  view.source = json.text("source");
  view.version = json.text("version");
  view.age = json.number("age");
  view.method = json.text("method");
  view.observe = json.flag("observe");
  if (const rapidjson::Value* object = json_object(*document, "haproxy")) {
    Reader worker(*object, missing);
    view.haproxy_error = worker.text("error");
    view.haproxy_version = worker.text("version");
    view.haproxy_pid = worker.whole("pid");
    view.haproxy_started = worker.whole("started");
  } else if (missing.empty()) {
    missing = "haproxy";
  }
  json.list("clusters", [&](const rapidjson::Value& value) {
    view.clusters.push_back(read_cluster({value, missing}, missing));
  });
  if (missing.empty()) return view;
  return haproxy::fail("read", "status", fmt::format("'{}' is missing or of the wrong type", missing),
                       "is the daemon of another version?");
}

}  // namespace controller
