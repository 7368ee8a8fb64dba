#include "controller/fragment_file.h"

#include <algorithm>

#include "controller/decide.h"

namespace controller {
namespace {

constexpr std::chrono::seconds kBetweenMemberReloads{10};
constexpr std::chrono::seconds kLongestWait{60};

/// Does the worker's first server of a write backend differ from the one that the fragment names?
bool writer_differs(const haproxy::Running& running, const haproxy::Fragment& fragment) {
  return std::any_of(fragment.backends.begin(), fragment.backends.end(), [&](const haproxy::FragmentBackend& backend) {
    if (!backend.write || backend.servers.empty()) return false;
    const haproxy::BackendState* state = running.find(backend.name);
    return state == nullptr || state->servers.empty() || state->servers.front().name != backend.servers.front().name;
  });
}

}  // namespace

FragmentFile::FragmentFile(const HaproxyConfig& config, std::filesystem::path last_good, haproxy::Files& files,
                           haproxy::Reload& reload)
    : config_(config), last_good_(std::move(last_good)), files_(files), reload_(reload) {}

haproxy::Result<FragmentStep> FragmentFile::plan(const haproxy::Fragment& fragment, const haproxy::Running& running) const {
  const std::filesystem::path path = config_.template_path.empty() ? kPackagedTemplate : config_.template_path;
  const auto mustache = files_.read(path);
  if (!mustache) return tl::unexpected(mustache.error());
  auto bytes = haproxy::render(fragment, *mustache, path.string());
  if (!bytes) return tl::unexpected(std::move(bytes).error());
  const auto on_disk = files_.read(config_.fragment);
  if (!on_disk && on_disk.error().detail != "no such file") return tl::unexpected(on_disk.error());

  FragmentStep step;
  step.before = on_disk.value_or("");
  step.bytes = std::move(*bytes);
  step.write = !on_disk || step.before != step.bytes;
  if (config_.method != Method::file) return step;
  const bool by_us = running.worker == loaded_by_ && step.before == loaded_bytes_;
  bool loaded = by_us || has_loaded(running, fragment);
  if (!reloaded_once_ && !step.write && loaded) {
    // The last good one is kept after each verified reload: another one on the disk was written by somebody who died before the
    // reload.
    const auto good = files_.read(last_good_);
    loaded = !good || *good == step.before;
  }
  step.reload = step.write || !loaded;
  if (step.reload) step.why = writer_differs(running, fragment) ? "writer" : loaded ? "members" : "worker";
  return step;
}

void FragmentFile::loaded(const FragmentStep& step, const haproxy::Worker& worker) {
  reloaded_once_ = true;
  loaded_bytes_ = step.bytes;
  loaded_by_ = worker;
}

bool FragmentFile::may_try(const FragmentStep& step, haproxy::Instant now) const {
  if (try_again_at_ && now < *try_again_at_ && step.bytes == failed_bytes_) return false;
  return step.why == "writer" || step.why.empty() || !last_reload_ || now - *last_reload_ >= kBetweenMemberReloads;
}

void FragmentFile::remember_failure(const FragmentStep& step, haproxy::Instant now) {
  wait_ = step.bytes == failed_bytes_ ? std::min(wait_ * 2, kLongestWait) : std::chrono::seconds(1);
  failed_bytes_ = step.bytes;
  try_again_at_ = now + wait_;
}

FragmentDone FragmentFile::carry_out(const FragmentStep& step, haproxy::Instant now) {
  FragmentDone done;
  if (!step.write && !step.reload) return done;
  if (!may_try(step, now)) {
    if (step.bytes == failed_bytes_) done.troubles.push_back(last_failure_);
    return done;
  }
  const auto give_up = [&](const haproxy::Error& error) {
    last_failure_ = error.text();
    done.troubles.push_back(last_failure_);
    remember_failure(step, now);
    return done;
  };
  if (step.write) {
    if (const auto valid = reload_.validate(step.bytes); !valid) return give_up(valid.error());
    if (const auto replaced = files_.replace(config_.fragment, step.bytes); !replaced) return give_up(replaced.error());
    done.wrote = true;
  }
  if (!step.reload) return done;
  last_reload_ = now;
  const auto reloaded = reload_.reload();
  if (reloaded) {
    done.reloaded = true;
    try_again_at_.reset();
    failed_bytes_.clear();
    if (const auto kept = files_.replace(last_good_, step.bytes); !kept) done.troubles.push_back(kept.error().text());
    return done;
  }
  done.failed = true;
  give_up(reloaded.error());
  auto good = files_.read(last_good_);  // what is on the disk may be somebody's half edit
  if (!good && step.write && !step.before.empty()) good = step.before;
  if (!good || *good == step.bytes) return done;
  if (const auto reverted = files_.replace(config_.fragment, *good); !reverted) {
    done.troubles.push_back(reverted.error().text());
    return done;
  }
  done.reverted = true;
  if (const auto again = reload_.reload(); !again) done.troubles.push_back(again.error().text());
  return done;
}

}  // namespace controller
