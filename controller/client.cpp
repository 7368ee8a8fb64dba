#include "controller/client.h"

#include <fmt/format.h>

#include <array>
#include <cstring>
#include <deque>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "controller/curl.h"
#include "controller/parse_patroni.h"

namespace controller {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kMaxHeaderBytes = 65'536;
constexpr std::size_t kKeptBodyBytes = 65'536;  ///< capacity that a slot keeps for its next answer

struct Slot {
  std::size_t number = 0;
  MemberUrl member;
  Easy easy;
  std::string path;
  milliseconds timeout{};
  Instant begun{};
  std::string body;
  std::string date;
  std::size_t header_bytes = 0;
  const char* too_much = nullptr;  ///< why the transfer was cut by us
};

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

bool starts_as(std::string_view line, std::string_view name) {
  if (line.size() < name.size()) return false;
  for (std::size_t at = 0; at < name.size(); ++at) {
    const char c = line[at] >= 'A' && line[at] <= 'Z' ? static_cast<char>(line[at] + 32) : line[at];
    if (c != name[at]) return false;
  }
  return true;
}

std::size_t on_body(char* data, std::size_t size, std::size_t count, void* user) {
  auto& slot = *static_cast<Slot*>(user);
  const std::size_t bytes = size * count;
  if (slot.body.size() + bytes > kMaxBodyBytes) {
    slot.too_much = "a body over 1000000 bytes";
    return CURL_WRITEFUNC_ERROR;
  }
  try {
    slot.body.append(data, bytes);
  } catch (const std::bad_alloc&) {
    slot.too_much = "no memory for its body";
    return CURL_WRITEFUNC_ERROR;
  }
  return bytes;
}

std::size_t on_header(char* data, std::size_t size, std::size_t count, void* user) {
  auto& slot = *static_cast<Slot*>(user);
  const std::size_t bytes = size * count;
  slot.header_bytes += bytes;
  if (slot.header_bytes > kMaxHeaderBytes) {
    slot.too_much = "a header over 64 kB";
    return CURL_WRITEFUNC_ERROR;
  }
  std::string_view line(data, bytes);
  if (!starts_as(line, "date:") || line.size() > 100) return bytes;
  line.remove_prefix(5);
  while (!line.empty() && (line.front() == ' ' || line.front() == '\t')) line.remove_prefix(1);
  while (!line.empty() && (line.back() == '\r' || line.back() == '\n' || line.back() == ' ')) line.remove_suffix(1);
  slot.date = line;
  return bytes;
}

Failure failure_of(CURLcode code, std::string_view text) {
  switch (code) {
    case CURLE_COULDNT_CONNECT:
      return Failure::refused;
    case CURLE_OPERATION_TIMEDOUT:
      return Failure::timed_out;
    case CURLE_COULDNT_RESOLVE_HOST:
      return Failure::unresolved;
    case CURLE_GOT_NOTHING:
      return Failure::empty;
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
      return contains(text, "SSL routines") && !died_under_tls(text) ? Failure::tls : Failure::reset;
    case CURLE_SSL_CONNECT_ERROR:
      return died_under_tls(text) ? Failure::reset : Failure::tls;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
    case CURLE_SSL_CLIENTCERT:
    case CURLE_SSL_ENGINE_INITFAILED:
    case CURLE_SSL_ENGINE_NOTFOUND:
    case CURLE_SSL_ENGINE_SETFAILED:
      return Failure::tls;
    default:
      return Failure::bad_answer;
  }
}

std::string timed_out_in(const Slot& slot, curl_off_t resolved, curl_off_t connected) {
  const auto within = fmt::format("within {} ms", slot.timeout.count());
  if (resolved == 0) return fmt::format("the name {} was not resolved {}", slot.member.host, within);
  if (connected == 0) return fmt::format("no connection {}", within);
  const auto bytes = slot.header_bytes + slot.body.size();
  if (bytes == 0) return fmt::format("connected, and no answer {}", within);
  return fmt::format("the answer was not complete {} ({} bytes)", within, bytes);
}

curl_off_t time_of(CURL* easy, CURLINFO what) {
  curl_off_t microseconds = 0;
  curl_easy_getinfo(easy, what, &microseconds);
  return microseconds;
}

curl_waitfd as_curls(const pollfd& other) {
  const int in = (other.events & POLLIN) != 0 ? CURL_WAIT_POLLIN : 0;
  const int out = (other.events & POLLOUT) != 0 ? CURL_WAIT_POLLOUT : 0;
  return {other.fd, static_cast<short>(in | out), 0};
}

NoAnswer no_answer(CURLcode code, const Slot& slot) {
  const std::string_view text = slot.easy.words(code);
  if (slot.too_much != nullptr) return {Failure::bad_answer, slot.too_much};
  NoAnswer none{failure_of(code, text), printable(text, 200)};
  if (code == CURLE_OPERATION_TIMEDOUT) {
    const auto resolved = time_of(slot.easy.curl, CURLINFO_NAMELOOKUP_TIME_T);
    if (resolved == 0) none.failure = Failure::unresolved;
    const bool began = time_of(slot.easy.curl, CURLINFO_STARTTRANSFER_TIME_T) > 0 || slot.header_bytes > 0;
    if (began) none.failure = Failure::bad_answer;  // it drips, or stopped halfway
    none.detail = timed_out_in(slot, resolved, time_of(slot.easy.curl, CURLINFO_CONNECT_TIME_T));
  } else if (code == CURLE_OUT_OF_MEMORY && slot.body.empty()) {
    none.detail = "a header line over 100 kB, or no memory";  // libcurl 7 has one code for both
  } else if (code == CURLE_COULDNT_CONNECT) {
    long number = 0;
    curl_easy_getinfo(slot.easy.curl, CURLINFO_OS_ERRNO, &number);
    if (number != 0) none.detail = printable(std::strerror(static_cast<int>(number)));
  }
  return none;
}

void set_up(Slot& slot, const Tls& tls) {
  set_up(slot.easy, slot.member, tls);
  CURL* const curl = slot.easy.curl;
  if (curl == nullptr) return;
  curl_easy_setopt(curl, CURLOPT_PRIVATE, &slot);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &on_body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &slot);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, &on_header);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &slot);
  curl_easy_setopt(curl, CURLOPT_TCP_NODELAY, 0L);  // a request is one segment
  curl_easy_setopt(curl, CURLOPT_FRESH_CONNECT, 1L);
  curl_easy_setopt(curl, CURLOPT_FORBID_REUSE, 1L);
  curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_0));
}

}  // namespace

