#include "controller/board.h"

#include <thread>

#include "tests/catch.h"

using namespace controller;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

constexpr Instant kStart{std::chrono::hours(1)};

Snapshot start() {
  Snapshot snapshot;
  auto& cluster = snapshot.clusters.emplace_back();
  cluster.scope = "main";
  for (const char* const url : {"http://10.0.0.11:8008", "http://pg2.example:8008", "http://[::1]:8009"}) {
    cluster.members.emplace_back().url = url;
  }
  return snapshot;
}

Answer answer(Role role, State state = State::running, int code = 503) {
  Answer said;
  said.code = code;
  said.role = role;
  said.state = state;
  return said;
}

MemberReport report(int at, Answer said) {
  return {kStart + seconds(at), kStart + seconds(at), std::move(said)};
}
MemberReport silent(int at, Failure failure) {
  return {kStart + seconds(at), kStart + seconds(at + 1), NoAnswer{failure, "x"}};
}

Sighting member(const Board& board, std::size_t index) {
  return board.snapshot().clusters[0].members[index];
}

}  // namespace

TEST_CASE("an answer is kept with its times, and raises the version") {
  Board board(start());
  CHECK(board.snapshot().version == 0);
  board.put(0, 0, report(1, answer(Role::primary)), "10.0.0.11");
  CHECK(board.snapshot().version == 1);
  const auto seen = member(board, 0);
  CHECK(seen.answer == report(1, answer(Role::primary)));
  CHECK(!seen.silence);
  CHECK(!seen.before);
  CHECK(seen.api_ip == "10.0.0.11");
  CHECK(seen.api_port == 8008);
  CHECK(member(board, 2).api_port == 8009);
}

TEST_CASE("the answer before is kept where the new one differs in role, state, code or replication") {
  Board board(start());
  auto streaming = answer(Role::replica);
  streaming.replication_state = "streaming";
  board.put(0, 0, report(1, streaming), "");
  auto moved = streaming;
  moved.replayed = 7;
  board.put(0, 0, report(2, moved), "");
  CHECK(!member(board, 0).before);
  CHECK(member(board, 0).says_since == kStart + seconds(1));
  board.put(0, 0, report(3, answer(Role::replica)), "");
  CHECK(member(board, 0).before == moved);
  CHECK(member(board, 0).says_since == kStart + seconds(3));
  board.put(0, 0, report(4, answer(Role::replica, State::stopping)), "");
  CHECK(member(board, 0).before == answer(Role::replica));
  board.put(0, 0, report(5, answer(Role::primary, State::stopping)), "");
  CHECK(member(board, 0).before == answer(Role::replica, State::stopping));
  board.put(0, 0, report(6, answer(Role::primary, State::stopping, 200)), "");
  CHECK(member(board, 0).before == answer(Role::primary, State::stopping));
}

TEST_CASE("silence counts from the first request without an answer, and keeps the last answer") {
  Board board(start());
  board.put(0, 0, report(1, answer(Role::primary)), "");
  board.put(0, 0, silent(5, Failure::timed_out), "");
  board.put(0, 0, silent(8, Failure::refused), "");
  auto seen = member(board, 0);
  CHECK(seen.silence == Silence{kStart + seconds(5), NoAnswer{Failure::refused, "x"}, 2});
  CHECK(seen.answer == report(1, answer(Role::primary)));
  board.put(0, 0, report(9, answer(Role::primary)), "");
  seen = member(board, 0);
  CHECK(!seen.silence);
  CHECK(seen.answer->asked_at == kStart + seconds(9));
  board.put(0, 0, silent(20, Failure::reset), "");
  CHECK(member(board, 0).silence->since == kStart + seconds(20));
}

