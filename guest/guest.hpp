#pragma once

// guest/: what runs inside a virtual machine. vitalwired is thin around heartbeat::GuestSession.
//   channel.hpp        the byte stream to the host: virtio-serial port or UNIX socket
//   stream.hpp         one open non-blocking descriptor: edge-triggered reading, bounded queue of messages to write
//   port_finder.hpp    finds a virtio-serial port by its name
//   virtio_port.hpp    the channel on a virtio-serial port
//   unix_channel.hpp   the channel on a UNIX socket, for development and tests without a virtual machine
//   base_layer.hpp     takes lines apart and hands each message to its application
//   judge.hpp          time that decides: steady time without the time in which this daemon stood still
//   heartbeat_app.hpp  registers the guest and answers challenges
