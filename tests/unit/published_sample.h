#pragma once
// A cluster of three members, the last of them silent, behind two backends.

#include "controller/published.h"

namespace sample {

using controller::Instant;

inline Instant at(int milliseconds) {
  return Instant(std::chrono::hours(1)) + std::chrono::milliseconds(milliseconds);
}

inline controller::Sighting sighting(const std::string& url, controller::Role role, std::uint32_t timeline, Instant asked_at) {
  controller::Answer answer;
  answer.code = role == controller::Role::primary ? 200 : 503;
  answer.role = role;
  answer.state = controller::State::running;
  answer.timeline = timeline;
  controller::Sighting seen;
  seen.url = url;
  seen.answer = controller::MemberReport{asked_at, asked_at + std::chrono::milliseconds(4), answer};
  return seen;
}

inline controller::PublishedServer server(const std::string& backend, const std::string& name, bool usable, unsigned sessions,
                                          controller::Place wanted, controller::Reason reason) {
  controller::PublishedServer s;
  s.backend = backend;
  s.server = name;
  s.address = "10.0.0.1:5432";
  s.member = name;
  s.usable = usable;
  s.admin = "ready";
  s.operational = usable ? "running" : "stopped";
  s.steering = "health";
  s.sessions = sessions;
  s.wanted = wanted;
  s.reason = reason;
  s.evidence = "HTTP 200";
  return s;
}

inline controller::Published published() {
  using namespace controller;
  PublishedCluster cluster;
  cluster.scope = "main";
  cluster.topology.scope = "main";
  cluster.topology.writer_state = WriterState::settled;
  cluster.topology.writer = 1;
  cluster.topology.claims = 1;
  cluster.topology.members = {
      {"http://10.0.0.1:8008", "pg1", {Place::out, Reason::other_is_writer, "e1"}, {Place::in, Reason::reads, "e2"}, 1536},
      {"http://10.0.0.2:8008", "pg2", {Place::in, Reason::claims_writer, "e3"}, {Place::out, Reason::not_replica, "e4"}, {}},
      {"http://10.0.0.3:8008", "pg3", {Place::out, Reason::other_is_writer, "e5"}, {Place::leave, Reason::silent, "e6"}, {}}};
  cluster.members = {sighting("http://10.0.0.1:8008", Role::replica, 3, at(-120)),
                     sighting("http://10.0.0.2:8008", Role::primary, 3, at(-80)),
                     sighting("http://10.0.0.3:8008", Role::replica, 2, at(-14'000))};
  cluster.members[0].postgres = haproxy::Address{"10.0.0.1", 5432};
  cluster.members[2].silence = Silence{at(-12'500), {Failure::timed_out, "no answer within 1.5 s"}, 9};
  cluster.servers = {server("pg_primary", "pg1", false, 0, Place::out, Reason::other_is_writer),
                     server("pg_primary", "pg2", true, 42, Place::in, Reason::claims_writer),
                     server("pg_primary", "pg3", true, 1, Place::out, Reason::other_is_writer),
                     server("pg_replicas", "pg1", true, 7, Place::in, Reason::reads),
                     server("pg_replicas", "pg3", false, 0, Place::leave, Reason::silent)};
  cluster.servers[1].maxconn = 57;
  cluster.routes_right = true;
  cluster.writer_in = true;

  Published published;
  published.at = at(-15);
  published.version = "0.1.0";
  published.worker = {4711, 1'700'000'000, false, "2.6.12"};
  published.method = "runtime";
  published.clusters = {cluster};
  published.counters.rounds = 3;
  published.counters.commands_sent = {{"health up", 4}, {"state maint", 1}};
  published.counters.reloads = {{"writer", 2}};
  published.counters.sessions_ended = 5;
  published.counters.round_seconds_sum = 0.5;
  published.counters.round_seconds_buckets = {0, 2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1};
  return published;
}

}  // namespace sample
