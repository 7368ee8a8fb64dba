#include "controller/topology.h"

namespace controller {

const char* word(Reason reason) {
  switch (reason) {
    case Reason::claims_writer:
      return "claims_writer";
    case Reason::kept_locked:
      return "kept_locked";
    case Reason::kept_paused:
      return "kept_paused";
    case Reason::kept_silent:
      return "kept_silent";
    case Reason::holding:
      return "holding";
    case Reason::other_is_writer:
      return "other_is_writer";
    case Reason::not_running:
      return "not_running";
    case Reason::not_primary:
      return "not_primary";
    case Reason::lock_lost:
      return "lock_lost";
    case Reason::disputed:
      return "disputed";
    case Reason::promoting:
      return "promoting";
    case Reason::wrong_scope:
      return "wrong_scope";
    case Reason::wrong_system:
      return "wrong_system";
    case Reason::no_claim:
      return "no_claim";
    case Reason::let_go:
      return "let_go";
    case Reason::silent:
      return "silent";
    case Reason::unseen:
      return "unseen";
    case Reason::reads:
      return "reads";
    case Reason::fallback:
      return "fallback";
    case Reason::not_replica:
      return "not_replica";
    case Reason::noloadbalance:
      return "noloadbalance";
    case Reason::wrong_timeline:
      return "wrong_timeline";
    case Reason::not_streaming:
      return "not_streaming";
    case Reason::lagging:
      return "lagging";
    case Reason::no_member:
      return "no_member";
    case Reason::operators_hand:
      return "operators_hand";
  }
  return "?";
}

const char* word(Place place) {
  switch (place) {
    case Place::in:
      return "in";
    case Place::out:
      return "out";
    case Place::drain:
      return "drain";
    case Place::leave:
      return "leave";
  }
  return "?";
}

const char* word(WriterState state) {
  switch (state) {
    case WriterState::settled:
      return "settled";
    case WriterState::holding:
      return "holding";
    case WriterState::none:
      return "none";
    case WriterState::let_go:
      return "let_go";
    case WriterState::disputed:
      return "disputed";
    case WriterState::unknown:
      return "unknown";
  }
  return "?";
}

}  // namespace controller
