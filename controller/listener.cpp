#include "controller/listener.h"

#include <arpa/inet.h>
#include <fmt/core.h>
#include <httplib.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "controller/http_connection.h"
#include "controller/metrics.h"
#include "controller/ring.h"
#include "controller/status.h"

namespace controller {

namespace {

using std::chrono::milliseconds;

constexpr std::size_t kThreads = 2 + Doorbell::kMostWaiting;
constexpr std::size_t kMostWaiting = 16;
constexpr std::size_t kRequestsPerConnection = 5;
constexpr milliseconds kAcceptPause{100};  ///< when there are no descriptors left

void answer_text(httplib::Response& response, int status, const std::string& line) {
  response.status = status;
  response.set_content(line + "\n", "text/plain; charset=utf-8");
}

/// The line that says why the loop is not well; nothing where it is.
std::optional<std::string> stuck(const std::optional<Published>& published, Instant now) {
  if (!published) return "no round has ended yet";
  const Duration age = now - published->at;
  if (age <= kStuckAfter) return std::nullopt;
  return fmt::format("the loop is stuck: its last round ended {} s ago",
                     std::chrono::duration_cast<std::chrono::seconds>(age).count());
}

void answer_ready(const httplib::Request& request, httplib::Response& response, const std::optional<Published>& published,
                  Instant now) {
  const std::string scope = request.get_param_value("scope");
  if (const auto why = stuck(published, now)) return answer_text(response, 503, *why);
  const auto& clusters = published->clusters;
  if (!scope.empty() &&
      std::none_of(clusters.begin(), clusters.end(), [&](const PublishedCluster& c) { return c.scope == scope; })) {
    return answer_text(response, 404, "there is no such scope");
  }
  const Readiness readiness = controller::readiness(*published, scope, request.get_param_value("writer") == "1");
  answer_text(response, readiness.ready ? 200 : 503, readiness.why);
}

/// Who may ask for something, and whom.
struct Door {
  Gate gate;
  Doorbell* bell = nullptr;
};

void answer_post(const httplib::Request& request, httplib::Response& response, const Door& door) {
  if (request.method != "POST") {
    response.set_header("Allow", "POST");
    return answer_text(response, 405, "only POST is answered here");
  }
  if (request.has_header("Origin")) return answer_text(response, 403, "a browser has no business here");
  if (const auto refused = door.gate.refuse(request.get_header_value("Authorization"))) {
    return answer_text(response, refused->status, refused->line);
  }
  const std::string scope = request.get_param_value("scope");
  const Reply reply =
      request.path == "/hold" ? ring_hold(*door.bell, scope, request.get_param_value("member")) : ring_nudge(*door.bell, scope);
  if (reply.retry) response.set_header("Retry-After", "1");
  answer_text(response, reply.status, reply.line);
}

void answer(const httplib::Request& request, httplib::Response& response, const Latest& latest, const Door& door) {
  response.set_header("Cache-Control", "no-store");
  const std::string& path = request.path;
  if (door.bell != nullptr && (path == "/nudge" || path == "/hold")) return answer_post(request, response, door);
  if (path != "/metrics" && path != "/healthz" && path != "/readyz" && path != "/status.json") {
    return answer_text(response, 404, "there are /metrics, /healthz, /readyz and /status.json");
  }
  if (request.method != "GET" && request.method != "HEAD") {
    response.set_header("Allow", "GET, HEAD");
    return answer_text(response, 405, "only GET and HEAD are answered");
  }
  const std::optional<Published> published = latest();
  const Instant now = haproxy::BootClock::now();
  if (path == "/readyz") return answer_ready(request, response, published, now);
  if (path == "/healthz") {
    const auto why = stuck(published, now);
    return answer_text(response, why ? 503 : 200, why.value_or("the loop is running"));
  }
  if (!published) return answer_text(response, 503, "no round has ended yet");
  response.status = 200;
  if (path == "/metrics")
    response.set_content(metrics_text(*published, now), "text/plain; version=0.0.4; charset=utf-8");
  else
    response.set_content(status_json(*published, now, "from the daemon"), "application/json");
}

/// cpp-httplib's reading of requests and writing of answers, without its accepting: that has no bound on its queue before 0.12,
/// ends for good on some errors of accept, and lets two processes share a port.
class Protocol final : public httplib::Server {
 public:
  Protocol(Latest latest, Door door) {
    set_keep_alive_max_count(kRequestsPerConnection);
    set_keep_alive_timeout(std::chrono::duration_cast<std::chrono::seconds>(HttpConnection::kWithin).count());
    set_payload_max_length(HttpConnection::kMostRequestBytes);
    set_pre_routing_handler(
        [latest = std::move(latest), door = std::move(door)](const httplib::Request& request, httplib::Response& response) {
          try {
            answer(request, response, latest, door);
          } catch (const std::exception&) {
            answer_text(response, 500, "an error of pointsman's own");
          }
          return HandlerResponse::Handled;
        });
  }

  /// Answers one request; false: the connection is to be closed.
  bool serve(HttpConnection& connection, bool last) {
    bool understood = false;
    bool body_follows = false;
    bool closed = false;
    const auto look = [&](httplib::Request& request) {
      // Ranges would make long answers of short ones, and bodies are not read.
      understood = true;
      request.ranges.clear();
      request.headers.erase("Expect");
      body_follows = request.has_header("Transfer-Encoding") ||
                     (request.has_header("Content-Length") && request.get_header_value("Content-Length") != "0");
      if (body_follows) {
        request.headers.erase("Connection");
        request.set_header("Connection", "close");
      }
    };
    const bool answered = process(*this, connection, last, closed, look);
    return answered && understood && !closed && !body_follows && !last;
  }