TEST_CASE("a request is under way until its report comes, and is no news") {
  Board board(start());
  board.put_asked(0, 0, kStart + seconds(1));
  board.put_asked(0, 9, kStart);
  CHECK(board.version() == 0);
  CHECK(member(board, 0).in_flight == kStart + seconds(1));
  CHECK(!member(board, 1).in_flight);
  board.put(0, 0, report(1, answer(Role::primary)), "");
  CHECK(!member(board, 0).in_flight);
  board.put_asked(0, 0, kStart + seconds(2));
  board.put(0, 0, silent(2, Failure::timed_out), "");
  CHECK(!member(board, 0).in_flight);
}

TEST_CASE("a late answer is news") {
  Board board(start());
  board.put_late(0);
  board.put_late(9);
  CHECK(board.version() == 1);
}

TEST_CASE("what a port says is news when it is something else than before, and is forgotten with the member's next answer") {
  Board board(start());
  const auto said = [&](int at, PortSays says, std::uint16_t port = 5432) {
    board.put_port(0, 0, {{"10.0.0.11", port}, kStart + seconds(at), kStart + seconds(at), says, "x"});
    return board.version();
  };
  board.put(0, 0, report(1, answer(Role::primary)), "");
  const auto version = board.version();
  CHECK(said(2, PortSays::nothing) == version);  // nobody asks for it
  CHECK_FALSE(member(board, 0).port);
  board.put_suspect(0, Suspect{0, {"10.0.0.11", 5432}, {}});
  CHECK(said(2, PortSays::nothing) == version + 1);
  CHECK(said(3, PortSays::nothing) == version + 1);
  CHECK(member(board, 0).port->asked_at == kStart + seconds(3));
  CHECK(said(4, PortSays::rejecting) == version + 2);
  CHECK(said(5, PortSays::rejecting, 6432) == version + 3);
  board.put(0, 0, silent(6, Failure::refused), "");
  CHECK(member(board, 0).port);
  board.put(0, 0, report(8, answer(Role::primary)), "");
  CHECK_FALSE(member(board, 0).port);
  CHECK(said(7, PortSays::nothing) == board.version());  // asked before that answer
  CHECK_FALSE(member(board, 0).port);
  said(9, PortSays::nothing);
  CHECK(member(board, 0).port);
  board.put_suspect(0, Suspect{1, {"10.0.0.12", 5432}, {}});
  CHECK_FALSE(member(board, 0).port);
}

TEST_CASE("a suspect stays until there is another or none") {
  Board board(start());
  const Suspect suspect{1, {"10.0.0.12", 5432}, milliseconds(2)};
  CHECK_FALSE(board.suspect(0));
  CHECK(board.put_suspect(0, suspect));
  CHECK_FALSE(board.put_suspect(0, suspect));
  CHECK(board.suspect(0) == suspect);
  CHECK(board.put_suspect(0, std::nullopt));
  CHECK_FALSE(board.put_suspect(7, suspect));
  CHECK_FALSE(board.suspect(7));
}

TEST_CASE("bad answers are counted, other silence is not") {
  Board board(start());
  board.put(0, 0, silent(1, Failure::bad_answer), "");
  board.put(0, 1, silent(2, Failure::timed_out), "");
  board.put(0, 1, silent(3, Failure::bad_answer), "");
  CHECK(board.snapshot().clusters[0].refused == 2);
  board.put_refusal(0);
  board.put_refusal(7);
  CHECK(board.snapshot().clusters[0].refused == 3);
}

TEST_CASE("/cluster fills names and addresses by the API's address and port") {
  Board board(start());
  board.put(0, 1, report(1, answer(Role::replica)), "10.0.0.12");
  ClusterReport list;
  list.asked_at = kStart + seconds(2);
  list.members = {{"n1", "10.0.0.11", 8008, "10.0.0.11", 5432, false},
                  {"n2", "10.0.0.12", 8008, "pg2.example", 5433, true},
                  {"n3", "::1", 8008, "10.0.0.13", 5432, false}};
  board.put_cluster(0, 0, list);
  CHECK(member(board, 0).name == "n1");
  CHECK(member(board, 0).postgres == haproxy::Address{"10.0.0.11", 5432});
  CHECK(member(board, 1).name == "n2");
  CHECK(member(board, 1).postgres_host == "pg2.example");
  CHECK(member(board, 1).postgres_port == 5433);
  CHECK(member(board, 1).postgres == haproxy::Address{"10.0.0.12", 5433});
  CHECK(member(board, 2).name.empty());
  CHECK(member(board, 2).postgres_host.empty());
  CHECK(board.snapshot().clusters[0].hearsay ==
        std::vector<Hearsay>{{"http://10.0.0.11:8008", kStart + seconds(2), "http://pg2.example:8008"}});
}

