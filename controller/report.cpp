#include "controller/report.h"

namespace controller {

const char* word(Role role) {
  switch (role) {
    case Role::primary:
      return "primary";
    case Role::replica:
      return "replica";
    case Role::standby_leader:
      return "standby_leader";
    case Role::demoted:
      return "demoted";
    case Role::promoted:
      return "promoted";
    case Role::uninitialized:
      return "uninitialized";
    case Role::other:
      return "other";
  }
  return "other";
}

const char* word(State state) {
  switch (state) {
    case State::running:
      return "running";
    case State::starting:
      return "starting";
    case State::restarting:
      return "restarting";
    case State::stopping:
      return "stopping";
    case State::stopped:
      return "stopped";
    case State::crashed:
      return "crashed";
    case State::creating_replica:
      return "creating replica";
    case State::unknown:
      return "unknown";
    case State::other:
      return "other";
  }
  return "other";
}

const char* word(Failure failure) {
  switch (failure) {
    case Failure::refused:
      return "refused";
    case Failure::timed_out:
      return "timed_out";
    case Failure::reset:
      return "reset";
    case Failure::empty:
      return "empty";
    case Failure::unresolved:
      return "unresolved";
    case Failure::tls:
      return "tls";
    case Failure::bad_answer:
      return "bad_answer";
  }
  return "bad_answer";
}

const char* word(PortSays says) {
  switch (says) {
    case PortSays::accepting:
      return "accepting";
    case PortSays::rejecting:
      return "rejecting";
    case PortSays::nothing:
      return "nothing";
  }
  return "nothing";
}

}  // namespace controller
