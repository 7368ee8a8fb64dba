// etcd v3 through its JSON gateway: read both keys, watch them from there on, read them again now and then.

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "controller/key_watch.h"

namespace controller {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kWatches = 2;

/// Whether etcd (3.4.23) means the token: expired, unknown since etcd's restart, missing, or older than a change of a user or
/// role.
bool is_of_token(int code, std::string_view complaint) {
  if (code == 401) return true;
  for (const char* const sign :
       {"invalid auth token", "revision of auth store", "auth token is not provided", "user name is empty"}) {
    if (complaint.find(sign) != std::string_view::npos) return true;
  }
  return false;
}

class EtcdWatch final : public KeyWatch {
 public:
  EtcdWatch(std::size_t cluster, const ClusterConfig& config, const WatchSurroundings& surroundings)
      : KeyWatch(cluster, config, surroundings) {}

 protected:
  void connect(Instant now) override {
    ask_ = new_transfer();
    stream_ = new_transfer();
    token_.clear();
    watching_ = false;
    created_ = 0;
    applied_ = {};
    owed_ = 0;
    watch().username.empty() ? read() : log_in(now);
  }

  void disconnect() override {
    ask_.reset();
    stream_.reset();
  }

  void look(Instant now) override {
    if (ask_ && ask_->take_end()) answered(now);
    if (!is_lost() && watching_) read_stream(now);
    if (is_lost() || !watching_) return;
    if (created_ < kWatches && now >= created_by_)
      return lost(fmt::format("no watch was made within {} ms", pace().answer.count()), now);
    if (created_ == kWatches && now >= check_at_ && !ask_->under_way()) {
      check_at_ = now + pace().check;
      read();
    }
  }

  [[nodiscard]] Instant due() const override {
    if (!watching_ || (created_ == kWatches && ask_->under_way())) return Instant::max();
    return created_ < kWatches ? created_by_ : check_at_;
  }

 private:
  enum class Asking : std::uint8_t { token, keys };

  void log_in(Instant now) {
    const auto password = read_secret(watch().password_file, "the watch's password");
    if (!password) return lost(password.error().text(), now);
    asking_ = Asking::token;
    new_token_ = true;
    ask_->begin({"/v3/auth/authenticate", etcd_login_request(watch().username, *password), {}, pace().answer});
  }

  void read() {
    asking_ = Asking::keys;
    ask_->begin({"/v3/kv/txn", etcd_read_request(paths()), headers(), pace().answer});
  }

  void start_watching(std::uint64_t revision, Instant now) {
    watching_ = true;
    streamed_ = revision;
    applied_.fill(revision);
    created_by_ = now + pace().answer;
    stream_->begin({"/v3/watch", etcd_watch_request(paths(), revision + 1), headers(), milliseconds(0)});
  }

  [[nodiscard]] std::vector<std::string> headers() const {
    if (token_.empty()) return {};
    return {"Authorization: " + token_};
  }

  void answered(Instant now) {
    if (!ask_->failure().empty()) return lost(ask_->failure(), now);
    const int code = ask_->code();
    const std::string complaint = code == 200 ? "" : etcd_complaint(ask_->body());
    asking_ == Asking::token ? take_token(code, complaint, now) : take_keys(code, complaint, now);
  }

  void take_token(int code, const std::string& complaint, Instant now) {
    token_.clear();
    if (code == 200) {
      const auto token = parse_etcd_token(ask_->body());
      if (!token) return lost(token.error().text(), now);
      token_ = *token;
    } else if (complaint.find("authentication is not enabled") == std::string::npos) {
      return lost(fmt::format("the log-in is refused: HTTP {}, {}", code, complaint), now);
    }
    read();
  }

  void take_keys(int code, const std::string& complaint, Instant now) {
    if (code != 200) {
      if (is_of_token(code, complaint) && !watch().username.empty() && !new_token_) return log_in(now);
      return lost(fmt::format("HTTP {}, {}", code, complaint), now);
    }
    const auto keys = parse_etcd_read(ask_->body(), paths());
    if (!keys) return lost(keys.error().text(), now);
    ask_->body().clear();
    new_token_ = false;
    if (!watching_) {
      leader_is(keys->leader);
      failover_is(keys->failover);
      return start_watching(keys->revision, now);
    }
    if (owed_ > streamed_) return lost("the watch does not bring what a read does", now);
    owed_ = keys->newest > streamed_ ? keys->newest : 0;
    if (keys->revision >= applied_[0]) leader_is(keys->leader);
    if (keys->revision >= applied_[1]) failover_is(keys->failover);
    for (auto& applied : applied_) applied = std::max(applied, keys->revision);
    went_well(now);
  }

  void read_stream(Instant now) {
    const bool ended = stream_->take_end();
    auto& body = stream_->body();
    if (stream_->code() != 0 && stream_->code() != 200) {
      if (ended) lost(fmt::format("the watch is refused: HTTP {}, {}", stream_->code(), etcd_complaint(body)), now);
      return;
    }
    std::size_t from = 0;
    for (auto end = body.find('\n'); end != std::string::npos; end = body.find('\n', from)) {
      if (!take_line(std::string_view(body).substr(from, end - from), now)) return;
      from = end + 1;
    }
    body.erase(0, from);
    if (ended) lost(stream_->failure().empty() ? "the watch ended" : stream_->failure(), now);
  }

  /// False where that was the last one to be read.
  bool take_line(std::string_view line, Instant now) {
    const auto said = parse_etcd_line(line, paths());
    if (!said) {
      lost(said.error().text(), now);
      return false;
    }
    if (!bearable(1 + said->events.size(), line.size(), now)) return false;
    if (said->canceled) {
      lost(said->compact_revision > 0 ? fmt::format("compacted up to {}", said->compact_revision)
                                      : fmt::format("the watch is canceled: {}", said->reason),
           now);
      return false;
    }
    if (said->created && ++created_ == kWatches) {
      check_at_ = now + pace().check;
      connected(now);
    }
    for (const auto& event : said->events) {
      streamed_ = std::max(streamed_, event.revision);
      auto& applied = applied_[event.failover ? 1 : 0];
      if (event.revision <= applied) continue;  // a read was faster
      applied = event.revision;
      event.failover ? failover_is(event.key) : leader_is(event.key);
    }
    return true;
  }

  std::unique_ptr<Transfer> ask_, stream_;
  Asking asking_ = Asking::keys;
  std::string token_;
  bool new_token_ = false;  ///< nothing was done with it yet
  bool watching_ = false;   ///< the stream was begun
  std::size_t created_ = 0;
  Instant created_by_{}, check_at_{};
  std::array<std::uint64_t, kWatches> applied_{};  ///< revisions up to which the leader and the failover key are known
  std::uint64_t streamed_ = 0;                     ///< the newest revision that the stream brought
  std::uint64_t owed_ = 0;                         ///< a revision that a read brought before the stream did
};

}  // namespace

std::unique_ptr<KeyWatch> watch_etcd(std::size_t cluster, const ClusterConfig& config, const WatchSurroundings& surroundings) {
  return std::make_unique<EtcdWatch>(cluster, config, surroundings);
}

}  // namespace controller
