#pragma once
// A Consul with two keys, service/main/leader and service/main/failover: blocking queries as its HTTP API is documented.

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "controller/parse_dcs.h"
#include "tests/unit/fake_http.h"

namespace fake {

class Consul : public Http {
 public:
  using Clock = std::chrono::steady_clock;
  Consul() { start(); }
  ~Consul() override { stop(); }

  void put(const std::string& key, const std::optional<std::string>& value) {
    const std::lock_guard lock(mutex_);
    now_["/v1/kv/service/main/" + key] = {++index_, value};
  }
  /// As after a restore from a backup: every index is lower.
  void go_back() {
    const std::lock_guard lock(mutex_);
    for (auto& [path, entry] : now_) entry.index = 1;
    for (auto& connection : connections_) {
      if (connection.waits) connection.since = 0;
    }
  }
  /// Answers at once, whatever was asked for, with an index that is always newer.
  void hurry() { hurries_ = true; }
  void say(int code, const std::string& body) {
    const std::lock_guard lock(mutex_);
    code_ = code;
    body_ = body;
  }
  void need_token(const std::string& token) {
    const std::lock_guard lock(mutex_);
    token_ = token;
  }
  [[nodiscard]] std::vector<std::string> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  struct Entry {
    std::uint64_t index = 1;
    std::optional<std::string> value;
  };

  void serve(Connection& connection, const std::string& /*body*/) override {
    requests_.push_back(connection.path);
    if (code_ != 200) return answer(connection, code_, body_);
    if (!token_.empty() && connection.head.find("X-Consul-Token: " + token_ + "\r\n") == std::string::npos) {
      return answer(connection, 403, "Permission denied");
    }
    const auto query = connection.path.find("?index=");
    connection.since = query == std::string::npos ? 0 : std::stoull(connection.path.substr(query + 7));
    if (query != std::string::npos) {
      const auto wait = connection.path.find("&wait=");
      until_[connection.fd] = Clock::now() + std::chrono::milliseconds(std::stoi(connection.path.substr(wait + 6)));
      connection.path.erase(query);
    }
    connection.waits = true;
  }

  void turn(Connection& connection) override {
    if (!connection.waits) return;
    const auto found = now_.find(connection.path);
    const Entry entry = found == now_.end() ? Entry{} : found->second;
    if (hurries_) ++index_;
    const bool over = connection.since > 0 && Clock::now() > until_[connection.fd];
    if (!hurries_ && entry.index <= connection.since && !over) return;
    connection.waits = false;
    const auto header = "X-Consul-Index: " + std::to_string(hurries_ ? index_ : entry.index) + "\r\n";
    if (!entry.value) return answer(connection, 404, "", header);
    answer(connection, 200,
           R"([{"LockIndex":1,"Key":"k","Flags":0,"Value":)" +
               (entry.value->empty() ? "null" : "\"" + controller::base64(*entry.value) + "\"") +
               R"(,"CreateIndex":1,"ModifyIndex":)" + std::to_string(entry.index) + "}]",
           header);
  }

  std::uint64_t index_ = 10;
  std::map<std::string, Entry> now_;
  std::map<int, Clock::time_point> until_;
  std::atomic<bool> hurries_ = false;
  int code_ = 200;
  std::string body_, token_;
  std::vector<std::string> requests_;
};

}  // namespace fake
