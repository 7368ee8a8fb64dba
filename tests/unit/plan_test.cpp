#include "haproxy/plan.h"

#include "tests/catch.h"

using namespace haproxy;

namespace {

Server server(const std::string& name, OperationalState op_state, int health, unsigned admin_state = 0) {
  Server s;
  s.name = name;
  s.ip = "127.0.0.11";
  s.port = 5432;
  s.op_state = op_state;
  s.admin_state = admin_state;
  s.check = {true, 15, 3, health, 2, 3, 8008};
  return s;
}
Server up(const std::string& name) {
  return server(name, OperationalState::running, 4);
}
Server down(const std::string& name) {
  return server(name, OperationalState::stopped, 0);
}

Running running(std::vector<Server> servers) {
  return {{1, 1, false, "2.6.12"}, {{"pg", std::move(servers)}}};
}

std::vector<std::string> lines(const std::vector<Step>& steps) {
  std::vector<std::string> text;
  for (const Step& step : steps) text.push_back(step.line());
  return text;
}
using Lines = std::vector<std::string>;

Backend backend(std::vector<DesiredServer> servers, bool one_writer = true) {
  return {"pg", one_writer, std::move(servers)};
}
DesiredServer want(const std::string& name, Want want, Steering steering = Steering::health) {
  return {name, want, steering, false, "because"};
}

}  // namespace

TEST_CASE("nothing is sent while HAProxy is as it should be") {
  const auto plan = diff({backend({want("a", Want::in), want("b", Want::out)})}, running({up("a"), down("b")}), {});
  CHECK(plan.nothing_to_send());
}

TEST_CASE("a switch by health puts the old one down before the new one up") {
  const auto plan = diff({backend({want("a", Want::out), want("b", Want::in)})}, running({up("a"), down("b")}), {});
  CHECK(lines(plan.out) == Lines{"set server pg/a health down"});
  CHECK(lines(plan.in) == Lines{"set server pg/b health up"});
  CHECK(plan.ours.empty());
}

TEST_CASE("a lease is renewed when the health counter moves the wrong way, before it flips") {
  Server rising = down("b");
  rising.check.health = 1;
  Server falling = up("a");
  falling.check.health = 3;
  const auto plan = diff({backend({want("a", Want::in), want("b", Want::out)})}, running({falling, rising}), {});
  CHECK(lines(plan.out) == Lines{"set server pg/b health down"});
  CHECK(lines(plan.in) == Lines{"set server pg/a health up"});
}

TEST_CASE("a switch by admin state sets the old one to maint and the new one to ready") {
  const auto plan = diff({backend({want("a", Want::out, Steering::admin), want("b", Want::in, Steering::admin)})},
                         running({up("a"), server("b", OperationalState::stopped, 0, kAdminForcedMaint)}), {{"pg", "b"}});
  CHECK(lines(plan.out) == Lines{"set server pg/a state maint"});
  CHECK(lines(plan.in) == Lines{"set server pg/b state ready"});
  CHECK(plan.ours == std::set<ServerName>{{"pg", "a"}});
}

TEST_CASE("a maint or drain of somebody else's hand is left alone") {
  const unsigned state = GENERATE(0x01U, 0x08U, 0x20U);
  const Want wish = GENERATE(Want::in, Want::out, Want::drain, Want::leave);
  const Steering steering = GENERATE(Steering::health, Steering::admin);
  INFO("admin state " << state << ", want " << word(wish) << " by " << word(steering));
  const auto plan =
      diff({backend({want("a", wish, steering)})}, running({server("a", OperationalState::stopped, 0, state)}), {});
  CHECK(plan.nothing_to_send());
  CHECK(plan.operators == std::vector<ServerName>{{"pg", "a"}});
  CHECK(plan.ours.empty());
}

TEST_CASE("`disabled` in the file, made ready, and an FQDN set by command are no maintenance") {
  Server s = down("a");
  s.admin_state = 0x04 | 0x40;
  const auto plan = diff({backend({want("a", Want::in)})}, running({s}), {});
  CHECK(lines(plan.in) == Lines{"set server pg/a health up"});
}

TEST_CASE("with rise 1 forced health is no lease: maint while the check would pass, given back once it would not") {
  Server s = up("a");
  s.check.rise = 1;
  DesiredServer out = want("a", Want::out);
  const auto away = diff({backend({out})}, running({s}), {});
  CHECK(lines(away.out) == Lines{"set server pg/a state maint"});
  out.check_keeps_out = true;
  const auto back = diff({backend({out})}, after(away, running({s})), away.ours);
  CHECK(lines(back.out) == Lines{"set server pg/a state drain", "set server pg/a health down", "set server pg/a state ready"});
  CHECK(back.ours.empty());
}

