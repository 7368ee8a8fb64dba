// Consul: a blocking query for each key.

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "controller/key_watch.h"
#include "controller/parse_patroni.h"

namespace controller {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kApart{100};

struct Query {
  bool failover = false;  ///< which of the two keys
  std::unique_ptr<Transfer> transfer;
  std::uint64_t index = 0;
  bool answered = false;
  Instant next{};
};

class ConsulWatch final : public KeyWatch {
 public:
  ConsulWatch(std::size_t cluster, const ClusterConfig& config, const WatchSurroundings& surroundings)
      : KeyWatch(cluster, config, surroundings) {}

 protected:
  void connect(Instant now) override {
    headers_.clear();
    connected_ = false;
    if (!watch().password_file.empty()) {
      const auto token = read_secret(watch().password_file, "the watch's token");
      if (!token) return lost(token.error().text(), now);
      headers_.push_back("X-Consul-Token: " + *token);
    }
    for (const bool failover : {false, true}) queries_[failover ? 1 : 0] = {failover, new_transfer(), 0, false, now};
  }

  void disconnect() override { queries_ = {}; }

  void look(Instant now) override {
    // Consul adds up to a sixteenth to the time that a query may wait.
    const milliseconds blocked_within = pace().blocked + pace().blocked / 16 + pace().answer;
    for (auto& query : queries_) {
      if (!is_lost() && query.transfer->take_end()) answered(query, now);
      if (is_lost()) return;
      if (query.transfer->under_way() || query.next > now) continue;
      query.next = now + kApart;
      const auto& path = query.failover ? paths().failover : paths().leader;
      query.transfer->begin({consul_request(path, query.index, pace().blocked), std::nullopt, headers_,
                             query.index > 0 ? blocked_within : pace().answer});
    }
  }

  [[nodiscard]] Instant due() const override {
    Instant first = Instant::max();
    for (const auto& query : queries_) {
      if (!query.transfer->under_way()) first = std::min(first, query.next);
    }
    return first;
  }

 private:
  void answered(Query& query, Instant now) {
    auto& transfer = *query.transfer;
    if (!transfer.failure().empty()) return lost(transfer.failure(), now);
    const int code = transfer.code();
    if (code != 200 && code != 404) return lost(fmt::format("HTTP {}, {}", code, printable(transfer.body())), now);
    const auto index = transfer.consul_index();
    if (!index) return lost("no X-Consul-Index in its answer", now);
    std::optional<DcsKey> key;
    if (code == 200) {
      auto parsed = parse_consul_key(transfer.body());
      if (!parsed) return lost(parsed.error().text(), now);
      key = std::move(*parsed);
    }
    transfer.body().clear();
    query.index = *index < query.index ? 0 : *index;
    query.answered = true;
    query.failover ? failover_is(key) : leader_is(key);
    if (connected_) return went_well(now);
    connected_ = std::ranges::all_of(queries_, &Query::answered);
    if (connected_) connected(now);
  }

  std::array<Query, 2> queries_;
  std::vector<std::string> headers_;
  bool connected_ = false;
};

}  // namespace

std::unique_ptr<KeyWatch> watch_consul(std::size_t cluster, const ClusterConfig& config,
                                       const WatchSurroundings& surroundings) {
  return std::make_unique<ConsulWatch>(cluster, config, surroundings);
}

}  // namespace controller