TEST_CASE("a host by the API's own name is resolved once the API has been reached") {
  Board board(start());
  ClusterReport list;
  list.members = {{"n2", "pg2.example", 8008, "pg2.example", 5432, false}};
  board.put_cluster(0, 0, list);
  CHECK(!member(board, 1).postgres);
  board.put(0, 1, silent(1, Failure::refused), "10.0.0.12");
  CHECK(member(board, 1).postgres == haproxy::Address{"10.0.0.12", 5432});
  list.members[0].host = "other.example";
  board.put_cluster(0, 0, list);
  CHECK(!member(board, 1).postgres);
  CHECK(member(board, 1).postgres_host == "other.example");
}

TEST_CASE("a member's own name beats what /cluster calls it") {
  Board board(start());
  auto said = answer(Role::replica);
  said.name = "own";
  board.put(0, 0, report(1, said), "");
  ClusterReport list;
  list.members = {{"hearsay", "10.0.0.11", 8008, "", 0, false}};
  board.put_cluster(0, 1, list);
  CHECK(member(board, 0).name == "own");
}

TEST_CASE("a list without an address keeps the one that is known") {
  Board board(start());
  ClusterReport list;
  list.members = {{"n1", "10.0.0.11", 8008, "10.0.0.11", 5432, true}};
  board.put_cluster(0, 0, list);
  list.members = {{"n1", "10.0.0.11", 8008, "", 0, true}};
  board.put_cluster(0, 0, list);
  CHECK(member(board, 0).postgres == haproxy::Address{"10.0.0.11", 5432});
  board.put_cluster(0, 0, ClusterReport{});
  CHECK(member(board, 0).postgres == haproxy::Address{"10.0.0.11", 5432});
}

TEST_CASE("hearsay is the newest of each member that was asked") {
  Board board(start());
  ClusterReport list;
  list.members = {{"n1", "10.0.0.11", 8008, "", 0, true}};
  board.put_cluster(0, 0, list);
  board.put_cluster(0, 1, list);
  list.asked_at = kStart;
  list.members[0].leader = false;
  board.put_cluster(0, 0, list);
  const auto hearsay = board.snapshot().clusters[0].hearsay;
  REQUIRE(hearsay.size() == 2);
  CHECK(hearsay[0] == Hearsay{"http://10.0.0.11:8008", kStart, ""});
  CHECK(hearsay[1].leader_url == "http://10.0.0.11:8008");
}

TEST_CASE("what was remembered is there from the start") {
  auto remembered = start();
  remembered.clusters[0].members[0].postgres_host = "10.0.0.11";
  remembered.clusters[0].members[0].postgres_port = 5432;
  const Board board(remembered);
  CHECK(member(board, 0).postgres == haproxy::Address{"10.0.0.11", 5432});
}

TEST_CASE("timings are put, and places that do not exist are passed over") {
  Board board(start());
  board.put_timings(0, Timings{60, 5});
  CHECK(board.snapshot().clusters[0].timings == Timings{60, 5});
  board.put(1, 0, report(1, answer(Role::primary)), "");
  board.put(0, 9, report(1, answer(Role::primary)), "");
  board.put_cluster(0, 9, {});
  board.put_timings(9, {});
  CHECK(board.snapshot().version == 1);
}

