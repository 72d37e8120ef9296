#pragma once

// src/wire: bytes <-> structs, for the channels a guest can have. No I/O.
//   limits.hpp           every bound of the protocol, with its reason
//   line_framer.hpp      cuts a byte stream into lines, bounded
//   json_document.hpp    one JSON object as it was read, bounded
//   json_reader.hpp      checked reading of its fields, and of those of a tree
//   field_reader.hpp     the same for a whole object: a decoder reads as a list of fields
//   envelope.hpp         the base layer that multiplexes applications on one channel
//   heartbeat_pdu.hpp    the heartbeat's messages as structs
//   heartbeat_codec.hpp  the same messages as JSON, native and cgcs (cgcs.heartbeat) dialect
//   group_pdu.hpp        the server group's messages as structs
//   group_codec.hpp      the same messages as JSON, native and cgcs (cgcs.messaging) dialect
//   guest_agent_codec.hpp  a challenge and its answer in the QEMU guest agent's words
//   nack.hpp             the refusal, one for all layers
//   nack_codec.hpp       the same as JSON
//   inbound.hpp          what one received line is: the first decision about every byte a peer sends
//   response_cache.hpp   reads an answer that differs from the last in two numbers only
//   object_writer.hpp    writes one flat JSON object key by key, without a document
//   base64.hpp           strict in both directions
