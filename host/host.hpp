#pragma once

// host: the agent of a compute node. A folder a concern; those marked (pure) own no socket and read no clock.
//   core/       (pure) everything the agent decides: agent_core.hpp holds the sessions of guests (monitor.hpp), their
//               faults, server groups (group_relay.hpp), sessions with controllers (controller_sync.hpp), and what
//               survives a restart (agent_state.hpp); the simulator runs the same core
//   channels/   lines over a UNIX stream socket that QEMU listens on, and one guest's channel on top of it
//   bus/        connections to controllers
//   sources/    where channels and the machines' events come from: directory/ (watched sockets), qmp/ (QEMU monitors),
//               libvirt/ (domains, hot-plug)
//   http/       the local HTTP interface and metrics
//   config.hpp  the operator's file
//   agent.hpp   the shell that drives the core on one event loop
