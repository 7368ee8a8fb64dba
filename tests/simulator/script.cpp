#include "tests/simulator/script.h"

#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/format.h>

namespace simulator {
namespace {

/// What a line has after its word.
enum class Form : std::uint8_t { nothing, member, member_amount, amount, peer };

struct Word {
  What what;
  const char* word;
  Form form;
  int weight;         ///< of random scripts
  std::int64_t most;  ///< the largest random amount
};

constexpr std::array kWords{
    Word{What::crash_postgres, "crash_postgres", Form::member, 5, 0},
    Word{What::hang_postgres, "hang_postgres", Form::member, 2, 0},
    Word{What::wake_postgres, "wake_postgres", Form::member, 2, 0},
    Word{What::restart_postgres, "restart_postgres", Form::member, 4, 0},
    Word{What::stop_patroni, "stop_patroni", Form::member, 4, 0},
    Word{What::kill_patroni, "kill_patroni", Form::member, 3, 0},
    Word{What::start_patroni, "start_patroni", Form::member, 6, 0},
    Word{What::freeze_patroni, "freeze_patroni", Form::member, 6, 0},
    Word{What::thaw_patroni, "thaw_patroni", Form::member, 4, 0},
    Word{What::kill_member, "kill_member", Form::member, 4, 0},
    Word{What::start_member, "start_member", Form::member, 6, 0},
    Word{What::switchover, "switchover", Form::member, 10, 0},
    Word{What::pause, "pause", Form::nothing, 2, 0},
    Word{What::resume, "resume", Form::nothing, 3, 0},
    Word{What::stop_dcs, "stop_dcs", Form::nothing, 3, 0},
    Word{What::start_dcs, "start_dcs", Form::nothing, 4, 0},
    Word{What::partition, "partition", Form::peer, 12, 0},
    Word{What::join, "join", Form::peer, 10, 0},
    Word{What::slow, "slow", Form::member_amount, 4, 2000},
    Word{What::reset, "reset", Form::member_amount, 2, 5},
    Word{What::garble, "garble", Form::member_amount, 2, 5},
    Word{What::lie_lock, "lie_lock", Form::member, 2, 0},
    Word{What::lie_primary, "lie_primary", Form::member, 3, 0},
    Word{What::lie_timeline, "lie_timeline", Form::member, 4, 0},
    Word{What::lie_future, "lie_future", Form::member, 5, 0},
    Word{What::lie_scope, "lie_scope", Form::member, 2, 0},
    Word{What::lie_system, "lie_system", Form::member, 2, 0},
    Word{What::be_honest, "be_honest", Form::member, 6, 0},
    Word{What::new_system, "new_system", Form::member, 1, 0},
    Word{What::reload, "reload", Form::nothing, 6, 0},
    Word{What::restart, "restart", Form::amount, 3, 3000},
    Word{What::refuse, "refuse", Form::amount, 3, 6},
    Word{What::drop, "drop", Form::amount, 4, 6},
    Word{What::mute, "mute", Form::amount, 3, 5000},
    Word{What::late, "late", Form::amount, 3, 400},
    Word{What::prompt, "prompt", Form::nothing, 3, 0},
    Word{What::kill_pointsman, "kill_pointsman", Form::amount, 8, 6},
    Word{What::start_pointsman, "start_pointsman", Form::nothing, 10, 0},
    Word{What::forget, "forget", Form::nothing, 2, 0},
    Word{What::suspend, "suspend", Form::amount, 4, 20000},
    Word{What::sleep, "sleep", Form::amount, 2, 60000},
    Word{What::wall_clock, "wall_clock", Form::amount, 2, 7200},
    Word{What::heal, "heal", Form::nothing, 2, 0},
};

const Word& word_of(What what) {
  return *std::find_if(kWords.begin(), kWords.end(), [&](const Word& word) { return word.what == what; });
}

std::string name_of(const Event& event) {
  switch (event.peer) {
    case Peer::pointsman:
      return "pointsman";
    case Peer::haproxy:
      return "haproxy";
    case Peer::dcs:
      return "dcs";
    case Peer::member:
      break;
  }
  return fmt::format("pg{}", event.other + 1);
}

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  while (!line.empty()) {
    const std::size_t from = line.find_first_not_of(' ');
    if (from == std::string_view::npos) break;
    line.remove_prefix(from);
    const std::size_t end = std::min(line.find(' '), line.size());
    words.push_back(line.substr(0, end));
    line.remove_prefix(end);
  }
  return words;
}

template <class Number>
bool to_number(std::string_view text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

bool to_member(std::string_view text, unsigned members, std::size_t& member) {
  if (!text.starts_with("pg") || !to_number(text.substr(2), member) || member < 1 || member > members) return false;
  --member;
  return true;
}

bool to_peer(std::string_view text, unsigned members, Event& event) {
  for (const Peer peer : {Peer::pointsman, Peer::haproxy, Peer::dcs}) {
    event.peer = peer;
    if (text == name_of(event)) return true;
  }
  event.peer = Peer::member;
  return to_member(text, members, event.other);
}

/// "12.350s".
bool to_time(std::string_view text, Millis& time) {
  std::int64_t whole = 0;
  std::int64_t part = 0;
  const std::size_t dot = text.find('.');
  if (!text.ends_with('s') || dot == std::string_view::npos || text.size() != dot + 5) return false;
  if (!to_number(text.substr(0, dot), whole) || !to_number(text.substr(dot + 1, 3), part) || part < 0) return false;
  time = Millis(whole * 1000 + part);
  return true;
}

bool parse_event(const std::vector<std::string_view>& words, unsigned members, Event& event) {
  if (words.size() < 2 || !to_time(words[0], event.at)) return false;
  const auto word = std::find_if(kWords.begin(), kWords.end(), [&](const Word& known) { return known.word == words[1]; });
  if (word == kWords.end()) return false;
  event.what = word->what;
  switch (word->form) {
    case Form::nothing:
      return words.size() == 2;
    case Form::member:
      return words.size() == 3 && to_member(words[2], members, event.member);
    case Form::member_amount:
      return words.size() == 4 && to_member(words[2], members, event.member) && to_number(words[3], event.amount);
    case Form::amount:
      return words.size() == 3 && to_number(words[2], event.amount);
    case Form::peer:
      return words.size() == 4 && to_member(words[2], members, event.member) && to_peer(words[3], members, event);
  }
  return false;
}

bool parse_setup(const std::vector<std::string_view>& words, Setup& setup) {
  for (std::size_t i = 1; i < words.size(); ++i) {
    const std::size_t equals = words[i].find('=');
    if (equals == std::string_view::npos) return false;
    const std::string_view key = words[i].substr(0, equals);
    std::uint64_t value = 0;
    if (!to_number(words[i].substr(equals + 1), value)) return false;
    const auto number = [&](std::string_view name, unsigned& field) {
      if (key == name) field = static_cast<unsigned>(value);
      return key == name;
    };
    const auto flag = [&](std::string_view name, bool& field) {
      if (key == name) field = value != 0;
      return key == name;
    };
    if (key == "seed") {
      setup.seed = value;
      continue;
    }
    const bool known = number("members", setup.members) || flag("naive", setup.naive) || flag("mixed", setup.mixed) ||
                       flag("hold", setup.hold) || flag("master", setup.master) || flag("failsafe", setup.failsafe) ||
                       flag("fallback", setup.fallback) || number("ttl", setup.ttl) || number("loop_wait", setup.loop_wait) ||
                       number("inter_ms", setup.inter_ms) || number("rise", setup.rise) || number("fall", setup.fall);
    if (!known) return false;
  }
  return setup.members >= 1 && setup.members <= 9;
}

Setup random_setup(std::uint64_t seed, Timeline& dice) {
  Setup setup;
  setup.seed = seed;
  setup.members = dice.chance(0.8) ? 3 : dice.chance(0.5) ? 2 : 5;
  setup.naive = dice.chance(0.3);
  setup.mixed = dice.chance(0.15);
  setup.hold = dice.chance(0.5);
  setup.master = dice.chance(0.4);
  setup.failsafe = dice.chance(0.2);
  setup.fallback = dice.chance(0.8);
  if (dice.chance(0.6)) {
    setup.ttl = 8;
    setup.loop_wait = 2;
  }
  if (dice.chance(0.4)) setup.inter_ms = 1000;
  if (dice.chance(0.1)) setup.rise = 1;
  if (dice.chance(0.1)) setup.fall = 1;
  return setup;
}

Event random_event(unsigned members, Timeline& dice) {
  int all = 0;
  for (const Word& word : kWords) all += word.weight;
  int at = static_cast<int>(dice.pick(static_cast<std::size_t>(all)));
  const Word* word = kWords.data();
  while (at >= word->weight) at -= (word++)->weight;
  Event event;
  event.what = word->what;
  if (word->form == Form::member || word->form == Form::member_amount || word->form == Form::peer)
    event.member = dice.chance(0.5) ? 0 : dice.pick(members);
  if (word->form == Form::peer) {
    event.peer = static_cast<Peer>(dice.pick(4));
    if (event.peer == Peer::member) event.other = (event.member + 1 + dice.pick(members - 1)) % members;
  }
  if (word->most > 0) event.amount = static_cast<std::int64_t>(dice.pick(static_cast<std::size_t>(word->most)) + 1);
  if (event.what == What::wall_clock && dice.chance(0.5)) event.amount = -event.amount;
  return event;
}

}  // namespace

std::string render(const Event& event) {
  const Word& word = word_of(event.what);
  std::string line = fmt::format("{}.{:03}s {}", event.at.count() / 1000, event.at.count() % 1000, word.word);
  if (word.form == Form::member || word.form == Form::member_amount || word.form == Form::peer)
    line += fmt::format(" pg{}", event.member + 1);
  if (word.form == Form::peer) line += " " + name_of(event);
  if (word.form == Form::amount || word.form == Form::member_amount) line += fmt::format(" {}", event.amount);
  return line;
}

std::string render(const Script& script) {
  const Setup& s = script.setup;
  std::string text = fmt::format(
      "setup seed={} members={} naive={:d} mixed={:d} hold={:d} master={:d} failsafe={:d} fallback={:d} ttl={} loop_wait={} "
      "inter_ms={} rise={} fall={}\n",
      s.seed, s.members, s.naive, s.mixed, s.hold, s.master, s.failsafe, s.fallback, s.ttl, s.loop_wait, s.inter_ms, s.rise,
      s.fall);
  for (const Event& event : script.events) text += render(event) + "\n";
  return text;
}

std::optional<Script> parse_script(std::string_view text, std::string& complaint) {
  Script script;
  for (int number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    line = line.substr(0, line.find('#'));
    const auto words = words_of(line);
    if (words.empty()) continue;
    Event event;
    const bool good = words[0] == "setup" ? parse_setup(words, script.setup) : parse_event(words, script.setup.members, event);
    if (!good) {
      complaint = fmt::format("line {}: \"{}\" is not understood", number, line);
      return std::nullopt;
    }
    if (words[0] != "setup") script.events.push_back(event);
  }
  std::stable_sort(script.events.begin(), script.events.end(), [](const Event& a, const Event& b) { return a.at < b.at; });
  return script;
}

Script random_script(std::uint64_t seed) {
  Timeline dice(seed * 0x9e3779b97f4a7c15ULL + 1);
  Script script;
  script.setup = random_setup(seed, dice);
  const std::size_t number = 3 + dice.pick(18);
  Millis at{3000};
  for (std::size_t i = 0; i < number; ++i) {
    // Bursts: things that come together are worse than things that come apart.
    const int most = dice.chance(0.5) ? 400 : dice.chance(0.7) ? 6'000 : 20'000;
    at += Millis(static_cast<std::int64_t>(dice.pick(static_cast<std::size_t>(most))));
    Event event = random_event(script.setup.members, dice);
    event.at = at;
    script.events.push_back(event);
  }
  Event heal;
  heal.at = at + Millis(static_cast<std::int64_t>(2'000 + dice.pick(40'000)));
  script.events.push_back(heal);
  return script;
}

}  // namespace simulator
