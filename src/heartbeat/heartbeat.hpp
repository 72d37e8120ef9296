#pragma once

// src/heartbeat: who is alive and who says so. Pure state machines: they take (event, now) and return actions; they own
// no socket and read no clock, so the daemons, the simulator, the fuzzers and the benchmarks run the same objects.
//   host_session.hpp   the host's side of one guest's heartbeat (proto-spec/heartbeat.md, host state table)
//   guest_session.hpp  the guest's side (guest state table)
//   stall_clock.hpp    the clock both are judged by: steady time minus the time this process itself stood still
