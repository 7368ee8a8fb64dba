#include "controller/schedule.h"

#include <algorithm>

namespace controller {
namespace {

constexpr int kNewsAgePerPace = 50;
constexpr int kRestPerAnswer = 4;
constexpr int kSlower = 5;
constexpr Duration kMuchSlower = std::chrono::milliseconds(100);

/// After so many time-outs in a row that had a connection.
Duration rest_after_hanging(int hung) {
  if (hung <= 0) return Duration::zero();
  return std::chrono::seconds(hung == 1 ? 1 : hung == 2 ? 2 : 4);
}

Duration took(const MemberReport& report) {
  return report.answered_at - report.asked_at;
}

}  // namespace

Duration pace(const Poll& poll, News news) {
  if (news.announced) return std::min<Duration>(kUrgent, poll.alert);
  const Duration slowing = std::max(news.since_change, Duration::zero()) / kNewsAgePerPace;
  return std::min<Duration>(poll.calm, std::max<Duration>(poll.alert, slowing));
}

Instant next_ask(const Asked& asked, const Poll& poll, News news, double jitter) {
  Duration gap = pace(poll, news);
  const double spread = std::clamp(jitter, 0.0, 1.0) * (gap == Duration(poll.calm) ? 0.1 : 0.5);
  gap += std::chrono::duration_cast<Duration>(gap * spread);
  return std::max({asked.last_asked + gap, rested(asked)});
}

Instant rested(const Asked& asked) {
  return asked.last_done + std::max(asked.last_took * kRestPerAnswer, rest_after_hanging(asked.hung));
}

bool is_news(const MemberReport& before, const MemberReport& now_says) {
  const auto* const was = before.answer();
  const auto* const is = now_says.answer();
  if (was == nullptr || is == nullptr) return (was == nullptr) != (is == nullptr);
  if (was->code != is->code || was->role != is->role || was->state != is->state) return true;
  if (was->timeline != is->timeline || was->postmaster_start_time != is->postmaster_start_time) return true;
  if (was->system_identifier != is->system_identifier || was->replication_state != is->replication_state) return true;
  if (was->pause != is->pause || was->cluster_unlocked != is->cluster_unlocked) return true;
  return took(now_says) > took(before) * kSlower && took(now_says) > took(before) + kMuchSlower;
}

}  // namespace controller
