#pragma once

// host: the agent of a compute node. A folder a concern; those marked (pure) own no socket and read no clock.
//   core/       (pure) all guests of the host: sessions, faults, policies, reports
//   channels/   lines over a UNIX stream socket that QEMU listens on, and one guest's channel on top of it
//   sources/    where channels and the machines' events come from: directory/ (watched sockets), qmp/ (QEMU monitors),
//               libvirt/ (domains, hot-plug)
//   groups/     server groups: what guests send to the primary controller, and what comes back
//   bus/        the links to the controllers: primary, full resync, repetition until acknowledged
//   state/      what survives a restart, as JSON in the store
//   http/       the local HTTP interface and metrics
//   config.hpp  the operator's file
//   agent.hpp   the shell that connects them on one event loop
