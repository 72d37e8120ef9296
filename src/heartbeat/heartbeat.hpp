#pragma once

// src/heartbeat: the heartbeat's state machines. Pure state machines: they take (event, now) and return actions; they
// own no socket and read no clock, so the daemons, the simulator, the fuzzers and the benchmarks run the same objects.
//   host_session.hpp      the host's side of one guest's heartbeat (proto-spec/heartbeat.md, section 4)
//   host_events.hpp       what goes into it and comes out
//   guest_agent_evidence.cpp  what of it is about guests that only a QEMU guest agent speaks for
//   registration.hpp      what the host makes of an init
//   detection.hpp         interval and deadline of a detection time (section 5)
//   challenge_window.hpp  the challenges that may still be answered
//   round_trips.hpp       how long the answers took
//   guest_session.hpp     the guest's side (section 3)
//   stall_clock.hpp       the clock of both: steady time minus the time in which this process itself stood still
//   silence_watch.hpp     peers of the bus that fell silent, by that clock
