#pragma once

// src/bus: what agents and controllers send each other, and the transports that carry it.
//   messages.hpp           the messages as structs, and their JSON
//   json.hpp               the JSON of faults, guests and policies: alike on the bus, on disk and at the HTTP interface
//   limits.hpp             bounds of what a peer may send
//   access.hpp             what connections are made with: certificates, brokers, passwords
//   link.hpp               the interface that a transport implements on either side
//   transport.hpp          makes the one that a URL names
//   stream_url.hpp         a URL of a byte stream, taken apart
//   stream_ends.hpp        what makes and what accepts byte streams
//   stream_connection.hpp  line-delimited JSON on one stream, with keep-alive
//   stream_link.hpp        the agent's side of it
//   stream_port.hpp        the controller's side of it
//   stream_dialer.hpp      connects to unix://, tcp:// and tls://
//   socket_acceptor.hpp    listens on them
//   byte_stream.hpp        a connected socket, plain or under TLS
//   tls_context.hpp        TLS 1.3 with certificates on both sides
//   tls_config.hpp         the files of both, as a configuration names them
//   certificate_check.hpp  why the other side would reject our own certificate
//   certificate_watch.hpp  warns before our own certificate ends
//   amqp_client.hpp        a connection to a broker, for amqp:// and amqps://
//   amqp_names.hpp         the broker's exchanges and queues, and their keys
//   amqp_streams.hpp       byte streams through the queues of a broker
//   amqp_finder.hpp        the agent's end of a broker: which controllers are there
//   amqp_acceptor.hpp      the controller's end of a broker
//   amqp_mailbox.hpp       the controllers' common durable queue of faults
//
// State flows as levels: on every (re)connection the agent sends a full resync, so losing a connection or a message
// never needs more care than dropping the connection.