 private:
  /// `process_request` takes the peers' addresses itself from 0.17 on.
  template <class Self, class Look>
  static bool process(Self& self, httplib::Stream& stream, bool last, bool& closed, Look look) {
    if constexpr (requires { self.process_request(stream, last, closed, look); }) {
      return self.process_request(stream, last, closed, look);
    } else {
      return self.process_request(stream, std::string(), 0, std::string(), 0, last, closed, look);
    }
  }
};

haproxy::Result<Descriptor> listen_on(const HttpConfig& http) {
  const bool six = http.address.find(':') != std::string::npos;
  const std::string subject = fmt::format("{}{}{}:{}", six ? "[" : "", http.address, six ? "]" : "", http.port);
  sockaddr_storage address{};
  socklen_t length = sizeof(sockaddr_in);
  bool numeric = false;
  if (six) {
    auto* in6 = reinterpret_cast<sockaddr_in6*>(&address);
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(http.port);
    numeric = ::inet_pton(AF_INET6, http.address.c_str(), &in6->sin6_addr) == 1;
    length = sizeof(sockaddr_in6);
  } else {
    auto* in = reinterpret_cast<sockaddr_in*>(&address);
    in->sin_family = AF_INET;
    in->sin_port = htons(http.port);
    numeric = ::inet_pton(AF_INET, http.address.c_str(), &in->sin_addr) == 1;
  }
  if (!numeric) return haproxy::fail("listen on", subject, "that is no numeric address", "see http.listen");
  Descriptor socket(::socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int on = 1;
  if (socket.get() < 0 || ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
      ::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), length) != 0 || ::listen(socket.get(), 64) != 0) {
    const int error = errno;
    return haproxy::fail("listen on", subject, std::strerror(error),
                         error == EADDRINUSE ? "name another port with http.listen, or http: off" : "see http.listen");
  }
  return socket;
}

std::uint16_t bound_port(int socket) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  if (::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &length) != 0) return 0;
  return address.ss_family == AF_INET6 ? ntohs(reinterpret_cast<sockaddr_in6*>(&address)->sin6_port)
                                       : ntohs(reinterpret_cast<sockaddr_in*>(&address)->sin_port);
}

}  // namespace

class Listener::Impl {
 public:
  Impl(Descriptor socket, Descriptor stop, Latest latest, Door door)
      : socket_(std::move(socket)),
        stop_(std::move(stop)),
        port_(bound_port(socket_.get())),
        protocol_(std::move(latest), std::move(door)) {}

  ~Impl() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
      waiting_.clear();
    }
    // Never read, so that it ends every wait.
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = ::write(stop_.get(), &one, sizeof one);
    changed_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  void start() {
    threads_.emplace_back([this] { accept_all(); });
    for (std::size_t i = 0; i < kThreads; ++i) threads_.emplace_back([this] { serve_all(); });
  }
  [[nodiscard]] std::uint16_t port() const { return port_; }

 private:
  void accept_all() {
    constexpr std::chrono::hours kLong{1};
    while (!stopping()) {
      if (!wait_for(socket_.get(), POLLIN, stop_.get(), haproxy::BootClock::now() + kLong)) continue;
      Descriptor client(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (client.get() >= 0) {
        enqueue(std::move(client));
      } else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
        wait_for(stop_.get(), POLLIN, stop_.get(), haproxy::BootClock::now() + kAcceptPause);
      }
    }
  }

  /// One too many is closed at once.
  void enqueue(Descriptor client) {
    const std::lock_guard lock(mutex_);
    if (stopping_ || waiting_.size() >= kMostWaiting) return;
    waiting_.push_back(std::move(client));
    changed_.notify_one();
  }

  void serve_all() {
    while (true) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
      if (stopping_) return;
      Descriptor client = std::move(waiting_.front());
      waiting_.pop_front();
      lock.unlock();
      try {
        serve(std::move(client));
      } catch (const std::exception&) {
        // The connection is closed, and the next one is served.
      }
    }
  }

  void serve(Descriptor client) {
    HttpConnection connection(std::move(client), stop_.get());
    for (std::size_t i = 1; i <= kRequestsPerConnection && connection.begin_request([this] { return others_wait(); }); ++i) {
      if (!protocol_.serve(connection, i == kRequestsPerConnection)) break;
    }
    connection.finish();
  }

  bool others_wait() {
    const std::lock_guard lock(mutex_);
    return stopping_ || !waiting_.empty();
  }

  bool stopping() {
    const std::lock_guard lock(mutex_);
    return stopping_;
  }

  Descriptor socket_, stop_;
  std::uint16_t port_;
  Protocol protocol_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Descriptor> waiting_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

haproxy::Result<std::unique_ptr<Listener>> Listener::start(const HttpConfig& http, Latest latest, Doorbell* doorbell) {
  auto gate = Gate::open(http);
  if (!gate) return tl::unexpected(gate.error());
  auto socket = listen_on(http);
  if (!socket) return tl::unexpected(socket.error());
  Descriptor stop(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (stop.get() < 0) return haproxy::fail("make", "an eventfd", std::strerror(errno));
  try {
    auto impl =
        std::make_unique<Impl>(std::move(*socket), std::move(stop), std::move(latest), Door{std::move(*gate), doorbell});
    impl->start();
    return std::unique_ptr<Listener>(new Listener(std::move(impl)));
  } catch (const std::exception& e) {
    return haproxy::fail("start", "the listener", e.what());
  }
}

Listener::Listener(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Listener::~Listener() = default;
std::uint16_t Listener::port() const {
  return impl_->port();
}

}  // namespace controller
