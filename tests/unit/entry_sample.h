#pragma once
// Evidence in which no member of any struct is what it is by default, and that of a switch.

#include "controller/entry.h"
#include "tests/unit/members.h"

namespace sample {

using namespace members;

inline Answer full_answer() {
  Answer a;
  a.code = 503;
  a.role = Role::standby_leader;
  a.state = State::creating_replica;
  a.timeline = 0;
  a.location = 18'446'744'073'709'551'615U;
  a.received = 1;
  a.replayed = 0;
  a.postmaster_start_time = "2026-01-01 00:00:00.5+00:00";
  a.replication_state = "";
  a.replication = {{"pg2", "10.0.0.2", "streaming"}, {"a \"b\"\\", "", "catchup"}};
  a.pause = a.cluster_unlocked = a.failsafe = a.noloadbalance = true;
  a.dcs_last_seen = -1;
  a.date = 1'800'000'000;
  a.system_identifier = "7000000000000000001";
  a.scope = "main";
  a.name = "pg1";
  a.version = "4.0.7";
  return a;
}

inline Snapshot full_snapshot() {
  ClusterSnapshot cluster = three();
  Sighting& member = cluster.members[0];
  member.answer = MemberReport{kStart - 1s, kStart - 999ms, full_answer()};
  member.before = primary();
  member.says_since = kStart - 5s;
  member.silence = Silence{kStart - 3s, {Failure::unresolved, "no such host"}, 7};
  member.in_flight = kStart - 1ms;
  member.port =
      PortReport{{"127.0.0.11", 5432}, kStart - 300ms, kStart - 299ms, PortSays::rejecting, "the database system is down"};
  cluster.hearsay = {{url(1), kStart - 2s, url(0)}};
  cluster.timings = {20, 5};
  cluster.refused = 9;
  cluster.switchover = Handover{"id", "pg1", kStart + 4s};
  cluster.stops = {{3, "pg2", kStart - 6s}};
  return {17, {cluster}};
}

inline Config full_policy() {
  Config config;
  ClusterConfig cluster = policy();
  cluster.members.clear();  // not looked at
  cluster.poll = {900ms, 40ms, 1200ms};
  cluster.keep_silent = 12s;
  cluster.follow = 13s;
  cluster.hold = 14s;
  cluster.pre_hold = 0ms;
  cluster.backends[0].ramp = RampConfig{20, 2500ms};
  cluster.backends[0].server_options = "check";
  BackendConfig& reads = cluster.backends[1];
  reads.max_lag_bytes = 1000;
  reads.lag_back_bytes = 700;
  reads.lag_hold = 6s;
  reads.fallback_primary = true;
  config.clusters = {cluster};
  config.haproxy.method = Method::file;
  config.haproxy.fragment = "/etc/haproxy/conf.d/pg.cfg";
  return config;
}

inline haproxy::Running full_running() {
  haproxy::Server server;
  server.name = "pg1";
  server.id = 4;
  server.ip = "127.0.0.11";
  server.port = 5432;
  server.op_state = haproxy::OperationalState::stopping;
  server.admin_state = 8;
  server.weight = 0;  // its default is 1
  server.backup = true;
  server.sessions = 11;
  server.maxconn = 12;
  server.check = {true, 15, 3, -1, 2, 3, 8008};
  haproxy::Running running;
  running.worker = {4711, 1'800'000'000, true, "2.6.12"};
  running.backends = {{"pg_primary", {server}, 13}};
  running.holds = haproxy::Holds{{"pg_primary", {1, 900ms, 5, 6}}};
  return running;
}

inline Memories full_memories() {
  Memory memory;
  memory.holder = url(0);
  memory.system_identifier = "7";
  memory.timeline = 3;
  memory.holder_started = "then";
  memory.settled_at = kStart - 10s;
  memory.silent_since = kStart - 11s;
  memory.fenced = true;
  memory.fenced_for = Reason::lock_lost;
  memory.disputed_since = kStart - 12s;
  memory.holding_since = kStart - 13s;
  memory.claiming = {{url(0), kStart - 14s}};
  memory.lag = {{{"pg_replicas", url(1)}, {true, kStart - 15s}}};
  memory.broke_off = {{url(2), kStart - 16s}};
  HoldMemory holding;
  holding.cause = HoldReason::unreplicated;
  holding.holder = url(0);
  holding.holder_started = "then";
  holding.began = kStart - 17s;
  holding.switchover_id = "id";
  holding.stop_number = 2;
  holding.key_gone_at = kStart - 18s;
  holding.fruitless = {{HoldReason::switchover, {kStart - 19s, 2}}};
  holding.streamers = {url(0), {{url(1), "then"}}};
  holding.streams_again_at = kStart - 20s;
  holding.given_up = kStart - 21s;
  Memories memories;
  memories.clusters = {memory};
  memories.holding = {holding};
  memories.held = {"pg_primary"};
  memories.checks = {{{"pg_primary", "pg1"}, {haproxy::Steering::admin, kStart - 21s}}};
  memories.ours = {{"pg_primary", "pg1"}};
  memories.ramps = {{{"pg_primary", "pg2"}, {100, {20, 2s}, 30, 40, kStart - 22s}}};
  memories.worker = {4711, 1'800'000'000, true, "2.6.12"};
  return memories;
}

inline Evidence full_evidence() {
  return {full_policy(), full_snapshot(), full_running(), full_memories(), kStart};
}

inline Conclusion full_conclusion() {
  using haproxy::Command;
  ConcludedCluster cluster{
      "main",
      WriterState::let_go,
      url(0),
      HoldReason::stop,
      {"an alarm"},
      {{"pg_primary", "pg1", 0, haproxy::Steering::health, true, {Place::drain, Reason::lagging, "HTTP 503"}},
       {"pg_primary", "x", std::nullopt, haproxy::Steering::admin, false, {Place::leave, Reason::no_member, "its address"}}}};
  Conclusion conclusion;
  conclusion.clusters = {cluster};
  conclusion.plan.holds = {{"pg_primary", 1000ms}};
  conclusion.plan.out = {{"pg_primary", "pg1", Command::health_down, "not_primary"}};
  conclusion.plan.fences = {{"pg_primary", "pg1", "not_primary"}};
  conclusion.plan.limits = {{"pg_primary", "pg2", 20, "ramp"}};
  conclusion.plan.in = {{"pg_primary", "pg2", Command::state_ready, "claims_writer"}};
  conclusion.plan.releases = {{"pg_primary", 0ms}};
  conclusion.plan.reads = {{"pg_replicas", "pg1", Command::state_drain, "lagging"}};
  conclusion.plan.read_fences = {{"pg_replicas", "pg2", "not_replica"}};
  conclusion.plan.operators = {{"pg_replicas", "pg3"}};
  conclusion.plan.ours = {{"pg_replicas", "pg1"}};
  conclusion.fragment = haproxy::Fragment{{{"pg_primary", true, "/primary", {{"pg1", "10.0.0.1:5432", "check", true}}}}};
  return conclusion;
}

inline DecisionEntry full_decision() {
  return {1'800'000'000'123, 815, "0.1.0", true, "cannot read HAProxy", 5, full_evidence(), full_conclusion()};
}

inline OutcomeEntry full_outcome() {
  OutcomeEntry outcome;
  outcome.unix_ms = 1'800'000'000'124;
  outcome.pid = 815;
  outcome.of = kStart;
  outcome.took = std::chrono::microseconds(1234);
  outcome.confirmed = true;
  outcome.sent = {{"health up", 1}};
  outcome.refused = {{"state maint", 2}};
  outcome.sessions_ended = 3;
  outcome.wrote_fragment = true;
  outcome.reloaded = "writer";
  outcome.troubles = {"HAProxy refused: no"};
  outcome.usable = {{"pg_primary", {"pg2"}}, {"pg_replicas", {}}};
  return outcome;
}

inline Snapshot switched() {
  Snapshot seen{3, {three()}};
  says(seen.clusters[0], 0, replica(), kStart - 10ms);
  says(seen.clusters[0], 1, primary(), kStart - 5ms);
  says(seen.clusters[0], 2, replica(), kStart - 5ms);
  return seen;
}

inline haproxy::Running both_backends() {
  haproxy::Running running;
  running.worker = {2, 1'800'000'000, false, "2.6.12"};
  for (const char* backend : {"pg_primary", "pg_replicas"}) {
    haproxy::BackendState state{backend, {}};
    for (unsigned i = 0; i < 3; ++i) {
      haproxy::Server server;
      server.name = "pg" + std::to_string(i + 1);
      server.id = i + 1;
      server.ip = "127.0.0.1" + std::to_string(i + 1);
      server.port = 5432;
      server.op_state = i == 0 ? haproxy::OperationalState::running : haproxy::OperationalState::stopped;
      server.check = {true, i == 0 ? 15U : 17U, i == 0 ? 3U : 2U, i == 0 ? 4 : 0, 2, 3, 8008};
      state.servers.push_back(server);
    }
    running.backends.push_back(state);
  }
  return running;
}

/// pg1 was the writer and is in; pg2 claims.
inline DecisionEntry switch_decision() {
  DecisionEntry entry;
  entry.unix_ms = 1'800'000'000'000;
  entry.evidence.config.clusters = {policy()};
  entry.evidence.config.clusters[0].members.clear();
  entry.evidence.seen = switched();
  entry.evidence.running = both_backends();
  entry.evidence.memories.clusters.resize(1);
  entry.evidence.memories.clusters[0].holder = url(0);
  entry.evidence.now = kStart;
  entry.conclusion = conclude(decide_again(entry.evidence));
  return entry;
}

}  // namespace sample
