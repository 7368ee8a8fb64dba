#pragma once
// An etcd with two keys, /service/main/leader and /service/main/failover: its JSON gateway as 3.4.23 was heard to speak, or
// misbehaving as told.

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "controller/parse_dcs.h"
#include "tests/unit/fake_http.h"

namespace fake {

/// What a watch brings.
enum class Stream : std::uint8_t {
  serve,
  mute,          ///< it is made, and nothing ever comes
  never_made,    ///< not even that
  ends,          ///< made, and over
  compacted,     ///< canceled with a compact_revision
  refused,       ///< canceled without one
  error,         ///< the gateway's error line
  garbage,       ///< no JSON
  bad_base64,    ///< an event whose value is none
  bad_utf8,      ///< JSON that is no UTF-8
  endless_line,  ///< a line that does not end
  flood,         ///< sound events, on and on
};

class Etcd : public Http {
 public:
  Etcd() { start(); }
  ~Etcd() override { stop(); }

  static constexpr const char* kLeader = "/service/main/leader";
  static constexpr const char* kFailover = "/service/main/failover";

  void put(const std::string& key, const std::optional<std::string>& value) {
    const std::lock_guard lock(mutex_);
    write(key, value);
  }
  void leader(const std::string& name) { put(kLeader, name); }
  void failover(const std::optional<std::string>& value) { put(kFailover, value); }
  void behave(Stream stream) {
    const std::lock_guard lock(mutex_);
    stream_ = stream;
  }
  void need_login(const std::string& password) {
    const std::lock_guard lock(mutex_);
    password_ = password;
  }
  /// No token that was given counts any longer.
  void expire() {
    const std::lock_guard lock(mutex_);
    tokens_.clear();
  }
  [[nodiscard]] int logins() const { return logins_; }
  [[nodiscard]] int reads() const { return reads_; }
  [[nodiscard]] int watches() const { return watches_; }

 private:
  struct Event {
    std::uint64_t revision = 0;
    std::string key;
    std::optional<std::string> value;
  };

  void write(const std::string& key, const std::optional<std::string>& value) {
    events_.push_back({++revision_, key, value});
    now_[key] = events_.back();
  }

  [[nodiscard]] std::string header() const {
    return R"("header":{"cluster_id":"1","revision":")" + std::to_string(revision_) + "\"}";
  }

  static std::string pair(const Event& event) {
    return R"({"key":")" + controller::base64(event.key) + R"(","create_revision":"2","mod_revision":")" +
           std::to_string(event.revision) + R"(","version":"1","new_field":[{}],"value":")" +
           controller::base64(event.value.value_or("")) + "\"}";
  }

  std::string line(const Event& event) const {
    const std::string deleted = event.value ? "" : R"("type":"DELETE",)";
    return R"({"result":{)" + header() + R"(,"watch_id":"1","events":[{)" + deleted + R"("kv":)" + pair(event) + "}]}}\n";
  }

  [[nodiscard]] bool allowed(const Connection& connection) const {
    if (password_.empty()) return true;
    const auto at = connection.head.find("Authorization: ");
    if (at == std::string::npos) return false;
    return tokens_.contains(connection.head.substr(at + 15, connection.head.find('\r', at) - at - 15));
  }

  void serve(Connection& connection, const std::string& body) override {
    if (connection.path == "/v3/auth/authenticate") return log_in(connection, body);
    if (!allowed(connection)) {
      return answer(connection, 401, R"({"error":"etcdserver: invalid auth token","code":16})");
    }
    if (connection.path == "/v3/kv/txn") return read(connection);
    if (connection.path == "/v3/watch") return watch(connection, body);
    answer(connection, 404, "Not Found");
  }

  void log_in(Connection& connection, const std::string& body) {
    ++logins_;
    if (password_.empty()) {
      return answer(connection, 412, R"({"error":"etcdserver: authentication is not enabled","code":9})");
    }
    if (body != R"({"name":"reader","password":")" + password_ + "\"}") {
      return answer(connection, 400, R"({"error":"etcdserver: authentication failed, invalid user ID or password","code":3})");
    }
    const auto token = "token." + std::to_string(logins_);
    tokens_.insert(token);
    answer(connection, 200, R"({"header":{},"token":")" + token + "\"}");
  }

  void read(Connection& connection) {
    ++reads_;
    std::string responses;
    for (const char* const key : {kLeader, kFailover}) {
      const bool there = now_.contains(key) && now_[key].value;
      responses += std::string(responses.empty() ? "" : ",") + R"({"response_range":{"header":{})" +
                   (there ? R"(,"kvs":[)" + pair(now_[key]) + R"(],"count":"1")" : "") + "}}";
    }
    answer(connection, 200, "{" + header() + R"(,"succeeded":true,"responses":[)" + responses + "]}");
  }

  void watch(Connection& connection, const std::string& body) {
    ++watches_;
    begin_stream(connection);
    const auto at = body.find("start_revision\":\"");
    connection.since = at == std::string::npos ? 0 : std::stoull(body.substr(at + 17)) - 1;
    if (stream_ == Stream::never_made) return;
    for (const char* const id : {"", R"("watch_id":"1",)"}) {
      connection.out += chunk(R"({"result":{)" + header() + "," + id + R"("created":true}})" + "\n");
    }
    misbehave(connection);
  }

  void misbehave(Connection& connection) {
    const Event event{revision_ + 1, kLeader, "pg9"};
    switch (stream_) {
      case Stream::ends:
        connection.out += "0\r\n\r\n";
        connection.streams = false;
        break;
      case Stream::compacted:
        connection.out += chunk(R"({"result":{)" + header() + R"(,"canceled":true,"compact_revision":"7"}})" + "\n");
        break;
      case Stream::refused:
        connection.out += chunk(R"({"result":{"canceled":true,"cancel_reason":"permission denied"}})"
                                "\n");
        break;
      case Stream::error:
        connection.out += chunk(R"({"error":{"grpc_code":14,"message":"the server is stopping"}})"
                                "\n");
        break;
      case Stream::garbage:
        connection.out += chunk("<html>\n");
        break;
      case Stream::bad_base64:
        connection.out += chunk(R"({"result":{"events":[{"kv":{"key":"L3*","value":"a"}}]}})"
                                "\n");
        break;
      case Stream::bad_utf8:
        connection.out += chunk("{\"result\":{\"x\":\"\xff\"}}\n");
        break;
      case Stream::endless_line:
        connection.endless = chunk(std::string(100'000, ' '));
        break;
      case Stream::flood:
        connection.endless = chunk(line({revision_ + 1, "/service/main/leader2", "x"}));
        break;
      default:
        break;
    }
  }

  void turn(Connection& connection) override {
    if (!connection.streams || stream_ == Stream::mute || stream_ == Stream::never_made) return;
    for (const auto& event : events_) {
      if (event.revision <= connection.since) continue;
      connection.out += chunk(line(event));
      connection.since = event.revision;
    }
  }

  std::uint64_t revision_ = 1;
  std::vector<Event> events_;
  std::map<std::string, Event> now_;
  Stream stream_ = Stream::serve;
  std::string password_;
  std::set<std::string> tokens_;
  std::atomic<int> logins_ = 0;
  std::atomic<int> reads_ = 0;
  std::atomic<int> watches_ = 0;
};

}  // namespace fake
