#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "wire/inbound.hpp"

namespace vitalwire::wire {

/// Reads the lines of one guest for the host: what it returns is what `read_line` returns. The answers of a guest
/// differ from each other in two numbers only, the challenge's and the sequence; who answers like the last time is not
/// read again from the start, which is most of what a beat costs.
class ResponseCache {
public:
    explicit ResponseCache(ChannelKind channel) : channel_(channel) {}

    Inbound read(std::string_view line);

private:
    /// The text of the last answer before a number, and which number that is.
    struct Piece {
        std::size_t end = 0;   ///< of the text, in `line_`; the number's place
        std::size_t next = 0;  ///< behind the number
        bool is_response = false;
    };

    std::optional<HeartbeatMessage> recall(std::string_view line) const;
    void remember(std::string_view line, const Inbound& read);

    ChannelKind channel_;
    std::string line_;  ///< the last answer; empty when there is none to compare with
    std::array<Piece, 2> numbers_;
    std::size_t count_ = 0;  ///< of numbers
    ChallengeResponse answer_;
    int base_version_ = kBaseVersion;
};

}  // namespace vitalwire::wire
