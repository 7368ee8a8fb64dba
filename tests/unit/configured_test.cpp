#include "haproxy/configured.h"

#include "tests/catch.h"

using haproxy::ConfiguredAt;
using haproxy::find_on_marked_down;

namespace {

/// The lines of one file that are found for pg_primary.
std::vector<int> lines(const std::string& text) {
  std::vector<int> found;
  for (const ConfiguredAt& at : find_on_marked_down({{"/a.cfg", text}}, {"pg_primary"})) found.push_back(at.line);
  return found;
}
using Lines = std::vector<int>;

}  // namespace

TEST_CASE("a server of a named backend that ends its sessions is found, of another backend not") {
  CHECK(lines("backend pg_primary\n  server a 10.0.0.1:5432 check on-marked-down shutdown-sessions\n"
              "backend pg_replicas\n  server a 10.0.0.1:5432 check on-marked-down shutdown-sessions\n") == Lines{2});
  CHECK(lines("listen pg_primary\n  default-server inter 1s on-marked-down shutdown-sessions\n  server a 10.0.0.1:5432") ==
        Lines{2});
  CHECK(lines("backend pg_primary\n\n  server-template a 3 _pg on-marked-down\tshutdown-sessions\r\n  server b x") == Lines{3});
}

TEST_CASE("a comment, another option and another section end no sessions") {
  CHECK(lines("backend pg_primary\n  server a 10.0.0.1:5432 # on-marked-down shutdown-sessions\n"
              "  # server a on-marked-down shutdown-sessions\n  server b on-marked-up shutdown-backup-sessions\n"
              "  server c on-marked-down\n  description server on-marked-down shutdown-sessions\n") == Lines{});
  CHECK(lines("backend pg_primary\n  server a x\nfrontend f\n  server a x on-marked-down shutdown-sessions") == Lines{});
  CHECK(lines("") == Lines{});
  CHECK(lines("\n\n server a x on-marked-down shutdown-sessions") == Lines{});
}

TEST_CASE("what the defaults give is found: the last ones begun, or those that are named") {
  const std::string ending = "defaults\n  default-server on-marked-down shutdown-sessions\n";
  const std::string backend = "backend pg_primary\n  server a x\n";
  CHECK(lines(ending + backend) == Lines{2});
  CHECK(lines(ending + "defaults\n  mode tcp\n" + backend) == Lines{});
  const std::string named = "defaults tcp\n  default-server on-marked-down shutdown-sessions\n";
  CHECK(lines(named + "defaults\n  mode tcp\n" + backend) == Lines{});
  CHECK(lines(named + "defaults\n  mode tcp\nbackend pg_primary from tcp\n  server a x\n") == Lines{2});
  CHECK(lines(named + "defaults more from tcp\n  mode tcp\n" + backend) == Lines{2});
}

TEST_CASE("files are read as one, in their order, and each line is told once") {
  CHECK(find_on_marked_down(
            {{"/1.cfg", "defaults\n default-server on-marked-down shutdown-sessions\n"},
             {"/2.cfg", "backend pg_primary\n server a x\nbackend b2\n server a x on-marked-down shutdown-sessions"}},
            {"pg_primary", "b2"}) == std::vector<ConfiguredAt>{{"/1.cfg", 2}, {"/2.cfg", 4}});
}