TEST_CASE("in a read backend the new ones go in before the old ones out, and a drained one's sessions are not ended") {
  Server lagging = up("b");
  lagging.sessions = 7;
  Server gone = up("c");
  gone.sessions = 2;
  const auto plan = diff({backend({want("a", Want::in), want("b", Want::drain), want("c", Want::out)}, false)},
                         running({down("a"), lagging, gone}), {});
  CHECK(lines(plan.reads) == Lines{"set server pg/a health up", "set server pg/b state drain", "set server pg/c health down"});
  CHECK(plan.fences.empty());
  CHECK(plan.read_fences == std::vector<Fence>{{"pg", "c", "because"}});
  CHECK(plan.ours == std::set<ServerName>{{"pg", "b"}});
}

TEST_CASE("a drained reader that catches up is made ready again, and one that is silent stays drained") {
  const auto drained = running({server("a", OperationalState::running, 4, kAdminForcedDrain)});
  const auto back = diff({backend({want("a", Want::in)}, false)}, drained, {{"pg", "a"}});
  CHECK(lines(back.reads) == Lines{"set server pg/a state ready"});
  const auto silent = diff({backend({want("a", Want::leave)}, false)}, drained, {{"pg", "a"}});
  CHECK(silent.nothing_to_send());
  CHECK(silent.ours == std::set<ServerName>{{"pg", "a"}});
}

TEST_CASE("sessions on a writer that is out are ended, also when it is out already") {
  Server old = down("a");
  old.sessions = 3;
  const auto plan = diff({backend({want("a", Want::out)})}, running({old}), {});
  CHECK(plan.out.empty());
  CHECK(plan.fences == std::vector<Fence>{{"pg", "a", "because"}});
  CHECK(after(plan, running({old})).find("pg", "a")->sessions == 0);
}

TEST_CASE("a limit is sent where it is another, or where somebody waits who has room, and then no more") {
  const auto sent = [](unsigned is, unsigned sessions, unsigned queued, unsigned wanted, bool in = true) {
    Running now = running({in ? up("a") : down("a")});
    now.backends[0].queued = queued;
    now.backends[0].servers[0].maxconn = is;
    now.backends[0].servers[0].sessions = sessions;
    const std::vector<Limit> limits = {{"pg", "a", wanted, "because"}, {"pg", "nobody", wanted, "because"}};
    const auto plan = diff({}, now, {}, limits);
    CHECK(plan.nothing_to_send() == plan.limits.empty());
    CHECK(diff({}, after(plan, now), {}, limits).nothing_to_send());
    Lines text;
    for (const Limit& limit : plan.limits) text.push_back(limit.line());
    return text;
  };
  const Lines to_20{"set maxconn server pg/a 20"};
  CHECK(sent(100, 0, 0, 20) == to_20);
  CHECK(sent(0, 50, 50, 20) == to_20);
  CHECK(sent(20, 0, 0, 20) == Lines{});
  CHECK(sent(20, 20, 7, 20) == Lines{});
  CHECK(sent(20, 30, 7, 20) == Lines{});
  CHECK(sent(20, 19, 1, 20) == to_20);
  CHECK(sent(20, 19, 1, 20, false) == Lines{});
  CHECK(sent(0, 5, 9, 0) == Lines{});  // 0 lets nobody go
  CHECK(sent(20, 5, 9, 0) == Lines{"set maxconn server pg/a 0"});
}

