#pragma once
// Asks the PostgreSQL ports of the board's suspects, and puts what they say on the board.

#include <poll.h>

#include <memory>
#include <vector>

#include "controller/board.h"

namespace controller {

/// One question to a cluster's suspect at a time, by port_pace, each a connection of its own: a start-up packet is sent
/// (port.h), at most kPortAnswerBytes are read, and it is closed. A question is over within port_patience; where no connection
/// stands by half of that it is tried once more, since one SYN may be lost. What fails here and not on the way (no descriptor,
/// no right) is not reported: it says nothing of the port. Never blocks. Threads: all from one.
class Ports {
 public:
  /// `board` must outlive it and has `clusters` of them.
  Ports(Board& board, std::size_t clusters);
  ~Ports();
  Ports(const Ports&) = delete;
  Ports& operator=(const Ports&) = delete;

  /// Begins, goes on and ends what is due. Says when it is to be called again at the latest: before that once one of `waits` is
  /// ready or the board has another suspect.
  [[nodiscard]] Instant work(Instant now);
  [[nodiscard]] std::vector<pollfd> waits() const;

 private:
  class Question;
  Board& board_;
  std::vector<std::unique_ptr<Question>> questions_;  ///< by cluster
};

}  // namespace controller
