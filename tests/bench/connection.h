#pragma once

#include <libpq-fe.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace bench {

// Seconds of CLOCK_MONOTONIC, so that notes of several processes share one axis.
double monotonic();

// One client of one door.
struct Client {
  std::string name;  // also its role in PostgreSQL, so that the server's log tells clients apart
  bool kept = false;
  double every = 0.02;  // seconds from one attempt, or write of a kept connection, to the next
  double timeout = 2;   // seconds for each host until the connection stands, as libpq's connect_timeout
  std::vector<std::string> hosts;
  std::string port;
};

// What one attempt came to.
struct Note {
  long number = 0;
  double start = 0;
  double end = 0;
  bool ok = false;       // the row was committed, and the server said so
  bool hanging = false;  // it had not ended when the clients were told to
  const char* phase = "connect";
  std::string server;  // as the server itself names its address; empty when it never said
  bool recovery = false;
  int timeline = 0;
  std::string error;
};

// A connection that never blocks. The owner waits for `interest` (EPOLLIN, EPOLLOUT) on `socket`, and calls `advance` then.
class Connection {
 public:
  Connection(const Client& client, const std::string& run, long number, double now);

  // Goes as far as it can. True when an attempt has ended: `note` says how.
  bool advance(double now);
  // The time to connect is over for the current host.
  bool expired(double now) const;
  // Gives up the current host for the next one. True when it was the last: the attempt has ended.
  bool next_host(double now);
  // One more row on a kept connection that is idle. True when it failed at once.
  bool write(long number, double now);
  // The attempt as it stands, for one that the end of the run cuts off.
  Note unfinished(double now) const;

  int socket() const { return PQsocket(connection_.get()); }
  uint32_t interest() const { return interest_; }
  bool connecting() const { return phase_ == Phase::connect; }
  bool idle() const { return phase_ == Phase::idle; }
  bool broken() const { return phase_ == Phase::broken; }
  const Client& client() const { return client_; }
  const Note& note() const { return note_; }

 private:
  enum class Phase { connect, look, insert, idle, broken };

  void begin_note(long number, double now);
  void connect(double now);
  bool go_on_connecting(double now);
  bool answering(double now);
  bool send(double now);
  bool end(double now, bool ok, const char* error);
  void take(const PGresult* result);

  struct Finish {
    void operator()(PGconn* connection) const { PQfinish(connection); }
  };

  const Client& client_;
  const std::string& run_;
  std::unique_ptr<PGconn, Finish> connection_;
  std::vector<std::string> hosts_;  // still to be tried, the current one included
  std::string host_;                // the one that `host_since_` is about
  double host_since_ = 0;
  Phase phase_ = Phase::connect;
  uint32_t interest_ = 0;
  bool committed_ = false;
  Note note_;
};

}  // namespace bench