class Client::Impl {
 public:
  Impl() {
    if (multi_ != nullptr) curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, 1L);
  }

  ~Impl() {
    for (auto& slot : slots_) {
      if (slot.easy.curl != nullptr) curl_multi_remove_handle(multi_, slot.easy.curl);
    }
    slots_.clear();
    if (multi_ != nullptr) curl_multi_cleanup(multi_);
  }

  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  std::size_t add(const MemberUrl& member, const Tls& tls) {
    auto& slot = slots_.emplace_back();
    slot.number = slots_.size() - 1;
    slot.member = member;
    set_up(slot, tls);
    if (multi_ == nullptr) slot.easy.trouble = "libcurl does not start";
    return slots_.size() - 1;
  }

  void begin(std::size_t number, const char* path, milliseconds timeout) {
    auto& slot = slots_[number];
    slot.begun = haproxy::BootClock::now();
    slot.timeout = timeout;
    slot.easy.error[0] = '\0';
    slot.body.clear();
    slot.date.clear();
    slot.header_bytes = 0;
    slot.too_much = nullptr;
    if (slot.easy.trouble.empty()) {
      if (slot.path != path) {
        slot.path = path;
        curl_easy_setopt(slot.easy.curl, CURLOPT_URL, (slot.easy.base + path).c_str());
      }
      curl_easy_setopt(slot.easy.curl, CURLOPT_TIMEOUT_MS, static_cast<long>(timeout.count()));
      curl_easy_setopt(slot.easy.curl, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(timeout.count()));
      if (curl_multi_add_handle(multi_, slot.easy.curl) == CURLM_OK) return;
    }
    Fetched fetched;
    fetched.slot = number;
    fetched.begun = fetched.ended = slot.begun;
    const bool tls = slot.member.https && !slot.easy.trouble.empty();
    fetched.failure =
        NoAnswer{tls ? Failure::tls : Failure::bad_answer,
                 slot.easy.trouble.empty() ? "libcurl does not take the request" : printable(slot.easy.trouble, 200)};
    ended_.push_back(std::move(fetched));
  }

  void work(Duration most, std::span<const pollfd> others) {
    perform();
    if (!ended_.empty() || most <= Duration::zero()) return;
    const auto wait = std::chrono::ceil<milliseconds>(std::min<Duration>(most, std::chrono::seconds(60)));
    waited_.clear();
    for (const pollfd& other : others) waited_.push_back(as_curls(other));
    const auto number = static_cast<unsigned>(waited_.size());
    if (curl_multi_poll(multi_, waited_.data(), number, static_cast<int>(wait.count()), nullptr) != CURLM_OK) {
      std::this_thread::sleep_for(milliseconds(10));
    }
    perform();
  }

  std::optional<Fetched> take() {
    if (ended_.empty()) return std::nullopt;
    Fetched first = std::move(ended_.front());
    ended_.pop_front();
    return first;
  }

  void wake() { curl_multi_wakeup(multi_); }

 private:
  void perform() {
    int running = 0;
    curl_multi_perform(multi_, &running);
    int left = 0;
    while (const CURLMsg* const message = curl_multi_info_read(multi_, &left)) {
      if (message->msg == CURLMSG_DONE) finish(message->easy_handle, message->data.result);
    }
  }

  void finish(CURL* easy, CURLcode code) {
    Slot* slot = nullptr;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &slot);
    Fetched fetched;
    fetched.slot = slot->number;
    fetched.begun = slot->begun;
    fetched.ended = haproxy::BootClock::now();
    if (code != CURLE_OK) fetched.failure = no_answer(code, *slot);
    const auto connected = time_of(easy, CURLINFO_CONNECT_TIME_T);
    fetched.hung = code == CURLE_OPERATION_TIMEDOUT && connected > 0;
    fetched.served_in = fetched.ended - fetched.begun - std::chrono::microseconds(connected);
    long http_code = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &http_code);
    fetched.code = static_cast<int>(http_code);
    const char* ip = nullptr;
    curl_easy_getinfo(easy, CURLINFO_PRIMARY_IP, &ip);
    fetched.ip = haproxy::parse_ip(slot->member.host).value_or("");
    if (fetched.ip.empty() && ip != nullptr) fetched.ip = haproxy::parse_ip(ip).value_or("");
    fetched.date = slot->date;
    fetched.body = slot->body;
    if (slot->body.capacity() > kKeptBodyBytes) std::string().swap(slot->body);
    curl_multi_remove_handle(multi_, easy);
    ended_.push_back(std::move(fetched));
  }

  CURLM* multi_ = new_multi();
  std::deque<Slot> slots_;  ///< libcurl keeps their addresses
  std::vector<curl_waitfd> waited_;
  std::deque<Fetched> ended_;
};

Client::Client() : impl_(std::make_unique<Impl>()) {}
Client::~Client() = default;
std::size_t Client::add(const MemberUrl& member, const Tls& tls) {
  return impl_->add(member, tls);
}
void Client::begin(std::size_t slot, const char* path, milliseconds timeout) {
  impl_->begin(slot, path, timeout);
}
void Client::work(Duration most, std::span<const pollfd> others) {
  impl_->work(most, others);
}
std::optional<Fetched> Client::take() {
  return impl_->take();
}
void Client::wake() {
  impl_->wake();
}

}  // namespace controller
