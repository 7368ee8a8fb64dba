// Many pointsmen on the same member.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "controller/poller.h"
#include "tests/catch.h"

using namespace controller;
using haproxy::BootClock;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

/// As Patroni 4.1 serves: five threads, a backlog of five, one answer a connection, each taking a millisecond.
class Pool {
 public:
  Pool() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), length) != 0 || ::listen(listener_, 5) != 0) std::abort();
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length);
    port_ = ntohs(address.sin_port);
    for (int i = 0; i < 5; ++i) threads_.emplace_back([this] { serve(); });
  }
  ~Pool() {
    ::shutdown(listener_, SHUT_RDWR);
    for (auto& thread : threads_) thread.join();
    ::close(listener_);
  }
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  [[nodiscard]] std::uint16_t port() const { return port_; }
  /// Something changes: whoever asks is in alert from then on.
  void change() { ++timeline_; }

 private:
  void serve() {
    for (;;) {
      const int client = ::accept(listener_, nullptr, nullptr);
      if (client < 0) return;
      char request[1000];
      if (::recv(client, request, sizeof request, 0) > 0) {
        std::this_thread::sleep_for(milliseconds(1));
        const std::string answer =
            "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{\"state\": \"running\", \"role\": \"primary\", "
            "\"timeline\": " +
            std::to_string(timeline_.load()) + ", \"patroni\": {\"version\": \"4.1.5\", \"scope\": \"demo\"}}";
        [[maybe_unused]] const auto sent = ::send(client, answer.data(), answer.size(), MSG_NOSIGNAL);
      }
      ::close(client);
    }
  }

  int listener_;
  std::uint16_t port_ = 0;
  std::atomic<int> timeline_ = 1;
  std::vector<std::thread> threads_;
};

struct Pointsman {
  std::vector<ClusterConfig> clusters{1};
  std::unique_ptr<Board> board;
  std::unique_ptr<Poller> poller;

  explicit Pointsman(std::uint16_t port) {
    clusters[0].scope = "demo";
    clusters[0].members = {{"http://127.0.0.1:" + std::to_string(port), false, "127.0.0.1", port}};
    Snapshot first;
    first.clusters.emplace_back().scope = "demo";
    first.clusters[0].members.emplace_back().url = clusters[0].members[0].url;
    board = std::make_unique<Board>(std::move(first));
    poller = std::make_unique<Poller>(clusters, *board, true);
  }
};

}  // namespace

TEST_CASE("fifty pointsmen in alert leave no answer slower than 200 ms") {
  Pool pool;
  std::vector<std::unique_ptr<Pointsman>> crowd;
  for (int i = 0; i < 50; ++i) {
    crowd.push_back(std::make_unique<Pointsman>(pool.port()));
    std::this_thread::sleep_for(milliseconds(5));  // not started by the same event
  }
  milliseconds slowest{0};
  std::size_t answers = 0;
  std::size_t slow = 0;
  std::vector<Instant> last(crowd.size());
  const Instant begun = BootClock::now();
  Instant next_change = begun;
  while (BootClock::now() < begun + seconds(3)) {
    if (BootClock::now() >= next_change) {
      pool.change();
      next_change += seconds(1);
    }
    for (std::size_t i = 0; i < crowd.size(); ++i) {
      const Sighting member = crowd[i]->board->snapshot().clusters[0].members[0];
      CHECK_FALSE(member.silence);
      if (!member.answer || member.answer->asked_at <= last[i] || member.answer->asked_at < begun) continue;
      last[i] = member.answer->asked_at;
      ++answers;
      const auto took = std::chrono::duration_cast<milliseconds>(member.answer->answered_at - member.answer->asked_at);
      slowest = std::max(slowest, took);
      slow += took > milliseconds(200) ? 1 : 0;
    }
    std::this_thread::sleep_for(milliseconds(2));
  }
  INFO("the slowest took " << slowest.count() << " ms; slow are " << slow << " of " << answers);
  CHECK(answers > 1500);
  // Where the machine leaves the server itself no time for a moment, a SYN is dropped, and comes again after 1 s.
  CHECK(slow <= answers / 1000);
}
