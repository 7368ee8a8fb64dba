#include "controller/metrics.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <map>
#include <sstream>
#include <utility>
#include <vector>

namespace controller {

namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

constexpr WriterState kWriterStates[] = {WriterState::settled, WriterState::holding,  WriterState::none,
                                         WriterState::let_go,  WriterState::disputed, WriterState::unknown};

double seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

/// Builds the families in the order of their first mention; one without a value is left out.
class Families {
 public:
  void gauge(const char* name, const char* help, Labels labels, double value) {
    ClientMetric metric;
    metric.label = std::move(labels);
    metric.gauge.value = value;
    family(name, help, MetricType::Gauge).metric.push_back(std::move(metric));
  }
  void counter(const char* name, const char* help, Labels labels, std::uint64_t value) {
    ClientMetric metric;
    metric.label = std::move(labels);
    metric.counter.value = static_cast<double>(value);
    family(name, help, MetricType::Counter).metric.push_back(std::move(metric));
  }
  void counters(const char* name, const char* help, const char* label, const std::map<std::string, std::uint64_t>& values) {
    for (const auto& [word, value] : values) counter(name, help, {{label, word}}, value);
  }
  void histogram(const char* name, const char* help, ClientMetric::Histogram value) {
    ClientMetric metric;
    metric.histogram = std::move(value);
    family(name, help, MetricType::Histogram).metric.push_back(std::move(metric));
  }
  [[nodiscard]] const std::vector<MetricFamily>& all() const { return families_; }

