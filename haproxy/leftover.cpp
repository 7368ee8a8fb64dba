#include "haproxy/leftover.h"

#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>

namespace haproxy {

bool claim(const Descriptor& made) {
  if (::flock(made.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) return false;
  struct stat status {};
  return ::fstat(made.get(), &status) != 0 || status.st_nlink > 0;
}

bool is_leftover(const Descriptor& found) {
  return found.is_open() && ::flock(found.get(), LOCK_EX | LOCK_NB) == 0;
}

}  // namespace haproxy
