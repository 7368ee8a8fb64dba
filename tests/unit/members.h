#pragma once
// Members for tests of the pure core: three of them, pg1 to pg3, that say what a test has them say.

#include <string>

#include "controller/board.h"
#include "controller/config.h"
#include "controller/judge.h"

namespace members {

using namespace std::chrono_literals;
using namespace controller;

inline const Instant kStart{std::chrono::hours(1)};

inline std::string url(std::size_t member) {
  return "http://127.0.0.1" + std::to_string(member + 1) + ":8008";
}

/// Three members that nobody has asked yet; addresses known.
inline ClusterSnapshot three() {
  ClusterSnapshot seen;
  seen.scope = "main";
  for (std::size_t i = 0; i < 3; ++i) {
    Sighting member;
    member.url = url(i);
    member.api_ip = "127.0.0.1" + std::to_string(i + 1);
    member.api_port = 8008;
    member.name = "pg" + std::to_string(i + 1);
    member.postgres = haproxy::Address{member.api_ip, 5432};
    member.postgres_host = member.api_ip;
    member.postgres_port = 5432;
    seen.members.push_back(member);
  }
  return seen;
}

inline ClusterConfig policy() {
  ClusterConfig config;
  config.scope = "main";
  for (std::size_t i = 0; i < 3; ++i) config.members.push_back({url(i), false, "127.0.0.1" + std::to_string(i + 1), 8008});
  BackendConfig write;
  write.name = "pg_primary";
  BackendConfig read;
  read.name = "pg_replicas";
  read.serves = Serves::replica;
  config.backends = {write, read};
  return config;
}

inline Answer primary() {
  Answer a;
  a.code = 200;
  a.role = Role::primary;
  a.state = State::running;
  a.timeline = 3;
  a.location = 1'000'000;
  a.postmaster_start_time = "2026-01-01 00:00:00+00:00";
  a.system_identifier = "7000000000000000001";
  a.scope = "main";
  a.version = "4.0.7";
  a.date = 1'800'000'000;
  a.dcs_last_seen = 1'799'999'998;
  return a;
}

inline Answer replica() {
  Answer a = primary();
  a.code = 503;
  a.role = Role::replica;
  a.location.reset();
  a.received = a.replayed = 1'000'000;
  a.replication_state = "streaming";
  return a;
}

/// The answer came at `at`, having taken 2 ms.
inline void says(ClusterSnapshot& seen, std::size_t member, Answer answer, Instant at) {
  Sighting& s = seen.members[member];
  const Answer* last = s.answer ? s.answer->answer() : nullptr;
  if (last == nullptr || last->replication_state != answer.replication_state) {
    if (last != nullptr) s.before = *last;
    s.says_since = at;
  }
  s.answer = MemberReport{at - 2ms, at, std::move(answer)};
  s.silence.reset();
}

/// A request that was begun at `since` got nothing.
inline void falls_silent(ClusterSnapshot& seen, std::size_t member, Instant since, Failure failure = Failure::refused) {
  seen.members[member].silence = Silence{since, {failure, "connect"}, 1};
}

}  // namespace members