namespace {

/// All worlds of three servers: each up or down with its counter anywhere, ready, or in maint or drain of ours or of another's.
struct World {
  Running now;
  std::set<ServerName> ours;
  std::vector<Backend> desired;
};

std::vector<std::pair<Server, bool>> every_server(const std::string& name, int rise) {
  std::vector<std::pair<Server, bool>> all;
  for (const bool is_up : {false, true}) {
    for (const int health : is_up ? std::vector{rise, rise + 2} : std::vector{0, rise - 1}) {
      Server s = server(name, is_up ? OperationalState::running : OperationalState::stopped, health);
      s.check.rise = rise;
      all.emplace_back(s, false);
      s.admin_state = kAdminForcedDrain;
      all.emplace_back(s, true);
      all.emplace_back(s, false);
    }
  }
  Server maint = server(name, OperationalState::stopped, 0, kAdminForcedMaint);
  maint.check.rise = rise;
  all.emplace_back(maint, true);
  all.emplace_back(maint, false);
  return all;
}

std::vector<Step> in_order(const Plan& plan) {
  std::vector<Step> steps = plan.out;
  steps.insert(steps.end(), plan.in.begin(), plan.in.end());
  return steps;
}

void carry_out(const Step& step, Running& running) {
  for (Server& s : running.backends.front().servers)
    if (s.name == step.server) haproxy::carry_out(step.command, s);
}

std::set<std::string> usable(const Running& running) {
  const auto names = usable_servers(running.backends.front());
  return {names.begin(), names.end()};
}

bool holds_what_was_wanted(const World& world, const Running& then) {
  for (const DesiredServer& wanted : world.desired.front().servers) {
    const Server& before = *world.now.find("pg", wanted.name);
    const bool theirs = (before.in_maint() || before.in_drain()) && !world.ours.contains({"pg", wanted.name});
    const Server& s = *then.find("pg", wanted.name);
    if (theirs && !(s == before)) return false;
    const bool own_check_says_no =
        wanted.steering == Steering::admin && !before.in_maint() && before.op_state == OperationalState::stopped;
    if (!theirs && wanted.want == Want::in && !s.usable() && !own_check_says_no) return false;
    if (!theirs && wanted.want == Want::out && s.usable()) return false;
  }
  return true;
}

/// Says what is wrong with the plan for this world; empty: nothing.
std::string find_fault(const World& world) {
  const Plan plan = diff(world.desired, world.now, world.ours);
  if (!holds_what_was_wanted(world, after(plan, world.now))) return "does not land";
  const auto steps = in_order(plan);
  Running then = world.now;
  auto before = usable(then);
  for (std::size_t i = 0; i <= steps.size(); ++i) {
    // Interrupted here, with what was to become ours recorded: planned again, it lands.
    World again = world;
    again.now = then;
    again.ours.insert(plan.ours.begin(), plan.ours.end());
    std::erase_if(again.ours, [&](const ServerName& name) {
      const Server* s = then.find(name.first, name.second);
      return !s->in_maint() && !s->in_drain();
    });
    const Plan second = diff(again.desired, again.now, again.ours);
    const Running end = after(second, again.now);
    if (!holds_what_was_wanted(again, end)) return "does not land after an interruption";
    if (!diff(again.desired, end, second.ours).nothing_to_send()) return "does not come to rest";
    if (i == steps.size()) break;
    carry_out(steps[i], then);
    const auto now = usable(then);
    for (const std::string& name : now) {
      if (before.contains(name)) continue;
      for (const DesiredServer& wanted : world.desired.front().servers)
        if (wanted.name == name && wanted.want != Want::in) return "lets in a server that is not wanted";
      if (now.size() > 1) return "lets a second server in";
    }
    before = now;
  }
  return {};
}

}  // namespace

TEST_CASE("in every small world every prefix of the plan keeps one writer, and every interruption lands") {
  std::size_t worlds = 0;
  for (const int rise : {1, 2}) {
    for (const Steering steering : {Steering::health, Steering::admin}) {
      const auto as = every_server("a", rise), bs = every_server("b", rise), cs = every_server("c", rise);
      for (const auto& [a, a_ours] : as) {
        for (const auto& [b, b_ours] : bs) {
          for (const auto& [c, c_ours] : cs) {
            for (int writer = -1; writer < 3; ++writer) {
              for (const bool keeps_out : {false, true}) {
                World world{running({a, b, c}), {}, {backend({})}};
                if (a_ours) world.ours.insert({"pg", "a"});
                if (b_ours) world.ours.insert({"pg", "b"});
                if (c_ours) world.ours.insert({"pg", "c"});
                for (int i = 0; i < 3; ++i) {
                  world.desired.front().servers.push_back({std::string(1, static_cast<char>('a' + i)),
                                                           i == writer ? Want::in : Want::out, steering, keeps_out, "because"});
                }
                const std::string fault = find_fault(world);
                if (!fault.empty()) {
                  INFO("rise " << rise << ", writer " << writer << ", a " << a.admin_state << (a_ours ? " ours" : "") << ", b "
                               << b.admin_state << (b_ours ? " ours" : "") << ", c " << c.admin_state
                               << (c_ours ? " ours" : ""));
                  INFO("by " << word(steering) << ", check keeps out " << keeps_out);
                  REQUIRE(fault == "");
                }
                ++worlds;
              }
            }
          }
        }
      }
    }
  }
  CHECK(worlds == 2 * 2 * 14 * 14 * 14 * 4 * 2);
}
