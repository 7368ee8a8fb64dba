#pragma once
// What the journal's JSON has of each value: the keys, in their order. See fields.h. For entry_json.cpp alone.
//
// Each takes its struct apart: a member that is added to the struct does not compile until it is thought of here too.

#include "controller/entry.h"
#include "controller/fields.h"

namespace controller {

template <class Json, IsA<haproxy::Address> T>
void fields(Json& json, T& v) {
  auto& [ip, port] = v;
  json("ip", ip)("port", port);
}

template <class Json, IsA<haproxy::Check> T>
void fields(Json& json, T& v) {
  auto& [enabled, status, result, health, rise, fall, port] = v;
  json("enabled", enabled)("status", status)("result", result)("health", health)("rise", rise)("fall", fall);
  json("port", port);
}

template <class Json, IsA<haproxy::Server> T>
void fields(Json& json, T& v) {
  auto& [name, id, ip, port, op_state, admin_state, weight, backup, sessions, maxconn, check] = v;
  json("name", name)("id", id)("ip", ip)("port", port)("op", op_state)("admin", admin_state)("weight", weight);
  json("backup", backup)("sessions", sessions)("maxconn", maxconn)("check", check);
}

template <class Json, IsA<haproxy::BackendState> T>
void fields(Json& json, T& v) {
  auto& [name, servers, queued] = v;
  json("name", name)("queued", queued)("servers", servers);
}

template <class Json, IsA<haproxy::Worker> T>
void fields(Json& json, T& v) {
  auto& [pid, start_time_sec, stopping, version] = v;
  json("pid", pid)("start", start_time_sec)("stopping", stopping)("version", version);
}

template <class Json, IsA<haproxy::HoldState> T>
void fields(Json& json, T& v) {
  auto& [waiting, left, held, expired] = v;
  json("waiting", waiting)("left_ms", left)("held", held)("expired", expired);
}

template <class Json, IsA<haproxy::Running> T>
void fields(Json& json, T& v) {
  auto& [worker, backends, holds] = v;
  json("worker", worker)("backends", backends)("holds", holds);
}

template <class Json, IsA<haproxy::Step> T>
void fields(Json& json, T& v) {
  auto& [backend, server, command, reason] = v;
  json("backend", backend)("server", server)("command", command)("reason", reason);
}

template <class Json, IsA<haproxy::Fence> T>
void fields(Json& json, T& v) {
  auto& [backend, server, reason] = v;
  json("backend", backend)("server", server)("reason", reason);
}

template <class Json, IsA<haproxy::Lease> T>
void fields(Json& json, T& v) {
  auto& [backend, length] = v;
  json("backend", backend)("ms", length);
}

template <class Json, IsA<haproxy::Limit> T>
void fields(Json& json, T& v) {
  auto& [backend, server, maxconn, reason] = v;
  json("backend", backend)("server", server)("maxconn", maxconn)("reason", reason);
}

template <class Json, IsA<haproxy::Plan> T>
void fields(Json& json, T& v) {
  auto& [holds, out, fences, limits, in, releases, reads, read_fences, operators, ours] = v;
  json("holds", holds)("out", out)("fences", fences)("limits", limits)("in", in)("releases", releases);
  json("reads", reads)("read_fences", read_fences)("operators", operators)("ours", ours);
}

template <class Json, IsA<haproxy::FragmentServer> T>
void fields(Json& json, T& v) {
  auto& [name, address, options, backup] = v;
  json("name", name)("address", address)("options", options)("backup", backup);
}

template <class Json, IsA<haproxy::FragmentBackend> T>
void fields(Json& json, T& v) {
  auto& [name, write, check, servers] = v;
  json("name", name)("write", write)("check", check)("servers", servers);
}

template <class Json, IsA<haproxy::Fragment> T>
void fields(Json& json, T& v) {
  auto& [backends] = v;
  json("backends", backends);
}

template <class Json, IsA<WalSender> T>
void fields(Json& json, T& v) {
  auto& [application_name, client_addr, state] = v;
  json("name", application_name)("addr", client_addr)("state", state);
}

template <class Json, IsA<Answer> T>
void fields(Json& json, T& v) {
  auto& [code, role, state, timeline, location, received, replayed, postmaster_start_time, replication_state, replication,
         pause, cluster_unlocked, failsafe, noloadbalance, dcs_last_seen, date, system_identifier, scope, name, version] = v;
  json("code", code)("role", role)("state", state)("timeline", timeline)("location", location);
  json("received", received)("replayed", replayed)("started", postmaster_start_time);
  json("replication_state", replication_state)("replication", replication)("pause", pause)("unlocked", cluster_unlocked);
  json("failsafe", failsafe)("noloadbalance", noloadbalance)("dcs_last_seen", dcs_last_seen)("date", date);
  json("system", system_identifier)("scope", scope)("name", name)("version", version);
}

template <class Json, IsA<NoAnswer> T>
void fields(Json& json, T& v) {
  auto& [failure, detail] = v;
  json("failure", failure)("detail", detail);
}

/// On the board there are answers alone.
template <class Json, IsA<MemberReport> T>
void fields(Json& json, T& v) {
  Answer answer = v.answer() != nullptr ? *v.answer() : Answer{};
  json("asked", v.asked_at)("answered", v.answered_at)("says", answer);
  if constexpr (Json::kReads) v.outcome = std::move(answer);
}

template <class Json, IsA<Silence> T>
void fields(Json& json, T& v) {
  auto& [since, latest, times] = v;
  json("since", since)("latest", latest)("times", times);
}

template <class Json, IsA<PortReport> T>
void fields(Json& json, T& v) {
  auto& [address, asked_at, answered_at, says, detail] = v;
  json("address", address)("asked", asked_at)("answered", answered_at)("says", says)("detail", detail);
}

template <class Json, IsA<Sighting> T>
void fields(Json& json, T& v) {
  auto& [url, api_ip, api_port, name, postgres, postgres_host, postgres_port, answer, before, says_since, silence, in_flight,
         port] = v;
  json("url", url)("api_ip", api_ip)("api_port", api_port)("name", name)("postgres", postgres);
  json("host", postgres_host)("port", postgres_port)("answer", answer)("before", before)("says_since", says_since);
  json("silence", silence)("in_flight", in_flight)("port_says", port);
}

template <class Json, IsA<Hearsay> T>
void fields(Json& json, T& v) {
  auto& [from, asked_at, leader_url] = v;
  json("from", from)("asked", asked_at)("leader", leader_url);
}

template <class Json, IsA<Timings> T>
void fields(Json& json, T& v) {
  auto& [ttl, loop_wait] = v;
  json("ttl", ttl)("loop_wait", loop_wait);
}

template <class Json, IsA<Handover> T>
void fields(Json& json, T& v) {
  auto& [id, from, due] = v;
  json("id", id)("from", from)("due", due);
}

template <class Json, IsA<StopNotice> T>
void fields(Json& json, T& v) {
  auto& [number, member, at] = v;
  json("number", number)("member", member)("at", at);
}

template <class Json, IsA<ClusterSnapshot> T>
void fields(Json& json, T& v) {
  auto& [scope, members, hearsay, timings, refused, switchover, stops] = v;
  json("scope", scope)("members", members)("hearsay", hearsay)("timings", timings)("refused", refused);
  json("switchover", switchover)("stops", stops);
}

template <class Json, IsA<Snapshot> T>
void fields(Json& json, T& v) {
  auto& [version, clusters] = v;
  json("version", version)("clusters", clusters);
}

template <class Json, IsA<Poll> T>
void fields(Json& json, T& v) {
  auto& [calm, alert, timeout] = v;
  json("calm_ms", calm)("alert_ms", alert)("timeout_ms", timeout);
}

template <class Json, IsA<RampConfig> T>
void fields(Json& json, T& v) {
  auto& [start, over] = v;
  json("start", start)("over_ms", over);
}

template <class Json, IsA<BackendConfig> T>
void fields(Json& json, T& v) {
  auto& [name, serves, max_lag_bytes, lag_back_bytes, lag_hold, fallback_primary, ramp, server_options, line] = v;
  json("name", name)("serves", serves)("max_lag", max_lag_bytes)("lag_back", lag_back_bytes)("lag_hold_ms", lag_hold);
  json("fallback", fallback_primary)("ramp", ramp)("options", server_options);
}

template <class Json, IsA<ClusterConfig> T>
void fields(Json& json, T& v) {
  auto& [scope, members, backends, poll, tls, watch, keep_silent, follow, hold, pre_hold] = v;
  json("scope", scope)("backends", backends)("poll", poll)("keep_silent_ms", keep_silent)("follow_ms", follow);
  json("hold_ms", hold)("pre_hold_ms", pre_hold);
}

/// What `decide` looks at, and no more.
template <class Json, IsA<Config> T>
void fields(Json& json, T& v) {
  std::string fragment = v.haproxy.fragment.string();
  json("clusters", v.clusters)("method", v.haproxy.method)("fragment", fragment);
  if constexpr (Json::kReads) v.haproxy.fragment = fragment;
}

template <class Json, IsA<LagMemory> T>
void fields(Json& json, T& v) {
  auto& [out, below_since] = v;
  json("out", out)("below_since", below_since);
}

template <class Json, IsA<Memory> T>
void fields(Json& json, T& v) {
  auto& [holder, system_identifier, timeline, holder_started, settled_at, silent_since, fenced, fenced_for, disputed_since,
         holding_since, claiming, lag, broke_off] = v;
  json("holder", holder)("system", system_identifier)("timeline", timeline)("started", holder_started);
  json("settled_at", settled_at)("silent_since", silent_since)("fenced", fenced)("fenced_for", fenced_for);
  json("disputed_since", disputed_since)("holding_since", holding_since)("claiming", claiming)("lag", lag);
  json("broke_off", broke_off);
}

template <class Json, IsA<Fruitless> T>
void fields(Json& json, T& v) {
  auto& [last, in_a_row] = v;
  json("last", last)("in_a_row", in_a_row);
}

template <class Json, IsA<Streamers> T>
void fields(Json& json, T& v) {
  auto& [from, started] = v;
  json("from", from)("started", started);
}

template <class Json, IsA<HoldMemory> T>
void fields(Json& json, T& v) {
  auto& [cause, holder, holder_started, began, switchover_id, stop_number, key_gone_at, fruitless, streamers, streams_again_at,
         given_up] = v;
  json("cause", cause)("holder", holder)("started", holder_started)("began", began)("switchover", switchover_id);
  json("stop", stop_number)("key_gone_at", key_gone_at)("fruitless", fruitless)("streamers", streamers);
  json("streams_again_at", streams_again_at)("given_up", given_up);
}

template <class Json, IsA<CheckMemory> T>
void fields(Json& json, T& v) {
  auto& [steering, passes_wrongly_since] = v;
  json("steering", steering)("passes_wrongly_since", passes_wrongly_since);
}

template <class Json, IsA<RampMemory> T>
void fields(Json& json, T& v) {
  auto& [original, course, before, asked, began] = v;
  json("original", original)("course", course)("before", before)("asked", asked)("began", began);
}

template <class Json, IsA<Memories> T>
void fields(Json& json, T& v) {
  auto& [clusters, holding, held, checks, ours, ramps, worker] = v;
  json("clusters", clusters)("holding", holding)("held", held)("checks", checks)("ours", ours)("ramps", ramps);
  json("worker", worker);
}

template <class Json, IsA<Evidence> T>
void fields(Json& json, T& v) {
  auto& [config, seen, running, memories, now] = v;
  json("now", now)("policy", config)("seen", seen)("haproxy", running)("memory", memories);
}

template <class Json, IsA<Verdict> T>
void fields(Json& json, T& v) {
  auto& [place, reason, evidence] = v;
  json("place", place)("reason", reason)("evidence", evidence);
}

template <class Json, IsA<Decision> T>
void fields(Json& json, T& v) {
  auto& [backend, server, member, steering, check_keeps_out, verdict] = v;
  json("backend", backend)("server", server)("member", member)("steering", steering);
  json("check_keeps_out", check_keeps_out)("verdict", verdict);
}

template <class Json, IsA<ConcludedCluster> T>
void fields(Json& json, T& v) {
  auto& [scope, writer_state, writer, hold, alarms, decisions] = v;
  json("scope", scope)("writer_state", writer_state)("writer", writer)("hold", hold)("alarms", alarms);
  json("servers", decisions);
}

template <class Json, IsA<Conclusion> T>
void fields(Json& json, T& v) {
  auto& [clusters, plan, fragment] = v;
  json("clusters", clusters)("plan", plan)("fragment", fragment);
}

template <class Json, IsA<DecisionEntry> T>
void fields(Json& json, T& v) {
  auto& [unix_ms, pid, version, observe, blind, again, evidence, conclusion] = v;
  json("pid", pid)("pointsman", version)("observe", observe)("blind", blind)("again", again);
  json("decided", conclusion)("evidence", evidence);
}

template <class Json, IsA<OutcomeEntry> T>
void fields(Json& json, T& v) {
  auto& [unix_ms, pid, of, took, confirmed, sent, refused, sessions_ended, wrote_fragment, reloaded, troubles, usable] = v;
  json("pid", pid)("of", of)("took_us", took)("confirmed", confirmed)("sent", sent)("refused", refused);
  json("sessions_ended", sessions_ended)("wrote_fragment", wrote_fragment)("reloaded", reloaded);
  json("troubles", troubles)("usable", usable);
}

}  // namespace controller
