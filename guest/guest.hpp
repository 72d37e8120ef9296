#pragma once

// guest/: what runs inside a virtual machine. vitalwired is thin around heartbeat::GuestSession.
//   guest_daemon.hpp    all of vitalwired but its process
//   options.hpp, settings.hpp  command line and configuration file
// Towards the host:
//   channel.hpp         the byte stream to the host: virtio-serial port or UNIX socket
//   port_finder.hpp     finds a virtio-serial port by its name
//   virtio_port.hpp     the channel on a virtio-serial port
//   unix_channel.hpp    the channel on a UNIX socket, for development and tests without a virtual machine
//   stream.hpp          one open descriptor of either: edge-triggered reading, bounded queue of messages to write
//   base_layer.hpp      takes lines apart and hands each message to its application of the protocol
//   heartbeat_app.hpp   registers the guest and answers challenges
//   group_app.hpp       the server group: between the host and the applications in this guest
// Health:
//   monitor_clock.hpp           time that decides: steady time without the time in which this daemon stood still
//   reason.hpp          text from outside as a reason
//   health_board.hpp    the last result of every check and application; the worst wins
//   log_limit.hpp       bounds the log lines that others cause
//   check.hpp           health checks: interval, timeout, failures in a row, roles
//   probe.hpp           one run of a check: exec_probe.hpp a process, socket_probe.hpp a connection (endpoint.hpp)
//   children.hpp, first_line.hpp, accounts.hpp  processes of checks, their output and users
//   reports.hpp         health that scripts report
//   kept.hpp, state_file.hpp  what a restart must not end, and the file that has it
// Towards applications in the guest:
//   app_protocol.hpp    messages between vitalwired and libvitalwire
//   app_server.hpp      the socket and names; absent.hpp applications that are expected and not there
//   app_connection.hpp  one connected application; process_watch.hpp its process
//   app_command.hpp     the commands of vitalwire-app; action_hook.hpp its --on-action
//   lib/                libvitalwire itself
//   notify_socket.hpp   services that notify a service manager
//   unwatched.hpp       applications that want to be watched and are not
//   sdk_socket.hpp      the socket of the server group of the cgcs guest SDK
//   sdk_heartbeat.hpp   the socket of its heartbeat interface; sdk_application.hpp one application, sdk_record.hpp its
//                       records
//   sdk/                the SDK's libraries: libservergroup, libguest_heartbeat_api, libguest_common_api
