#include "controller/ports.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include "controller/port.h"
#include "controller/schedule.h"

namespace controller {
namespace {

constexpr Instant kNever = Instant::max();

/// Nothing of it is there to be asked again: the way, or the other side, says no.
bool is_of_the_way(int error) {
  return error == ECONNREFUSED || error == ECONNRESET || error == EPIPE || error == EHOSTUNREACH || error == ENETUNREACH ||
         error == ETIMEDOUT || error == EHOSTDOWN || error == ENETDOWN;
}

/// A descriptor that closes itself.
class Connection {
 public:
  Connection() = default;
  ~Connection() { close(); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// 0, EINPROGRESS, or why not.
  int open(const haproxy::Address& address) {
    close();
    sockaddr_in v4{};
    sockaddr_in6 v6{};
    v4.sin_family = AF_INET;
    v6.sin6_family = AF_INET6;
    v4.sin_port = v6.sin6_port = htons(address.port);
    const bool is_v4 = inet_pton(AF_INET, address.ip.c_str(), &v4.sin_addr) == 1;
    if (!is_v4 && inet_pton(AF_INET6, address.ip.c_str(), &v6.sin6_addr) != 1) return EINVAL;
    fd_ = socket(is_v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd_ < 0) return errno;
    const auto* const to = is_v4 ? reinterpret_cast<const sockaddr*>(&v4) : reinterpret_cast<const sockaddr*>(&v6);
    return connect(fd_, to, is_v4 ? sizeof v4 : sizeof v6) == 0 ? 0 : errno;
  }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  [[nodiscard]] int fd() const { return fd_; }

  /// 0: it stands; EINPROGRESS: not yet.
  [[nodiscard]] int state() const {
    pollfd waited{fd_, POLLOUT, 0};
    if (poll(&waited, 1, 0) == 0) return EINPROGRESS;
    int error = 0;
    socklen_t length = sizeof error;
    if (getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &length) != 0) return errno;
    return error;
  }

 private:
  int fd_ = -1;
};

}  // namespace

/// What is asked of one cluster's suspect.
class Ports::Question {
 public:
  void ask_from_now_on(std::optional<Suspect> suspect, Instant now) {
    if (suspect == suspect_) return;
    end();
    suspect_ = std::move(suspect);
    since_ = due_ = now;
  }

  /// Goes on as far as it can; a report where it is over.
  std::optional<PortReport> work(Instant now) {
    if (!suspect_) return std::nullopt;
    if (!under_way_ && now < due_) return std::nullopt;
    if (!under_way_) begin(now);
    auto answer = go_on(now);
    if (!answer && under_way_) return std::nullopt;
    end();
    if (!answer) return std::nullopt;
    return PortReport{suspect_->address, begun_, now, answer->says, std::move(answer->detail)};
  }

  [[nodiscard]] const std::optional<Suspect>& suspect() const { return suspect_; }
  [[nodiscard]] Instant next() const {
    if (!suspect_) return kNever;
    if (!under_way_) return due_;
    const Instant end = begun_ + patience_;
    return sent_ || tried_again_ ? end : begun_ + patience_ / 2;
  }
  [[nodiscard]] std::optional<pollfd> waits() const {
    if (!under_way_) return std::nullopt;
    return pollfd{connection_.fd(), static_cast<short>(sent_ ? POLLIN : POLLOUT), 0};
  }

 private:
  void begin(Instant now) {
    under_way_ = true;
    tried_again_ = sent_ = false;
    bytes_.clear();
    begun_ = now;
    patience_ = port_patience(suspect_->took);
    due_ = now + port_pace(now - since_);
    error_ = connection_.open(suspect_->address);
  }
  void end() {
    under_way_ = false;
    connection_.close();
  }

  /// Nothing, and not under way any more: it failed here.
  std::optional<PortAnswer> go_on(Instant now) {
    if (!sent_) {
      if (error_ == EINPROGRESS) error_ = connection_.state();
      if (error_ == EINPROGRESS && now >= begun_ + patience_) return no_answer("no connection within {} ms");
      if (error_ == EINPROGRESS && !tried_again_ && now >= begun_ + patience_ / 2) {
        tried_again_ = true;
        error_ = connection_.open(suspect_->address);
      }
      if (error_ == EINPROGRESS) return std::nullopt;
      if (error_ == 0) send_packet();
      if (error_ != 0) return failed();
    }
    const bool closed = read();
    auto answer = parse_port_answer(bytes_, closed);
    if (!answer && now >= begun_ + patience_) answer = parse_port_answer(bytes_, true);
    if (answer && bytes_.empty() && !closed) return no_answer("connected, and no answer within {} ms");
    return answer;
  }

  void send_packet() {
    const std::string packet = start_up_packet();
    if (send(connection_.fd(), packet.data(), packet.size(), MSG_NOSIGNAL) < 0) error_ = errno;
    sent_ = true;
  }

  /// Everything that has come; is nothing more to come?
  bool read() {
    std::array<char, kPortAnswerBytes> part{};
    while (bytes_.size() < kPortAnswerBytes) {
      const auto got = recv(connection_.fd(), part.data(), part.size() - bytes_.size(), 0);
      if (got <= 0) return got == 0 || (errno != EAGAIN && errno != EINTR);
      bytes_.append(part.data(), static_cast<std::size_t>(got));
    }
    return true;
  }

  std::optional<PortAnswer> failed() {
    if (is_of_the_way(error_)) return PortAnswer{PortSays::nothing, std::strerror(error_)};
    under_way_ = false;
    return std::nullopt;
  }

  [[nodiscard]] PortAnswer no_answer(const char* words) const {
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(patience_).count();
    return {PortSays::nothing, fmt::format(fmt::runtime(words), ms)};
  }

  std::optional<Suspect> suspect_;
  Instant since_{};  ///< it is the suspect
  Instant due_{};    ///< the next question
  Instant begun_{};  ///< the last one
  Duration patience_{};
  bool under_way_ = false;
  bool tried_again_ = false;
  bool sent_ = false;
  int error_ = 0;  ///< of the connection
  Connection connection_;
  std::string bytes_;
};

Ports::Ports(Board& board, std::size_t clusters) : board_(board) {
  for (std::size_t c = 0; c < clusters; ++c) questions_.push_back(std::make_unique<Question>());
}
Ports::~Ports() = default;

Instant Ports::work(Instant now) {
  Instant next = kNever;
  for (std::size_t c = 0; c < questions_.size(); ++c) {
    Question& question = *questions_[c];
    question.ask_from_now_on(board_.suspect(c), now);
    if (auto report = question.work(now)) board_.put_port(c, question.suspect()->member, std::move(*report));
    next = std::min(next, question.next());
  }
  return next;
}

std::vector<pollfd> Ports::waits() const {
  std::vector<pollfd> all;
  for (const auto& question : questions_) {
    if (const auto waited = question->waits()) all.push_back(*waited);
  }
  return all;
}

}  // namespace controller
