#pragma once

// host: the agent of a compute node. From the guest's socket inwards:
//   line_connection.hpp   lines over a UNIX stream socket that somebody else listens on: back-off, bounds, rate limits
//   channel.hpp           one guest's channel: lines <-> messages, refusals counted and answered
//   channel_source.hpp    where channels and news of the machines come from
//     directory_source.hpp  a watched directory of sockets, qmp_session.hpp the QEMU monitors in it
//     libvirt_source.hpp    libvirt's domains; libvirt_session.hpp its connection and thread, domain_xml.hpp what their
//                           XML says, domain_tracker.hpp what events and states mean (pure)
//     hot_plug.hpp          which wanted channels running domains lack (pure); libvirt_attacher.hpp attaches them
//   monitor.hpp           all guests of the host: sessions, policies, reports; fault_book.hpp their faults (pure)
//   guest_map.hpp         guests by id, looked up for every beat
//   group_hub.hpp         server groups: what guests send to the controller that leads, and what comes back
//   controllers.hpp       the links to the controllers: lead, whole state, repetition until delivered
//   agent_state.hpp       what survives a restart, as JSON in the store
//   agent_config.hpp      the operator's file
//   agent_api.hpp         the local HTTP interface
//   agent.hpp             the glue: one event loop
