#pragma once

// src/bus: what agents and controllers tell each other, and the ways it travels.
//   messages.hpp    the messages as structs, and their JSON
//   limits.hpp      bounds of what a peer may send
//   link.hpp        the interface that a transport implements on either side
//   transport.hpp   makes the one that a URL names
//   stream_*.hpp    line-delimited JSON over byte streams; sockets for unix://, tcp:// and tls://
//   amqp_*.hpp      such streams through the queues of a broker, for amqp:// and amqps://
//
// State flows as levels: on every (re)connection the agent sends a full resync, so losing a connection or a message
// never needs more care than dropping the connection.
