#pragma once
// One request of a watch after another to one server, on a multi handle that many share. What comes can be read as it comes.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "controller/curl.h"

namespace controller {

/// Threads: all from the one that drives the multi handle. Handed bytes and ends are noted, and acted on by nobody until that
/// thread looks: libcurl takes no changes from within its callbacks.
class Transfer {
 public:
  /// More than this at once, unread, ends the transfer.
  static constexpr std::size_t kMostBytes = 1'000'000;

  /// `touched` is set whenever bytes came or the end did; it must outlive the transfer, as must `multi`.
  Transfer(CURLM* multi, const MemberUrl& url, const Tls& tls, bool& touched);
  ~Transfer();
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  struct Request {
    std::string path;
    std::optional<std::string> post;       ///< JSON; nothing: GET
    std::vector<std::string> headers;      ///< "Authorization: …"
    std::chrono::milliseconds timeout{0};  ///< 0: it may last for ever
  };
  /// Begins it, after giving up what was under way. The connection is kept alive, by TCP's own probes too: a dead one is found
  /// out in 28 s.
  void begin(const Request& request);
  void stop();

  [[nodiscard]] bool under_way() const { return under_way_; }
  /// Has it ended since it was begun? Told once.
  [[nodiscard]] bool take_end();
  /// Why there is no whole answer, one line of printable ASCII; empty: there is one.
  [[nodiscard]] const std::string& failure() const { return failure_; }
  /// The HTTP status as soon as it is known, else 0.
  [[nodiscard]] int code() const;
  /// What came and was not taken out yet.
  [[nodiscard]] std::string& body() { return body_; }
  /// The header X-Consul-Index as a number; nothing where there is none.
  [[nodiscard]] std::optional<std::uint64_t> consul_index() const { return consul_index_; }

  /// libcurl is through with `curl`'s request, whichever transfer's it was.
  static void end(CURL* curl, CURLcode code);

 private:
  static std::size_t on_body(char* data, std::size_t size, std::size_t count, void* user);
  static std::size_t on_header(char* data, std::size_t size, std::size_t count, void* user);
  void fail(const std::string& why);

  CURLM* multi_;
  Easy easy_;
  bool& touched_;
  curl_slist* headers_ = nullptr;
  bool under_way_ = false;
  bool ended_ = false;
  const char* too_much_ = nullptr;
  std::string failure_;
  std::string body_;
  std::size_t header_bytes_ = 0;
  std::optional<std::uint64_t> consul_index_;
};

}  // namespace controller
