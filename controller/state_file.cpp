#include "controller/state_file.h"

#include <fmt/core.h>

#include <algorithm>
#include <limits>

#include "controller/json.h"

namespace controller {

namespace {

constexpr std::uint64_t kVersion = 1;
constexpr std::int64_t kLongestTiming = 86'400;

/// Reads the keys of one object; the first that is missing or wrong is remembered.
class Reader {
 public:
  Reader(const rapidjson::Value& object, std::string& wrong) : object_(object), wrong_(wrong) {}
  std::string text(const char* key) { return need(key, json_string(object_, key)); }
  bool flag(const char* key) { return need(key, json_bool(object_, key)); }
  std::int64_t whole(const char* key, std::int64_t least, std::int64_t most) {
    const std::int64_t value = need(key, json_int(object_, key));
    if (value < least || value > most) blame(key);
    return std::clamp(value, least, most);
  }
  template <class Each>
  void list(const char* key, Each each) {
    const rapidjson::Value* array = json_array(object_, key);
    if (array == nullptr) return blame(key);
    for (const rapidjson::Value& value : array->GetArray()) {
      if (!value.IsObject()) blame(key);
      each(value);
    }
  }
  void blame(const char* key) {
    if (wrong_.empty()) wrong_ = key;
  }

 private:
  template <class T>
  T need(const char* key, std::optional<T> value) {
    if (!value) blame(key);
    return value.value_or(T{});
  }
  const rapidjson::Value& object_;
  std::string& wrong_;
};

RememberedMember read_member(Reader json) {
  RememberedMember member;
  member.url = json.text("url");
  member.name = json.text("name");
  member.host = json.text("host");
  member.port = static_cast<std::uint16_t>(json.whole("port", 0, std::numeric_limits<std::uint16_t>::max()));
  if (member.url.empty()) json.blame("url");
  if (!member.name.empty() && !haproxy::is_name(member.name)) json.blame("name");
  if (!member.host.empty() && !haproxy::parse_ip(member.host) && !haproxy::is_host_name(member.host)) json.blame("host");
  return member;
}

RememberedCluster read_cluster(Reader json, std::string& wrong) {
  RememberedCluster cluster;
  cluster.scope = json.text("scope");
  cluster.holder = json.text("holder");
  cluster.system_identifier = json.text("system_identifier");
  cluster.timeline = static_cast<std::uint32_t>(json.whole("timeline", 0, std::numeric_limits<std::uint32_t>::max()));
  cluster.silent_since = json.whole("silent_since", 0, std::numeric_limits<std::int64_t>::max());
  cluster.ttl = static_cast<int>(json.whole("ttl", 1, kLongestTiming));
  cluster.loop_wait = static_cast<int>(json.whole("loop_wait", 1, kLongestTiming));
  json.list("members", [&](const rapidjson::Value& value) { cluster.members.push_back(read_member({value, wrong})); });
  if (cluster.system_identifier.size() > 20 || cluster.system_identifier.find_first_not_of("0123456789") != std::string::npos) {
    json.blame("system_identifier");
  }
  return cluster;
}

RememberedRamp read_ramp(Reader& json) {
  constexpr std::int64_t kMost = std::numeric_limits<unsigned>::max();
  return {static_cast<unsigned>(json.whole("maxconn", 0, kMost)), static_cast<unsigned>(json.whole("start", 1, kMost)),
          std::chrono::milliseconds(json.whole("over_ms", 1, kLongestTiming))};
}

void write_cluster(JsonText& json, const RememberedCluster& cluster) {
  json.begin_object();
  json.key("scope").text(cluster.scope);
  json.key("holder").text(cluster.holder);
  json.key("system_identifier").text(cluster.system_identifier);
  json.key("timeline").number(std::uint64_t{cluster.timeline});
  json.key("silent_since").number(cluster.silent_since);
  json.key("ttl").number(std::int64_t{cluster.ttl});
  json.key("loop_wait").number(std::int64_t{cluster.loop_wait});
  json.key("members").begin_array();
  for (const RememberedMember& member : cluster.members) {
    json.begin_object();
    json.key("url").text(member.url);
    json.key("name").text(member.name);
    json.key("host").text(member.host);
    json.key("port").number(std::uint64_t{member.port});
    json.end_object();
  }
  json.end_array().end_object();
}

}  // namespace

haproxy::Result<Remembered> parse_state(std::string_view json, const std::string& file) {
  Remembered state;
  if (json.empty()) return state;
  const auto document = read_json(json, file);
  if (!document) return tl::unexpected(document.error());
  if (const auto version = json_uint(*document, "version"); version != kVersion) {
    return haproxy::fail("read", file, version ? fmt::format("its version is {}", *version) : std::string("it has no version"),
                         "another pointsman wrote it");
  }
  std::string wrong;
  Reader reader(*document, wrong);
  if (const rapidjson::Value* object = json_object(*document, "worker")) {
    Reader worker(*object, wrong);
    state.worker.pid = static_cast<int>(worker.whole("pid", 0, std::numeric_limits<int>::max()));
    state.worker.start_time_sec = worker.whole("start_time", 0, std::numeric_limits<std::int64_t>::max());
    state.worker.stopping = worker.flag("stopping");
    state.worker.version = worker.text("version");
  } else {
    reader.blame("worker");
  }
  const auto servers = [&](const char* key, const auto& take) {
    reader.list(key, [&](const rapidjson::Value& value) {
      Reader server(value, wrong);
      haproxy::ServerName name(server.text("backend"), server.text("server"));
      if (!haproxy::is_name(name.first) || !haproxy::is_name(name.second)) server.blame(key);
      take(std::move(name), server);
    });
  };
  servers("ours", [&](haproxy::ServerName name, Reader&) { state.ours.insert(std::move(name)); });
  servers("by_admin", [&](haproxy::ServerName name, Reader&) { state.by_admin.insert(std::move(name)); });
  servers("passes_wrongly", [&](haproxy::ServerName name, Reader& server) {
    state.passes_wrongly_since[std::move(name)] = server.whole("since", 1, std::numeric_limits<std::int64_t>::max());
  });
  if (document->HasMember("ramps")) {  // a file of an earlier version has none
    servers("ramps", [&](haproxy::ServerName name, Reader& server) { state.ramps[std::move(name)] = read_ramp(server); });
  }
  reader.list("clusters", [&](const rapidjson::Value& value) {
    state.clusters.push_back(read_cluster({value, wrong}, wrong));
  });
  if (wrong.empty()) return state;
  return haproxy::fail("read", file, fmt::format("'{}' is missing or wrong", wrong), "remove the file");
}

std::string render_state(const Remembered& state) {
  JsonText json(true);
  json.begin_object();
  json.key("version").number(kVersion);
  json.key("worker").begin_object();
  json.key("pid").number(std::int64_t{state.worker.pid});
  json.key("start_time").number(state.worker.start_time_sec);
  json.key("stopping").boolean(state.worker.stopping);
  json.key("version").text(state.worker.version);
  json.end_object();
  const auto begin_server = [&json](const haproxy::ServerName& name) {
    json.begin_object();
    json.key("backend").text(name.first);
    json.key("server").text(name.second);
  };
  const auto servers = [&](const char* key, const std::set<haproxy::ServerName>& names) {
    json.key(key).begin_array();
    for (const auto& name : names) {
      begin_server(name);
      json.end_object();
    }
    json.end_array();
  };
  servers("ours", state.ours);
  servers("by_admin", state.by_admin);
  json.key("passes_wrongly").begin_array();
  for (const auto& [name, since] : state.passes_wrongly_since) {
    begin_server(name);
    json.key("since").number(since);
    json.end_object();
  }
  json.end_array();
  json.key("ramps").begin_array();
  for (const auto& [name, ramp] : state.ramps) {
    begin_server(name);
    json.key("maxconn").number(std::uint64_t{ramp.original});
    json.key("start").number(std::uint64_t{ramp.start});
    json.key("over_ms").number(std::int64_t{ramp.over.count()});
    json.end_object();
  }
  json.end_array();
  json.key("clusters").begin_array();
  for (const RememberedCluster& cluster : state.clusters) write_cluster(json, cluster);
  json.end_array().end_object();
  return json.take() + "\n";
}

std::filesystem::path state_path(const std::filesystem::path& folder, const std::filesystem::path& socket) {
  std::string name = socket.native();
  name.erase(0, name.find_first_not_of('/'));
  std::replace(name.begin(), name.end(), '/', '-');
  return folder / (name + ".json");
}

}  // namespace controller