TEST_CASE("a wait ends with the version, with the time, or with a wake") {
  Board board(start());
  const auto far = haproxy::BootClock::now() + std::chrono::minutes(1);
  CHECK_FALSE(board.wait(0, haproxy::BootClock::now() - seconds(1)));
  const auto before = haproxy::BootClock::now();
  CHECK_FALSE(board.wait(0, before + milliseconds(20)));
  CHECK(haproxy::BootClock::now() - before >= milliseconds(20));
  board.put_timings(0, {});
  CHECK(board.wait(0, far));
  board.wake();
  CHECK_FALSE(board.wait(1, far));
  std::thread putting([&] { board.put_timings(0, {}); });
  CHECK(board.wait(1, Instant::max()));
  putting.join();
  std::thread waking([&] { board.wake(); });
  CHECK_FALSE(board.wait(2, far));
  waking.join();
  CHECK(haproxy::BootClock::now() < far);
}

TEST_CASE("of what is announced, the newest that is due counts, else the first that will be") {
  Board board(start());
  const Instant now = haproxy::BootClock::now();
  CHECK(!board.announced(0));
  CHECK(!board.announced(9));
  board.put(0, 0, report(1, answer(Role::primary, State::running, 200)), "");
  ClusterReport list;
  list.members = {{"n1", "10.0.0.11", 8008, "", 0, true}};
  board.put_cluster(0, 0, list);
  board.put_switchover(0, Handover{"7", "n1", now + seconds(60)});
  CHECK(board.announced(0) == now + seconds(60));
  board.put_stop(0, "n1", now - seconds(2));  // due, so that the later one is not what counts
  CHECK(board.announced(0) == now - seconds(2));
  board.put_switchover(0, Handover{"8", "n1", now - seconds(1)});
  CHECK(board.announced(0) == now - seconds(1));
  board.put_switchover(0, Handover{"9", "n1", now - seconds(3)});
  CHECK(board.announced(0) == now - seconds(2));
  board.put_switchover(0, std::nullopt);
  board.put_stop(0, "n1", now - seconds(1));
  CHECK(board.announced(0) == now - seconds(1));
}

TEST_CASE("a stop is announced while its member holds the lock or is silent, of nobody else") {
  Board board(start());
  const Instant now = haproxy::BootClock::now();
  ClusterReport list;
  list.members = {{"n1", "10.0.0.11", 8008, "", 0, true}};
  board.put_cluster(0, 0, list);
  board.put_stop(0, "nobody", now);
  board.put_stop(0, "n1", now);
  CHECK(!board.announced(0));  // it has never answered
  board.put(0, 0, report(1, answer(Role::primary, State::stopping, 503)), "");
  CHECK(!board.announced(0));
  board.put(0, 0, report(2, answer(Role::primary, State::running, 200)), "");
  CHECK(board.announced(0) == now);
  board.put(0, 0, report(3, answer(Role::replica)), "");
  CHECK(!board.announced(0));
  board.put(0, 0, silent(4, Failure::timed_out), "");
  CHECK(board.announced(0) == now);
}

TEST_CASE("a board that goes on after another is newer, and has what was announced there for the scopes that both have") {
  Board before(start());
  before.put_timings(0, {});
  before.put_switchover(0, Handover{"7", "n1", kStart});
  before.put_stop(0, "n1", kStart + seconds(1));
  auto then = start();
  then.clusters[0].scope = "another";
  then.clusters.push_back(start().clusters[0]);
  Board board(then);
  board.go_on_after(before.snapshot());
  const auto now = board.snapshot();
  CHECK(now.version > before.version());
  CHECK(!now.clusters[0].switchover);
  CHECK(now.clusters[0].stops.empty());
  CHECK(now.clusters[1].switchover == Handover{"7", "n1", kStart});
  CHECK(now.clusters[1].stops == std::vector<StopNotice>{{1, "n1", kStart + seconds(1)}});
  // The numbers go on: a notice that was heard of is not heard of again.
  board.put_stop(1, "n1", kStart + seconds(2));
  CHECK(board.snapshot().clusters[1].stops == std::vector<StopNotice>{{2, "n1", kStart + seconds(2)}});
}
