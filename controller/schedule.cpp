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

/// What the age of the news makes of the pace.
Duration slowed(Duration since_change) {
  return std::max(since_change, Duration::zero()) / kNewsAgePerPace;
}

Duration took(const MemberReport& report) {
  return report.answered_at - report.asked_at;
}

}  // namespace

Duration pace(const Poll& poll, News news) {
  if (news.announced == Announced::change) return std::min<Duration>(kUrgent, poll.alert);
  if (news.announced == Announced::promotion) return std::min<Duration>(kPromotion, poll.alert);
  const Duration slowest = news.writer_missing ? std::min(poll.calm, poll.alert * kAlertsMissing) : poll.calm;
  return std::min<Duration>(slowest, std::max<Duration>(poll.alert, slowed(news.since_change)));
}

bool is_young(const Poll& poll, Duration since_change) {
  return slowed(since_change) <= poll.alert;
}

Instant next_ask(const Asked& asked, const Poll& poll, News news, double jitter) {
  Duration gap = pace(poll, news);
  const double spread = std::clamp(jitter, 0.0, 1.0) * (gap == Duration(poll.calm) ? 0.1 : 0.5);
  gap += std::chrono::duration_cast<Duration>(gap * spread);
  return std::max(asked.last_asked + gap, rested(asked, is_young(poll, news.since_change)));
}

Instant rested(const Asked& asked, bool hurried) {
  return asked.last_done + std::max(asked.last_took * (hurried ? 1 : kRestPerAnswer), rest_after_hanging(asked.hung));
}

Instant late_at(Duration took, Instant asked) {
  return asked + kMuchSlower + kSlower * took;
}

Duration port_pace(Duration asked_for) {
  return std::clamp<Duration>(asked_for / 40, std::chrono::milliseconds(250), std::chrono::seconds(2));
}

Duration port_patience(Duration took) {
  return std::min<Duration>(std::chrono::milliseconds(500) + kSlower * took, std::chrono::seconds(2));
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
