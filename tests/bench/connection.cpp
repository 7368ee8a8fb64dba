#include "connection.h"

#include <sys/epoll.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>

namespace bench {
namespace {

constexpr const char* kWhere = "SELECT host(inet_server_addr())";
constexpr const char* kInsert =
    "INSERT INTO writes (run, n, server, timeline) VALUES ($1, $2, host(inet_server_addr()), "
    "('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int) RETURNING server, timeline";

std::string joined(const std::vector<std::string>& hosts) {
  std::string text;
  for (const auto& host : hosts) text += (text.empty() ? "" : ",") + host;
  return text;
}

}  // namespace

double monotonic() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

Connection::Connection(const Client& client, const std::string& run, long number, double now)
    : client_(client), run_(run), hosts_(client.hosts) {
  begin_note(number, now);
  connect(now);
}

void Connection::begin_note(long number, double now) {
  note_ = Note();
  note_.number = number;
  note_.start = now;
}

void Connection::connect(double now) {
  const auto hosts = joined(hosts_);
  const char* names[] = {"host", "port", "user", "dbname", "sslmode", "gssencmode", "application_name", "target_session_attrs",
                         nullptr};
  const char* values[] = {hosts.c_str(),
                          client_.port.c_str(),
                          client_.name.c_str(),
                          "app",
                          "disable",
                          "disable",
                          "bench",
                          client_.hosts.size() > 1 ? "read-write" : "any",
                          nullptr};
  connection_.reset(PQconnectStartParams(names, values, 0));
  host_ = hosts_.front();
  host_since_ = now;
  interest_ = EPOLLOUT;
}

bool Connection::advance(double now) {
  if (phase_ == Phase::connect) return go_on_connecting(now);
  if (phase_ == Phase::look || phase_ == Phase::insert) return answering(now);
  if (phase_ == Phase::idle && (PQconsumeInput(connection_.get()) == 0 || PQstatus(connection_.get()) != CONNECTION_OK)) {
    begin_note(note_.number, now);
    note_.phase = "idle";
    return end(now, false, PQerrorMessage(connection_.get()));
  }
  return false;
}

bool Connection::go_on_connecting(double now) {
  auto* connection = connection_.get();
  if (PQstatus(connection) == CONNECTION_BAD) return end(now, false, PQerrorMessage(connection));
  switch (PQconnectPoll(connection)) {
    case PGRES_POLLING_READING:
      interest_ = EPOLLIN;
      break;
    case PGRES_POLLING_WRITING:
      interest_ = EPOLLOUT;
      break;
    case PGRES_POLLING_OK:
      PQsetnonblocking(connection, 1);
      return send(now);
    default:
      return end(now, false, PQerrorMessage(connection));
  }
  if (const char* host = PQhost(connection); host != nullptr && host_ != host) {
    host_ = host;
    host_since_ = now;
  }
  return false;
}

bool Connection::expired(double now) const {
  return phase_ == Phase::connect && now - host_since_ >= client_.timeout;
}

bool Connection::next_host(double now) {
  // libpq itself gives up a host only in its blocking calls; here the rest of the list is a new start.
  const auto current = std::find(hosts_.begin(), hosts_.end(), host_);
  hosts_.erase(hosts_.begin(), current == hosts_.end() ? hosts_.begin() + 1 : current + 1);
  if (hosts_.empty()) return end(now, false, "timeout expired");
  connect(now);
  return false;
}

bool Connection::write(long number, double now) {
  begin_note(number, now);
  return send(now);
}

bool Connection::send(double now) {
  auto* connection = connection_.get();
  const char* standby = PQparameterStatus(connection, "in_hot_standby");
  note_.recovery = standby != nullptr && std::string(standby) == "on";
  phase_ = note_.recovery ? Phase::look : Phase::insert;
  note_.phase = note_.recovery ? "look" : "insert";
  committed_ = false;
  const auto number = std::to_string(note_.number);
  const auto run = run_ + "-" + client_.name;
  const char* values[] = {run.c_str(), number.c_str()};
  const int sent = note_.recovery ? PQsendQuery(connection, kWhere)
                                  : PQsendQueryParams(connection, kInsert, 2, nullptr, values, nullptr, nullptr, 0);
  if (sent == 0) return end(now, false, PQerrorMessage(connection));
  interest_ = PQflush(connection) == 0 ? EPOLLIN : EPOLLIN | EPOLLOUT;
  return false;
}

bool Connection::answering(double now) {
  auto* connection = connection_.get();
  if (PQflush(connection) == 0) interest_ = EPOLLIN;
  if (PQconsumeInput(connection) == 0) return end(now, false, PQerrorMessage(connection));
  while (PQisBusy(connection) == 0) {
    auto* result = PQgetResult(connection);
    if (result == nullptr) return end(now, committed_, PQerrorMessage(connection));
    take(result);
    PQclear(result);
  }
  return false;
}

void Connection::take(const PGresult* result) {
  if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) != 1) return;
  note_.server = PQgetvalue(result, 0, 0);
  if (phase_ == Phase::insert) {
    note_.timeline = std::atoi(PQgetvalue(result, 0, 1));
    committed_ = true;
  }
}

bool Connection::end(double now, bool ok, const char* error) {
  note_.end = now;
  note_.ok = ok;
  if (!ok) note_.error = note_.recovery ? "in recovery" : error;
  phase_ = ok && client_.kept ? Phase::idle : Phase::broken;
  if (phase_ == Phase::broken) connection_.reset();
  return true;
}

Note Connection::unfinished(double now) const {
  auto note = note_;
  note.end = now;
  note.hanging = true;
  note.error = "had not ended";
  return note;
}

}  // namespace bench