 private:
  MetricFamily& family(const char* name, const char* help, MetricType type) {
    const auto found = std::find_if(families_.begin(), families_.end(), [&](const MetricFamily& f) { return f.name == name; });
    if (found != families_.end()) return *found;
    MetricFamily made;
    made.name = name;
    made.help = help;
    made.type = type;
    families_.push_back(std::move(made));
    return families_.back();
  }
  std::vector<MetricFamily> families_;
};

/// How each member is called: by its name, and by its URL where two go by the same (a series may come once only).
std::vector<std::string> member_labels(const Topology& topology) {
  std::map<std::string, int> times;
  for (const MemberVerdict& member : topology.members) ++times[member.name];
  std::vector<std::string> labels;
  for (const MemberVerdict& member : topology.members) labels.push_back(times[member.name] > 1 ? member.url : member.name);
  return labels;
}

void add_member(Families& families, const Labels& labels, const Sighting& seen, Instant now) {
  if (const Answer* answer = seen.answer ? seen.answer->answer() : nullptr) {
    families.gauge("pointsman_member_observation_age_seconds", "Since the member's last answer was asked for.", labels,
                   seconds(now - seen.answer->asked_at));
    if (answer->timeline) {
      families.gauge("pointsman_member_timeline", "The timeline of the member's last answer.", labels, *answer->timeline);
    }
  }
  families.gauge("pointsman_member_silent_seconds", "For how long the member has not answered; 0 while it answers.", labels,
                 seen.silence ? seconds(now - seen.silence->since) : 0);
}

void add_cluster(Families& families, const PublishedCluster& cluster, Instant now) {
  const Topology& topology = cluster.topology;
  const ClientMetric::Label scope{"scope", cluster.scope};
  const auto names = member_labels(topology);
  for (std::size_t i = 0; i < topology.members.size(); ++i) {
    const Labels labels{scope, {"member", names[i]}};
    const auto seen = std::find_if(cluster.members.begin(), cluster.members.end(),
                                   [&](const Sighting& s) { return s.url == topology.members[i].url; });
    if (seen != cluster.members.end()) add_member(families, labels, *seen, now);
    if (topology.members[i].lag_bytes) {
      families.gauge("pointsman_member_lag_bytes", "How far the member's replay is behind the writer.", labels,
                     static_cast<double>(*topology.members[i].lag_bytes));
    }
    families.gauge("pointsman_writer", "1: this member is taken for the writer.", labels, topology.writer == i ? 1 : 0);
  }
  families.gauge("pointsman_writers_claimed", "Members with a fresh claim to be the writer.", {scope}, topology.claims);
  for (const WriterState state : kWriterStates) {
    families.gauge("pointsman_writer_state", "1: why there is, or is no, writer.", {scope, {"state", word(state)}},
                   state == topology.writer_state ? 1 : 0);
  }
  families.gauge("pointsman_routes_right", "1: HAProxy routes as it should.", {scope}, cluster.routes_right ? 1 : 0);
  families.gauge("pointsman_writer_in", "1: exactly the writer is usable in every write backend.", {scope},
                 cluster.writer_in ? 1 : 0);
  if (cluster.watch.configured) {
    families.gauge("pointsman_watch_connected", "1: the DCS is watched.", {scope}, cluster.watch.connected ? 1 : 0);
    families.counter("pointsman_watch_reconnects_total", "Connections to the DCS after the first.", {scope},
                     cluster.watch.reconnects);
    families.counter("pointsman_watch_announced_total", "News that the DCS told.", {scope}, cluster.watch.announced);
  }
  for (const PublishedHold& hold : cluster.holds) {
    const Labels labels{scope, {"backend", hold.backend}};
    families.gauge("pointsman_held_connections", "New connections that wait now.", labels, hold.state.waiting);
    families.gauge("pointsman_hold_left_seconds", "For how long new connections are still made to wait.", labels,
                   seconds(hold.state.left));
    families.counter("pointsman_held_connections_total", "Connections that had to wait, since HAProxy's worker began.", labels,
                     hold.state.held);
    families.counter("pointsman_hold_expired_total", "Connections that waited for the longest that they may, likewise.", labels,
                     hold.state.expired);
  }
  families.counter("pointsman_bad_answers_total", "Answers of members that were refused.", {scope}, cluster.bad_answers);
  families.gauge("pointsman_alarms", "What a person should look at.", {scope}, static_cast<double>(topology.alarms.size()));
}

void add_servers(Families& families, const PublishedCluster& cluster) {
  std::map<std::pair<std::string, std::pair<bool, Reason>>, unsigned> counts;
  for (const PublishedServer& server : cluster.servers) {
    ++counts[{server.backend, {server.usable, server.reason}}];
    const Labels labels{{"scope", cluster.scope}, {"backend", server.backend}, {"server", server.server}};
    families.gauge("pointsman_server_usable", "1: HAProxy sends new connections to it.", labels, server.usable ? 1 : 0);
    families.gauge("pointsman_server_sessions", "Sessions on it now.", labels, server.sessions);
    if (server.maxconn > 0) families.gauge("pointsman_server_maxconn", "How many it takes at once.", labels, server.maxconn);
  }
  for (const auto& [key, count] : counts) {
    families.gauge("pointsman_servers", "Servers by whether they are in, and why.",
                   {{"scope", cluster.scope},
                    {"backend", key.first},
                    {"in", key.second.first ? "true" : "false"},
                    {"reason", word(key.second.second)}},
                   count);
  }
}

ClientMetric::Histogram round_histogram(const Counters& counters) {
  ClientMetric::Histogram histogram;
  histogram.sample_sum = counters.round_seconds_sum;
  const auto& counts = counters.round_seconds_buckets;
  for (std::size_t i = 0; i < std::max(counts.size(), std::size(kRoundBuckets)); ++i) {
    histogram.sample_count += i < counts.size() ? counts[i] : 0;
    if (i < std::size(kRoundBuckets)) histogram.bucket.push_back({histogram.sample_count, kRoundBuckets[i]});
  }
  return histogram;
}

void add_counters(Families& families, const Counters& counters) {
  families.counter("pointsman_rounds_total", "Rounds since the start.", {}, counters.rounds);
  families.histogram("pointsman_round_duration_seconds", "How long a round took.", round_histogram(counters));
  families.counters("pointsman_commands_sent_total", "Commands sent to HAProxy.", "command", counters.commands_sent);
  families.counters("pointsman_commands_refused_total", "Commands that HAProxy refused.", "command", counters.commands_refused);
  families.counters("pointsman_holds_total", "Times that new connections were made to wait.", "reason", counters.holds);
  families.counters("pointsman_reloads_total", "Reloads of HAProxy by pointsman.", "reason", counters.reloads);
  families.counter("pointsman_reloads_failed_total", "Reloads that did not bring a new worker.", {}, counters.reloads_failed);
  families.counter("pointsman_sessions_ended_total", "Sessions ended by pointsman.", {}, counters.sessions_ended);
  families.counter("pointsman_fragment_writes_total", "Times that the fragment was written.", {}, counters.fragment_writes);
  families.counter("pointsman_writer_changes_total", "Times that another member became the writer.", {},
                   counters.writer_changes);
  families.counter("pointsman_journal_lines_lost_total", "Lines of the journal that could not be written.", {},
                   counters.journal_lost);
  families.counter("pointsman_haproxy_restarts_total", "Reloads and restarts of HAProxy by somebody else.", {},
                   counters.foreign_restarts);
}

}  // namespace

std::string metrics_text(const Published& published, Instant now) {
  Families families;
  families.gauge("pointsman_build_info", "1, with pointsman's version.", {{"version", published.version}}, 1);
  families.gauge("pointsman_haproxy_reachable", "1: HAProxy could be read and steered.", {},
                 published.haproxy_error.empty() ? 1 : 0);
  families.gauge("pointsman_observe", "1: everything is judged, nothing is sent.", {}, published.observe ? 1 : 0);
  families.gauge("pointsman_journal_writable", "0: decisions cannot be written down.", {},
                 published.journal_trouble.empty() ? 1 : 0);
  families.gauge("pointsman_last_round_age_seconds", "Since the end of the last round.", {}, seconds(now - published.at));
  for (const PublishedCluster& cluster : published.clusters) add_cluster(families, cluster, now);
  for (const PublishedCluster& cluster : published.clusters) add_servers(families, cluster);
  add_counters(families, published.counters);
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, families.all());
  return out.str();
}

}  // namespace controller
